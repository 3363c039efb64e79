"""Who may do what on a server with authentication switched on; and that no login is seen anywhere."""

from __future__ import annotations

import base64
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pymilvus import MilvusClient

from colmilvus import Collection, Entity, Server
from colmilvus.cli import main
from colmilvus.errors import ServerError
from tests.milvus_server import MilvusServer, running

ADMINISTRATOR = ("root", "Milvus")
PASSWORDS = {"writer": "pass-of-the-writer", "reader": "pass-of-the-reader", "nobody": "pass-of-nobody"}
WRONG = "not-the-password"
RIGHTS = {"writer": ("*",), "reader": ("Search", "Query", "Load", "GetLoadingProgress")}
VECTORS = [np.eye(4)]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A server that answers only who logs in, with the collection "c", and users who may write, read, or neither."""
    pytest.importorskip("milvus", reason="Milvus 2.3.5 comes for Linux on x86-64 alone")
    with running(tmp_path_factory.mktemp("guarded"), authorization_enabled=True) as server:
        name, password = ADMINISTRATOR
        with Collection("c", dim=4, uri=Server(server.uri, user=name, password=password)) as collection:
            collection.add([Entity("a")], vectors=VECTORS)
        client = MilvusClient(server.uri, user=name, password=password, dedicated=True)
        for user, secret in PASSWORDS.items():
            client.create_user(user, secret)
        for user, rights in RIGHTS.items():
            client.create_role(user)
            client.grant_role(user, user)
            for right in rights:
                client.grant_privilege(user, "Collection", right, "c")
        yield server
        client.close()


class Heard:
    """What an observer could come to see while a test runs."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self._folder = folder
        self._log = log
        self._told: list[str] = []

    def tell(self, what: object) -> None:
        shown = "".join(traceback.format_exception(what)) if isinstance(what, BaseException) else f"{what} {what!r}"
        self._told.append(shown)

    def everything(self) -> Iterator[str]:
        yield from self._told
        yield self._log.text
        for record in self._log.records:
            yield repr(vars(record))
        for file in self._folder.rglob("*"):
            yield str(file)
            if file.is_file():
                yield file.read_bytes().decode("latin-1")


