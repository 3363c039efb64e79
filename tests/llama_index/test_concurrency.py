"""Many calls at once, from event loops and threads of every kind, and what an adapter costs."""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers.no_text import NoText
from llama_index.core.schema import Document, NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from colmilvus import Collection, Entity, MultiVector, Unreadable
from colmilvus.embedder import Query
from colmilvus.llama_index import (
    LateInteractionReranker,
    LateInteractionRetriever,
    LateInteractionVectorStore,
    as_index,
    create_search_tool,
)
from tests.event_loops import busy_threads, longest_stop
from tests.words import VOCABULARY, WordEmbedder

CALLS = 100
LONGEST = 0.25
"""Seconds for which an event loop may stop while others ask."""


class SlowEmbedder(WordEmbedder):
    """Takes its time over a question, as a model does, and lets other threads run meanwhile."""

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        time.sleep(0.01)
        return super().embed_queries(queries)


def random_words(count: int, length: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(VOCABULARY, length)) for _ in range(count)]


def texts(count: int) -> list[Entity]:
    return [Entity(str(number), text) for number, text in enumerate(random_words(count, 8, seed=0))]


QUESTIONS = random_words(CALLS, 3, seed=1)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", SlowEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add(texts(50))
        yield collection


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("shelf", WordEmbedder(), uri=tmp_path_factory.mktemp("shelf") / "kb.db") as collection:
        yield collection


