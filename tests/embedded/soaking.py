"""A writer with many threads that is killed at a random moment, and the check of what it leaves.

Whatever can be small is small in the writer, so that a kill also meets flushes, compactions, the collector and the
making of inverted files.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import MilvusClient
from pymilvus.client.utils import SciPyHelper

from colmilvus import Collection, Entity
from colmilvus.embedded import connect
from colmilvus.entity import Segment
from tests.embedded.pages import CAPACITY, DIM, count, create, row, search, stored
from tests.words import VOCABULARY, WordEmbedder

__all__ = ["Ledger", "has_codes", "one_round"]

THREADS = 4
PAGES = 12
PARENTS = 3
ROWS = 5

Event: TypeAlias = "tuple[Any, ...]"


def patches(key: int, version: int) -> NDArray[np.float32]:
    """Patches that say whose they are, and which version."""
    number = 1 + (key * 31 + version) % CAPACITY
    return np.full((number, DIM), key * 100_000 + version, np.float32)


def text_of(segment: str) -> str:
    """Words that say which segment it is."""
    rng = random.Random(segment)
    return " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 6)))


class Writer:
    """The threads of one round. Each tells of what it begins, where that may be half done, and of what is done."""

    def __init__(self, path: str, first: int, told: Connection) -> None:
        self.path, self.first, self._told = path, first, told
        self._pipe = threading.Lock()
        self.client = connect(path)

    def tell(self, *events: Event) -> None:
        with self._pipe:
            for event in events:
                self._told.send(event)

    def run(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self.tell(("failed", work.__name__, repr(error)))

    def pages(self, index: int) -> None:
        """Upsert and delete pages of the thread's own."""
        rng = random.Random(self.first + index)
        for version in range(self.first, self.first + 1000):
            keys = rng.sample(range(index * PAGES, index * PAGES + PAGES), 3)
            self.client.upsert("pages", [row(key, patches(key, version)) for key in keys])
            self.tell(*(("page", key, version) for key in keys))
            if rng.random() < 0.1:
                self.tell(("deleting", keys[0]))
                self.client.delete("pages", ids=keys[:1])
                self.tell(("deleted", keys[0]))
            if rng.random() < 0.05:
                self.client.flush("pages")
            if rng.random() < 0.2:
                search(self.client, np.ones((3, DIM), np.float32))

    def merges(self, books: Collection) -> None:
        """Add segments to stored parents, and now and then take some away."""
        rng = random.Random(self.first)
        held: list[tuple[str, str]] = []
        for turn in range(self.first, self.first + 1000):
            parent, name = f"parent{turn % PARENTS}", f"{turn}"
            self.tell(("merging", parent, name))
            books.add([Entity(parent, segments=(Segment(name, text_of(name)),))], progress=False)
            self.tell(("merged", parent, name))
            held.append((parent, name))
            if len(held) > 4:
                parent, name = held.pop(rng.randrange(len(held)))
                self.tell(("parting", parent, name))
                books.delete(segments=[name])
                self.tell(("parted", parent, name))

    def collections(self) -> None:
        """Make, fill, rename and drop collections, each with an alias."""
        for turn in range(self.first, self.first + 1000):
            old, new, alias = f"old{turn}", f"new{turn}", f"alias{turn}"
            self.tell(("making", turn))
            create(self.client, "MAX_SIM_IP", old)
            self.client.insert(old, [row(key, patches(key, turn)) for key in range(ROWS)])
            self.client.create_alias(old, alias)
            self.tell(("made", turn))
            self.client.rename_collection(old, new)
            self.tell(("renamed", turn))
            self.client.insert(new, [row(key, patches(key, turn)) for key in range(ROWS, 2 * ROWS)])
            self.tell(("filled", turn))
            if turn % 4 == 1:
                self.client.truncate_collection(new)
            if turn % 2:
                self.tell(("dropping", turn))
                self.client.drop_alias(alias)
                self.client.drop_collection(new)
                self.tell(("dropped", turn))


# Flushes, segments and what is worth collecting.
SMALL = {
    "milvus_lite.engine.collection.MEMTABLE_MEMORY_LIMIT": 1 << 16,
    "colmilvus.embedded.vectors.SEGMENT_BYTES": 1 << 16,
    "colmilvus.embedded.collecting.LEAST_BYTES": 1 << 12,
    "colmilvus.embedded.lite.space.LEAST_BYTES": 1 << 12,
    "colmilvus.embedded.lite.space.LOG_BYTES": 1 << 14,
    "colmilvus.embedded.lite.space.PAUSE_SECONDS": 0.01,
    "colmilvus.embedded.lite.space.QUIET_SECONDS": 0.02,
    "colmilvus.embedded.housekeeping.TICK_SECONDS": 0.01,
}
# From how many vectors on there is an inverted file, and how large its parts are.
INVERTED = {
    "colmilvus.embedded.inverted.plan.SCANNED_BYTES": 1 << 10,
    "colmilvus.embedded.inverted.plan.PENDING": 8,
    "colmilvus.embedded.inverted.plan.PART": 64,
    "colmilvus.embedded.inverted.FEW": 16,
}


def set_all(patch: pytest.MonkeyPatch, values: dict[str, Any]) -> None:
    """Give constants of modules other values."""
    for name, value in values.items():
        patch.setattr(name, value)