@pytest.fixture(autouse=True)
def heard(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Heard]:
    """No test may show a login: in an error or its causes, a log, a repr, a file, or what it prints."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("pymilvus", "colmilvus", "grpc")):
            caplog.set_level(logging.DEBUG, name)
    heard = Heard(tmp_path, caplog)
    yield heard
    heard.tell(capfd.readouterr())
    logins = [*PASSWORDS.values(), WRONG]
    logins += [base64.b64encode(f"{user}:{login}".encode()).decode() for user in PASSWORDS for login in logins]
    assert [login for login in logins for told in heard.everything() if login in told] == []


def refused(heard: Heard, work: Callable[[], object]) -> str:
    """What it is refused with."""
    with pytest.raises(ServerError) as caught:
        work()
    heard.tell(caught.value)
    return str(caught.value)


REFUSED = "the server was reached, but refused the login; check the token, or user and password"
RIGHT = ": the user lacks the right to; whoever administers the server can grant it"


def test_a_wrong_password_and_none_are_refused_as_such(guarded: MilvusServer, heard: Heard) -> None:
    host = guarded.uri.removeprefix("http://")
    started = time.monotonic()
    places: list[str | Server] = [
        guarded.uri,
        Server(guarded.uri, user="reader", password=WRONG),
        Server(guarded.uri, user="stranger", password=WRONG),
        Server(guarded.uri, f"reader:{WRONG}"),
        Server(guarded.uri, WRONG),
        f"http://reader:{WRONG}@{host}",
    ]
    for place in places:
        told = refused(heard, lambda place=place: Collection("c", uri=place, timeout=30))  # type: ignore[misc]
        assert told.startswith(f"{guarded.uri}: could not connect: {REFUSED}")
        heard.tell(place if isinstance(place, Server) else Server(place))
    told = refused(heard, lambda: Collection("c", uri=guarded.uri, token=f"reader:{WRONG}"))
    assert told.startswith(f"{guarded.uri}: could not connect: {REFUSED}")
    assert time.monotonic() - started < 30


def test_a_user_without_rights_may_not_even_open(guarded: MilvusServer, heard: Heard) -> None:
    nobody = Server(guarded.uri, user="nobody", password=PASSWORDS["nobody"])
    assert RIGHT in refused(heard, lambda: Collection("c", uri=nobody))
    assert RIGHT in refused(heard, lambda: Collection("d", dim=4, uri=nobody))


def test_who_may_read_reads_and_does_not_write(guarded: MilvusServer, heard: Heard) -> None:
    reader = Server(guarded.uri, user="reader", password=PASSWORDS["reader"])
    with Collection("c", uri=reader) as collection:
        heard.tell(collection)
        heard.tell(reader)
        assert [hit.entity.id for hit in collection.search(np.eye(4), filter={"$id": "a"})] == ["a"]
        assert [entity.id for entity in collection.get(["a"])] == ["a"]
        assert refused(heard, lambda: collection.add([Entity("b")], vectors=VECTORS)).endswith(
            f"could not store 3 rows in 'c'{RIGHT} (PrivilegeUpsert: permission deny to reader)"
        )
        assert "could not delete entities of 'c'" + RIGHT in refused(heard, lambda: collection.delete(["a"]))
        assert "could not drop collection 'c'" + RIGHT in refused(heard, collection.drop)
        assert collection.count() == 1
    assert "could not create collection 'd'" + RIGHT in refused(heard, lambda: Collection("d", dim=4, uri=reader))


@pytest.mark.parametrize("form", ["user and password", "token", "address", "token="])
def test_who_may_write_writes_however_the_login_is_given(
    guarded: MilvusServer, heard: Heard, tmp_path: Path, form: str
) -> None:
    login = f"writer:{PASSWORDS['writer']}"
    place: dict[str, tuple[str | Server, str | None]] = {
        "user and password": (Server(guarded.uri, user="writer", password=PASSWORDS["writer"]), None),
        "token": (Server(guarded.uri, login), None),
        "address": (guarded.uri.replace("://", f"://{login}@"), None),
        "token=": (guarded.uri, login),
    }
    uri, token = place[form]
    with Collection("c", uri=uri, token=token, images=tmp_path / "images") as collection:
        heard.tell(collection)
        assert collection.uri == guarded.uri
        collection.add([Entity("b", image=Image.new("RGB", (4, 4)))], vectors=VECTORS)
        assert sorted(hit.entity.id for hit in collection.search(np.eye(4))) == ["a", "b"]
        collection.add([Entity("b")], vectors=VECTORS)
        assert collection.delete(["b"]) == 1


def test_a_login_that_is_taken_back_is_missed_at_the_next_request(guarded: MilvusServer, heard: Heard) -> None:
    name, password = ADMINISTRATOR
    client = MilvusClient(guarded.uri, user=name, password=password, dedicated=True)
    client.create_user("guest", PASSWORDS["reader"])
    client.grant_role("guest", "reader")
    with Collection("c", uri=Server(guarded.uri, user="guest", password=PASSWORDS["reader"])) as collection:
        assert collection.count() == 1
        client.drop_user("guest")
        told = refused(heard, lambda: _until_refused(collection))
        assert told.startswith(f"{guarded.uri}: could not count the entities of 'c': {REFUSED}")
    client.close()


def _until_refused(collection: Collection) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        collection.count()


@pytest.mark.parametrize("command", [["info"], ["search", "red"], ["index", "."]])
def test_the_command_line_does_not_show_the_login_of_an_address(
    guarded: MilvusServer, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = guarded.uri.replace("://", f"://nobody:{PASSWORDS['nobody']}@")
    monkeypatch.setattr("sys.argv", ["colmilvus", *command, "--db", address, "--collection", "missing"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code
