"""The tutorial's flow, by its own method and by this package, as a user runs it on a folder and on a real server."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from examples import colpali_tutorial
from pymilvus import MilvusClient

from colmilvus import maxsim
from colmilvus.embedders.colpali import ColPaliEmbedder
from tests.embedders.torchvision_on_cpu import make_torchvision_importable
from tests.milvus_server import MilvusServer
from tests.pdfs import text_pdf

# numpy of the PaliGemma processor in transformers, which hands it tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

QUESTIONS = ["How does it work?", "Where is the table?"]
PAGES = 5
ANSWER = re.compile(r" *(\d+)  (\S+)  (-?[\d.]+) +(\S+)  (-?[\d.]+)")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["folder", "server"])
def options(request: pytest.FixtureRequest) -> list[str]:
    return [] if request.param == "folder" else ["--uri", request.getfixturevalue("old_milvus").uri]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["colpali_tutorial.py", *arguments])
    colpali_tutorial.main()


def test_both_ways_rank_as_numpy_does(
    here: Path,
    options: list[str],
    checkpoint: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "paper.pdf").write_bytes(text_pdf([f"Results of the {i}th table" * i for i in range(1, PAGES + 1)]))
    arguments = ["paper.pdf", *QUESTIONS, "--k", "3", "--checkpoint", str(checkpoint("ColPali")), *options]
    run(monkeypatch, *arguments)
    first = capsys.readouterr().out
    run(monkeypatch, *arguments)
    again = capsys.readouterr().out

    embedder = ColPaliEmbedder(checkpoint("ColPali"))
    pages = colpali_tutorial.embed_pages(here / "paper.pdf", embedder)
    assert len(pages) == PAGES
    for printed in (first, again):
        stored, *answers = printed.split("\n\n")
        assert re.fullmatch(r"colmilvus stored 5 pages in \d+ ms, the tutorial in \d+ ms", stored)
        for question, answer in zip(QUESTIONS, answers, strict=True):
            asked, heading, *lines = answer.rstrip().split("\n")
            (query,) = embedder.embed_queries([question])
            scores = {page.entity.id: maxsim(query, page.vectors, "IP") for page in pages}
            best = sorted(scores, key=lambda name: -scores[name])[:3]
            found = [match.groups() for line in lines if (match := ANSWER.fullmatch(line))]

            assert asked == question
            assert re.fullmatch(r" +colmilvus, \d+ ms +the tutorial, \d+ ms", heading)
            assert [(ours, theirs) for _, ours, _, theirs, _ in found] == [(name, name) for name in best]
            for name, (_, _, ours, _, theirs) in zip(best, found, strict=True):
                assert float(ours) == pytest.approx(scores[name], abs=1e-3)
                assert float(theirs) == pytest.approx(scores[name], abs=1e-3)


def test_on_a_server_both_keep_a_row_a_vector(
    here: Path, old_milvus: MilvusServer, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "paper.pdf").write_bytes(text_pdf(["One page", "Another"]))
    run(monkeypatch, "paper.pdf", "Where?", "--checkpoint", str(checkpoint("ColPali")), "--uri", old_milvus.uri)

    client = MilvusClient(old_milvus.uri)
    counts = [
        client.query(name, output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
        for name in (colpali_tutorial.OURS, colpali_tutorial.THEIRS)
    ]
    client.close()
    assert counts[0] == counts[1] > 2 * 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.pdf", "Where?"], "there is no file nowhere.pdf"),
        (["paper.pdf", "Where?", "--checkpoint", "./nobody"], "there is no folder ./nobody"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    make_torchvision_importable()
    (here / "paper.pdf").write_bytes(text_pdf(["One page"]))
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in here.iterdir()] == ["paper.pdf"]