def node(name: str, text: str, document: str | None = None) -> TextNode:
    source = {} if document is None else {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(id_=name, text=text, relationships=source)


@pytest.fixture
def store(shelf: Collection) -> LateInteractionVectorStore:
    """Three nodes of two documents."""
    shelf.clear()
    held = LateInteractionVectorStore(shelf)
    held.add([node("x-1", "red sea", "x"), node("x-2", "red bird", "x"), node("y-1", "dog", "y")])
    return held


def asked(question: str) -> VectorStoreQuery:
    return VectorStoreQuery(query_str=question, similarity_top_k=3)


Found = list[tuple[str, float | None]]


def told(nodes: Sequence[NodeWithScore]) -> Found:
    return [(each.node_id, each.score) for each in nodes]


class Ways:
    """The ways to ask, each of them in a thread and on a loop."""

    def __init__(self, collection: Collection) -> None:
        self.store = LateInteractionVectorStore(collection)
        self.retriever = LateInteractionRetriever(collection, 3)
        self.of_index = as_index(self.store).as_retriever(similarity_top_k=3)
        silent = NoText(llm=MockLLM())  # LlamaIndex writes prompts in the loop
        self.engine = RetrieverQueryEngine(self.of_index, response_synthesizer=silent)

    def ask(self, way: str, question: str) -> Found:
        if way == "store":
            result = self.store.query(asked(question))
            return list(zip(result.ids or [], result.similarities or [], strict=True))
        if way == "query engine":
            return told(self.engine.query(question).source_nodes)
        return told((self.retriever if way == "retriever" else self.of_index).retrieve(question))

    async def aask(self, way: str, question: str) -> Found:
        if way == "store":
            result = await self.store.aquery(asked(question))
            return list(zip(result.ids or [], result.similarities or [], strict=True))
        if way == "query engine":
            return told((await self.engine.aquery(question)).source_nodes)
        return told(await (self.retriever if way == "retriever" else self.of_index).aretrieve(question))


@pytest.mark.parametrize("way", ["retriever", "index's retriever", "store", "query engine"])
async def test_a_hundred_questions_at_once_leave_the_loop_free(pages: Collection, way: str) -> None:
    ways = Ways(pages)
    found: list[Found] = []
    # of an engine's own work, which is LlamaIndex's, more is done in the loop than of a retriever's
    questions = QUESTIONS[:30] if way == "query engine" else QUESTIONS

    async def awaited() -> None:
        found[:] = await asyncio.gather(*(ways.aask(way, question) for question in questions))

    for _ in range(5):  # another process may have stopped this one
        stop = await longest_stop(awaited)
        if stop <= LONGEST:
            break

    assert stop <= LONGEST
    assert found[:20] == [ways.ask(way, question) for question in QUESTIONS[:20]]
    assert [len(each) for each in found] == [3] * len(questions)


async def test_questions_that_are_asked_in_the_loop_itself_would_stop_it(pages: Collection) -> None:
    ways = Ways(pages)

    async def in_the_loop() -> None:
        for question in QUESTIONS[:30]:
            ways.ask("retriever", question)

    assert await longest_stop(in_the_loop) > LONGEST


Twin = Callable[[LateInteractionVectorStore], Awaitable[Any]]
TWINS: dict[str, Twin] = {
    "async_add": lambda store: store.async_add([node("new", "blue", "z")]),
    "adelete": lambda store: store.adelete("x"),
    "adelete_nodes": lambda store: store.adelete_nodes(["x-1"]),
    "aget_nodes": lambda store: store.aget_nodes(["x-1"]),
    "aclear": lambda store: store.aclear(),
    "aquery": lambda store: store.aquery(asked("red bird")),
    "ainsert of the index": lambda store: as_index(store).ainsert(Document(id_="z", text="blue")),
    "aupdate_ref_doc of the index": lambda store: as_index(store).aupdate_ref_doc(Document(id_="x", text="blue")),
    "arefresh_ref_docs of the index": lambda store: as_index(store).arefresh_ref_docs([Document(id_="x", text="blue")]),
    "adelete_ref_doc of the index": lambda store: as_index(store).adelete_ref_doc("x"),
    "aretrieve": lambda store: LateInteractionRetriever(store.collection).aretrieve("red bird"),
    "atext_to_image_retrieve": lambda store: LateInteractionRetriever(store.collection).atext_to_image_retrieve("red"),
    "acall of the tool": lambda store: create_search_tool(store.collection).acall(query="red bird"),
    "apostprocess_nodes": lambda _: LateInteractionReranker(WordEmbedder()).apostprocess_nodes(
        [NodeWithScore(node=node("a", "red"))], query_str="red"
    ),
}
LEFT = {
    "async_add": ["new", "x-1", "x-2", "y-1"],
    "adelete": ["y-1"],
    "adelete_nodes": ["x-2", "y-1"],
    "aclear": [],
    "adelete_ref_doc of the index": ["y-1"],
}


@pytest.mark.parametrize("name", list(TWINS))
async def test_asynchronous_twins_wait_for_a_thread_and_not_in_the_loop(
    store: LateInteractionVectorStore, name: str
) -> None:
    with busy_threads() as free:
        work = asyncio.ensure_future(TWINS[name](store))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not work.done()
        assert sorted(node.node_id for node in store.get_nodes()) == ["x-1", "x-2", "y-1"]
        free.set()
        await work

    if name in LEFT:
        assert sorted(node.node_id for node in store.get_nodes()) == LEFT[name]


class WaitingEmbedder(WordEmbedder):
    """Embeds what is to be stored once it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.asked.set()
        assert self.go_on.wait(timeout=20)
        return super().embed_entities(entities)


async def test_the_loop_goes_on_and_questions_are_answered_while_nodes_are_embedded(database: Path) -> None:
    embedder = WaitingEmbedder()
    embedder.go_on.set()
    with Collection("slow", embedder, uri=database) as slow:
        store = LateInteractionVectorStore(slow)
        store.add([node("old", "red")])
        embedder.asked.clear()
        embedder.go_on.clear()
        adding = asyncio.create_task(store.async_add([node("new", "blue")]))
        while not embedder.asked.is_set():
            await asyncio.sleep(0.001)

        assert (await store.aquery(asked("red"))).ids == ["old"]
        assert [each.node_id for each in await store.aget_nodes()] == ["old"]
        embedder.go_on.set()

        assert await adding == ["new"]
        assert (await store.aquery(asked("blue"))).ids == ["new", "old"]


def test_loops_and_threads_share_a_store(pages: Collection) -> None:
    ways = Ways(pages)
    some = QUESTIONS[:12]
    expected = [ways.ask("retriever", question) for question in some]

    async def all_of_them() -> list[Found]:
        by_retriever = await asyncio.gather(*(ways.aask("retriever", question) for question in some))
        by_store = await asyncio.gather(*(ways.aask("store", question) for question in some))
        assert by_retriever == by_store
        return by_retriever

    def one_by_one() -> list[Found]:
        return [ways.ask("index's retriever", question) for question in some]

    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(asyncio.run, all_of_them()) for _ in range(4)]
        plain = [threads.submit(one_by_one) for _ in range(2)]

        assert all(done.result(timeout=60) == expected for done in [*loops, *plain])


def test_loops_that_ended_are_let_go(pages: Collection) -> None:
    ways = Ways(pages)

    async def ask() -> weakref.ref[asyncio.AbstractEventLoop]:
        await asyncio.gather(*(ways.aask("retriever", "red") for _ in range(40)))  # more than take turns at once
        return weakref.ref(asyncio.get_running_loop())

    ended = [asyncio.run(ask()) for _ in range(3)]
    gc.collect()

    assert [loop() for loop in ended] == [None] * 3


def test_writers_and_readers_of_several_loops(shelf: Collection) -> None:
    shelf.clear()
    store = LateInteractionVectorStore(shelf)

    async def write(name: str) -> None:
        for number in range(4):
            names = [f"{name}-{number}-{part}" for part in "ab"]
            assert await store.async_add([node(each, "red sea", name) for each in names]) == names
            assert len((await store.aquery(asked("red"))).ids or []) >= 2
            await store.adelete_nodes([names[1]])
            assert [each.node_id for each in await store.aget_nodes(names)] == names[:1]
        if name == "z":
            await store.adelete(name)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(asyncio.run, write(name)) for name in "xyz"]:
            done.result(timeout=60)

    assert sorted(each.node_id for each in store.get_nodes()) == [f"{name}-{n}-a" for name in "xy" for n in range(4)]


def added(ways: Ways, way: str, core: Callable[[str], object]) -> float:
    """Milliseconds, the median of paired differences, that a way to ask adds to a search of the core."""
    differences = []
    for question in QUESTIONS[:60]:
        begun = time.perf_counter()
        core(question)
        between = time.perf_counter()
        ways.ask(way, question)
        differences.append(1000 * (time.perf_counter() - between - (between - begun)))
    return statistics.median(differences)


@pytest.mark.parametrize("way", ["retriever", "store"])
def test_the_adapter_adds_less_than_a_millisecond(shelf: Collection, way: str) -> None:
    shelf.clear()
    shelf.add(texts(50))
    ways = Ways(shelf)

    for _ in range(8):  # other processes take turns with this one
        more = added(ways, way, lambda question: shelf.search(question, 3))
        if more < 1:
            break

    assert more < 1
