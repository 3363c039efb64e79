"""The engine's life: shared, exclusive, private, refused to plain Milvus Lite, and gone when nobody needs it."""

from __future__ import annotations

import base64
import gc
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus import AsyncMilvusClient, MilvusClient
from pymilvus.client.cache import GlobalCache
from pymilvus.client.embedding_list import EmbeddingList
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from colmilvus.embedded import address, connect, folder
from colmilvus.embedded.server import ENGINES
from colmilvus.embedded.workers import Workers
from colmilvus.errors import DatabaseDamaged, DatabaseError
from tests.embedded.pages import FIELD, count, create, draw, expected, index, query, rows, schema, search, stored


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    before = threads()
    gc.freeze()  # what lies in memory from before is not searched for what this test leaves there
    yield
    gc.collect()
    gc.unfreeze()
    end = time.monotonic() + 10
    while time.monotonic() < end and threads() - before:
        time.sleep(0.01)
    assert threads() - before == set()


def threads() -> set[threading.Thread]:
    # gRPC keeps one thread for asyncio as long as the process lives.
    return {thread for thread in threading.enumerate() if "_poll_wrapper" not in thread.name}


def python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # At exit gRPC may note, for information, that a server said goodbye before its client did.
    everything = {**os.environ, "GRPC_VERBOSITY": "ERROR", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=everything)


def plain(client: MilvusClient, *keys: int) -> None:
    if not client.has_collection("plain"):
        client.create_collection("plain", dimension=2)
    client.insert("plain", [{"id": key, "vector": [1, key]} for key in keys])


HOLD = """
import sys, time
from colmilvus.embedded import connect
client = connect(sys.argv[1])
client.create_collection("plain", dimension=2)
client.insert("plain", [{"id": 1, "vector": [1, 2]}])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_the_folder_holds_what_the_design_says(client: MilvusClient, path: Path) -> None:
    assert {entry.name for entry in path.iterdir()} == {"LOCK", "address.json", "format.json", "lite"}
    assert (path / "LOCK").is_dir()
    assert json.loads((path / "format.json").read_text()) == {"format": 4}
    uri, token = address(path)
    told = json.loads((path / "address.json").read_text())
    assert told.keys() == {"folder", "pid", "port", "token", "uri"}
    assert (told["uri"], told["token"], told["pid"]) == (uri, token, os.getpid())
    assert stat.S_IMODE((path / "address.json").stat().st_mode) == 0o600
    client.close()
    assert {entry.name for entry in path.iterdir()} == {"LOCK", "format.json", "lite"}


def test_many_begin_a_folder_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def begin(path: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            folder.prepare(path)
        except BaseException as error:
            failures.append(error)

    for number in range(40):
        together = threading.Barrier(8, timeout=20)
        path = tmp_path / f"{number}.db"
        threads = [threading.Thread(target=begin, args=(path, together)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert {entry.name for entry in path.iterdir()} == {"LOCK", "format.json"}
    assert not failures


def test_one_path_has_one_engine_however_it_is_written(client: MilvusClient, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    create(client)
    others = [connect(str(path)), connect(tmp_path / "x" / ".." / "kb.db"), connect(tmp_path / "link")]
    for other in others:
        other.insert("pages", rows(draw(1, 3)))
        assert count(other) == 3
        other.close()
    assert count(client) == 3


def test_closing_one_client_leaves_the_others_working(path: Path) -> None:
    first, second = connect(path), connect(path)
    create(first)
    before = address(path)
    first.close()
    first.close()
    assert address(path) == before
    second.insert("pages", rows(draw(1, 3)))
    assert count(second) == 3
    second.close()
    with pytest.raises(DatabaseError, match="has not opened"):
        address(path)


def test_a_client_that_nobody_holds_stops_its_engine(path: Path) -> None:
    client = connect(path)
    create(client)
    client.insert("pages", rows(draw(1, 3)))
    del client
    gc.collect()
    end = time.monotonic() + 10
    while (path / "address.json").exists() and time.monotonic() < end:
        time.sleep(0.01)
    again = connect(path)
    assert count(again) == 3
    again.close()


def test_connecting_again_and_again_finds_everything(path: Path) -> None:
    for turn in range(4):
        client = connect(path)
        if not turn:
            create(client)
        client.upsert("pages", rows({turn: draw(turn, 1)[0]}))
        assert count(client) == turn + 1
        client.close()


def test_many_threads_connecting_at_once_share_one_engine(path: Path) -> None:
    clients: list[MilvusClient] = []
    starting = [threading.Thread(target=lambda: clients.append(connect(path))) for _ in range(8)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    assert len(clients) == 8
    create(clients[0])
    assert all(client.has_collection("pages") for client in clients)
    for client in clients:
        client.close()


def test_a_program_that_ends_without_close_loses_nothing(path: Path) -> None:
    done = python(
        "import sys; from colmilvus.embedded import connect; c = connect(sys.argv[1]);"
        "c.create_collection('plain', dimension=2); c.insert('plain', [{'id': i, 'vector': [1, i]} for i in range(9)])",
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (path / "address.json").exists()
    client = connect(path)
    assert count(client, "plain") == 9
    client.close()


OUTLIVE = """
import sys, threading, time
from colmilvus.embedded import connect
client = connect(sys.argv[1])
client.create_collection("plain", dimension=2)
def work(start):
    time.sleep(0.3)
    for i in range(start, start + 9):
        client.insert("plain", [{"id": i, "vector": [1, i]}])
    client.flush("plain")
