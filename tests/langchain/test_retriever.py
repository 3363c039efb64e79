"""LangChain's retriever: its own standard tests, in a chain, in an event loop, and what it says when it is misused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import ParrotFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from PIL import Image
from pydantic import ValidationError

from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedder import Query
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.langchain import LateInteractionRetriever
from tests.words import WordEmbedder

ROOT = Path(__file__).parents[2]
PAGES = [
    Entity("a#1", "red sea", document="a", metadata={"source": "a", "page": 1, "tags": ["wet"]}),
    Entity("a#2", "red sea bird", document="a", metadata={"source": "a", "page": 2, "tags": ["wet", "air"]}),
    Entity("b#1", "green tree", document="b", metadata={"source": "b", "page": 1, "tags": []}),
    Entity("b#2", "red tree dog cat", document="b", metadata={"source": "b", "page": 2, "tags": []}),
]


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


class Listener(BaseCallbackHandler):
    """Keeps what a retriever's run is announced with."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    def on_retriever_start(self, *_: Any, metadata: dict[str, Any] | None = None, **__: Any) -> None:
        self.metadata = metadata or {}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add(PAGES)
        yield collection


def size_of(path: Any) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.width, picture.height


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_pages_come_best_first_with_what_the_entity_holds(pages: Collection) -> None:
    best, *others = LateInteractionRetriever(pages, k=2, mode="late_interaction").invoke("red bird")

    assert best == Document(
        id="a#2",
        page_content="red sea bird",
        metadata={"source": "a", "page": 2, "tags": ["wet", "air"], "score": 2.0, "similarity": 1.0},
    )
    assert [other.metadata["score"] for other in others] == [1.0]


def test_the_collection_may_be_given_by_position_or_by_name(pages: Collection) -> None:
    by_position = LateInteractionRetriever(pages, k=1, tags=["pages"])
    by_name = LateInteractionRetriever(collection=pages, k=1, tags=["pages"])

    assert by_position == by_name
    assert by_position.tags == ["pages"]
    assert by_position.invoke("red bird") == by_name.invoke("red bird")


def test_each_search_argument_can_be_given_once_and_anew_in_a_call(pages: Collection) -> None:
    calls: list[tuple[dict[str, Any], list[str]]] = [
        ({"k": 1}, ["a#2"]),
        ({"filter": {"source": "b"}}, ["b#2", "b#1"]),
        ({"filter": 'metadata["page"] == 1', "k": 1}, ["a#1"]),
        ({"min_similarity": 1.0}, ["a#2"]),
        ({"per_document": 1}, ["a#2", "b#2"]),
        ({"mode": "text"}, ["a#2", "a#1", "b#2"]),
    ]
    plain = LateInteractionRetriever(pages)
    for arguments, expected in calls:
        assert ids(plain.invoke("red sea bird", **arguments)) == expected
        assert ids(LateInteractionRetriever(pages, **arguments).invoke("red sea bird")) == expected


def test_a_call_can_take_a_filter_back(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, k=1, filter={"source": "b"})

    assert ids(retriever.invoke("red bird", filter=None)) == ["a#2"]
    assert ids(retriever.invoke("red bird")) == ["b#2"]


def test_without_a_mode_it_searches_as_suits_the_embedder(database: Path) -> None:
    class HybridWords(WordEmbedder):
        mode = "hybrid"

    with Collection("mixed", HybridWords(), uri=database) as mixed:
        mixed.add(PAGES)

        [found] = LateInteractionRetriever(mixed, k=1).invoke("red bird")

    assert found.metadata["score"] == 1.0  # both lists have it first
    assert "similarity" not in found.metadata


def test_a_kept_picture_is_named_by_its_path(notes: Collection) -> None:
    notes.add([Entity("p", "red", image=Image.new("RGB", (4, 4), "red"))])

    [page] = LateInteractionRetriever(notes).invoke("red")

    assert json.loads(json.dumps(page.metadata)) == page.metadata
    assert size_of(page.metadata["image"]) == (4, 4)


def test_metadata_of_the_user_stays_where_names_meet(notes: Collection) -> None:
    own = {"score": "mine", "similarity": None, "image": 7, "id": 1}
    notes.add([Entity("p", "red", image=Image.new("RGB", (4, 4), "red"), metadata=own)])

    [page] = LateInteractionRetriever(notes).invoke("red")

    assert page.metadata == own


def test_what_is_done_to_a_document_stays_with_it(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, k=1)
    first = retriever.invoke("red bird")[0]
    first.metadata["tags"].append("changed")
    first.metadata["source"] = "changed"

    assert retriever.invoke("red bird")[0].metadata["tags"] == ["wet", "air"]
    assert pages.get(["a#2"])[0].metadata["source"] == "a"


async def test_asynchronous_calls_give_what_synchronous_ones_give(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, k=2)
    questions = ["red bird", "green tree", "dog", "sea"] * 5

    found = await asyncio.gather(*(retriever.ainvoke(question) for question in questions))

    assert found == [retriever.invoke(question) for question in questions]
    assert len(await retriever.ainvoke("red", k=3, filter={"source": ["a", "b"]})) == 3
    assert [len(batch) for batch in await retriever.abatch(["red", "dog"])] == [2, 2]


async def test_the_event_loop_goes_on_while_a_search_runs(database: Path) -> None:
    embedder = WaitingEmbedder()
    with Collection("slow", embedder, uri=database) as slow:
        slow.add(PAGES)
        search = asyncio.create_task(LateInteractionRetriever(slow, k=1).ainvoke("red bird"))
        while not embedder.asked.is_set():
            await asyncio.sleep(0.001)
        embedder.go_on.set()

        assert ids(await search) == ["a#2"]


