"""The retriever and the index in LlamaIndex's own engines and retrievers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import HierarchicalNodeParser, get_leaf_nodes
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    BaseRetriever,
    QueryFusionRetriever,
    RouterRetriever,
    VectorIndexAutoRetriever,
)
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import Document, QueryBundle
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores.types import MetadataInfo, VectorStoreInfo

from colmilvus import Collection, Entity
from colmilvus.llama_index import LateInteractionRetriever, as_index
from tests.words import WordEmbedder

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of LlamaIndex's engines
    pytest.mark.usefixtures("leftovers_cleared"),
]

PAGES = [
    Entity("a#1", "red sea", document="a", metadata={"source": "a.pdf", "page": 1, "year": 2024}),
    Entity("a#2", "red sea bird", document="a", metadata={"source": "a.pdf", "page": 2, "year": 2025}),
    Entity("b#1", "green tree", document="b", metadata={"source": "b.pdf", "page": 1, "year": 2024}),
]


class SaidLLM(CustomLLM):
    """Says one thing, whatever it is asked."""

    said: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:  # noqa: ARG002
        return CompletionResponse(text=self.said)

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponseGen:  # noqa: ARG002
        yield CompletionResponse(text=self.said, delta=self.said)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add(PAGES)
        yield collection


@pytest.fixture
def retriever(pages: Collection) -> LateInteractionRetriever:
    return LateInteractionRetriever(pages, 1)


def ids(response: Any) -> list[str]:
    return [node.node_id for node in response.source_nodes]


async def test_a_citation_engine_numbers_what_was_found(retriever: LateInteractionRetriever) -> None:
    engine = CitationQueryEngine(retriever, llm=MockLLM())

    for response in (engine.query("red bird"), await engine.aquery("red bird")):
        assert "Source 1:\nred sea bird" in str(response)
        assert response.source_nodes[0].metadata["page"] == 2


async def test_chat_engines_put_what_was_found_before_the_model(retriever: LateInteractionRetriever) -> None:
    for kind in (ContextChatEngine, CondensePlusContextChatEngine):
        engine = kind.from_defaults(retriever, llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults(token_limit=9000))
        response = engine.chat("red bird")
        assert ids(response) == ["a#2"]
        streamed = engine.stream_chat("green tree")
        assert "".join(streamed.response_gen)
        assert ids(streamed)
        assert ids(await engine.achat("red bird"))


def test_fused_with_itself_in_another_mode_it_finds_the_same(pages: Collection) -> None:
    both: list[BaseRetriever] = [LateInteractionRetriever(pages, 2), LateInteractionRetriever(pages, 2, mode="text")]
    by_rank = FUSION_MODES.RECIPROCAL_RANK
    fusion = QueryFusionRetriever(both, llm=MockLLM(), num_queries=1, similarity_top_k=2, mode=by_rank)

    assert fusion.retrieve("red bird")[0].node_id == "a#2"


async def test_a_router_chooses_it(retriever: LateInteractionRetriever) -> None:
    tool = RetrieverTool.from_defaults(retriever, description="pages")
    choice = SaidLLM(said='[{"choice": 1, "reason": "the only one"}]')
    router = RouterRetriever(LLMSingleSelector.from_defaults(llm=choice), [tool], llm=choice)

    assert [node.node_id for node in router.retrieve("red bird")] == ["a#2"]


def test_a_made_up_answer_is_searched_for(pages: Collection) -> None:
    made_up = HyDEQueryTransform(llm=SaidLLM(said="green tree"), include_original=False)
    engine = TransformQueryEngine(
        RetrieverQueryEngine.from_args(LateInteractionRetriever(pages, 1), llm=MockLLM()), made_up
    )

    assert ids(engine.query("what grows?")) == ["b#1"]


def test_leaves_are_merged_into_their_parents(database: Path) -> None:
    text = " ".join(f"{word} {number}." for number in range(60) for word in ("red sea", "green tree"))
    nodes = HierarchicalNodeParser.from_defaults(chunk_sizes=[256, 64])([Document(id_="d", text=text)])
    docstore = SimpleDocumentStore()
    docstore.add_documents(nodes)
    with Collection("leaves", WordEmbedder(), uri=database) as collection:
        index = as_index(collection)
        index.insert_nodes(get_leaf_nodes(nodes))
        base: Any = index.as_retriever(similarity_top_k=20)

        merged = AutoMergingRetriever(base, StorageContext.from_defaults(docstore=docstore)).retrieve("red sea")

    leaves = {node.node_id for node in get_leaf_nodes(nodes)}
    assert merged
    assert any(found.node_id not in leaves for found in merged)


def test_an_automatic_retriever_writes_filters(pages: Collection) -> None:
    said = SaidLLM(
        said='{"query": "red sea", "filters": [{"key": "year", "value": 2024, "operator": "=="}], "top_k": 2}'
    )
    info = VectorStoreInfo(
        content_info="pages", metadata_info=[MetadataInfo(name="year", type="int", description="the year")]
    )
    automatic = VectorIndexAutoRetriever(as_index(pages), vector_store_info=info, llm=said)

    assert sorted(node.node_id for node in automatic.retrieve("what of 2024?")) == ["a#1", "b#1"]


def test_engines_of_an_index_need_no_model_for_embedding(pages: Collection) -> None:
    index = as_index(pages)

    response = index.as_query_engine(llm=MockLLM(), similarity_top_k=1, response_mode="compact").query("red bird")
    assert ids(response) == ["a#2"]
    for mode in ("best", "context", "condense_question", "condense_plus_context"):
        memory = ChatMemoryBuffer.from_defaults(token_limit=9000)
        chat = index.as_chat_engine(mode, llm=MockLLM(), memory=memory, similarity_top_k=1)  # type: ignore[arg-type]
        assert ids(chat.chat("green tree")) or mode == "condense_question"
    found = index.as_retriever(similarity_top_k=2, vector_store_query_mode="hybrid", alpha=1.0).retrieve("red bird")
    assert found[0].node_id == "a#2"
    assert len(index.as_retriever().retrieve(QueryBundle("red"))) == 2