for start in (0, 100):
    threading.Thread(target=work, args=(start,)).start()
"""


def test_threads_that_outlive_the_main_one_are_served(path: Path) -> None:
    done = python(OUTLIVE, path)
    assert (done.returncode, done.stderr) == (0, "")
    client = connect(path)
    assert count(client, "plain") == 18
    client.close()


def test_a_killed_process_leaves_no_lock_behind(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (path / "address.json").exists()
    client = connect(path)
    assert json.loads((path / "address.json").read_text())["pid"] == os.getpid()
    assert count(client, "plain") == 1
    client.close()


@pytest.mark.parametrize("running", [True, False])
def test_plain_milvus_lite_is_refused(path: Path, running: bool) -> None:
    client = connect(path)
    create(client)
    if not running:
        client.close()
    done = python("import sys; from pymilvus import MilvusClient; MilvusClient(sys.argv[1])", path)
    assert "Open local milvus failed" in done.stderr
    assert done.returncode == 1
    client.close()


def test_a_database_of_plain_milvus_lite_is_refused(path: Path) -> None:
    done = python(
        "import sys; from pymilvus import MilvusClient; MilvusClient(sys.argv[1]).create_collection('a', dimension=2)",
        path,
    )
    assert done.returncode == 0
    before = sorted(path.iterdir())
    with pytest.raises(DatabaseError, match="database of plain Milvus Lite"):
        connect(path)
    assert sorted(path.iterdir()) == before


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"no/such folder does not exist"):
        connect(tmp_path / "no" / "such folder" / "kb.db")


def test_a_file_and_a_folder_of_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_text("hello")
    with pytest.raises(DatabaseError, match="is a file, not a database folder"):
        connect(tmp_path / "file.db")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("hello")
    with pytest.raises(DatabaseError, match=r"other files in it, such as 'thesis.tex'"):
        connect(tmp_path / "folder")
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["thesis.tex"]


def test_an_empty_folder_and_one_with_images_become_databases(tmp_path: Path) -> None:
    for name in ("empty", "images"):
        (tmp_path / name).mkdir()
        if name == "images":
            (tmp_path / name / "images").mkdir()
        connect(tmp_path / name).close()
        assert (tmp_path / name / "format.json").exists()


def test_a_newer_format_is_refused_by_number_and_a_broken_one_as_damage(path: Path) -> None:
    connect(path).close()
    (path / "format.json").write_text('{"format": 5}')
    with pytest.raises(DatabaseError, match=r"has format 5, .* this version of colmilvus reads format 4; .*install -U"):
        connect(path)
    (path / "format.json").write_text('{"format": 1}')
    with pytest.raises(
        DatabaseError, match=r"has format 1, .* this version of colmilvus reads format 4; add its documents"
    ):
        connect(path)
    (path / "format.json").write_text('{"form')
    with pytest.raises(DatabaseDamaged, match=r"format\.json"):
        connect(path)


def test_any_bit_of_the_format_that_changed_is_no_harm_or_an_error_that_names_the_file(path: Path) -> None:
    connect(path).close()
    file = path / "format.json"
    whole = file.read_bytes()
    refused: list[str] = []
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        try:
            connect(path).close()
        except DatabaseError as error:
            refused.append(str(error))
    assert len(refused) > 7 * len(whole)
    assert all(str(file) in told for told in refused)


def test_damage_in_a_vector_file_is_an_answer_that_names_the_file(client: MilvusClient, path: Path) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 5)))
    client.close()
    (file,) = path.rglob("*.vectors")
    data = bytearray(file.read_bytes())
    data[7] ^= 1
    file.write_bytes(data)
    client = connect(path)
    for call in (lambda: stored(client), lambda: search(client, query(1))):
        with pytest.raises(MilvusException, match=rf"{file.name}.*: the vectors of record 0 are not what was written"):
            call()
    client.close()


def test_a_lost_vector_file_is_an_answer_and_the_collection_can_be_dropped(client: MilvusClient, path: Path) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 5)))
    client.close()
    for file in path.rglob("0000*"):
        file.unlink()
    client = connect(path)
    with pytest.raises(
        MilvusException, match=r"damaged: .*'pages' has lost 'patches' of 5 of its 5 rows.* id 0, 1, 2, 3, 4: "
    ) as caught:
        count(client)
    assert caught.value.code == 65534
    client.drop_collection("pages")
    create(client)
    assert count(client) == 0
    client.close()


@pytest.mark.parametrize("token", ["", "wrong", "\u00fc"])
def test_only_who_has_the_token_gets_in_and_others_hear_so_at_once(
    client: MilvusClient, path: Path, token: str
) -> None:
    create(client)
    uri, _ = address(path)
    started = time.monotonic()
    with pytest.raises(MilvusException, match="answers only who has its token"):
        MilvusClient(uri, token=token, dedicated=True)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("headers", [(), (("authorization", base64.b64encode(b"wrong").decode()),)])
def test_no_call_passes_without_the_token(
    client: MilvusClient, path: Path, headers: tuple[tuple[str, str], ...]
) -> None:
    create(client)
    with grpc.insecure_channel(address(path)[0].removeprefix("http://")) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        for call, request in (
            (stub.DropCollection, milvus_pb2.DropCollectionRequest(collection_name="pages")),
            (stub.ShowCollections, milvus_pb2.ShowCollectionsRequest()),
            (stub.GetVersion, milvus_pb2.GetVersionRequest()),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(request, metadata=headers, timeout=5)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        answer = stub.Connect(milvus_pb2.ConnectRequest(), metadata=headers, timeout=5)
        assert answer.status.code == 1800
    assert client.has_collection("pages")


def test_the_port_is_reachable_on_loopback_only(client: MilvusClient, path: Path) -> None:
    assert client.list_collections() == []
    assert address(path)[0].startswith("http://127.0.0.1:")


async def test_an_asynchronous_client_does_the_same(client: MilvusClient, path: Path) -> None:
    uri, token = address(path)
    other = AsyncMilvusClient(uri, token=token)
    await other.create_collection("pages", schema=schema(client))
    await other.create_index("pages", index(client))
    await other.load_collection("pages")
    pages, question = draw(1, 20), query(1)
    await other.insert("pages", rows(pages))
    found = await other.search("pages", [EmbeddingList(question)], anns_field=FIELD, limit=10)
    assert [hit["id"] for hit in found[0]] == [key for key, _ in expected(question, pages, "MAX_SIM")]
    await other.close()


def test_faults_inside_a_call_are_answered_and_not_repeated(client: MilvusClient, path: Path) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 2)))
    for file in path.rglob("00000000.log"):
        file.unlink()
    request: dict[str, Any] = {"filter": "id >= 0", "output_fields": ["patches"]}
    scalars = connect(path)
    create(scalars, name="scalars", scalars=True)
    scalars.insert("scalars", rows(draw(1, 2), scalars=True))
    for file in path.rglob("00000000.log"):
        file.unlink()
    started = time.monotonic()
    with pytest.raises(MilvusException, match=r"database damaged: .*00000000\.log: the file has 0 bytes") as caught:
        scalars.query("scalars", **request)
    assert caught.value.code == 65534
    assert time.monotonic() - started < 5
    scalars.close()


def test_what_pymilvus_remembers_of_an_address_ends_with_its_engine(tmp_path: Path) -> None:
    first = connect(tmp_path / "one.db")
    first.create_collection("c", dimension=4)
    first.insert("c", [{"id": 1, "vector": [1.0, 0.0, 0.0, 0.0]}])
    assert len(GlobalCache.schema) > 0
    first.close()
    second = connect(tmp_path / "two.db")

    assert len(GlobalCache.schema) == 0
    second.close()


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_proxy_is_not_asked_for_an_engine_of_this_process(path: Path, name: str) -> None:
    proxy = {"no_proxy": "", "no_grpc_proxy": "", name: "http://127.0.0.1:9"}
    done = python("import sys; from colmilvus.embedded import connect; connect(sys.argv[1]).close()", path, **proxy)
    assert (done.returncode, done.stderr) == (0, "")


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, which Windows cannot")

OWNER_DIES = """
import os, signal, sys, time
from colmilvus.embedded import connect
client = connect(sys.argv[1])
pid = os.fork()
if not pid:
    time.sleep(60)
    os._exit(0)
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@forks
def test_a_forked_process_does_not_hold_the_folder_when_its_parent_is_gone(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER_DIES, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        owner.wait()
        try:
            connect(path).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_an_interrupted_close_lets_the_folder_go(path: Path) -> None:
    client = connect(path)
    plain(client, 1)
    uri, token = address(path)
    other = MilvusClient(uri, token=token, dedicated=True, timeout=1)

    def write() -> None:
        with pytest.raises(MilvusException):
            plain(other, 2)

    engine = ENGINES.running(path)
    assert engine is not None
    writer = threading.Thread(target=write)
    with engine._database.get_collection("plain").writing():
        writer.start()
        time.sleep(0.3)
        interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            client.close()
    writer.join()
    interrupt.join()
    again = connect(path)
    assert count(again, "plain") == 1
    again.close()
    other.close()


def test_an_engine_that_cannot_start_lets_the_folder_go(path: Path) -> None:
    (path / "address.json" / "full").mkdir(parents=True)
    with pytest.raises(
        DatabaseError, match=r"kb\.db cannot be opened, because .*address\.json\..*\.new cannot be written"
    ):
        connect(path)
    shutil.rmtree(path / "address.json")
    connect(path).close()


@pytest.mark.parametrize("anew", [False, True])
def test_a_folder_that_was_removed_while_open_is_begun_anew(path: Path, tmp_path: Path, anew: bool) -> None:
    if anew:
        other = connect(tmp_path / "other.db")
        plain(other, 7, 8, 9)
        other.close()
    first = connect(path)
    plain(first, 1)
    shutil.rmtree(path)
    if anew:
        (tmp_path / "other.db").rename(path)
    second = connect(path)
    assert second.has_collection("plain") == anew
    with pytest.raises(DatabaseError, match=r"kb\.db was removed or replaced while it was open; connect again"):
        first.insert("plain", [{"id": 2, "vector": [1, 2]}])
    plain(second, 3)
    first.close()
    second.close()
    third = connect(path)
    assert count(third, "plain") == 1 + 3 * anew
    third.close()


def test_closing_a_client_of_a_folder_that_was_removed_does_not_bring_it_back(path: Path) -> None:
    client = connect(path)
    plain(client, 1)
    shutil.rmtree(path)
    client.close()
    assert not path.exists()


def test_closing_a_client_of_a_folder_that_was_replaced_leaves_the_other_alone(path: Path, tmp_path: Path) -> None:
    client = connect(path)
    other = connect(tmp_path / "other.db")
    path.rename(tmp_path / "old.db")
    (tmp_path / "other.db").rename(path)
    client.close()
    assert (path / "address.json").exists()
    other.close()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder can be made in Linux's /proc")
def test_a_file_system_that_takes_no_folder_is_named() -> None:
    with pytest.raises(
        DatabaseError, match=r"/proc/kb\.db cannot be opened, because .*: No such file or directory; give"
    ):
        connect("/proc/kb.db")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("below", ["", "lite", "lite/LOCK"])
def test_a_database_that_may_not_be_written_is_named(path: Path, below: str) -> None:
    connect(path).close()
    (path / below).chmod(0o400 if below.endswith("LOCK") else 0o500)
    with pytest.raises(DatabaseError, match=r"kb\.db cannot be opened, because .*: Permission denied; give a path"):
        connect(path)
    (path / below).chmod(0o700)


def test_work_for_threads_that_have_ended_is_refused() -> None:
    workers = Workers(1, "test")
    assert workers.submit(pow, 2, 3).result(5) == 8
    workers.shutdown()
    workers.shutdown()
    with pytest.raises(RuntimeError, match="have ended"):
        workers.submit(pow, 2, 3)
