"""LlamaIndex's retriever: what comes out of it, what is seen of it, and what it refuses."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.settings import Settings
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from llama_index_instrumentation import get_dispatcher
from PIL import Image

from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedder import Query
from colmilvus.errors import InvalidQuery
from colmilvus.llama_index import LateInteractionRetriever, PageNode
from tests.colours import ColourEmbedder
from tests.words import WordEmbedder

ROOT = Path(__file__).parents[2]
PAGES = [
    Entity("a#1", "red sea", document="a", metadata={"source": "a", "page": 1, "tags": ["wet"], "note": ""}),
    Entity("a#2", "red sea bird", document="a", metadata={"source": "a", "page": 2, "tags": ["wet", "air"]}),
    Entity("b#1", "green tree", document="b", metadata={"source": "b", "page": 1, "tags": [], "note": "tall"}),
    Entity("b#2", "red tree dog cat", document="b", metadata={"source": "b", "page": 2, "tags": ["dry"], "$odd": 1}),
    Entity("c", "blue one", metadata={"page": 2.5, "tags": ["a b", "wet"], "note": "tall and blue"}),
]
RED = Image.new("RGB", (4, 4), "red")


class WaitingEmbedder(WordEmbedder):
    """Embeds a query once it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        self.asked.set()
        assert self.go_on.wait(timeout=20)
        return super().embed_queries(queries)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add(PAGES)
        yield collection


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


def ids(found: list[NodeWithScore]) -> list[str]:
    return [node.node_id for node in found]


def test_nodes_come_best_first_with_what_the_entity_holds(pages: Collection) -> None:
    best, second = LateInteractionRetriever(pages, similarity_top_k=2).retrieve("red bird")

    assert type(best.node) is TextNode
    assert (best.node_id, best.text, best.score) == ("a#2", "red sea bird", 2.0)
    assert best.metadata == {"source": "a", "page": 2, "tags": ["wet", "air"]}
    assert best.node.ref_doc_id == "a"
    assert second.score == 1.0


def test_a_page_of_no_document_has_no_source(pages: Collection) -> None:
    [found] = LateInteractionRetriever(pages, similarity_top_k=1).retrieve("blue one")

    assert found.node_id == "c"
    assert found.node.relationships == {}


def test_the_collection_and_the_number_may_be_given_by_position_or_by_name(pages: Collection) -> None:
    by_position = LateInteractionRetriever(pages, 2).retrieve("red bird")

    assert by_position == LateInteractionRetriever(collection=pages, similarity_top_k=2).retrieve("red bird")
    assert len(LateInteractionRetriever(pages).retrieve("red")) == 4


def test_modes_and_pages_of_a_document_are_as_in_the_core(pages: Collection) -> None:
    assert ids(LateInteractionRetriever(pages, mode="text").retrieve("sea bird")) == ["a#2", "a#1"]
    assert ids(LateInteractionRetriever(pages, 2, per_document=1).retrieve("red sea bird dog")) == ["a#2", "b#2"]
    assert ids(LateInteractionRetriever(pages, filters={"source": "b"}).retrieve("red dog")) == ["b#2", "b#1"]
    assert ids(LateInteractionRetriever(pages, filters='document == "a"').retrieve("bird")) == ["a#2", "a#1"]


def test_a_page_with_a_picture_brings_text_and_picture(illustrated: Collection) -> None:
    page, plain = (found.node for found in LateInteractionRetriever(illustrated).retrieve("red sea"))

    assert isinstance(page, PageNode)
    assert type(plain) is TextNode
    assert (page.node_id, page.text, page.ref_doc_id, page.metadata) == ("p#1", "red sea", "p", {"page": 1})
    assert page.image is None
    assert page.image_mimetype == "image/jpeg"
    assert size_of(page.resolve_image()) == (4, 4)
    described, text, picture = page.get_content_blocks(MetadataMode.LLM)
    assert (described, text) == (TextBlock(text="page: 1"), TextBlock(text="red sea"))
    assert isinstance(picture, ImageBlock)
    assert str(picture.path) == page.image_path


