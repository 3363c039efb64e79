"""Pages in LlamaIndex's engines for models that see, which its earliest 0.14 versions do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("llama_index.core.chat_engine.multi_modal_context", reason="no such engine")

from llama_index.core.base.llms.types import ContentBlock, ImageBlock, TextBlock
from llama_index.core.chat_engine.multi_modal_condense_plus_context import MultiModalCondensePlusContextChatEngine
from llama_index.core.chat_engine.multi_modal_context import MultiModalContextChatEngine
from llama_index.core.llms.mock import MockLLMWithChatMemoryOfLastCall
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine

from colmilvus import Collection, Entity
from colmilvus.llama_index import LateInteractionRetriever, as_index
from tests.words import WordEmbedder

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of LlamaIndex's engines
    pytest.mark.usefixtures("leftovers_cleared"),
]

RED = Image.new("RGB", (4, 4), "red")


@pytest.fixture(scope="module")
def illustrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """One page with words and a picture, one with words alone."""
    both = [Entity("p#1", "red sea", image=RED, document="p", metadata={"page": 1}), Entity("q#1", "red sky")]
    with Collection("illustrated", WordEmbedder(), uri=tmp_path_factory.mktemp("illustrated") / "kb.db") as collection:
        collection.add(both)
        yield collection


def size_of(path: Any) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.width, picture.height


def shown_to(llm: MockLLMWithChatMemoryOfLastCall) -> list[ContentBlock]:
    return [block for message in llm.last_chat_messages or [] for block in message.blocks]


def test_a_query_engine_for_models_that_see_hands_over_text_and_picture(illustrated: Collection) -> None:
    llm = MockLLMWithChatMemoryOfLastCall(max_tokens=None, is_chat_model=True)
    engine = RetrieverQueryEngine.from_args(LateInteractionRetriever(illustrated, 1), llm=llm, multimodal=True)

    engine.query("red sea")

    texts = [block.text for block in shown_to(llm) if isinstance(block, TextBlock)]
    pictures = [block for block in shown_to(llm) if isinstance(block, ImageBlock)]
    assert any("page: 1 red sea" in text for text in texts)
    assert [size_of(picture.resolve_image()) for picture in pictures] == [(4, 4)]


def test_a_chat_engine_for_models_that_see_hands_over_the_picture(illustrated: Collection) -> None:
    llm = MockLLMWithChatMemoryOfLastCall(max_tokens=None, is_chat_model=True)
    memory = ChatMemoryBuffer.from_defaults(token_limit=1000)
    retriever = LateInteractionRetriever(illustrated)
    engine = MultiModalContextChatEngine(retriever, multi_modal_llm=llm, memory=memory, system_prompt="")

    engine.chat("red sea")

    pictures = [block for block in shown_to(llm) if isinstance(block, ImageBlock)]
    texts = [block.text for block in shown_to(llm) if isinstance(block, TextBlock)]
    assert len(pictures) == 1
    assert any("red sky" in text for text in texts)


async def test_a_chat_engine_that_rewrites_questions_hands_over_the_picture(illustrated: Collection) -> None:
    llm = MockLLMWithChatMemoryOfLastCall(max_tokens=None, is_chat_model=True)
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    engine = MultiModalCondensePlusContextChatEngine.from_defaults(
        LateInteractionRetriever(illustrated, 1), multi_modal_llm=llm, memory=memory
    )

    for response in (engine.chat("red sea"), await engine.achat("red sea")):
        assert [node.node_id for node in response.source_nodes] == ["p#1"]
        assert len([block for block in shown_to(llm) if isinstance(block, ImageBlock)]) == 1


def test_a_citation_engine_for_models_that_see_hands_over_the_picture(illustrated: Collection) -> None:
    llm = MockLLMWithChatMemoryOfLastCall(max_tokens=None, is_chat_model=True)
    engine = CitationQueryEngine.from_args(as_index(illustrated), llm=llm, similarity_top_k=1, multimodal=True)

    engine.query("red sea")

    assert len([block for block in shown_to(llm) if isinstance(block, ImageBlock)]) == 1
    assert any("red sea" in block.text for block in shown_to(llm) if isinstance(block, TextBlock))
