"""A process killed at any moment, while eight threads write and search: what it acknowledged is there, whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from colmilvus.embedded import connect
from tests.embedded.pages import CAPACITY, DIM, count, create, row, search, stored

ROUNDS = 24
OPENED_EVERY = 3
THREADS = 8
PAGES = 12
DELETING, DELETED = -2, -1

Events: TypeAlias = "list[tuple[int, int]]"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def patches(key: int, version: int) -> NDArray[np.float32]:
    """Patches that say whose they are, and which version."""
    number = 1 + (key * 31 + version) % CAPACITY
    return np.full((number, DIM), key * 100_000 + version, np.float32)


def write_until_killed(path: str, first: int, told: Connection) -> None:
    """Upsert and delete pages in eight threads, each its own, and tell what was acknowledged: (page, version)."""
    client = connect(path)
    if not client.has_collection("pages"):
        create(client, "MAX_SIM_IP")
    pipe = threading.Lock()

    def tell(*events: tuple[int, int]) -> None:
        with pipe:
            for event in events:
                told.send(event)

    def work(index: int) -> None:
        rng = random.Random(first + index)
        for version in range(first, first + 1000):
            keys = rng.sample(range(index * PAGES, index * PAGES + PAGES), 3)
            client.upsert("pages", [row(key, patches(key, version)) for key in keys])
            tell(*((key, version) for key in keys))
            if rng.random() < 0.1:
                tell((keys[0], DELETING))
                client.delete("pages", ids=keys[:1])
                tell((keys[0], DELETED))
            if rng.random() < 0.05:
                client.flush("pages")
            if rng.random() < 0.2:
                search(client, np.ones((3, DIM), np.float32))

    for index in range(THREADS):
        threading.Thread(target=work, args=(index,)).start()


def one_round(path: Path, first: int, seconds: float) -> Events:
    """What the process told until it was killed, that long after its first word."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["colmilvus.embedded.server"])
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=write_until_killed, args=(str(path), first, told))
    process.start()
    told.close()
    events = [heard.recv()]
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


def check(path: Path, events: Events) -> None:
    """Compare the database with everything that was acknowledged so far."""
    client = connect(path)
    found = stored(client)
    versions = {key: int(vectors[0, 0]) - key * 100_000 for key, vectors in found.items()}
    for key, vectors in found.items():
        assert np.array_equal(vectors, patches(key, versions[key]))
    acknowledged, last = {key: version for key, version in events if version >= 0}, dict(events)
    for key, version in acknowledged.items():
        if last[key] == DELETED:
            assert versions.get(key, version + 1) > version
        elif last[key] == DELETING:
            assert versions.get(key, version) >= version
        else:
            assert versions[key] >= version
    assert count(client) == len(found)
    hits = search(client, np.ones((1, DIM), np.float32), limit=200)
    assert {hit["id"]: hit["distance"] for hit in hits} == {key: v[0].sum() for key, v in found.items()}
    client.close()


def test_everything_acknowledged_before_a_kill_is_there_and_nothing_is_half_there(tmp_path: Path) -> None:
    path, rng = tmp_path / "kb.db", random.Random(time.time_ns())
    events: Events = []
    for turn in range(ROUNDS):
        events += one_round(path, turn * 1000, rng.uniform(0, 0.3))
        if turn % OPENED_EVERY == 0:
            check(path, events)
    check(path, events)
    assert len(events) > ROUNDS * 10


def test_a_log_that_outlived_its_flush_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    client = connect(path)
    create(client, "MAX_SIM_IP")
    client.insert("pages", [row(key, patches(key, 1)) for key in range(10)])
    (folder,) = path.rglob("wal")
    logs = {file: file.read_bytes() for file in folder.iterdir() if "data" in file.name}
    client.delete("pages", ids=[3])
    client.close()
    for file, content in logs.items():
        assert not file.exists()
        file.write_bytes(content)
    client = connect(path)
    assert sorted(stored(client)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert count(client) == 9
    client.close()
