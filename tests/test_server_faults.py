"""A server that is killed, and a network that fails: errors that say so in time, and nothing lost or doubled after."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from colmilvus import Collection, Entity, MultiVector, maxsim
from colmilvus.errors import ServerError
from tests.milvus_server import MilvusServer, running
from tests.tcp_proxy import Network

DIM = 8
TIMEOUT = 9.0
ATTEMPT = TIMEOUT / 3
SLACK = 3.0
"""Seconds that a busy machine takes beside a timeout."""
LEASE = 5
"""Seconds after which a server takes over what a killed one was at; until then it says that nothing is loaded."""


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A server that tests may kill, and start again."""
    pytest.importorskip("milvus", reason="Milvus 2.3.5 comes for Linux on x86-64 alone")
    with running(tmp_path_factory.mktemp("mortal"), **{"common.session.ttl": LEASE}) as server:
        yield server


class Contents:
    """What a collection is to hold, by id: each entity with its vectors."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.version = 0
        self.held: dict[str, tuple[Entity, MultiVector]] = {}

    def draw(self, numbers: range) -> None:
        """Entities under these numbers, new ones and others than were there, with other numbers of vectors."""
        self.version += 1
        for number in numbers:
            size = int(self._random.integers(1, 40))
            entity = Entity(f"e{number}", f"text {self.version}", metadata={"version": self.version})
            self.held[entity.id] = (entity, MultiVector(self._random.normal(size=(size, DIM))))

    def add_to(self, collection: Collection) -> None:
        entities, vectors = zip(*self.held.values(), strict=True)
        collection.add(entities, vectors=vectors, progress=False)

    def check(self, collection: Collection) -> None:
        """Nothing is missing, nothing is there twice, and searches find what they should."""
        stored = {name: vectors for name, (_, vectors) in self.held.items()}
        found = collection.with_vectors(list(stored))
        assert {name: entity for name, (entity, _) in found.items()} == {n: e for n, (e, _) in self.held.items()}
        assert all((found[name][1].vectors == vectors.vectors).all() for name, vectors in stored.items())
        assert sorted(collection.ids()) == sorted(stored)
        assert rows_of(collection) == sum(map(len, stored.values()))
        for asked in list(stored)[::37]:
            query = MultiVector(stored[asked].vectors[:3])
            hits = collection.search(query, k=5)
            assert hits[0].entity == self.held[asked][0]
            for hit in hits:
                assert hit.score == pytest.approx(maxsim(query, stored[hit.entity.id]), abs=1e-4)


def rows_of(collection: Collection) -> int:
    client = MilvusClient(collection.uri, dedicated=True)
    (answer,) = client.query(
        collection.name, filter="part >= 0", output_fields=["count(*)"], consistency_level="Strong"
    )
    client.close()
    return int(answer["count(*)"])


class Call:
    """A call in a thread of its own: what it raised, and how long it took."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def wait(self, seconds: float) -> None:
        """Wait for its end, which is to come within so many seconds."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it has not come to its end"


def failed(work: Callable[[], object], address: str) -> bool:
    """Whether it fails: then clearly, and in time."""
    started = time.monotonic()
    told = ""
    try:
        work()
    except ServerError as error:
        told = str(error)
    if not told:
        return False
    assert told.startswith(f"{address}: could not ")
    assert time.monotonic() - started < TIMEOUT + SLACK
    return True


def search(collection: Collection) -> Any:
    return collection.search(MultiVector(np.eye(DIM)), k=3)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_that_is_killed_during_add_loses_nothing_and_doubles_nothing(mortal: MilvusServer, seed: int) -> None:
    contents = Contents(seed)
    with Collection("killed", dim=DIM, uri=mortal.uri, timeout=60) as made:
        made.clear()
        contents.draw(range(100))
        contents.add_to(made)
    with Collection("killed", uri=mortal.uri, timeout=TIMEOUT) as collection:
        contents.draw(range(50, 300))
        call = Call(lambda: contents.add_to(collection))
        time.sleep(random.Random(seed).uniform(0.1, 0.5))
        mortal.kill()
        call.wait(TIMEOUT + SLACK)
        assert isinstance(call.error, ServerError), call.error
        assert failed(lambda: search(collection), mortal.uri)

        start = Call(mortal.start)
        until = time.monotonic() + 60
        while failed(lambda: search(collection), mortal.uri):
            assert time.monotonic() < until
            time.sleep(0.2)
        start.wait(60)
        assert start.error is None

        contents.draw(range(80, 120))
        contents.add_to(collection)
        contents.check(collection)


@pytest.fixture
def network(mortal: MilvusServer, request: pytest.FixtureRequest) -> Iterator[Network]:
    seed = getattr(request, "param", 0)
    with Network(int(mortal.uri.rpartition(":")[2]), seed) as network:
        yield network
    client = MilvusClient(mortal.uri, dedicated=True)
    client.drop_collection("c")
    client.close()


@pytest.fixture
def collection(network: Network) -> Iterator[Collection]:
    with Collection("c", dim=DIM, uri=network.uri, timeout=TIMEOUT) as collection:
        yield collection


@pytest.mark.parametrize("network", [1, 3], indirect=True)
def test_connections_that_are_cut_lose_nothing_and_double_nothing(network: Network, collection: Collection) -> None:
    contents = Contents(7)
    contents.draw(range(60))
    contents.add_to(collection)
    network.cut = 0.04
    failures = 0
    for turn in range(3):
        contents.draw(range(20 * turn, 20 * turn + 40))
        failures += failed(lambda: contents.add_to(collection), network.uri)
        failures += failed(lambda: search(collection), network.uri)
    network.cut = 0
    contents.add_to(collection)

    assert network.cuts
    contents.check(collection)


def test_a_slow_network_makes_it_slow(network: Network, collection: Collection) -> None:
    network.delay = 0.02
    contents = Contents(8)
    contents.draw(range(40))
    contents.add_to(collection)
    contents.draw(range(20, 50))
    contents.add_to(collection)

    contents.check(collection)


def test_what_is_swallowed_is_noticed_in_time(network: Network, collection: Collection) -> None:
    contents = Contents(9)
    contents.draw(range(100))
    contents.add_to(collection)
    contents.draw(range(50, 300))
    call = Call(lambda: contents.add_to(collection))
    time.sleep(0.2)
    network.is_silent = True
    call.wait(TIMEOUT + SLACK)
    assert isinstance(call.error, ServerError), call.error
    assert failed(lambda: search(collection), network.uri)
    network.is_silent = False
    network.cut_all()

    contents.add_to(collection)
    contents.check(collection)


@pytest.mark.parametrize("seconds", [ATTEMPT - 0.5, TIMEOUT - 0.5])
def test_a_connection_that_breaks_late_and_is_not_made_again_keeps_the_timeout(
    network: Network, collection: Collection, seconds: float
) -> None:
    contents = Contents(11)
    contents.draw(range(20))
    contents.add_to(collection)
    network.is_silent = network.is_mute = True
    for work in (lambda: search(collection), lambda: contents.add_to(collection)):
        cut = threading.Timer(seconds, network.cut_all)
        cut.start()
        assert failed(work, network.uri)
        cut.cancel()
    network.is_silent = network.is_mute = False
    network.cut_all()

    contents.add_to(collection)
    contents.check(collection)


def test_what_arrives_only_after_its_caller_gave_up_changes_nothing(network: Network, collection: Collection) -> None:
    contents = Contents(10)
    contents.draw(range(30))
    contents.add_to(collection)
    contents.draw(range(10, 60))
    network.delay = ATTEMPT + 1
    assert failed(lambda: contents.add_to(collection), network.uri)
    network.delay = 0
    with Collection("c", uri=network.uri, timeout=TIMEOUT) as again:
        contents.add_to(again)
        time.sleep(2 * ATTEMPT)

        contents.check(again)
