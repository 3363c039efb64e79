"""A process that is forked after opening joins afresh, takes over when its parent ends, and never hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from colmilvus.embedded import connect
from tests.embedded.pages import count
from tests.embedded.test_engine import python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

FORK = """
import concurrent.futures, gc, multiprocessing, os, signal, sys, threading, time
from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedded import address, connect
signal.alarm(40)
path, child = sys.argv[1:]
client = connect(path)
client.create_collection("plain", dimension=2)
client.insert("plain", [{"id": 1, "vector": [1, 2]}])
def run():
    global client
    signal.alarm(20)
    exec(child, globals())
"""
BY_OS = """
pid = os.fork()
if not pid:
    run()
    sys.exit(0)
code = os.waitpid(pid, 0)[1]
"""
BY_MULTIPROCESSING = """
process = multiprocessing.get_context("fork").Process(target=run)
process.start()
process.join()
code = process.exitcode
"""
AFTERWARDS = """
assert code == 0, code
assert os.path.exists(path + "/address.json")
client.upsert("plain", [{"id": 2, "vector": [1, 2]}])
assert [row["id"] for row in client.query("plain", filter="id > 0")] == [1, 2]
os._exit(2)
"""
CHILDREN = {
    "exit": "pass",
    "close": "client.close(); client.close()",
    "del": "del client; gc.collect()",
    "call": "client.upsert('plain', [{'id': 2, 'vector': [1, 2]}]); assert len(client.query('plain', filter='id > 0'))",
    "connect": "other = connect(path); assert other.list_collections() == ['plain']; address(path); other.close()",
    "fork": "pid = os.fork(); client.list_collections()\nif not pid: os._exit(0)\nassert not os.waitpid(pid, 0)[1]",
}


@pytest.mark.parametrize(
    ("how", "child"),
    [(BY_OS, child) for child in CHILDREN] + [(BY_MULTIPROCESSING, child) for child in ("exit", "del", "call")],
    ids=[f"os-{child}" for child in CHILDREN] + [f"multiprocessing-{name}" for name in ("exit", "del", "call")],
)
def test_a_forked_process_uses_what_it_inherits_and_leaves_its_parents_engine_alone(
    path: Path, how: str, child: str
) -> None:
    done = python(FORK + how + AFTERWARDS, path, CHILDREN[child])
    assert (done.returncode, done.stderr) == (2, "")
    client = connect(path)
    assert count(client, "plain") == 2
    client.close()


PRELOADED = (
    FORK
    + """
notes = Collection("notes", dim=2, metric="IP", uri=path)
notes.add([Entity("0")], vectors=[[[1, 0]]], progress=False)
if child == "grpc":
    address(path)
stop = threading.Event()
def work(thread):
    number = 0
    while not stop.is_set():
        client.upsert("plain", [{"id": 100 * thread + number % 50, "vector": [1, 2]}])
        client.query("plain", filter="id > 0", limit=5)
        number += 1
def write():
    number = 0
    while not stop.is_set():
        number += 1
        notes.add([Entity("busy")], vectors=[[[1, number]]], progress=False)
busy = [threading.Thread(target=work, args=(i,)) for i in range(2)] + [threading.Thread(target=write)]
for thread in busy:
    thread.start()
def serve(number):
    signal.alarm(30)
    for turn in range(3):
        notes.add([Entity(f"{number}-{turn}")], vectors=[[[1, number]]], progress=False)
        assert notes.search(MultiVector([[1, 0]]), k=1)
    return number
pids = []
for number in range(1, 5):
    pid = os.fork()
    if not pid:
        serve(number)
        os._exit(0)
    pids.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in pids]
with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
    assert list(pool.map(serve, [5, 6])) == [5, 6]
stop.set()
for thread in busy:
    thread.join()
assert codes == [0, 0, 0, 0], codes
assert notes.count() == 20, notes.count()
notes.close()
client.close()
"""
)


@pytest.mark.parametrize("grpc", ["grpc", "none"])
def test_forks_in_the_middle_of_other_threads_calls_do_not_hang_and_lose_nothing(path: Path, grpc: str) -> None:
    done = python(PRELOADED, path, grpc)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("grpc", ["grpc", "none"])
def test_a_forked_process_takes_over_when_its_parent_is_gone_and_others_join_it(path: Path, grpc: str) -> None:
    code = (
        FORK
        + f"""
if {grpc!r} == "grpc":
    address(path)
parent = os.getpid()
if os.fork():
    os.kill(parent, signal.SIGKILL)
while os.getppid() == parent:
    time.sleep(0.01)
client.upsert("plain", [{{"id": 2, "vector": [1, 2]}}])
print("ready", flush=True)
sys.stdin.readline()
try:
    uri = address(path)[0]
except Exception as error:
    uri = str(error)
print(uri, flush=True)
"""
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path), ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        client = connect(path)
        assert count(client, "plain") == 2
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if grpc == "grpc":
            assert "was forked from one that answered for" in answer
        else:
            assert answer.startswith("http://127.0.0.1:")
        process.stdout.read()
        assert count(client, "plain") == 2
        client.close()
