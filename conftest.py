"""What rooms and the examples in docstrings share: a database of their own, an embedder that counts words.

What is marked ``everywhere`` runs with every database that a collection can lie in: a folder, the engine as ``colmilvus
serve`` offers it, and flat rows on a Milvus server of 2.3.5, which has no arrays of structs. Of these it can leave out
some, as ``everywhere(flat=False)``: flat rows have no text search. Where MILVUS_URI names a server, it alone is asked.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from tests.milvus_server import MilvusServer, running
from tests.words import WordEmbedder

from colmilvus import Collection, Server
from colmilvus.embedded import connect
from colmilvus.embedded.serving import served


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> None:
    """Ctrl-C reaches the tests, and what they start, also where they run in the background and have it ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _examples_have_a_folder_of_their_own(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)


KINDS = ("folder", "served", "flat")
HASTY = {
    "proxy.timeTickInterval": 50,
    "queryCoord.checkChannelInterval": 100,
    "queryCoord.checkSegmentInterval": 100,
    "rootCoord.dmlChannelNum": 2,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("everywhere")
    for name, scope in (("database", "function"), ("lasting_database", "module")):
        if mark and name in metafunc.fixturenames:
            kinds = [kind for kind in KINDS if mark.kwargs.get(kind, True)]
            kinds = ["named"] if "MILVUS_URI" in os.environ else kinds
            metafunc.parametrize(name, kinds, indirect=True, scope=scope)


@pytest.fixture(scope="session")
def old_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus server without arrays of structs.

    It lets readers see what was written four times as soon as by its own settings, and notices soon what is to be
    loaded: most tests wait for that. It has two channels for writes instead of sixteen, each of which costs it work all
    the time.
    """
    if "NEEDS_OLD_MILVUS" not in os.environ:
        pytest.importorskip("milvus", reason="Milvus 2.3.5 comes for Linux on x86-64 alone")
    with running(tmp_path_factory.mktemp("milvus"), **HASTY) as server:
        yield server


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | Server]:
    """A database of the test's own."""
    with _database(request, tmp_path) as database:
        yield database


@pytest.fixture(scope="module")
def lasting_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path | Server]:
    """A database for all tests of a module, which stays open: a collection is emptied faster than it is made."""
    with _database(request, tmp_path_factory.mktemp("lasting")) as database, ExitStack() as stack:
        if isinstance(database, Path):
            stack.enter_context(closing(connect(database)))
        yield database


@contextmanager
def _database(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path | Server]:
    kind = getattr(request, "param", "folder")
    if kind == "folder":
        yield folder / "kb.db"
    elif kind == "served":
        with served(folder / "kb.db", "127.0.0.1", 0, "a token") as uri:
            yield Server(uri, "a token")
    else:
        with cleared(named() if kind == "named" else Server(request.getfixturevalue("old_milvus").uri)) as server:
            yield server


@pytest.fixture
def old_uri(old_milvus: MilvusServer) -> Iterator[str]:
    """The address of a Milvus server without arrays of structs."""
    with cleared(Server(old_milvus.uri)) as server:
        yield server.uri


@contextmanager
def cleared(server: Server) -> Iterator[Server]:
    """The server, of which in the end those collections go that were not there before."""
    client = server.client(timeout=60)
    there = set(client.list_collections())
    yield server
    for name in set(client.list_collections()) - there:
        client.drop_collection(name)
    client.close()


def named() -> Server:
    """The server that MILVUS_URI and MILVUS_TOKEN name."""
    return Server(os.environ["MILVUS_URI"], os.environ.get("MILVUS_TOKEN") or None)


@pytest.fixture
def words() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def notes(database: Path | Server, words: WordEmbedder, tmp_path: Path) -> Iterator[Collection]:
    images = None if isinstance(database, Path) else tmp_path / "images"
    with Collection("notes", words, uri=database, images=images) as collection:
        yield collection