def write_until_killed(path: str, first: int, told: Connection) -> None:
    """Work in many threads, and tell what was acknowledged, until the process is killed."""
    set_all(pytest.MonkeyPatch(), SMALL | INVERTED)
    # Two threads that search for the first time would import it at once, and one of them fail.
    SciPyHelper._init()
    writer = Writer(path, first, told)
    if not writer.client.has_collection("pages"):
        create(writer.client, "MAX_SIM_IP")
    books = Collection("books", WordEmbedder(), uri=path, segments=True)
    tasks = [(writer.pages, (index,)) for index in range(THREADS)] + [
        (writer.merges, (books,)),
        (writer.collections, ()),
    ]
    work = [threading.Thread(target=writer.run, args=task) for task in tasks]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def has_codes(path: Path) -> bool:
    """Whether an inverted file lies in the database, also while folders in it come and go."""
    return any(name.endswith(".codes") for _, _, names in os.walk(path) for name in names)


def one_round(path: Path, first: int, words: int, seconds: float, *, coded: bool = False) -> list[Event]:
    """What the process told until it was killed, that long after so many words.

    If ``coded``, it is not killed before there is an inverted file.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.embedded.soaking", "colmilvus.embedded.server"])
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=write_until_killed, args=(str(path), first, told))
    process.start()
    told.close()
    events = [heard.recv() for _ in range(words)]
    while coded and not has_codes(path):
        events.append(heard.recv())
    killer = threading.Timer(seconds, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    while True:
        try:
            events.append(heard.recv())
        except (EOFError, OSError):
            break
    killer.join()
    heard.close()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()
    return events


class Ledger:
    """What was acknowledged so far, to be compared with what a database holds."""

    def __init__(self) -> None:
        self.events = 0
        self._pages: dict[int, int] = {}
        self._last: dict[int, Event] = {}
        self._segments: dict[tuple[str, str], str] = {}
        self._made: dict[int, str] = {}

    def note(self, events: list[Event]) -> None:
        self.events += len(events)
        for event in events:
            assert event[0] != "failed", event
            if event[0] in ("page", "deleting", "deleted"):
                self._last[event[1]] = event
                if event[0] == "page":
                    self._pages[event[1]] = event[2]
            elif len(event) == 3:
                self._segments[event[1], event[2]] = event[0]
            else:
                self._made[event[1]] = event[0]

    def check(self, path: Path) -> None:
        """Raise AssertionError where something acknowledged is missing, or anything is half there."""
        with pytest.MonkeyPatch.context() as patch:
            set_all(patch, INVERTED)
            self._check(path)

    def _check(self, path: Path) -> None:
        client = connect(path)
        if client.has_collection("pages"):
            self._check_pages(client)
        if client.has_collection("books"):
            self._check_books(path)
        for turn, step in self._made.items():
            self._check_made(client, turn, step)
        self._made.clear()
        assert set(client.list_collections()) <= {"pages", "books"}
        client.close()

    def _check_pages(self, client: MilvusClient) -> None:
        found = stored(client)
        versions = {key: int(vectors[0, 0]) - key * 100_000 for key, vectors in found.items()}
        for key, vectors in found.items():
            assert np.array_equal(vectors, patches(key, versions[key])), key
        for key, version in self._pages.items():
            last = self._last[key][0]
            if last == "page":
                assert versions[key] >= version, (key, version)
            else:
                assert versions.get(key, version + 1) > version - (last == "deleting"), (key, version)
        assert count(client) == len(found)
        hits = search(client, np.ones((1, DIM), np.float32), limit=200)
        assert {hit["id"]: hit["distance"] for hit in hits} == {key: v[0].sum() for key, v in found.items()}

    def _check_books(self, path: Path) -> None:
        with Collection("books", WordEmbedder(), uri=path, segments=True) as books:
            found = books.with_vectors([f"parent{i}" for i in range(PARENTS)])
        held = {(parent, segment.id) for parent, (entity, _) in found.items() for segment in entity.segments}
        there = {pair for pair, step in self._segments.items() if step == "merged"}
        maybe = {pair for pair, step in self._segments.items() if step in ("merging", "parting")}
        assert there <= held <= there | maybe, (there - held, held - there - maybe)
        for entity, vectors in found.values():
            assert all(segment.text == text_of(segment.id) for segment in entity.segments)
            (wanted,) = WordEmbedder().embed_entities([entity])
            assert np.array_equal(vectors.vectors, wanted.vectors)  # type: ignore[union-attr]

    def _check_made(self, client: MilvusClient, turn: int, step: str) -> None:
        old, new, alias = f"old{turn}", f"new{turn}", f"alias{turn}"
        names = [name for name in (old, new) if client.has_collection(name)]
        assert len(names) <= 1, names
        allowed = {"making": {old}, "made": {old, new}, "dropped": set()}.get(step, {new})
        assert set(names) <= allowed, (names, step)
        assert names or step in ("making", "dropping", "dropped"), (turn, step)
        for name in names:
            self._check_rows(client, name, turn, step)
            aliases = client.list_aliases(name)["aliases"]
            assert aliases == [alias] or (aliases == [] and step in ("making", "dropping"))
            for each in aliases:
                client.drop_alias(each)
            client.drop_collection(name)

    @staticmethod
    def _check_rows(client: MilvusClient, name: str, turn: int, step: str) -> None:
        if not client.list_indexes(name):
            assert step == "making"
            return
        client.load_collection(name)
        found = stored(client, name)
        least = {"making": 0, "made": ROWS, "renamed": ROWS}.get(step, 2 * ROWS if turn % 4 != 1 else 0)
        assert len(found) in {0, ROWS, 2 * ROWS}
        assert len(found) >= least, (turn, step, len(found))
        for key, vectors in found.items():
            assert np.array_equal(vectors, patches(key, turn))
