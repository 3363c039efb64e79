"""Fixtures that several rooms share: a database of the test's own, and an embedder whose scores count words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from colmilvus import Collection
from tests.words import WordEmbedder


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
