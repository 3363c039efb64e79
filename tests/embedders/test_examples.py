"""The examples of this room, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from examples import cohere_articles, colpali_pages

from colmilvus import Collection, maxsim
from tests.embedders.cohere_server import KEY, CohereServer, vector_of
from tests.embedders.test_colpali import page
from tests.pdfs import text_pdf

ROOT = Path(__file__).parents[2]
ARTICLES = {
    "Adobe Inc.": ["Adobe makes software.", "It sells Photoshop.", "Its seat is San Jose."],
    "Coral reef": ["Reefs are built by corals.", "Fish live there."],
    "Steel": ["Steel is made of iron."],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["example", *arguments])
    main()


@pytest.mark.parametrize("pool", ["1", "3"])
def test_pages_by_their_pictures(
    here: Path,
    checkpoint: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pool: str,
) -> None:
    (here / "files").mkdir()
    (here / "files" / "sea.pdf").write_bytes(text_pdf(["White sharks hunt seals.", "Coral reefs shelter fish."]))
    page((200, 260)).save(here / "files" / "scan.png")
    arguments = ["files", "Which fish?", "--checkpoint", str(checkpoint("ColIdefics3")), "--pool", pool]
    run(colpali_pages.main, monkeypatch, *arguments)
    first = capsys.readouterr()
    run(colpali_pages.main, monkeypatch, *arguments)
    again = capsys.readouterr()

    assert "runs on cpu" in first.err
    assert "3 added" in first.err
    assert "3 unchanged" in again.err
    assert first.out == again.out
    assert len(first.out.splitlines()) == 3
    assert all(Path(line.split("  ")[-1]).is_file() for line in first.out.splitlines())


def test_pages_by_a_model_that_is_none(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(colpali_pages.main, monkeypatch, str(here), "Which fish?", "--checkpoint", "./nobody")

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("there is no folder ./nobody")


def test_articles_by_their_paragraphs(here: Path) -> None:
    rows = [
        {"id": f"{title}-{n}", "title": title, "text": text, "lang": "en"}
        for title, texts in ARTICLES.items()
        for n, text in enumerate(texts)
    ]
    (here / "p.jsonl").write_text("\n".join(map(json.dumps, rows[::-1])))
    command = [sys.executable, str(ROOT / "examples" / "cohere_articles.py"), "p.jsonl", "Adobe software"]
    with CohereServer() as server:
        environment = {**os.environ, "CO_API_KEY": KEY, "CO_API_URL": server.url, "NO_PROXY": "127.0.0.1"}
        first, again = (
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)
        )

    assert "3 added" in first.stderr
    assert "3 unchanged" in again.stderr
    assert first.stdout == again.stdout
    with Collection("cohere_articles", uri="colmilvus.db") as collection:
        stored = collection.multi_vectors(list(ARTICLES))
    query = [vector_of(word, 1024) for word in ("Adobe", "software")]
    scores = sorted(((maxsim(query, vectors), title) for title, vectors in stored.items()), reverse=True)
    shown = [line.split("  ") for line in first.stdout.splitlines()[::2]]
    assert [title for _, title in shown] == [title for _, title in scores]
    assert [float(score) for score, _ in shown] == [pytest.approx(score, abs=1e-4) for score, _ in scores]


def test_articles_without_a_key_or_a_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CO_API_KEY", raising=False)
    with pytest.raises(SystemExit):
        run(cohere_articles.main, monkeypatch, "p.jsonl", "Adobe")
    assert "CO_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("CO_API_KEY", KEY)
    (here / "p.jsonl").write_text('{"title": "no text"}')
    with pytest.raises(SystemExit):
        run(cohere_articles.main, monkeypatch, "p.jsonl", "Adobe")
    assert "text" in capsys.readouterr().err
