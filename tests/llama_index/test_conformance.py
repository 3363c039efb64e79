"""The conformance suite on LateInteractionVectorStore: plain, and beside segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core.schema import TransformComponent
from llama_index.core.vector_stores.types import BasePydanticVectorStore, FilterOperator, MetadataFilters

from colmilvus import Collection
from colmilvus.errors import InvalidQuery, Unsupported
from colmilvus.llama_index import EmbedInStore, LateInteractionVectorStore
from tests.llama_index.conformance import VectorStoreConformance
from tests.words import WordEmbedder


def uses_what_milvus_lacks(filters: MetadataFilters) -> bool:
    return any(
        uses_what_milvus_lacks(part)
        if isinstance(part, MetadataFilters)
        else part.operator == FilterOperator.TEXT_MATCH_INSENSITIVE
        for part in filters.filters
    )


class LateInteractionConformance(VectorStoreConformance):
    refusals = (InvalidQuery, Unsupported)

    def may_refuse(self, filters: MetadataFilters) -> bool:
        return uses_what_milvus_lacks(filters)

    def embedding_step(self) -> TransformComponent:
        return EmbedInStore()


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all tests, so that the engine starts once."""
    folder = tmp_path_factory.mktemp("conformance") / "kb.db"
    with Collection("open", WordEmbedder(), uri=folder):
        yield folder


class TestStore(LateInteractionConformance):
    @pytest.fixture
    def store(self, databases: Path) -> Iterator[BasePydanticVectorStore]:
        collection = Collection("conforming", WordEmbedder(), uri=databases)
        yield LateInteractionVectorStore(collection)
        collection.drop()


class TestStoreBesideSegments(LateInteractionConformance):
    """In a collection that could have segments, nodes that are not grouped are the same."""

    @pytest.fixture
    def store(self, databases: Path) -> Iterator[BasePydanticVectorStore]:
        collection = Collection("beside_segments", WordEmbedder(), uri=databases, segments=True)
        yield LateInteractionVectorStore(collection)
        collection.drop()
