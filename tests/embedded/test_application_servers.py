"""Programs that others start in many processes: uvicorn with workers, gunicorn with preload, a worker of Celery."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from celery import Celery
from numpy.typing import NDArray

from colmilvus import Collection, Entity, MultiVector, maxsim

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks, which Windows has not")

DIM = 4
CLIENTS, PAGES = 5, 6
SECONDS = 60
"""How long anything may take before it counts as hanging."""
WORKERS = 3
"""Processes of Celery's pool."""

OPENED = f"""
import json, os
from colmilvus import Collection, Entity, MultiVector

pages = Collection("pages", uri="kb.db", dim={DIM}, metric="IP")

def add(asked: dict):
    done = pages.add([Entity(asked["id"])], vectors=[asked["vectors"]], progress=False)
    return {{"pid": os.getpid(), "stored": done.added + done.unchanged}}

def search(asked: dict):
    hits = pages.search(MultiVector(asked["vectors"]), k=100)
    return {{"pid": os.getpid(), "found": [(hit.entity.id, hit.score) for hit in hits]}}
"""
ASGI = """
from fastapi import FastAPI

app = FastAPI()
app.post("/add")(add)
app.post("/search")(search)
"""
WSGI = """
def app(environ, start_response):
    asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    answer = {"/add": add, "/search": search}[environ["PATH_INFO"]](asked)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""
TASKS = """
from celery import Celery

app = Celery("program")
app.conf.update(json.loads(os.environ["CELERY"]))

@app.task
def add_and_search(asked):
    return {**add(asked), **search(asked)}
"""


class Server:
    """A program and the processes that it starts; each of them has its output open until it ends."""

    def __init__(self, folder: Path, program: str, command: list[str], **environment: str) -> None:
        (folder / "program.py").write_text(OPENED + program)
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "HOME": str(folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """What the pattern's group matches, once it was printed so often."""
        until = time.monotonic() + SECONDS
        while len(found := re.findall(pattern, self.output)) < times:
            assert time.monotonic() < until, f"{pattern} was not printed {times} times"
            assert self.process.poll() is None, "the server has ended"
            time.sleep(0.02)
        return str(found[0])

    def end(self) -> None:
        """Ask it to end, which it does in time, with every process that it started."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0
        self._reader.join(SECONDS)
        assert not self._reader.is_alive(), "a process of the server is left"

    def kill(self) -> None:
        if self._reader.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self.process.stdout
        self.process.stdout.close()


@contextmanager
def server(folder: Path, program: str, command: list[str], **environment: str) -> Iterator[Server]:
    """Such a program, nothing of which is left at the end; what it has printed is shown where a test fails."""
    started = Server(folder, program, command, **environment)
    try:
        yield started
    finally:
        started.kill()
        print(started.output)  # noqa: T201


def vectors_of(name: str) -> NDArray[np.float32]:
    found = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(3, DIM))
    return found.astype(np.float32)


def asked(name: str) -> dict[str, Any]:
    return {"id": name, "vectors": vectors_of(name).tolist()}


def check(found: list[tuple[str, float]], query: str, stored: set[str]) -> None:
    """Everything that was stored before the search is there, once, ranked and scored as numpy does."""
    names, scores = [name for name, _ in found], [score for _, score in found]
    assert stored <= set(names)
    assert len(set(names)) == len(names)
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, [maxsim(vectors_of(query), vectors_of(name), "IP") for name in names], rtol=1e-4)


def check_stored(folder: Path, names: set[str]) -> None:
    """A process that opens the folder, once the server has ended, finds just that."""
    with Collection("pages", uri=folder / "kb.db", dim=DIM, metric="IP") as pages:
        hits = pages.search(MultiVector(vectors_of("last")), k=100)
    assert {hit.entity.id for hit in hits} == names
    check([(hit.entity.id, hit.score) for hit in hits], "last", names)


class Client:
    """Asks a server over HTTP, each time over a connection of its own; again where the one that answers is killed."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            timeout=SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=False,
        )
        self.answered: set[int] = set()

    def ask(self, what: str, name: str) -> dict[str, Any]:
        until = time.monotonic() + SECONDS
        while True:
            try:
                reply = self._http.post(what, json=asked(name))
                break
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        self.answered.add(answer["pid"])
        return answer

    def work(self, number: int, halfway: threading.Barrier) -> set[str]:
        """Store pages, and find them; in the middle wait for the others."""
        stored: set[str] = set()
        for page in range(PAGES):
            if page == PAGES // 2:
                halfway.wait(SECONDS)
            name = f"{number}-{page}"
            assert self.ask("/add", name)["stored"] == 1
            stored.add(name)
            check(self.ask("/search", name)["found"], name, stored)
        return stored


