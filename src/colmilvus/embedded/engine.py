"""The engine of one path: Milvus Lite's database, and the ways by which calls reach it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
from pymilvus.client.cache import GlobalCache
from pymilvus.grpc_gen import milvus_pb2_grpc

from colmilvus.embedded import folder
from colmilvus.embedded.dispatch import ANSWER_BYTES, REQUEST_BYTES, Dispatch, Metadata, Reply, failed
from colmilvus.embedded.forks import FORKING, in_child
from colmilvus.embedded.interceptors import Guard, Token
from colmilvus.embedded.line import LineServer, Moved
from colmilvus.embedded.lite import EngineDatabase, install_filters, self_test
from colmilvus.embedded.servicer import EngineServicer
from colmilvus.embedded.workers import Workers
from colmilvus.errors import DatabaseError

__all__ = ["Engine"]

WORKERS = 10
GRACE_SECONDS = 10.0
GRACE_SECONDS_AT_EXIT = 2.0
OPTIONS = [
    ("grpc.max_receive_message_length", REQUEST_BYTES),
    ("grpc.max_send_message_length", ANSWER_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
]
ALIVE: set[Engine] = set()
"""The engines of this process that hold a folder."""
INHERITED: list[Engine] = []
"""Those of the process that this one was forked from; kept, because gRPC's objects wait for its threads when they end.
"""


class Engine:
    """Milvus Lite's database of one path, which calls reach from this process, over the line, and over gRPC."""

    def __init__(self, path: Path, token: str | None = None) -> None:
        """Open the database and answer on a free port. Raises DatabaseError and DataDirLockedError."""
        self_test()
        install_filters()
        folder.prepare(path)
        self.path = path
        self.uri: str | None = None
        self._gate = threading.Condition()
        self._running = 0
        self._is_ending = False
        self._server: Any = None
        self._serves = False
        with ExitStack() as opened:
            with FORKING:
                self._database = EngineDatabase(folder.lite_folder(path))
                ALIVE.add(self)
            opened.callback(ALIVE.discard, self)
            opened.callback(self._let_go)
            folder.forget_address(path)
            self.token = token or secrets.token_hex(32)
            self._workers = Workers(WORKERS, "colmilvus-engine")
            opened.callback(self._workers.shutdown, wait=False)
            self._servicer = EngineServicer(self._database)
            self._dispatch = Dispatch(self._servicer)
            # pymilvus remembers schemas, and another process may have changed them.
            GlobalCache.schema.clear()
            GlobalCache.collection_ts.clear()
            self._line = LineServer(self)
            opened.callback(self._end_calls)
            opened.callback(self._forget_address)
            self._tell()
            self._opened = opened.pop_all()

    def _tell(self) -> None:
        folder.write_address(self.path, self._line.port, self.token, self.uri)

    # Calls

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Let the engine not end meanwhile. Raises Moved where it does already."""
        self._enter()
        try:
            yield
        finally:
            self._exit()

    def _enter(self) -> None:
        with self._gate:
            if self._is_ending:
                raise Moved
            self._running += 1

    def _exit(self, _: Any = None) -> None:
        with self._gate:
            self._running -= 1
            self._gate.notify_all()

    def answer(self, method: str, metadata: Metadata, payload: Any, announce: Callable[[int], None]) -> Reply:
        """Carry a call out in this thread, in which no interrupt may reach it."""
        if method == "Address":  # the line's own: the engine listens for gRPC, too
            self.listen()
            return Reply(0, "", b"")
        if method == "HandOver":  # the line's own: the engine ends here, for another process that asks
            if self._serves:
                return failed(grpc.StatusCode.FAILED_PRECONDITION, f"it is served at {self.uri}")
            threading.Thread(target=self.stop, name="colmilvus-engine-stop").start()
            return Reply(0, "", b"")
        return self._dispatch.run(method, metadata, payload, announce)

    def call(self, method: str, metadata: Metadata, payload: bytes, timeout: float | None) -> Reply:
        """Carry a call out in another thread. Raises Moved where the engine ends, TimeoutError after so many seconds.

        What was begun is done, though nobody may wait for it any more.
        """
        if method == "HandOver":  # asked of another process's engine, which ended meanwhile: this one is the asker's
            return Reply(0, "", b"")
        self._enter()
        try:
            future: Future[Reply] = self._workers.submit(self.answer, method, metadata, payload, _unheard)
        except BaseException:
            self._exit()
            raise
        future.add_done_callback(self._exit)
        return future.result(timeout)

    def listen(self, address: str = "127.0.0.1:0", credentials: Any = None, *, serves: bool = False) -> str:
        """Answer calls over gRPC, too; the uri at which. With ``serves`` the engine is not handed over any more.

        Raises DatabaseError where that cannot be.
        """
        with self._gate:
            if serves and self.uri is not None:
                raise DatabaseError(f"{self.path} is served at {self.uri} already")
            self._serves = serves
            if self.uri is None:
                self.uri = self._listening(address, credentials)
                self._tell()
            return self.uri

    def _listening(self, address: str, credentials: Any) -> str:
        if any(engine.uri for engine in INHERITED):
            raise DatabaseError(
                f"this process was forked from one that answered for {self.path} over gRPC, which does not survive a "
                "fork; ask for the address in a process that is started, or run: colmilvus serve"
            )
        server = grpc.server(self._workers, interceptors=[Token(self.token), Guard()], options=OPTIONS)
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(self._servicer, server)
        host = address.rpartition(":")[0]
        try:
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise DatabaseError(
                f"cannot listen at {address}: another program has the port, or this machine has no such address; give "
                "another port, or 0 for one that is free"
            ) from error
        server.start()
        self._server = server
        return f"{'http' if credentials is None else 'https'}://{host}:{port}"

    # The end

    @property
    def has_ended(self) -> bool:
        """Whether no call is answered any more."""
        return self._is_ending

    def stop(self) -> None:
        """Finish the calls in progress, flush, and let the folder go; it is let go where this is interrupted, too.

        Who waits longer than ``GRACE_SECONDS`` for an answer hears that the engine ended.
        """
        self._opened.close()

    def _end_calls(self) -> None:
        try:
            self._close_gate(GRACE_SECONDS)
            self._line.end()
            if self._server is not None:
                self._server.stop(GRACE_SECONDS).wait()
            self._workers.shutdown()
            with self._gate:
                self._gate.wait_for(lambda: not self._running)
        finally:
            self._line.end()
            if self._server is not None:
                self._server.stop(None)

    def _close_gate(self, seconds: float) -> None:
        """Admit no call any more, and wait for those in progress."""
        with self._gate:
            self._is_ending = True
            self._gate.wait_for(lambda: not self._running, seconds)

    def _forget_address(self) -> None:
        if self.in_place():
            folder.forget_address(self.path)

    def _let_go(self) -> None:
        if self.in_place():
            self._database.close()
        else:
            self._database.rest()
            self._database.leave()

    def in_place(self) -> bool:
        """Whether the folder is still the one that was opened, neither removed nor replaced by another."""
        return bool(self._database.in_place())

    def abandon(self) -> None:
        """Let the folder go without a flush; what was acknowledged is on disk, and is read back at the next opening."""
        self._close_gate(GRACE_SECONDS_AT_EXIT)
        self._forget_address()
        self._line.end()
        if self._server is not None:
            self._server.stop(None)
        self._database.rest()

    def lose(self) -> None:
        """End without a write, because the folder was removed or replaced."""
        self.abandon()
        self._workers.shutdown(wait=False)
        self._database.leave()
        ALIVE.discard(self)

    def leave_to_parent(self) -> None:
        """Touch nothing that a forked process shares with the one it was forked from, and hold its lock no longer."""
        if hasattr(self, "_line"):  # not where the fork came while it was opened
            self._line.leave()
        self._database.leave()


@in_child
def _leave_all() -> None:
    INHERITED.extend(ALIVE)
    ALIVE.clear()
    for engine in INHERITED:
        engine.leave_to_parent()


def _unheard(first_id: int) -> None:
    """Nothing: who asks from the engine's own process cannot outlive it."""
