"""What rooms and the examples in docstrings share: a database of their own, an embedder that counts words."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.words import WordEmbedder

from colmilvus import Collection


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> None:
    """Ctrl-C reaches the tests, and what they start, also where they run in the background and have it ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _examples_have_a_folder_of_their_own(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
def words() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def notes(database: Path, words: WordEmbedder) -> Iterator[Collection]:
    with Collection("notes", words, uri=database) as collection:
        yield collection
