"""Stores that a reader can follow in the head: MaxSim counts the question's words that a document has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from colmilvus import Collection
from colmilvus.langchain import LateInteractionVectorStore
from tests.words import WordEmbedder


@pytest.fixture
def store(notes: Collection) -> LateInteractionVectorStore:
    return LateInteractionVectorStore(notes)


@pytest.fixture
def grouped(database: Path, words: WordEmbedder) -> Iterator[LateInteractionVectorStore]:
    """Chunks of one source are one entity."""
    with Collection("grouped", words, uri=database, segments=True) as collection:
        yield LateInteractionVectorStore(collection, group_by="source", best_segments=2)
