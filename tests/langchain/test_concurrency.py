"""Many calls at once, from event loops and threads of every kind, and what an adapter costs."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from colmilvus import Collection, Entity
from colmilvus.langchain import LateInteractionRetriever, LateInteractionVectorStore
from tests.event_loops import longest_stop
from tests.words import VOCABULARY, WordEmbedder

CALLS = {"retriever": 1000, "store's retriever": 400}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    random = np.random.default_rng(0)
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add([Entity(str(n), " ".join(random.choice(VOCABULARY, 8))) for n in range(50)])
        yield collection


def questions(count: int) -> list[str]:
    random = np.random.default_rng(1)
    return [" ".join(random.choice(VOCABULARY, 3)) for _ in range(count)]


@pytest.mark.parametrize(("kind", "calls"), CALLS.items())
async def test_a_thousand_calls_on_one_loop_leave_it_free(pages: Collection, kind: str, calls: int) -> None:
    retriever: BaseRetriever = LateInteractionRetriever(pages, k=3)
    if kind != "retriever":
        retriever = LateInteractionVectorStore(pages).as_retriever(search_kwargs={"k": 3})
    asked = questions(calls)
    found: list[list[Document]] = []

    async def awaited() -> None:
        found[:] = await asyncio.gather(*(retriever.ainvoke(question) for question in asked))

    async def in_the_loop() -> None:
        async def one(question: str) -> list[Document]:
            return retriever.invoke(question)

        await asyncio.gather(*(one(question) for question in asked[: calls // 4]))

    blocked = await longest_stop(in_the_loop)
    for _ in range(3):  # another process may have stopped this one
        stop = await longest_stop(awaited)
        if stop < min(0.25, blocked / 4):
            break

    assert stop < 0.25
    assert stop < blocked / 4
    assert found[:50] == [retriever.invoke(question) for question in asked[:50]]
    assert len(found) == calls
    assert all(len(documents) == 3 for documents in found)


def test_loops_and_threads_share_a_store(pages: Collection) -> None:
    store = LateInteractionVectorStore(pages)
    retriever = store.as_retriever(search_kwargs={"k": 2})
    asked = questions(20)
    expected = [store.similarity_search(question, k=2) for question in asked]

    async def all_of_them() -> list[list[Document]]:
        by_retriever = await asyncio.gather(*(retriever.ainvoke(question) for question in asked))
        by_store = await asyncio.gather(*(store.asimilarity_search(question, k=2) for question in asked))
        assert by_retriever == by_store
        return by_retriever

    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(asyncio.run, all_of_them()) for _ in range(6)]
        plain = [threads.submit(retriever.batch, list(asked)) for _ in range(3)]

        assert all(done.result(timeout=60) == expected for done in [*loops, *plain])


def test_one_store_after_several_loops_that_ended(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, k=1)

    for question in questions(3):
        assert asyncio.run(retriever.ainvoke(question)) == retriever.invoke(question)


def test_loops_that_ended_are_let_go(pages: Collection) -> None:
    retriever = LateInteractionRetriever(pages, k=1)

    async def ask() -> weakref.ref[asyncio.AbstractEventLoop]:
        await asyncio.gather(*(retriever.ainvoke("red") for _ in range(70)))  # more than take turns at once
        return weakref.ref(asyncio.get_running_loop())

    ended = [asyncio.run(ask()) for _ in range(3)]
    gc.collect()

    assert [loop() for loop in ended] == [None] * 3


def test_writers_and_readers_of_several_loops(database: Path) -> None:
    with Collection("busy", WordEmbedder(), uri=database) as collection:
        store = LateInteractionVectorStore(collection)

        async def write(name: str) -> None:
            for number in range(5):
                await store.aadd_texts(["red sea", "green"], ids=[f"{name}-{number}-{part}" for part in "ab"])
                assert len(await store.asimilarity_search("red", k=1)) == 1
                await store.adelete([f"{name}-{number}-b"])

        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(asyncio.run, write(name)) for name in "xyz"]:
                done.result(timeout=60)

        assert collection.count() == 15


def test_as_streamlit_calls(database: Path) -> None:
    """Every rerun of a script is a new thread without a loop; what is cached is shared, and opened by the first."""
    cache: dict[str, LateInteractionVectorStore] = {}
    lock = threading.Lock()
    shown: list[str | None] = []
    failures: list[BaseException] = []

    def script(question: str) -> None:
        try:
            with lock:
                if "store" not in cache:
                    cache["store"] = LateInteractionVectorStore.from_texts(
                        ["red sea", "green tree"], WordEmbedder(), ids=["a", "b"], uri=database
                    )
            shown.append(cache["store"].as_retriever(search_kwargs={"k": 1}).invoke(question)[0].id)
            shown.append(asyncio.run(LateInteractionRetriever(cache["store"].collection, k=1).ainvoke(question))[0].id)
        except BaseException as error:
            failures.append(error)
            raise

    for _ in range(3):
        runs = [threading.Thread(target=script, args=(question,)) for question in ("red", "tree", "green")]
        for run in runs:
            run.start()
        for run in runs:
            run.join(timeout=60)
    cache["store"].collection.close()

    assert not failures
    assert sorted(map(str, shown)) == ["a"] * 6 + ["b"] * 12


def test_as_fastapi_calls(database: Path) -> None:
    """Plain endpoints run in threads of a pool, async ones on the server's loop; the store is opened at the start."""
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed here")
    client = pytest.importorskip("fastapi.testclient", reason="FastAPI's test client needs httpx")
    store = LateInteractionVectorStore.from_texts(["red sea", "green"], WordEmbedder(), ids=["a", "b"], uri=database)
    app = fastapi.FastAPI()

    def plain(question: str) -> list[str | None]:
        return [found.id for found in store.similarity_search(question, k=1)]

    async def asynchronous(question: str) -> list[str | None]:
        retriever = LateInteractionRetriever(store.collection, k=1)
        answers = await asyncio.gather(*(retriever.ainvoke(question) for _ in range(5)))
        assert len({answer[0].id for answer in answers}) == 1
        return [answers[0][0].id]

    async def add(text: str) -> list[str]:
        return await store.aadd_texts([text], ids=[text])

    app.add_api_route("/plain", plain)
    app.add_api_route("/async", asynchronous)
    app.add_api_route("/add", add, methods=["POST"])
    with client.TestClient(app) as server, ThreadPoolExecutor(8) as browsers:
        assert server.post("/add", params={"text": "blue"}).json() == ["blue"]
        asked: list[tuple[str, dict[str, str]]] = [
            (f"/{kind}", {"question": question}) for kind in ("plain", "async") for question in ("red", "green", "blue")
        ] * 5
        answers: list[Any] = list(browsers.map(lambda one: server.get(one[0], params=one[1]).json(), asked))
    store.collection.close()

    assert answers == [["a"], ["b"], ["blue"]] * 10