def test_a_page_without_text_is_handed_over_as_a_picture_alone(database: Path) -> None:
    with Collection("scans", ColourEmbedder(), uri=database) as scans:
        scans.add([Entity("scan", image=RED)])

        [found] = LateInteractionRetriever(scans).retrieve("red")

        assert [type(block) for block in found.node.get_content_blocks(MetadataMode.ALL)] == [ImageBlock]


def test_a_page_node_outlives_json_as_an_image_node(illustrated: Collection) -> None:
    page = LateInteractionRetriever(illustrated).retrieve("red sea")[0].node

    again = metadata_dict_to_node(node_to_metadata_dict(page))

    assert isinstance(again, ImageNode)
    assert (again.text, again.image_path, again.ref_doc_id) == (page.get_content(), page.to_dict()["image_path"], "p")
    assert page.relationships[NodeRelationship.SOURCE] == again.relationships[NodeRelationship.SOURCE]


def test_what_is_done_to_a_node_stays_with_it(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, 1)
    first = retriever.retrieve("red bird")[0].node
    first.metadata["tags"].append("changed")
    first.metadata["source"] = "changed"

    assert retriever.retrieve("red bird")[0].metadata == PAGES[1].metadata


async def test_asynchronous_calls_give_what_synchronous_ones_give(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, 2)
    questions = ["red bird", "green tree", "dog", "sea"] * 5

    found = await asyncio.gather(*(retriever.aretrieve(question) for question in questions))

    assert found == [retriever.retrieve(question) for question in questions]


async def test_the_event_loop_goes_on_while_a_search_runs(database: Path) -> None:
    embedder = WaitingEmbedder()
    with Collection("slow", embedder, uri=database) as slow:
        slow.add(PAGES)
        search = asyncio.create_task(LateInteractionRetriever(slow, 1).aretrieve("red bird"))
        while not embedder.asked.is_set():
            await asyncio.sleep(0.001)
        embedder.go_on.set()

        assert ids(await search) == ["a#2"]


def test_in_a_query_engine_the_text_of_the_pages_reaches_the_model(illustrated: Collection) -> None:
    engine = RetrieverQueryEngine.from_args(LateInteractionRetriever(illustrated), llm=MockLLM())

    response = engine.query("red sea")

    assert "page: 1\n\nred sea\n\nred sky" in str(response)  # MockLLM answers with the prompt
    assert ids(response.source_nodes) == ["p#1", "q#1"]


async def test_a_query_engine_can_be_asked_asynchronously(pages: Collection) -> None:
    engine = RetrieverQueryEngine.from_args(LateInteractionRetriever(pages, 1), llm=MockLLM())

    first, second = await asyncio.gather(engine.aquery("red bird"), engine.aquery("green tree"))

    assert "red sea bird" in str(first)
    assert "green tree" in str(second)


async def test_an_agents_tool_gets_the_text_of_the_pages(illustrated: Collection) -> None:
    tool = RetrieverTool.from_defaults(LateInteractionRetriever(illustrated, 1))

    assert tool.call("red sea").content == "page: 1\n\nred sea\n\n"
    assert (await tool.acall("red sea")).content == "page: 1\n\nred sea\n\n"


def test_a_picture_can_be_the_question(database: Path, tmp_path: Path) -> None:
    RED.save(tmp_path / "question.png")
    with Collection("colours", ColourEmbedder(), uri=database) as colours:
        colours.add([Entity(name, image=Image.new("RGB", (4, 4), name)) for name in ("red", "blue", "lime")])
        question = QueryBundle("", image_path=str(tmp_path / "question.png"))

        [found] = LateInteractionRetriever(colours, 1).retrieve(question)

    assert found.node_id == "red"
    assert found.score == pytest.approx(1, abs=1e-3)  # pictures are kept as JPEG, vectors are made before


