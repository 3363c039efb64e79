"""The running engines of this process, one for each path, and the clients that keep them running."""

from __future__ import annotations

import atexit
import copy
import os
import secrets
import threading
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
from pymilvus import MilvusClient
from pymilvus.client.cache import GlobalCache
from pymilvus.grpc_gen import milvus_pb2_grpc

from colmilvus.embedded import folder
from colmilvus.embedded.interceptors import Guard, Token
from colmilvus.embedded.lite import DataDirLockedError, EngineDatabase, install_filters, self_test
from colmilvus.embedded.servicer import EngineServicer
from colmilvus.embedded.workers import Workers
from colmilvus.errors import DatabaseError, DatabaseInUse

__all__ = ["Client", "address", "connect"]

REQUEST_BYTES = 64 << 20
ANSWER_BYTES = 256 << 20
WORKERS = 10
GRACE_SECONDS = 10
OPTIONS = [
    ("grpc.max_receive_message_length", REQUEST_BYTES),  # proxy.grpc.serverMaxRecvSize of a server
    ("grpc.max_send_message_length", ANSWER_BYTES),  # proxy.grpc.serverMaxSendSize
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
]
NO_PROXY = {"grpc.enable_http_proxy": 0}


class Engine:
    """The engine of one path: a gRPC server on a loopback port over Milvus Lite's database."""

    def __init__(self, path: Path) -> None:
        """Open the database and answer on a free port. Raises DatabaseError and DataDirLockedError."""
        self_test()
        install_filters()
        folder.prepare(path)
        self.path = path
        self.users = 0
        self.clients: weakref.WeakSet[Client] = weakref.WeakSet()
        self.connections: set[Any] = set()
        with ExitStack() as opened:
            self._database = EngineDatabase(folder.lite_folder(path))
            opened.callback(self._let_go)
            folder.forget_address(path)
            self.token = secrets.token_urlsafe(32)
            self._workers = Workers(WORKERS, "colmilvus-engine")
            opened.callback(self._workers.shutdown, wait=False)
            self._server = grpc.server(self._workers, interceptors=[Token(self.token), Guard()], options=OPTIONS)
            opened.callback(self._end_calls)
            opened.callback(self._forget_address)
            self._start()
            self._opened = opened.pop_all()

    def _start(self) -> None:
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(EngineServicer(self._database), self._server)
        self.uri = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        # pymilvus remembers schemas by address, and the system gives the port of an engine that ended to another.
        GlobalCache.schema.clear()
        GlobalCache.collection_ts.clear()
        self._server.start()
        folder.write_address(self.path, self.uri, self.token)

    def stop(self) -> None:
        """Finish the calls in progress, flush, and let the folder go; it is let go where this is interrupted, too.

        Calls that take longer than ``GRACE_SECONDS`` are cancelled.
        """
        self._opened.close()

    def _forget_address(self) -> None:
        if self.in_place():
            folder.forget_address(self.path)

    def _end_calls(self) -> None:
        try:
            self._server.stop(GRACE_SECONDS).wait()
            self._workers.shutdown()
        finally:
            self._server.stop(None)

    def _let_go(self) -> None:
        if self.in_place():
            self._database.close()
        else:
            self._database.leave()

    def in_place(self) -> bool:
        """Whether the folder is still the one that was opened, neither removed nor replaced by another."""
        return self._database.in_place()

    def abandon(self) -> None:
        """Let the folder go at once; what was acknowledged is on disk, and is read back at the next opening."""
        self._forget_address()
        # gRPC tells the user about a server that ends before its clients.
        for connection in list(self.connections):
            MilvusClient.close(connection)
        self._server.stop(None)

    def lose(self) -> None:
        """End without a write, because the folder was removed or replaced."""
        self.abandon()
        self._workers.shutdown(wait=False)
        self._leave(f"{self.path} was removed or replaced while it was open; connect again")

    def leave_to_parent(self) -> None:
        """Touch nothing that a forked process shares with the one it was forked from, and hold its lock no longer."""
        self._leave(f"this client of {self.path} belongs to the process that this one was forked from")

    def _leave(self, reason: str) -> None:
        for client in list(self.clients):
            client.end(reason)
        self._database.leave()


