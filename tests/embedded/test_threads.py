"""Many threads at once: nothing acknowledged is lost, no read sees half of anything, nothing hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from milvus_lite.index.faiss_hnsw import FaissHnswIndex
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from colmilvus.embedded import connect
from tests.embedded.pages import DIM, FIELD, count, create, draw, expected, query, row, rows, search, stored

THREADS = 8


def together(work: Callable[[int], None], number: int = THREADS) -> None:
    """Run the work in as many threads, all starting at once; the first exception of any is raised."""
    gate = threading.Barrier(number)

    def run(index: int) -> None:
        gate.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        for done in [pool.submit(run, index) for index in range(number)]:
            done.result(timeout=120)


def test_eight_writers_lose_nothing_and_readers_see_whole_pages(client: MilvusClient) -> None:
    create(client, "MAX_SIM_IP")
    seen: list[int] = []

    def work(index: int) -> None:
        for turn in range(25):
            key = index * 100 + turn
            client.upsert("pages", [row(key, np.full((1 + key % 7, DIM), key)), row(10_000 + key, np.ones((2, DIM)))])
            hits = search(client, np.ones((1, DIM), np.float32), filter=f"id == {key}", output_fields=[FIELD])
            assert [(hit["id"], hit["distance"]) for hit in hits] == [(key, key * DIM)]
            assert {tuple(patch["emb"]) for patch in hits[0]["entity"]["patches"]} == {(key,) * DIM}
            seen.append(count(client))
            if turn == index * 3:
                client.flush("pages")

    together(work)
    assert count(client) == 2 * 25 * THREADS
    assert max(seen) <= 2 * 25 * THREADS
    found = stored(client)
    assert all((found[i * 100 + t] == i * 100 + t).all() for i in range(THREADS) for t in range(25))


def test_a_reader_never_goes_backwards_while_others_write_and_flush(client: MilvusClient) -> None:
    create(client, "MAX_SIM_IP", text=True)
    stop = threading.Event()
    question = np.ones((1, DIM), np.float32)

    def work(index: int) -> None:
        if index < 2:
            for turn in range(60):
                client.insert("pages", [row(index * 1000 + turn, np.full((1, DIM), turn + 1.0), text=f"plum {turn}")])
                if turn % 10 == index:
                    client.flush("pages")
            if index == 0:
                stop.set()
            return
        last, best = 0, 0.0
        while not stop.is_set():
            if index % 2:
                now = count(client)
            else:
                hits = search(client, question, limit=200)
                now = len(hits)
                assert not hits or hits[0]["distance"] >= best
                best = hits[0]["distance"] if hits else 0.0
            assert now >= last
            last = now

    together(work, 6)
    assert count(client) == 120


def test_updates_of_one_page_are_never_mixed(client: MilvusClient) -> None:
    create(client, "MAX_SIM_IP")
    client.insert("pages", [row(1, np.zeros((1, DIM)))])

    def work(index: int) -> None:
        for turn in range(40):
            value = index * 100 + turn
            if index < 4:
                client.upsert("pages", [row(1, np.full((1 + value % 5, DIM), value))])
                continue
            found = stored(client)[1]
            value = int(found[0, 0])
            assert found.shape == (1 + value % 5, DIM)
            assert (found == value).all()

    together(work)
    assert count(client) == 1


@pytest.mark.parametrize("_", range(3))
def test_the_first_opening_by_many_threads_opens_once(client: MilvusClient, path: Path, _: int) -> None:
    for name in ("one", "two"):
        create(client, name=name)
    client.close()
    client = connect(path)

    def work(index: int) -> None:
        for turn in range(4):
            client.upsert(("one", "two")[turn % 2], [row(index * 10 + turn, np.full((1, DIM), index))])

    together(work)
    assert (count(client, "one"), count(client, "two")) == (16, 16)
    client.close()
    again = connect(path)
    assert (len(stored(again, "one")), len(stored(again, "two"))) == (16, 16)
    again.close()


def test_collections_made_renamed_and_dropped_amid_writes_do_not_hang_or_mix(client: MilvusClient) -> None:
    create(client)

    def work(index: int) -> None:
        for turn in range(8):
            if index == 0:
                client.truncate_collection("pages")
            elif index == 1:
                create(client, name=f"other{turn}")
                client.insert(f"other{turn}", [row(1, np.ones((1, DIM)))])
                client.rename_collection(f"other{turn}", f"third{turn}")
                client.drop_collection(f"third{turn}")
            else:
                key = index * 100 + turn
                try:
                    client.insert("pages", [row(key, np.full((1 + key % 7, DIM), key))])
                except MilvusException as error:
                    assert "meanwhile" in error.message  # noqa: PT017  # it need not fail

    together(work)
    assert client.list_collections() == ["pages"]
    for key, patches in stored(client).items():
        assert patches.shape == (1 + key % 7, DIM)
        assert (patches == key).all()


def test_searches_in_parallel_agree_with_one_alone(client: MilvusClient) -> None:
    create(client)
    pages = draw(1, 200)
    client.insert("pages", rows(pages))
    questions = [query(i) for i in range(THREADS)]
    wanted = [[key for key, _ in expected(question, pages, "MAX_SIM")] for question in questions]

    def work(index: int) -> None:
        for _ in range(10):
            assert [hit["id"] for hit in search(client, questions[index])] == wanted[index]

    together(work)


def test_an_index_is_loaded_whole_while_the_background_writes_it(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, save = threading.Event(), FaissHnswIndex.save

    def slowly(index: FaissHnswIndex, file: str) -> None:
        Path(file).write_bytes(b"half")
        writing.set()
        time.sleep(0.2)
        save(index, file)

    monkeypatch.setattr(FaissHnswIndex, "save", slowly)
    client.create_collection("plain", dimension=2)
    client.release_collection("plain")
    client.drop_index("plain", "vector")
    params = client.prepare_index_params()
    params.add_index("vector", index_type="HNSW", metric_type="L2")
    client.create_index("plain", params, sync=False)
    client.load_collection("plain")
    client.insert("plain", [{"id": key, "vector": [key, 0.0]} for key in range(9)])
    client.flush("plain")
    assert writing.wait(10)
    client.release_collection("plain")
    client.load_collection("plain")
    assert [hit["id"] for hit in client.search("plain", [[4.1, 0.0]], limit=2)[0]] == [4, 5]
