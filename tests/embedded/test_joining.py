"""Many processes of one database: they join the engine that runs, and take over when it ends, in the middle of work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedded import address, connect, server
from colmilvus.embedded.dispatch import Dispatch
from colmilvus.embedded.frames import Refusal, greet
from colmilvus.embedded.line import Line
from colmilvus.errors import DatabaseError, DatabaseInUse
from tests.embedded.pages import create, draw, expected, query, rows, search
from tests.embedded.processes import Program, program

PLAIN = "client.create_collection('plain', dimension=2)"


def put(*keys: int) -> str:
    return f"client.upsert('plain', [{{'id': i, 'vector': [1, i]}} for i in {list(keys)}])['upsert_count']"


def keys(client: MilvusClient, name: str = "plain") -> list[int]:
    return sorted(row["id"] for row in client.query(name, filter="id >= 0", output_fields=["id"]))


def test_a_second_process_joins_the_engine_of_the_first_and_both_see_what_either_writes(path: Path) -> None:
    with program(path) as first:
        first(PLAIN)
        first(put(1))
        client = connect(path)
        assert keys(client) == [1]
        client.insert("plain", [{"id": 2, "vector": [1, 2]}])
        assert first("[row['id'] for row in client.query('plain', filter='id > 0')]") == [1, 2]
        assert address(path) == first("address(path)")
        told = json.loads((path / "address.json").read_text())
        assert told["pid"] == first.process.pid
        assert stat.S_IMODE((path / "address.json").stat().st_mode) == 0o600
        client.close()
        assert first(put(3)) == 1


def test_vectors_cross_processes_as_they_are_and_rank_as_numpy_ranks_them(path: Path) -> None:
    with program(path):
        client = connect(path)
        create(client)
        pages, question = draw(1, 40), query(2)
        client.insert("pages", rows(pages))
        found = [(hit["id"], hit["distance"]) for hit in search(client, question)]
        wanted = expected(question, pages, "MAX_SIM")
        assert [key for key, _ in found] == [key for key, _ in wanted]
        client.close()


END = {
    "exit": lambda first: first.end(),
    "close": lambda first: first("client.close()"),
    "kill": lambda first: first.kill(),
}


@pytest.mark.parametrize("end", END)
def test_who_has_joined_takes_over_when_the_owner_ends(path: Path, end: str) -> None:
    with program(path) as first:
        first(PLAIN)
        client, other = connect(path), connect(path)
        assert first(put(1, 2)) == 2
        pages = client.query_iterator("plain", batch_size=1, output_fields=["id"])
        assert [row["id"] for row in pages.next()] == [1]
        END[end](first)
        assert keys(client) == [1, 2]
        assert [row["id"] for row in pages.next()] == [2]
        assert json.loads((path / "address.json").read_text())["pid"] == os.getpid()
        other.insert("plain", [{"id": 3, "vector": [1, 3]}])
        assert keys(client) == [1, 2, 3]
        client.close()
        other.close()
    again = connect(path)
    assert keys(again) == [1, 2, 3]
    again.close()


def test_the_next_of_many_takes_over_and_the_others_join_it(path: Path) -> None:
    programs = [Program(path) for _ in range(3)]
    try:
        programs[0](PLAIN)
        for turn, owner in enumerate(programs):
            for other in programs[turn:]:
                other.ask(put(turn))
            assert [other.answer() for other in programs[turn:]] == [1] * (3 - turn)
            assert json.loads((path / "address.json").read_text())["pid"] in {p.process.pid for p in programs[turn:]}
            owner.kill()
    finally:
        for each in programs:
            each.kill()
    client = connect(path)
    assert keys(client) == [0, 1, 2]
    client.close()


def test_many_processes_that_open_a_path_at_once_share_one_engine(path: Path) -> None:
    programs = [Program(path, waits=False) for _ in range(4)]
    try:
        for each in programs:
            each.wait_until_ready()
        pids = {each.process.pid for each in programs}
        owner = json.loads((path / "address.json").read_text())["pid"]
        assert owner in pids
        programs[0](PLAIN)
        for number, each in enumerate(programs):
            assert each(put(number)) == 1
        assert programs[0]("len(client.query('plain', filter='id >= 0'))") == 4
        assert [each.end() for each in programs] == [0, 0, 0, 0]
    finally:
        for each in programs:
            each.kill()
    assert not (path / "address.json").exists()


@pytest.mark.parametrize("how", ["kill", "close"])
def test_calls_that_are_on_their_way_when_the_owner_ends_are_answered_by_the_next(path: Path, how: str) -> None:
    acknowledged: list[int] = []
    with program(path) as first:
        first(PLAIN)
        client = connect(path)
        failures: list[BaseException] = []
        stop = threading.Event()

        def write(start: int) -> None:
            key = start
            try:
                while not stop.is_set():
                    client.upsert("plain", [{"id": key, "vector": [1, key]}])
                    acknowledged.append(key)
                    key += 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(10_000 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        before = len(acknowledged)
        END[how](first)
        end = time.monotonic() + 20
        while len(acknowledged) < before + 20 and not failures and time.monotonic() < end:
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert before
        assert len(acknowledged) >= before + 20
        assert set(acknowledged) <= set(keys(client))
        client.close()


def numbered(client: MilvusClient) -> None:
    schema = client.create_schema(auto_id=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("name", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
    client.create_collection("numbered", schema=schema, index_params=index)


def die_before_answering(path: str, told: Connection) -> None:
    """Be killed when what is written, or made, is there, and before the caller hears of it."""
    answer = Dispatch.run

    def run_and_die(self: Any, method: str, *more: Any) -> Any:
        found = answer(self, method, *more)
        if method in ("Insert", "RenameCollection"):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    client = connect(path)
    numbered(client)
    setattr(Dispatch, "run", run_and_die)  # noqa: B010 - a method is not assigned to
    told.send("ready")
    time.sleep(60)


def test_rows_that_the_collection_numbers_are_not_doubled_where_the_answer_was_lost(path: Path) -> None:
    with program(path, die_before_answering) as first:
        client = connect(path)
        answer = client.insert("numbered", [{"vector": [1, i], "name": i} for i in range(5)])
        assert (first.process.join(10), first.process.exitcode)[1] == -signal.SIGKILL
        found = client.query("numbered", filter="name >= 0", output_fields=["id", "name"])
        assert sorted((row["id"], row["name"]) for row in found) == list(zip(answer["ids"], range(5), strict=True))
        more = client.insert("numbered", [{"vector": [1, 9], "name": 9}])
        assert more["ids"][0] > max(answer["ids"])
        assert client.query("numbered", filter="name >= 0", output_fields=["count(*)"])[0]["count(*)"] == 6
        client.close()


def test_a_call_that_may_have_been_made_and_cannot_be_made_twice_says_so(path: Path) -> None:
    with program(path, die_before_answering):
        client = connect(path)
        with pytest.raises(
            MilvusException,
            match=r"(duplicated new collection|collection not found).*before it answered, and may have done it already",
        ):
            client.rename_collection("numbered", "counted")
        assert client.list_collections() == ["counted"]
        client.close()


def test_a_collection_of_the_package_goes_on_when_its_owner_ends(path: Path) -> None:
    with program(path) as first, Collection("notes", dim=2, metric="IP", uri=path) as notes:
        notes.add([Entity("a"), Entity("b")], vectors=[[[1, 0]], [[0, 1]]], progress=False)
        first.kill()
        notes.add([Entity("c")], vectors=[[[0, 3]]], progress=False)
        assert [hit.entity.id for hit in notes.search(MultiVector([[0, 1]]), k=2)] == ["c", "b"]


def stop(pid: int) -> None:
    """Hold a process; without the wait its threads on another processor go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    while any(file.read_text().rpartition(")")[2].split()[0] != "T" for file in tasks.glob("*/stat")):
        time.sleep(0.01)


