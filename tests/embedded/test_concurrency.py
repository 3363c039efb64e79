"""Processes, threads and tasks that read and write one collection while owners of its engine come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.embedded import connect
from tests.embedded.processes import Program

KEYS = 6
DIM = 4
FIELD = "patches[emb]"


def create(client: MilvusClient) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("version", DataType.INT64)
    struct = client.create_struct_field_schema()
    struct.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=struct, max_capacity=8)
    index = client.prepare_index_params()
    index.add_index(FIELD, index_type="HNSW", metric_type="MAX_SIM_IP")
    client.create_collection("counted", schema=schema, index_params=index)


def row(key: int, version: int) -> dict[str, Any]:
    """An entity whose vectors all say its version, as many as the version has it."""
    return {"id": key, "version": version, "patches": [{"emb": [float(version)] * DIM}] * (1 + version % 3)}


def check(found: Any, seen: dict[int, int]) -> None:
    """Nothing torn, and no key at an earlier version than it was seen at before."""
    for entity in found:
        key, version = entity["id"], entity["version"]
        vectors = np.array([patch["emb"] for patch in entity["patches"]])
        assert vectors.shape == (1 + version % 3, DIM), entity
        assert (vectors == version).all(), entity
        assert version >= seen.get(key, 0), (entity, seen)
        seen[key] = version


class Work:
    """Writes keys of its own in two threads, reads all in another and in tasks, until told to stop."""

    def __init__(self, path: str, told: Connection) -> None:
        self.path, self.told = path, told
        self.client = connect(path)
        self.stop, self.sending = threading.Event(), threading.Lock()
        self.failures: list[str] = []

    def run(self) -> None:
        self.told.send("ready")
        first = self.told.recv()
        some, others, last = (range(first + at, first + at + KEYS // 3) for at in range(0, KEYS, KEYS // 3))
        works = [partial(self.write, some), partial(self.write, others), self.read, lambda: asyncio.run(self.ask(last))]
        threads = [threading.Thread(target=self.guarded, args=(each,)) for each in works]
        for thread in threads:
            thread.start()
        self.told.recv()
        self.stop.set()
        for thread in threads:
            thread.join()
        self.told.send(self.failures)

    def guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self.failures.append(repr(error))
            self.stop.set()

    def write(self, keys: range) -> None:
        version = 0
        while not self.stop.is_set():
            version += 1
            for key in keys:
                self.client.upsert("counted", [row(key, version)])
                with self.sending:
                    self.told.send((key, version))

    def read(self) -> None:
        seen: dict[int, int] = {}
        fields = ["id", "version", "patches"]
        while not self.stop.is_set():
            check(self.client.query("counted", filter="id >= 0", output_fields=fields), seen)

    async def ask(self, keys: range) -> None:
        client: Any = connect(self.path, asynchronous=True)
        await asyncio.gather(*(self.search(client) for _ in range(3)), self.write_too(client, keys))
        await client.close()

    async def write_too(self, client: Any, keys: range) -> None:
        version = 0
        while not self.stop.is_set():
            version += 1
            for key in keys:
                await client.upsert("counted", [row(key, version)])
                with self.sending:
                    self.told.send((key, version))

    async def search(self, client: Any) -> None:
        seen: dict[int, int] = {}
        question = EmbeddingList(np.ones((1, DIM), np.float32))
        request: dict[str, Any] = {"anns_field": FIELD, "limit": 50, "output_fields": ["version", "patches"]}
        while not self.stop.is_set():
            (hits,) = await client.search("counted", [question], **request)
            check([{**hit["entity"], "id": hit["id"]} for hit in hits], seen)
            assert all(hit["distance"] == hit["entity"]["version"] * DIM for hit in hits), hits


def work(path: str, told: Connection) -> None:
    """The same, in a process of its own."""
    Work(path, told).run()


class Worker:
    """A process that works, and what it acknowledged."""

    def __init__(self, path: Path, first: int) -> None:
        self.program = Program(path, work=work)
        self.acknowledged: dict[int, int] = {}
        self.failures: list[str] | None = None
        self.program.ask(first)  # type: ignore[arg-type]  # this one is told a number
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self) -> None:
        try:
            while isinstance(found := self.program.answer(), tuple):
                self.acknowledged[found[0]] = found[1]
            self.failures = found
        except (EOFError, OSError):
            pass

    def stop(self) -> None:
        self.program.ask("stop")
        self._listening.join(60)
        self.program.kill()

    def kill(self) -> None:
        pid = self.program.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._listening.join(60)
        self.program.kill()


def run(path: Path, seconds: float, processes: int) -> None:
    """So many processes at work for so long, of which the one that runs the engine is killed a few times."""
    client = connect(path)
    create(client)
    workers = [Worker(path, 100 * number) for number in range(processes)]
    killed: list[Worker] = []
    client.close()  # and now one of the others takes over
    for _ in range(processes - 2):
        time.sleep(seconds / (processes - 1))
        victim = workers.pop(0)
        victim.kill()
        killed.append(victim)
    time.sleep(seconds / (processes - 1))
    for worker in workers:
        worker.stop()
        assert worker.failures == []
    assert all(len(worker.acknowledged) == KEYS for worker in workers)
    client = connect(path)
    found = client.query("counted", filter="id >= 0", output_fields=["id", "version", "patches"])
    check(found, {})
    versions = {entity["id"]: entity["version"] for entity in found}
    for worker in (*workers, *killed):
        for key, version in worker.acknowledged.items():
            # a writer that was killed may have written one version more than it could tell of
            assert version <= versions[key] <= version + (worker in killed)
    client.close()


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL, which Windows has not")
def test_nothing_is_lost_or_torn_and_reads_never_go_backwards_while_owners_come_and_go(path: Path) -> None:
    run(path, 6, 4)