class Engines:
    """The engines of this process by real path. Starting, counting and stopping happen one at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._running: dict[Path, Engine] = {}

    def take(self, path: Path) -> Engine:
        """The engine of ``path``, started if it does not run, with one client more."""
        with self._lock:
            engine = self._running.get(path)
            if engine is not None and not engine.in_place():
                self._running.pop(path).lose()
                engine = None
            if engine is None:
                engine = self._running[path] = _open(path)
            engine.users += 1
            return engine

    def give_back(self, engine: Engine) -> None:
        """One client less; the engine stops with the last."""
        with self._lock:
            engine.users -= 1
            if not engine.users and self._running.get(engine.path) is engine:
                del self._running[engine.path]
                engine.stop()

    def running(self, path: Path) -> Engine | None:
        with self._lock:
            return self._running.get(path)

    def abandon_all(self) -> None:
        with self._lock:
            while self._running:
                self._running.popitem()[1].abandon()

    def before_fork(self) -> None:
        """Let no engine start or stop while the process forks."""
        self._lock.acquire()

    def after_fork(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew, without the threads of the engines."""
        left, self._running = self._running, {}
        # Kept: the objects of gRPC, when they end, wait for threads that this process does not have.
        INHERITED.extend(left.values())
        self._lock = threading.RLock()
        for engine in left.values():
            engine.leave_to_parent()


ENGINES = Engines()
INHERITED: list[Engine] = []
atexit.register(ENGINES.abandon_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=ENGINES.before_fork,
        after_in_parent=ENGINES.after_fork,
        after_in_child=ENGINES.after_fork_in_child,
    )


class Ended:
    """Stands for the connection of a client that has lost its engine: whatever is asked of it raises DatabaseError."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise DatabaseError(self._reason)


class Client(MilvusClient):  # type: ignore[misc]  # pymilvus has no types
    """A MilvusClient that keeps its engine running until it is closed or no longer used."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(uri=engine.uri, token=engine.token, dedicated=True, grpc_options=NO_PROXY)
        # A copy has the same connection, and can still close it when this object is gone.
        self._connection = copy.copy(self)
        self._leave = weakref.finalize(self, _leave_later, self._connection, engine)
        self._leave.atexit = False
        self._engine = engine
        engine.connections.add(self._connection)
        engine.clients.add(self)

    def end(self, reason: str) -> None:
        """Answer every later call with a DatabaseError; nothing is closed."""
        self._leave.detach()
        self._handler = Ended(reason)

    def close(self) -> None:
        """Close the connection; the engine stops, once flushed, with its last client."""
        if isinstance(getattr(self, "_handler", None), Ended):
            return
        left = getattr(self, "_leave", None)
        super().close()
        if left is not None and left.detach():
            _leave(self._connection, self._engine)


def connect(path: Path) -> Client:
    """A client of the engine of ``path``, a real path."""
    engine = ENGINES.take(path)
    try:
        return Client(engine)
    except BaseException:
        ENGINES.give_back(engine)
        raise


def address(path: Path) -> tuple[str, str]:
    """Uri and token of the engine of ``path``, a real path. Raises DatabaseError where this process runs none."""
    engine = ENGINES.running(path)
    if engine is None:
        raise DatabaseError(f"this process does not run the engine of {path}; call colmilvus.embedded.connect first")
    return engine.uri, engine.token


def _leave_later(connection: Any, engine: Engine) -> None:
    # Garbage may be collected in any thread, the engine's own among them, and with any lock held.
    with suppress(RuntimeError):
        threading.Thread(target=_leave, args=(connection, engine), name="colmilvus-engine-stop").start()


def _leave(connection: Any, engine: Engine) -> None:
    MilvusClient.close(connection)
    engine.connections.discard(connection)
    ENGINES.give_back(engine)


def _open(path: Path) -> Engine:
    try:
        return Engine(path)
    except DataDirLockedError as error:
        raise _in_use(path) from error
    except OSError as error:
        raise DatabaseError(
            f"{path} cannot be opened, because {error.filename or path} cannot be written: {error.strerror or error}; "
            "give a path in a folder where this user may write"
        ) from error


def _in_use(path: Path) -> DatabaseInUse:
    found = folder.read_address(path)
    uri = found.get("uri")
    holder = f"process {found.get('pid')} at {uri}" if uri else "another process"
    return DatabaseInUse(
        f"{path} is held by {holder}; close it there, or use it through that process: take its address for the path "
        f"(uri=, --db) and the token in {path / 'address.json'} (token=, COLMILVUS_TOKEN)",
        uri,
    )
