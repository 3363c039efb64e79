"""LangChain's own standard tests, whole: nothing is skipped, expected to fail, or overridden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
    VectorStoreIntegrationTests,
)

from colmilvus import Collection, Embedder, Entity, Server
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.langchain import LateInteractionRetriever, LateInteractionVectorStore, create_search_tool
from tests.words import WordEmbedder

pytestmark = pytest.mark.everywhere

TEXTS = ["red sea", "red sea bird", "green tree", "red tree dog cat"]


class TestVectorStoreWithMultiVectors(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, lasting_database: Path | Server) -> Iterator[VectorStore]:
        with Collection("multi_vectors", StaticEmbedder(), uri=lasting_database) as collection:
            yield LateInteractionVectorStore(collection)
            collection.clear()


class TestVectorStoreWithEmbeddings(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, lasting_database: Path | Server) -> Iterator[VectorStore]:
        store = LateInteractionVectorStore.from_texts([], self.get_embeddings(), uri=lasting_database)
        with store.collection as collection:
            yield store
            collection.clear()


class TestVectorStoreWithSegments(VectorStoreIntegrationTests):
    """The same store over a collection that also takes entities with segments."""

    @pytest.fixture
    def vectorstore(self, lasting_database: Path | Server) -> Iterator[VectorStore]:
        with Collection("segments", StaticEmbedder(), uri=lasting_database, segments=True) as collection:
            yield LateInteractionVectorStore(collection)
            collection.clear()


class _Retriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _stored_pages(self, lasting_database: Path | Server) -> Iterator[None]:
        with Collection(type(self).__name__, self.embedder, uri=lasting_database) as self.pages:
            self.pages.add([Entity(str(number), text) for number, text in enumerate(TEXTS)])
            yield
            self.pages.clear()

    @property
    def embedder(self) -> Embedder:
        return WordEmbedder()

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return LateInteractionRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": self.pages}

    @property
    def retriever_query_example(self) -> str:
        return "red sea"


class TestRetrieverWithMultiVectors(_Retriever):
    pass


class TestRetrieverWithEmbeddings(_Retriever):
    @property
    def embedder(self) -> Embedder:
        return SegmentEmbedder(DeterministicFakeEmbedding(size=6))


class TestTool(ToolsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _stored_pages(self, lasting_database: Path | Server) -> Iterator[None]:
        with Collection("tool", WordEmbedder(), uri=lasting_database) as self.pages:
            self.pages.add([Entity(text, text, metadata={"year": 2025}) for text in TEXTS])
            yield
            self.pages.clear()

    @property
    def tool_constructor(self) -> BaseTool:
        return create_search_tool(self.pages, filters={"year": int})

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "red bird", "year": 2025}