def work_of_many(url: str, halfway: Callable[[], None]) -> tuple[set[str], set[int]]:
    """What many clients stored who ask at once, and which processes answered; ``halfway`` is called once."""
    clients = [Client(url) for _ in range(CLIENTS)]
    barrier = threading.Barrier(CLIENTS, action=halfway)
    with ThreadPoolExecutor(CLIENTS) as threads:
        works = [threads.submit(each.work, number, barrier) for number, each in enumerate(clients)]
        stored = set().union(*(work.result() for work in works))
    assert len(stored) == CLIENTS * PAGES
    return stored, set().union(*(each.answered for each in clients))


UVICORN = ["uvicorn", "program:app", "--workers", "4", "--port", "0", "--no-access-log"]
GUNICORN = ["gunicorn", "program:app", "--preload", "--workers", "2", "--threads", "3", "--bind", "127.0.0.1:0"]

CELERY = [
    "celery",
    "--app",
    "program",
    "worker",
    "--pool",
    "prefork",
    "--concurrency",
    str(WORKERS),
    "--loglevel",
    "WARNING",
]


def owner(folder: Path) -> int:
    """The process that runs the engine."""
    return int(json.loads((folder / "kb.db" / "address.json").read_text())["pid"])


def check_end(folder: Path, server: Server, names: set[str]) -> None:
    """The server ends when it is told to, has complained of nothing, and leaves everything that was stored."""
    server.end()
    assert "Traceback" not in server.output
    check_stored(folder, names)


def test_uvicorn_with_workers_of_which_the_one_that_runs_the_engine_is_killed(tmp_path: Path) -> None:
    with server(tmp_path, ASGI, UVICORN) as uvicorn:
        url = uvicorn.wait_for(r"running on (http://\S+)")
        uvicorn.wait_for("Application startup complete", 4)
        killed = owner(tmp_path)
        stored, answered = work_of_many(url, lambda: os.kill(killed, signal.SIGKILL))
        uvicorn.wait_for("Application startup complete", 5)
        workers = {int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", uvicorn.output)}
        assert killed in workers
        assert answered <= workers
        assert len(answered) > 1
        assert owner(tmp_path) in workers - {killed}
        check(Client(url).ask("/search", "a")["found"], "a", stored)
        check_end(tmp_path, uvicorn, stored)


def test_gunicorn_with_preload_of_which_a_worker_is_killed(tmp_path: Path) -> None:
    with server(tmp_path, WSGI, GUNICORN) as gunicorn:
        url = gunicorn.wait_for(r"Listening at: (http://\S+)")
        killed = int(gunicorn.wait_for(r"Booting worker with pid: (\d+)", 2))
        stored, answered = work_of_many(url, lambda: os.kill(killed, signal.SIGKILL))
        gunicorn.wait_for("Booting worker", 3)
        assert answered <= {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", gunicorn.output)}
        assert len(answered) > 1
        assert owner(tmp_path) == gunicorn.process.pid, "it opened the path before it forked"
        check(Client(url).ask("/search", "a")["found"], "a", stored)
        check_end(tmp_path, gunicorn, stored)
    assert not (tmp_path / "kb.db" / "address.json").exists()


def settings_of_celery(folder: Path) -> dict[str, Any]:
    """A broker and results that are files."""
    for name in ("tasks", "control", "results"):
        (folder / name).mkdir()
    folders = {"data_folder_in": "tasks", "data_folder_out": "tasks", "control_folder": "control"}
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {key: str(folder / name) for key, name in folders.items()},
        "result_backend": f"file://{folder / 'results'}",
    }


def test_a_worker_of_celery_beside_a_process_that_has_joined(tmp_path: Path) -> None:
    settings = settings_of_celery(tmp_path)
    sender = Celery(set_as_current=False)
    sender.conf.update(settings)
    names = [f"{number}-{page}" for number in range(CLIENTS) for page in range(PAGES)]
    # All of them before there is a worker: it would read what is half written.
    tasks = [sender.send_task("program.add_and_search", [asked(name)]) for name in names]
    with server(tmp_path, TASKS, CELERY, CELERY=json.dumps(settings)) as celery:
        answers = [tasks[0].get(SECONDS, interval=0.02)]
        with Collection("pages", uri=tmp_path / "kb.db", dim=DIM, metric="IP") as pages:
            pages.add([Entity("joined")], vectors=[vectors_of("joined")], progress=False)
            answers += [task.get(SECONDS, interval=0.02) for task in tasks[1:]]
            assert owner(tmp_path) == celery.process.pid, "it opened the path before it forked"
            assert pages.count() == len(names) + 1
        for name, answer in zip(names, answers, strict=True):
            assert answer["stored"] == 1
            check(answer["found"], name, {name})
        workers = {answer["pid"] for answer in answers}
        assert 1 < len(workers) <= WORKERS
        assert celery.process.pid not in workers
        check_end(tmp_path, celery, {*names, "joined"})
    assert not (tmp_path / "kb.db" / "address.json").exists()
