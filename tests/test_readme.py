"""What the README says is what happens."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from examples.sample_reports import draw_reports
from typer.testing import CliRunner

import colmilvus
from colmilvus.cli.app import app
from tests.documents import blocks, run_python

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for the PDFs that the README speaks of."""
    draw_reports(tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_runs_from_top_to_bottom(folder: Path, checkpoint: Callable[[str], Path]) -> None:
    done = run_python(README, folder, {"vidore/colSmol-256M": checkpoint("ColIdefics3")})
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()

    assert printed[0] == "39 added, 4 unreadable"
    assert all("air-and-water.pdf" in line for line in (printed[1], printed[4]))
    assert printed[-3].endswith(".jpg")
    assert printed[-2:] == ["a", "['langchain', 'letters', 'looks', 'pages', 'texts']"]


def test_the_commands_run(folder: Path) -> None:
    (commands,) = [block for block in blocks(README, "sh") if block.startswith("colmilvus")]
    (folder / "reports" / "solar-system.pdf").rename(folder / "reports" / "old.pdf")
    for line in commands.splitlines():
        command, *arguments = shlex.split(line, comments=True)
        result = CliRunner().invoke(app, arguments)

        assert command == "colmilvus"
        assert result.exit_code == 0, result.output


def test_every_target_of_make_that_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))

    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_every_file_that_it_links_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link and not link.startswith("#")]

    assert links
    assert all((ROOT / link.partition("#")[0]).is_file() for link in links)


def test_the_changelog_names_the_version() -> None:
    newest = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert newest is not None
    assert newest.group(1) == colmilvus.__version__
