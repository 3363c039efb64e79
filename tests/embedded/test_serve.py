"""``colmilvus serve``: programs that know nothing of the package use the engine, with a token and TLS."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from colmilvus import Collection, Entity, MultiVector
from colmilvus.cli.serving import serve
from colmilvus.embedded import connect, server
from colmilvus.embedded.serving import read_token
from colmilvus.errors import DatabaseError, DatabaseInUse, InvalidInput
from tests.embedded.pages import count, create, draw, expected, query, rows, search

COMMAND = [sys.executable, "-m", "colmilvus", "serve"]
# The same, where an insert says on its standard error that it has begun, and takes so many seconds.
SLOW = """
import runpy, sys, time
from colmilvus.embedded.servicer import EngineServicer

insert, seconds = EngineServicer.Insert, float(sys.argv.pop(1))

def slowly(*arguments):
    print("inserting", file=sys.stderr, flush=True)
    time.sleep(seconds)
    return insert(*arguments)

EngineServicer.Insert = slowly
sys.argv.insert(1, "serve")
runpy.run_module("colmilvus", run_name="__main__")
"""


@contextmanager
def serving(
    path: Path, *options: object, command: list[str] = COMMAND, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its uri, and its token."""
    with subprocess.Popen(
        [*command, str(path), "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GRPC_VERBOSITY": "NONE", **environment},
    ) as process:
        assert process.stdout is not None
        try:
            said = re.match(r"serving .* at (\S+); stop with Ctrl-C\n", process.stdout.readline())
            assert said, process.communicate()
            where = re.match(r"the token is in (.+)\n", process.stdout.readline())
            assert where
            yield process, said[1], Path(where[1]).read_text().strip()
        finally:
            process.kill()