def test_a_folder_whose_holder_does_not_answer_is_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr("colmilvus.embedded.line.GREETING_SECONDS", 0.3)
    with program(path) as first:
        client = connect(path)
        stop(first.process.pid)
        with pytest.raises(grpc.RpcError, match="DEADLINE"):
            client.list_collections(timeout=0.3)
        with pytest.raises(DatabaseInUse, match=rf"kb\.db is held by process {first.process.pid}, which has not ans"):
            server.Member(path).find()
        os.kill(first.process.pid, signal.SIGCONT)
        assert client.list_collections() == []
        stop(first.process.pid)
        server.ENGINES.member(path)._line.close()  # type: ignore[union-attr]
        with pytest.raises(DatabaseError, match="is held by process") as caught:
            client.list_collections()
        assert isinstance(caught.value, MilvusException)
        os.kill(first.process.pid, signal.SIGCONT)
        client.close()


def test_a_copy_does_not_lead_to_the_engine_of_the_original(path: Path, tmp_path: Path) -> None:
    client = connect(path)
    client.create_collection("plain", dimension=2)
    client.insert("plain", [{"id": 1, "vector": [1, 1]}])
    shutil.copytree(path, tmp_path / "copy.db")
    with program(tmp_path / "copy.db") as other:
        client.insert("plain", [{"id": 2, "vector": [1, 1]}])
        copied = connect(tmp_path / "copy.db")
        assert keys(copied) == [1]
        assert other("len(client.query('plain', filter='id >= 0'))") == 1
        copied.close()
    client.close()
    shutil.move(path, tmp_path / "moved.db")
    moved = connect(tmp_path / "moved.db")
    assert keys(moved) == [1, 2]
    moved.close()


def test_the_line_lets_in_only_who_has_the_token_and_shows_that_it_has_it_too(path: Path) -> None:
    client = connect(path)
    told = json.loads((path / "address.json").read_text())
    with pytest.raises(ConnectionError):
        Line(told["port"], "wrong")
    with socket.create_connection(("127.0.0.1", told["port"])) as stranger:
        assert len(stranger.recv(100)) == 32
        stranger.sendall(bytes(64))
        assert stranger.recv(100) == b""
    Line(told["port"], told["token"]).close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes(64))
        with pytest.raises(Refusal, match="not the engine of this database"):
            greet(ours, told["token"])
    client.close()


async def test_an_asynchronous_client_keeps_the_engine_running_joins_and_takes_over(path: Path) -> None:
    first = connect(path, asynchronous=True)
    await first.create_collection("plain", dimension=2)
    assert server.ENGINES.running(path) is not None
    await first.close()
    await first.close()
    assert server.ENGINES.running(path) is None
    with program(path) as owner:
        client: Any = connect(path, asynchronous=True)
        await client.insert("plain", [{"id": 1, "vector": [1, 1]}])
        owner.kill()
        found = await client.query("plain", filter="id >= 0")
        assert [row["id"] for row in found] == [1]
        await client.close()
