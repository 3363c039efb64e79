"""The benchmarks: their tables, and what they say of a folder that they cannot use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks import pages

from tests.documents import PRELUDE, ROOT
from tests.pdfs import text_pdf


def run(*arguments: str | Path, benchmark: str = "pages", path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COLMILVUS_PAGES"}
    environment["PYTHONPATH"] = f"{path}{os.pathsep}{ROOT}"
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


Told = tuple[int, str, str]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """How the benchmark of pages ends that measures nothing: its exit code, and what it wrote to both streams."""
    monkeypatch.delenv("COLMILVUS_PAGES", raising=False)

    def end(*arguments: str | Path) -> Told:
        monkeypatch.setattr(sys, "argv", ["pages", *map(str, arguments)])
        with pytest.raises(SystemExit) as told:
            pages.main()
        code = told.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return end


def figures(line: str) -> list[float]:
    return [float(figure) for figure in re.findall(r"\d+\.\d+", line)]


def write(folder: Path, **question: object) -> None:
    (folder / "sea.pdf").write_bytes(text_pdf(["Coral reefs shelter fish", "White sharks hunt seals"]))
    (folder / "pages.json").write_text('{"sea.pdf": 2}')
    (folder / "qrels.jsonl").write_text(json.dumps(question))


def test_the_benchmark_counts_the_questions_that_are_answered(tmp_path: Path) -> None:
    write(tmp_path, id="1", query="Which seals do sharks hunt?", doc="sea.pdf", pages=[2])
    done = run(tmp_path, "--k", "1", "--imports", "1")
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["2", "of", "2", "pages,", "1", "questions.", "2", "added"] in table
    assert [row[:3] for row in table if row and row[0] in ("late_interaction", "text", "hybrid")] == [
        [mode, "1", "1.000"] for mode in ("late_interaction", "text", "hybrid")
    ]


@pytest.mark.parametrize("folder", [[], [""]])
def test_without_a_folder_the_benchmark_says_how_it_is_used(ended: Callable[..., Told], folder: list[str]) -> None:
    code, out, err = ended(*folder)
    assert (code, out) == (2, "")
    assert err.startswith("usage:")
    assert "FOLDER is missing" in err


def test_a_folder_without_questions_is_named_with_where_their_format_is_told(
    ended: Callable[..., Told], tmp_path: Path
) -> None:
    write(tmp_path, id="1", query="sharks", doc="sea.pdf")
    assert "qrels.jsonl, line 1 is no question as --help has it: KeyError('pages')" in ended(tmp_path)[2]
    for name in ("qrels.jsonl", "pages.json"):
        (tmp_path / name).unlink()
        code, _, err = ended(tmp_path)
        assert code == 2
        assert f"{tmp_path / name}: " in err
    assert '"pages": [3, 4]}' in ended("--help")[1]


def test_the_steps_of_adding_are_measured_apart_and_at_once() -> None:
    done = run("--pages", "24", "--rounds", "1", benchmark="overlap")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    reading, embedding, storing, at_once = (figures(line)[0] for line in lines)
    (ratio, *_) = figures(last)

    assert last.startswith("at once / the longest")
    assert embedding > 24 / 8 * 0.2 - 0.01
    assert ratio == pytest.approx(at_once / max(reading, embedding, storing), abs=0.02)


def test_pages_are_embedded_by_the_engine_and_by_the_embedder_in_turn(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(PRELUDE)
    model = checkpoint("ColPali")
    done = run(model, "--pages", "1", "--dtype", "float32", benchmark="embedders", path=tmp_path)
    assert done.returncode == 0, done.stderr
    title, *times, ratio, one, other = done.stdout.splitlines()

    assert title.endswith("float32, cpu; 1 pages, in turn")
    assert [line.split()[0] for line in times] == [line.split()[0] for line in (one, other)]
    assert [line.split()[0] for line in times] == ["colpali-engine", "colmilvus"]
    assert all(figures(line)[0] >= 0 for line in (*times, ratio))
    assert all(0.1 < figures(line)[0] < 10 for line in (one, other))  # GiB


def test_what_an_adapter_adds_is_told_of_each() -> None:
    done = run("--pages", "20", "--rounds", "5", benchmark="adapters")
    assert done.returncode == 0, done.stderr
    core, *others, summary = done.stdout.splitlines()

    assert core.startswith("core ")
    assert [line.split("  ")[0] for line in others] == [
        "LangChain store",
        "LangChain retriever",
        "LangChain store's retriever",
        "LlamaIndex store",
        "LlamaIndex retriever",
        "LlamaIndex index's retriever",
    ]
    assert all(line.endswith("ms to the core") and len(figures(line)) == 2 for line in others)
    assert summary == "medians of 5 questions to 20 pages, k=4"