def test_a_picture_is_refused_by_an_embedder_of_words_and_by_a_search_of_text(
    pages: Collection, tmp_path: Path
) -> None:
    question = QueryBundle("red", image_path=str(tmp_path / "question.png"))
    with pytest.raises(InvalidQuery, match="cannot look at pictures"):
        LateInteractionRetriever(pages).retrieve(question)
    with pytest.raises(InvalidQuery, match="mode='text'"):
        LateInteractionRetriever(pages, mode="text").retrieve(question)


class Events(BaseEventHandler):
    names: list[str] = []  # noqa: RUF012  # pydantic copies it for each handler

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **_: Any) -> None:
        self.names.append(event.class_name())


async def test_the_events_of_a_retrieval_are_those_that_the_framework_knows(pages: Collection) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    events, dispatcher = Events(), get_dispatcher()
    dispatcher.add_event_handler(events)
    retriever = LateInteractionRetriever(pages, 1, callback_manager=CallbackManager([handler]))
    try:
        retriever.retrieve("red bird")
        await retriever.aretrieve("red bird")
    finally:
        dispatcher.event_handlers.remove(events)

    assert events.names == ["RetrievalStartEvent", "RetrievalEndEvent"] * 2
    assert len(handler.get_event_pairs(CBEventType.RETRIEVE)) == 2


@pytest.fixture
def watched_settings() -> Iterator[LlamaDebugHandler]:
    before = Settings.callback_manager
    handler = LlamaDebugHandler(print_trace_on_end=False)
    Settings.callback_manager = CallbackManager([handler])
    yield handler
    Settings.callback_manager = before


def test_the_callbacks_of_the_settings_hear_of_a_retrieval(
    pages: Collection, watched_settings: LlamaDebugHandler
) -> None:
    LateInteractionRetriever(pages, 1).retrieve("red bird")

    assert len(watched_settings.get_event_pairs(CBEventType.RETRIEVE)) == 1


def test_the_frameworks_own_arguments_reach_the_framework(pages: Collection) -> None:
    index_node = IndexNode(text="see", index_id="elsewhere", obj=TextNode(text="there"))

    retriever = LateInteractionRetriever(pages, objects=[index_node], verbose=True)

    assert retriever.object_map == {"elsewhere": index_node.obj}


def test_asking_for_nothing_is_refused_by_name(pages: Collection) -> None:
    for wrong in (0, -1, True, 2.0, None):
        with pytest.raises(InvalidQuery, match="similarity_top_k is a number from 1"):
            LateInteractionRetriever(pages, similarity_top_k=wrong)  # type: ignore[arg-type]  # a tested mistake
    with pytest.raises(InvalidQuery, match=r"mode is one of .*, not 'svm'"):
        LateInteractionRetriever(pages, mode="svm")  # type: ignore[arg-type]  # a tested mistake


@pytest.mark.parametrize("question", ["", " \n", QueryBundle("")])
async def test_a_blank_question_is_refused(pages: Collection, question: str | QueryBundle) -> None:
    with pytest.raises(InvalidQuery, match="blank"):
        LateInteractionRetriever(pages).retrieve(question)
    with pytest.raises(InvalidQuery, match="blank"):
        await LateInteractionRetriever(pages).aretrieve(question)


def run_python(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_importing_this_loads_no_other_framework() -> None:
    program = (
        "import sys, colmilvus.llama_index; loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert 'llama_index' in loaded; assert 'langchain_core' not in loaded"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


def test_without_llama_index_the_import_says_what_to_install() -> None:
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llama_index":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from colmilvus.errors import MissingExtra
try:
    import colmilvus.llama_index
except MissingExtra as error:
    print(error)
"""
    done = run_python("-c", program)
    expected = "colmilvus.llama_index needs the 'llama-index' extra: pip install 'colmilvus[llama-index]'"
    assert done.stdout.strip() == expected
