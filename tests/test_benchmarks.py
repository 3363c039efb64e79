"""The benchmark over a folder of PDFs: its table, and what it says of a folder that it cannot use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pdfs import text_pdf

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "pages.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COLMILVUS_PAGES"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def write(folder: Path, **question: object) -> None:
    (folder / "sea.pdf").write_bytes(text_pdf(["Coral reefs shelter fish", "White sharks hunt seals"]))
    (folder / "pages.json").write_text('{"sea.pdf": 2}')
    (folder / "qrels.jsonl").write_text(json.dumps(question))


def test_the_benchmark_counts_the_questions_that_are_answered(tmp_path: Path) -> None:
    write(tmp_path, id="1", query="Which seals do sharks hunt?", doc="sea.pdf", pages=[2])
    done = run(tmp_path, "--k", "1")
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["2", "of", "2", "pages,", "1", "questions.", "2", "added"] in table
    assert [row[:3] for row in table if row and row[0] in ("late_interaction", "text", "hybrid")] == [
        [mode, "1", "1.000"] for mode in ("late_interaction", "text", "hybrid")
    ]


@pytest.mark.parametrize("folder", [[], [""]])
def test_without_a_folder_the_benchmark_says_how_it_is_used(folder: list[str]) -> None:
    done = run(*folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage:")
    assert "FOLDER is missing" in done.stderr


def test_a_folder_without_questions_is_named_with_where_their_format_is_told(tmp_path: Path) -> None:
    write(tmp_path, id="1", query="sharks", doc="sea.pdf")
    assert "qrels.jsonl, line 1 is no question as --help has it: KeyError('pages')" in run(tmp_path).stderr
    for name in ("qrels.jsonl", "pages.json"):
        (tmp_path / name).unlink()
        done = run(tmp_path)
        assert done.returncode == 2
        assert f"{tmp_path / name}: " in done.stderr
        assert "Traceback" not in done.stderr
    assert '"pages": [3, 4]}' in run("--help").stdout
