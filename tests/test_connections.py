"""From an address to a server: what goes together, what a login and a certificate do, and what nobody answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from pymilvus import MilvusClient

from colmilvus import Collection, Entity, MultiVector, Server
from colmilvus.connection import Consistency
from colmilvus.embedded.serving import Certificate, served
from colmilvus.errors import CollectionNotFound, DatabaseError, InvalidInput, ServerError
from tests.milvus_server import MilvusServer
from tests.ports import free_port

TIMEOUT = 2.0
SLACK = 2.0
"""Seconds that a busy machine takes beside a timeout."""
TOKEN = "correct-horse-battery"
ADDRESS = "http://localhost:19530"
SECURE = "https://localhost:19530"


@pytest.fixture
def client(old_milvus: MilvusServer) -> Iterator[MilvusClient]:
    """One that leaves no collection behind."""
    client = MilvusClient(old_milvus.uri, dedicated=True)
    yield client
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()


def filled(place: Any, *ids: str, **options: Any) -> Collection:
    collection = Collection("c", dim=4, uri=place, **options)
    collection.add([Entity(name) for name in ids], vectors=[np.eye(4)] * len(ids), progress=False)
    return collection


class TestServer:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"uri": " "}, "it is blank"),
            ({"uri": "kb.db"}, "'kb.db' is a folder, which needs no Server"),
            (
                {"uri": "localhost:19530"},
                "'localhost:19530' looks like a server's address; write 'http://localhost:19530'",
            ),
            ({"uri": "ftp://localhost"}, "is neither a folder nor an address that begins with http, https, tcp, unix"),
            ({"uri": "http://localhost:milvus"}, "'http://localhost:milvus' has no number for its port"),
            ({"uri": "http://localhost:123456"}, "has no number for its port"),
            ({"uri": ADDRESS, "token": "t", "user": "u", "password": "p"}, "a token, or user and password, not both"),
            ({"uri": ADDRESS, "user": "u"}, "user and password go together"),
            ({"uri": ADDRESS, "password": "p"}, "user and password go together"),
            ({"uri": "http://u@localhost"}, "user and password go together"),
            ({"uri": "http://u:p@localhost", "token": "t"}, "the address has a login of its own"),
            ({"uri": "http://u:p@localhost", "user": "u", "password": "p"}, "the address has a login of its own"),
            ({"uri": ADDRESS, "ca": __file__}, "TLS needs an address that begins with https://, not 'http://localhost"),
            ({"uri": ADDRESS, "server_name": "milvus"}, "TLS needs an address that begins with https://"),
            ({"uri": SECURE, "ca": "none.pem"}, "ca='none.pem' is no file"),
            ({"uri": SECURE, "certificate": __file__}, "certificate and key, of one's own, go together"),
            ({"uri": SECURE, "key": __file__}, "certificate and key, of one's own, go together"),
            (
                {"uri": SECURE, "certificate": __file__, "key": __file__},
                "ca= names the certificate that the server's is",
            ),
            ({"uri": SECURE, "ca": __file__, "certificate": __file__, "key": "none.pem"}, "key='none.pem' is no file"),
            ({"uri": ADDRESS, "consistency": "strong"}, "consistency is one of Strong, Session, Bounded, Eventually"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            Server(**arguments)

    @pytest.mark.parametrize(
        "address",
        [
            "root:s3cret@localhost:19530",
            "ftp://root:s3cret@localhost",
            "http://root:s3/cret@localhost",
            "http://root:s3#cret@localhost",
            "http://root:s3@cret@localhost",
            "http://root:s3cret@localhost:milvus",
        ],
    )
    def test_an_address_is_refused_without_showing_the_password_in_it(self, address: str) -> None:
        for refusing in (lambda: Server(address), lambda: Collection("c", dim=4, uri=address)):
            with pytest.raises(InvalidInput) as caught:
                refusing()
            assert "s3" not in str(caught.value)
            assert "cret" not in str(caught.value)
            assert "localhost" in str(caught.value)

    def test_the_login_of_an_address_is_kept_apart_from_it(self) -> None:
        server = Server("http://root:s3%40cret@localhost:19530", db_name="books")

        assert (server.uri, server.user, server.password) == (ADDRESS, "root", "s3@cret")
        assert server.shown == f"{ADDRESS}/books"
        assert "cret" not in repr(server)
        assert "cret" not in repr(Server(ADDRESS, "s3cret"))

    def test_a_second_login_is_refused(self) -> None:
        for place in (Server(ADDRESS, "t"), Server(ADDRESS, user="u", password="p"), Server("http://u:p@localhost")):
            with pytest.raises(InvalidInput, match="has a login of its own; leave token= out"):
                Collection("c", uri=place, token="t")
        with pytest.raises(InvalidInput, match="durability is for a folder"):
            Collection("c", uri=ADDRESS, durability="power")
        wrong: Any = 3
        with pytest.raises(InvalidInput, match="uri is a folder, an address, a Server or a MilvusClient, not 3"):
            Collection("c", uri=wrong)


class TestClients:
    def test_a_client_that_is_ready_is_used_and_left_open(self, old_milvus: MilvusServer, client: MilvusClient) -> None:
        with filled(client, "a", "b") as collection:
            assert collection.uri == old_milvus.uri.removeprefix("http://")
            assert sorted(hit.entity.id for hit in collection.search(np.eye(4))) == ["a", "b"]

        assert client.list_collections() == ["c"]
        with pytest.raises(InvalidInput, match="has a token of its own"):
            Collection("c", uri=client, token="t")

    def test_a_client_that_is_closed_is_refused(self, old_milvus: MilvusServer) -> None:
        closed = MilvusClient(old_milvus.uri, dedicated=True)
        closed.close()
        with pytest.raises(DatabaseError, match="it was closed"):
            Collection("c", dim=4, uri=closed)

    @pytest.mark.usefixtures("client")
    def test_a_collection_that_was_closed_says_so(self, old_milvus: MilvusServer) -> None:
        collection = filled(old_milvus.uri, "a")
        with filled(old_milvus.uri, "b") as other:
            collection.close()
            collection.close()
            for work in (
                lambda: collection.search(np.eye(4)),
                lambda: collection.add([Entity("c")], vectors=[np.eye(4)]),
                lambda: collection.delete(["a"]),
                lambda: collection.get(["a"]),
                lambda: collection.count(),
            ):
                with pytest.raises(
                    DatabaseError, match=f"{old_milvus.uri}: .* it was closed; open the collection again"
                ):
                    work()
            assert other.count() == 2


def test_databases_keep_collections_of_one_name_apart(client: MilvusClient, old_milvus: MilvusServer) -> None:
    client.create_database("books")
    try:
        with filled(old_milvus.uri, "a") as one, filled(Server(old_milvus.uri, db_name="books"), "b", "c") as other:
            assert (one.ids(), sorted(other.ids())) == (["a"], ["b", "c"])
            assert [hit.entity.id for hit in one.search(np.eye(4))] == ["a"]
            assert other.uri == f"{old_milvus.uri}/books"
            with Collection("c", uri=f"{old_milvus.uri}/books") as same:
                assert same.count() == 2
            assert one.place != other.place
            other.drop()
            assert one.count() == 1
        with pytest.raises(CollectionNotFound, match=f"no collection 'c' in {old_milvus.uri}/books"):
            Collection("c", uri=Server(old_milvus.uri, db_name="books"))
        with pytest.raises(ServerError, match=r"papers: could not create collection .*papers not found"):
            Collection("c", dim=4, uri=Server(old_milvus.uri, db_name="papers"))
    finally:
        client.drop_database("books")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("consistency", ["Strong", "Session", "Bounded", "Eventually"])
def test_every_level_of_consistency_finds_what_was_written(old_milvus: MilvusServer, consistency: Consistency) -> None:
    with filled(Server(old_milvus.uri, consistency=consistency), "a", "b") as collection:
        until = time.monotonic() + 10
        while consistency in ("Bounded", "Eventually") and collection.count() < 2 and time.monotonic() < until:
            time.sleep(0.1)

        assert collection.count() == 2
        assert len(collection.search(np.eye(4))) == 2


def test_strong_reads_find_what_another_program_has_just_written(
    client: MilvusClient, old_milvus: MilvusServer
) -> None:
    with filled(Server(old_milvus.uri, consistency="Strong"), *map(str, range(3))) as collection:
        for number in range(3):
            client.delete("c", filter=f'id == "{number}"')
            assert collection.count() == 2 - number


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts whoever comes, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in accepted:
                each.close()


def refused(place: str | Server, message: str) -> None:
    """It is refused in time with a message that begins with the address."""
    started = time.monotonic()
    with pytest.raises(ServerError) as caught:
        Collection("c", dim=4, uri=place, timeout=TIMEOUT)
    assert time.monotonic() - started < TIMEOUT + SLACK
    shown = place if isinstance(place, str) else place.shown
    assert str(caught.value).startswith(f"{shown}: could not connect: {message}")


def test_an_address_where_nobody_listens_is_named() -> None:
    refused(f"http://127.0.0.1:{free_port()}", "the server cannot be reached; is it running, and is this its address?")
    refused("http://nowhere.invalid:19530", "the server cannot be reached")


def test_a_host_that_never_answers_is_given_up_in_time() -> None:
    with silent() as port:
        refused(
            f"http://127.0.0.1:{port}", "the server did not answer in time; is it running, and is this its address?"
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Path]]]:
    """The address of ``colmilvus serve``, and the files of who signed its certificate, "right", and of another."""
    folder = tmp_path_factory.mktemp("tls")
    files = {name: folder / f"{name}.pem" for name in ("right", "wrong", "certificate", "key")}
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files["right"])
    trustme.CA().cert_pem.write_to_path(files["wrong"])
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(files["key"])
    files["certificate"].write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    with served(folder / "kb.db", "localhost", 0, TOKEN, Certificate(files["certificate"], files["key"])) as uri:
        yield uri, files


class TestTls:
    def test_who_trusts_the_authority_is_connected(self, authority: tuple[str, dict[str, Path]]) -> None:
        uri, files = authority
        with filled(Server(uri, TOKEN, ca=files["right"]), "a") as collection:
            assert [hit.entity.id for hit in collection.search(MultiVector(np.eye(4)))] == ["a"]
        by_number = uri.replace("localhost", "127.0.0.1")
        with filled(Server(by_number, TOKEN, ca=files["right"], server_name="localhost"), "a") as collection:
            assert collection.count() == 1

    def test_a_certificate_that_is_not_trusted_is_refused(self, authority: tuple[str, dict[str, Path]]) -> None:
        uri, files = authority
        told = "its certificate is not trusted; ca= of a Server(...) names the file"
        refused(Server(uri, TOKEN, ca=files["wrong"]), told)
        refused(Server(uri, TOKEN), told)
        by_number = Server(uri.replace("localhost", "127.0.0.1"), TOKEN, ca=files["right"])
        refused(by_number, "its certificate is for another name; server_name= of a Server(...) is that name")

    def test_plain_and_encrypted_do_not_meet(self, authority: tuple[str, dict[str, Path]], tmp_path: Path) -> None:
        uri, files = authority
        refused(Server(uri.replace("https", "http"), TOKEN), "the server cannot be reached")
        with served(tmp_path / "plain.db", "127.0.0.1", 0, TOKEN) as plain:
            refused(Server(plain.replace("http", "https"), TOKEN, ca=files["right"]), "")

    def test_a_wrong_token_is_refused_and_not_shown(self, authority: tuple[str, dict[str, Path]]) -> None:
        uri, files = authority
        with pytest.raises(ServerError, match="refused the login; check the token") as caught:
            Collection("c", dim=4, uri=Server(uri, "wrong-token", ca=files["right"]))
        assert "wrong-token" not in str(caught.value)