def test_in_a_chain_the_text_of_the_pages_reaches_the_model(pages: Collection) -> None:
    def join(found: list[Document]) -> str:
        return " | ".join(f"{page.page_content} ({page.metadata['source']}, {page.metadata['page']})" for page in found)

    prompt = ChatPromptTemplate.from_template("{pages} ? {question}")
    retriever = LateInteractionRetriever(pages, k=2)
    chain = {"pages": retriever | join, "question": RunnablePassthrough()} | prompt | ParrotFakeChatModel()

    answer = (chain | StrOutputParser()).invoke("green tree dog")

    assert answer == "green tree (b, 1) | red tree dog cat (b, 2) ? green tree dog"


def test_it_can_be_bound_and_configured_as_other_runnables_can(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages)
    configurable = retriever.configurable_fields(k=ConfigurableField(id="pages"))

    assert len(retriever.bind(k=1).invoke("red")) == 1
    assert len(configurable.invoke("red", config={"configurable": {"pages": 2}})) == 2
    assert len(retriever.invoke("red", verbose=True)) == 4


def test_a_run_is_announced_with_names_for_tracing(pages: Collection) -> None:
    listener = Listener()

    LateInteractionRetriever(pages).invoke("red", config={"callbacks": [listener]})

    assert listener.metadata == {
        "ls_retriever_name": "lateinteraction",
        "ls_vector_store_provider": "milvus",
        "ls_embedding_provider": "WordEmbedder",
        "ls_embedding_model": "words",
    }


def test_a_collection_without_an_embedder_is_searched_by_its_text(database: Path) -> None:
    with Collection("ready", dim=2, uri=database) as ready:
        ready.add([Entity("a", "red"), Entity("b", "blue")], vectors=[[[1, 0]], [[0, 1]]])
        retriever = LateInteractionRetriever(ready, mode="text")

        assert ids(retriever.invoke("blue")) == ["b"]
        assert retriever.invoke("green") == []
        with pytest.raises(InvalidQuery, match="without an embedder"):
            retriever.invoke("blue", mode="late_interaction")
        with pytest.raises(ValidationError, match="without an embedder"):
            LateInteractionRetriever(ready)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"k": 0}, "k"),
        ({"k": True}, "k"),
        ({"per_document": 0}, "per_document"),
        ({"mode": "mmr"}, "mode"),
        ({"top_k": 3}, "top_k"),
        ({"min_similarity": "high"}, "min_similarity"),
    ],
)
def test_wrong_fields_are_refused_by_name(pages: Collection, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=rf"\n{named}\b"):
        LateInteractionRetriever(pages, **fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"filter": 3}, "a filter is a dict, a Milvus expression or a StructuredQuery, not int"),
        ({"filter": {"year": {"$near": 1}}}, "unknown operator"),
        ({"filter": "year == (3"}, "is missing in the filter 'year == "),
        ({"min_similarity": float("nan")}, "min_similarity is a number"),
        ({"mode": "text", "min_similarity": 0.5}, "has no similarity"),
    ],
)
def test_what_could_not_be_searched_is_refused_when_it_is_made(
    pages: Collection, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        LateInteractionRetriever(pages, **fields)


def test_something_else_than_a_collection_is_refused() -> None:
    with pytest.raises(ValidationError, match="Collection"):
        LateInteractionRetriever("colmilvus.db")  # type: ignore[arg-type]  # the mistake that is tested


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"k": 0}, InvalidQuery, "k is a number from 1"),
        ({"mode": "mmr"}, InvalidQuery, "mmr"),
        ({"mode": "text", "min_similarity": 0.5}, InvalidQuery, "min_similarity"),
        ({"top_k": 3, "verbos": ""}, InvalidInput, "top_k, verbos"),
    ],
)
async def test_wrong_arguments_of_a_call_are_refused_by_name(
    pages: Collection, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    retriever = LateInteractionRetriever(pages)
    with pytest.raises(error, match=said):
        retriever.invoke("red", **arguments)
    with pytest.raises(error, match=said):
        await retriever.ainvoke("red", **arguments)


def test_several_questions_are_no_question(pages: Collection) -> None:
    with pytest.raises(InvalidQuery, match="a question is a text, not list; for several there is batch"):
        LateInteractionRetriever(pages).invoke(["red", "sea"])  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(InvalidInput, match="best_segments is a number from 1"):
        LateInteractionRetriever(pages).invoke("red", best_segments=0)


@pytest.mark.parametrize("question", ["", " \n"])
def test_a_blank_question_is_refused(pages: Collection, question: str) -> None:
    with pytest.raises(InvalidQuery, match="blank"):
        LateInteractionRetriever(pages).invoke(question)


def run_python(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_importing_the_package_loads_no_framework_and_importing_this_loads_no_other() -> None:
    program = (
        "import sys, colmilvus; loaded = lambda: {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded() & {'langchain_core', 'llama_index', 'pydantic'}, loaded();"
        "import colmilvus.langchain; assert 'langchain_core' in loaded(); assert 'llama_index' not in loaded()"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


def test_without_langchain_the_import_says_what_to_install() -> None:
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "langchain_core":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from colmilvus.errors import MissingExtra
try:
    import colmilvus.langchain
except MissingExtra as error:
    print(error)
"""
    done = run_python("-c", program)
    assert done.stdout.strip() == "colmilvus.langchain needs the 'langchain' extra: pip install 'colmilvus[langchain]'"