def refused(kind: type[Exception], path: object, port: int = 0, **files: object) -> str:
    """What the command says where it does not serve."""
    with pytest.raises(kind) as caught:
        serve(str(path), "127.0.0.1", port, **{name: str(file) for name, file in files.items()})
    return str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_program_with_pymilvus_alone_uses_it_and_sigterm_ends_it_cleanly(path: Path) -> None:
    pages, question = draw(1, 30), query(2)
    with serving(path) as (process, uri, token):
        assert uri.startswith("http://127.0.0.1:")
        assert stat.S_IMODE((path / "token").stat().st_mode) == 0o600
        assert read_token(path / "token") == token
        client = MilvusClient(uri, token=token, dedicated=True)
        create(client)
        client.insert("pages", rows(pages))
        found = [hit["id"] for hit in search(client, question)]
        assert found == [key for key, _ in expected(question, pages, "MAX_SIM")]
        joined = connect(path)
        assert count(joined) == 30
        with pytest.raises(MilvusException, match="answers only who has its token"):
            MilvusClient(uri, token="another token", dedicated=True)
        client.close()
        with Collection("notes", dim=2, metric="IP", uri=uri, token=token) as notes:
            notes.add([Entity("a"), Entity("b")], vectors=[[[1, 0]], [[0, 1]]], progress=False)
            assert [hit.entity.id for hit in notes.search(MultiVector([[0, 1]]), k=1)] == ["b"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read().endswith("colmilvus: stopped\n")
        assert count(joined) == 30
        joined.close()


def test_with_tls_the_certificate_is_checked_and_nothing_is_answered_in_plain(path: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    certificate, key, roots = (tmp_path / name for name in ("cert.pem", "key.pem", "roots.pem"))
    made.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    authority.cert_pem.write_to_path(roots)
    token_file = tmp_path / "my token"
    token_file.write_text("a token of my own choice\n")
    token_file.chmod(0o600)
    options = ("--host", "localhost", "--tls-cert", certificate, "--tls-key", key, "--token-file", token_file)
    with serving(path, *options) as (_, uri, token):
        assert token == "a token of my own choice"
        assert uri.startswith("https://localhost:")
        client = MilvusClient(uri, token=token, server_pem_path=str(roots), dedicated=True)
        client.create_collection("plain", dimension=2)
        client.close()
        for wrong in (uri, uri.replace("https", "http")):
            with pytest.raises(MilvusException, match="Fail connecting"):
                MilvusClient(wrong, token=token, timeout=1, dedicated=True)
        code = "import sys\nfrom colmilvus import Collection, Entity, MultiVector\nuri, token = sys.argv[1:]\n"
        code += "with Collection('notes', dim=2, metric='IP', uri=uri, token=token) as notes:\n"
        code += "    notes.add([Entity('a')], vectors=[[[1, 0]]])\n"
        code += "    print(notes.search(MultiVector([[2, 0]]), k=1)[0].score)"
        environment = {**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots)}
        done = subprocess.run(
            [sys.executable, "-c", code, uri, token], capture_output=True, text=True, env=environment, check=False
        )
        assert done.stdout == "2.0\n", done.stderr


def test_who_has_the_folder_open_hands_it_over_and_goes_on(path: Path) -> None:
    client = connect(path)
    client.create_collection("plain", dimension=2)
    assert server.ENGINES.running(path) is not None
    with serving(path) as (_, uri, token):
        client.insert("plain", [{"id": 1, "vector": [1, 1]}])
        other = MilvusClient(uri, token=token, dedicated=True)
        assert count(other, "plain") == 1
        other.close()
        assert count(client, "plain") == 1
        assert server.ENGINES.running(path) is None
        assert re.search(rf"is served by process \d+ at {uri}; end it there first", refused(DatabaseInUse, path))
    assert count(client, "plain") == 1
    assert server.ENGINES.running(path) is not None
    again = connect(path)
    assert count(again, "plain") == 1
    again.close()
    client.close()


def test_an_engine_is_not_handed_over_to_its_own_process(path: Path) -> None:
    """As where another process's engine ends just as it is asked, and this one has taken over."""
    client = connect(path)
    client.create_collection("plain", dimension=2)
    member, engine = server.ENGINES.member(path.resolve()), server.ENGINES.running(path)
    assert member is not None
    assert engine is not None
    assert member.exchange("HandOver", (), b"", 10).code == 0
    assert "colmilvus-engine-stop" not in {thread.name for thread in threading.enumerate()}
    assert member.own() is engine
    assert not engine.has_ended
    assert count(client, "plain") == 0
    client.close()


def test_what_cannot_be_served_is_said_in_a_line(path: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(DatabaseError, path, port)
        assert f"cannot listen at 127.0.0.1:{port}: another program has the port" in said
    others, short = tmp_path / "open", tmp_path / "short"
    others.write_text("a token that others read\n")
    others.chmod(0o644)
    if os.name == "posix":
        said = refused(InvalidInput, path, token_file=others)
        assert "open can be read or changed by other users: chmod 600" in said
    short.write_text("1234\n")
    short.chmod(0o600)
    assert "short holds no token of at least 16" in refused(InvalidInput, path, token_file=short)
    assert "--tls-cert and --tls-key go together" in refused(InvalidInput, path, tls_cert=others)
    said = refused(InvalidInput, path, tls_cert=others, tls_key=short)
    assert "are no certificate with its private key" in said
    assert "durability is 'process' or 'power'" in refused(InvalidInput, path, durability="never")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("hello")
    assert "other files in it, such as 'a.txt'" in refused(DatabaseError, tmp_path / "letters")
    assert [entry.name for entry in (tmp_path / "letters").iterdir()] == ["a.txt"]
    assert "is the address of a server" in refused(InvalidInput, "http://localhost:1")
    assert not (path / "address.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_other_machines_are_warned_of(path: Path) -> None:
    with serving(path, "--host", "0.0.0.0") as (process, uri, token):
        assert uri.startswith(f"http://{socket.gethostname()}:")
        client = MilvusClient(f"http://127.0.0.1:{uri.rpartition(':')[2]}", token=token, dedicated=True)
        client.create_collection("plain", dimension=2)
        client.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr is not None
        assert "0.0.0.0 can be reached from other machines" in process.stderr.read()


@contextmanager
def inserting(path: Path, seconds: float) -> Iterator[tuple[subprocess.Popen[str], list[object]]]:
    """The process, in the middle of an insert that takes so long, and what its caller hears once it is over."""
    heard: list[object] = []
    with serving(path, command=[sys.executable, "-c", SLOW, str(seconds)]) as (process, uri, token):
        client = MilvusClient(uri, token=token, dedicated=True)
        client.create_collection("plain", dimension=2)

        def insert() -> None:
            try:
                heard.append(client.insert("plain", [{"id": 1, "vector": [1, 1]}], timeout=20)["insert_count"])
            except Exception as error:
                heard.append(error)

        caller = threading.Thread(target=insert)
        caller.start()
        assert process.stderr is not None
        assert "inserting\n" in iter(process.stderr.readline, "")
        yield process, heard
        caller.join()


def left(path: Path) -> int:
    client = connect(path)
    found = count(client, "plain")
    client.close()
    return found


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_signal_lets_the_calls_in_progress_end(path: Path) -> None:
    with inserting(path, 2) as (process, heard):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert heard == [1]
    assert left(path) == 1


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_second_signal_stops_at_once(path: Path) -> None:
    with inserting(path, 60) as (process, heard):
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "colmilvus: stopping; once more to stop at once\n" in iter(process.stderr.readline, "")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM
        process.kill()
    assert isinstance(heard[0], MilvusException)
    assert left(path) == 0


def test_a_made_token_is_letters_and_digits_that_any_command_line_takes(tmp_path: Path) -> None:
    # Of those with other signs, one in 64 began with a dash, which reads as an option.
    tokens = {read_token(tmp_path / str(number)) for number in range(200)}
    assert len(tokens) == 200
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)
