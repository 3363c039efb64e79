"""The conformance suite on LateInteractionVectorStore: plain, and beside segments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core.schema import TransformComponent
from llama_index.core.vector_stores.types import BasePydanticVectorStore, FilterOperator, MetadataFilters

from colmilvus import Collection, Server
from colmilvus.errors import InvalidQuery, Unsupported
from colmilvus.llama_index import EmbedInStore, LateInteractionVectorStore
from tests.llama_index.conformance import VectorStoreConformance
from tests.words import WordEmbedder

pytestmark = pytest.mark.everywhere(served=False)

PARTS = {
    FilterOperator.ALL,
    FilterOperator.ANY,
    FilterOperator.CONTAINS,
    FilterOperator.TEXT_MATCH,
    FilterOperator.TEXT_MATCH_INSENSITIVE,
}
"""Of strings LlamaIndex means parts of them by all of these."""


def uses_what_milvus_lacks(filters: MetadataFilters) -> bool:
    return any(
        uses_what_milvus_lacks(part)
        if isinstance(part, MetadataFilters)
        else part.operator == FilterOperator.TEXT_MATCH_INSENSITIVE
        for part in filters.filters
    )


def asks_for_parts_of_texts(filters: MetadataFilters) -> bool:
    return any(
        asks_for_parts_of_texts(part) if isinstance(part, MetadataFilters) else part.operator in PARTS
        for part in filters.filters
    )


class LateInteractionConformance(VectorStoreConformance):
    refusals = (InvalidQuery, Unsupported)
    finds_beginnings_only = False
    """As servers before 2.4 do."""

    def may_refuse(self, filters: MetadataFilters) -> bool:
        lacks = asks_for_parts_of_texts if self.finds_beginnings_only else uses_what_milvus_lacks
        return lacks(filters)

    def embedding_step(self) -> TransformComponent:
        return EmbedInStore()


class TestStore(LateInteractionConformance):
    @pytest.fixture
    def store(self, lasting_database: Path | Server) -> Iterator[BasePydanticVectorStore]:
        self.finds_beginnings_only = isinstance(lasting_database, Server) and "MILVUS_URI" not in os.environ
        with Collection("conforming", WordEmbedder(), uri=lasting_database) as collection:
            yield LateInteractionVectorStore(collection)
            collection.clear()


class TestStoreBesideSegments(LateInteractionConformance):
    """In a collection that could have segments, nodes that are not grouped are the same."""

    @pytest.fixture
    def store(self, lasting_database: Path | Server) -> Iterator[BasePydanticVectorStore]:
        self.finds_beginnings_only = isinstance(lasting_database, Server) and "MILVUS_URI" not in os.environ
        with Collection("beside_segments", WordEmbedder(), uri=lasting_database, segments=True) as collection:
            yield LateInteractionVectorStore(collection)
            collection.clear()
