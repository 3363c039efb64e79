"""Long runs leak nothing: memory, open files and threads are flat, where the engine runs and where it is joined."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sized
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymilvus import AnnSearchRequest, MilvusClient, RRFRanker
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.embedded import connect
from tests.embedded.pages import DIM, FIELD, assert_ranked, create, draw, expected, query, row, rows, search
from tests.embedded.processes import Program, program, run
from tests.embedded.soaking import INVERTED, set_all
from tests.words import VOCABULARY

__all__ = ["grown"]

GROWTH = 8 << 20
SCANNED, INDEXED = 20, 120
"""Pages of the collection that is compared whole, and of the one that has an inverted file."""
FILTER = "year >= 2005"


class Size(NamedTuple):
    """Of a process: open files, threads, bytes that are in memory, and those of them that are no file's."""

    files: int
    threads: int
    resident: int
    anonymous: int


def size() -> Size:
    """Of this process."""
    resident, shared = (
        int(word) * os.sysconf("SC_PAGE_SIZE") for word in Path("/proc/self/statm").read_text().split()[1:3]
    )
    return Size(len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), resident, resident - shared)


def run_with_inverted_files(path: str, told: Connection) -> None:
    """Run the engine with inverted files for collections as small as these, in one part: nothing is left to merge."""
    plan = "colmilvus.embedded.inverted.plan"
    set_all(pytest.MonkeyPatch(), INVERTED | {f"{plan}.SCANNED_BYTES": 60 * 32 * 4 * DIM, f"{plan}.PART": 1 << 20})
    run(path, told)


def fill(client: MilvusClient) -> None:
    """``pages``, with texts, and ``indexed``, once its inverted file is made."""
    create(client, text=True)
    pages = draw(1, SCANNED)
    client.insert("pages", [row(key, pages[key], text=f"{VOCABULARY[key % 5]} {VOCABULARY[key % 7]}") for key in pages])
    create(client, name="indexed")
    client.insert("indexed", rows(draw(2, INDEXED)))
    until = time.monotonic() + 60
    while client.describe_index("indexed", FIELD)["indexed_rows"] < INDEXED:
        assert time.monotonic() < until, "the inverted file was not made"
        time.sleep(0.05)


def hybrid(client: MilvusClient, number: int) -> list[Any]:
    text = AnnSearchRequest([VOCABULARY[number % 5]], "words", {}, limit=10)
    lists = AnnSearchRequest([EmbeddingList(query(number))], FIELD, {}, limit=10)
    return list(client.hybrid_search("pages", [text, lists], RRFRanker(), limit=10)[0])


WAYS: tuple[Callable[[MilvusClient, int], Sized], ...] = (
    lambda client, number: search(client, query(number)),
    lambda client, number: search(client, query(number), filter=FILTER, output_fields=["*"]),
    lambda client, number: search(client, query(number), "indexed"),
    lambda client, number: search(client, query(number), "indexed", filter=FILTER),
    lambda client, number: client.search("pages", [VOCABULARY[number % 5]], anns_field="words", limit=10)[0],
    hybrid,
    lambda client, _: client.query("pages", filter=FILTER, output_fields=["id", FIELD]),
)
"""Every way to find something."""


def check_answers(client: MilvusClient) -> None:
    pages = draw(2, INDEXED)
    late = {key: patches for key, patches in pages.items() if key % 10 >= 5}
    assert_ranked(search(client, query(3)), expected(query(3), draw(1, SCANNED), "MAX_SIM"), tolerance=1e-5)
    assert_ranked(search(client, query(3), "indexed"), expected(query(3), pages, "MAX_SIM"), tolerance=1e-5)
    found = search(client, query(3), "indexed", filter=FILTER)
    assert_ranked(found, expected(query(3), late, "MAX_SIM"), tolerance=1e-5)


def sizes_in(client: MilvusClient, owner: Program, searches: int) -> list[tuple[Size, Size]]:
    """Search so often in every way, and measure both processes, the engine's first, after each fifth."""
    sizes = []
    for _ in range(5):
        for number in range(searches // 5):
            assert len(WAYS[number % len(WAYS)](client, number % 35))
            if number % 50 == 0:
                connect(owner.path).close()
                assert owner("client.has_collection('indexed')")
        sizes.append((owner(f"__import__({__name__!r}, fromlist=['size']).size()"), size()))
    return sizes


def grown(path: Path, searches: int) -> list[tuple[Size, Size]]:
    """Search so often in a new database, and find the engine's process and this one no larger than after a fifth of it.

    Both sizes of both processes, the engine's first.
    """
    with program(path, work=run_with_inverted_files) as owner:
        client = connect(path)
        fill(client)
        assert len(list(path.rglob("indexed/**/*.codes"))) == 1
        assert not list(path.rglob("pages/**/*.codes"))
        sizes = sizes_in(client, owner, searches)
        check_answers(client)
        client.close()
    pairs = list(zip(sizes[0], sizes[-1], strict=True))
    for before, after in pairs:
        assert after.files <= before.files
        assert after.threads <= before.threads
        assert after.resident <= before.resident + GROWTH
        assert after.anonymous <= before.anonymous + GROWTH
    return pairs


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_searches_leave_memory_files_and_threads_as_they_were(path: Path) -> None:
    grown(path, 700)
