"""How processes of one user reach the engine that one of them runs: a loopback port that lets in who has the token.

Beside gRPC, because gRPC does not survive a fork. Before the engine carries out a call that must not be made twice, it
says so: a caller that did not hear this knows that nothing was done.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Protocol

from colmilvus.embedded.dispatch import NOT_TWICE, REQUEST_BYTES, Metadata, Reply
from colmilvus.embedded.forks import FORKING
from colmilvus.embedded.frames import greet, receive, send, welcome

__all__ = ["Line", "LineServer", "Lost", "Moved"]

HOST = "127.0.0.1"
GREETING_SECONDS = 5.0
IDLE = 8
SELECTOR = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Moved(Exception):
    """The engine ends here, and did not carry the call out."""


class Lost(Exception):
    """The engine ended during the call, which it may have carried out; ``first_id`` is what it numbers rows from."""

    def __init__(self, first_id: int) -> None:
        self.first_id = first_id
        super().__init__("the engine ended during a call")


class Answering(Protocol):
    """What a line leads to."""

    token: str

    def admitted(self) -> Any:
        """A context manager in which the engine does not end. Raises Moved where it does."""

    def answer(self, method: str, metadata: Metadata, payload: Any, announce: Callable[[int], None]) -> Reply:
        """Carry one call out."""


class LineServer:
    """Answers other processes of this user, each of their connections in a thread of its own."""

    def __init__(self, engine: Answering) -> None:
        self._engine = engine
        self._connections: set[socket.socket] = set()
        self._ended = False
        with FORKING:
            self._listener = socket.create_server((HOST, 0), backlog=64)
            self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="colmilvus-line", daemon=True)
        self._accepting.start()

    def has_ended(self) -> bool:
        """Whether nobody is answered any more; another thread may say so at any moment."""
        return self._ended

    def _accept(self) -> None:
        waiting = SELECTOR()
        waiting.register(self._listener, selectors.EVENT_READ)
        with closing(waiting):
            while not self.has_ended():
                waiting.select()
                # A connection is known from its beginning, so that a forked process can close what it inherits.
                with FORKING, suppress(OSError):
                    if self.has_ended():
                        return
                    connection = self._listener.accept()[0]
                    self._connections.add(connection)
                    threading.Thread(
                        target=self._serve, args=(connection,), name="colmilvus-line-call", daemon=True
                    ).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(GREETING_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            welcome(connection, self._engine.token)
            connection.settimeout(None)
            while (found := receive(connection, REQUEST_BYTES)) is not None:
                self._answer(connection, *found)
        except (OSError, ValueError, KeyError, Moved):
            pass  # who called has gone, or was none of ours
        finally:
            self._connections.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, head: dict[str, Any], payload: bytearray) -> None:
        with self._engine.admitted():
            if head["method"] in NOT_TWICE:
                send(connection, {"begun": 0})
            metadata = [(key, value) for key, value in head["metadata"]]
            reply = self._engine.answer(
                head["method"], metadata, payload, lambda first: send(connection, {"begun": first})
            )
            send(connection, {"code": reply.code, "details": reply.details}, bytes(reply.payload))

    def end(self) -> None:
        """Answer nobody any more; whoever waits for an answer sees the connection close."""
        if not self._ended:
            self._ended = True
            with suppress(OSError), socket.create_connection((HOST, self.port), GREETING_SECONDS):
                self._accepting.join()  # it was waiting for somebody to call
        with FORKING:
            self._listener.close()
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close what a forked process inherited; the engine of the other process goes on answering."""
        self._ended = True
        self._listener.close()
        for connection in self._connections:
            connection.close()


class Line:
    """Connections to the engine that another process runs, each for one call at a time."""

    def __init__(self, port: int, token: str) -> None:
        """Raises OSError where the engine is not there, or is not the one that the token is of."""
        self.port = port
        self._token = token
        self._lock = threading.Lock()
        self._is_closed = False
        self._all: set[socket.socket] = set()
        self._idle: list[socket.socket] = []
        self._idle.append(self._connected(GREETING_SECONDS))

    def call(self, method: str, metadata: Metadata, payload: bytes, timeout: float | None) -> Reply:
        """Ask for one call. Raises Moved and Lost where the engine ends, TimeoutError after so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        try:
            connection = self._taken(timeout)
        except OSError as error:
            raise Moved from error
        is_whole = False
        try:
            reply = _asked(connection, method, metadata, payload, end)
            is_whole = True
            return reply
        finally:
            if not (is_whole and self._kept(connection)):
                self._close(connection)

    def _kept(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._is_closed or len(self._idle) >= IDLE:
                return False
            self._idle.append(connection)
            return True

    def _taken(self, timeout: float | None) -> socket.socket:
        while (connection := self._last_idle()) is not None:
            if _is_quiet(connection):
                return connection
            self._close(connection)
        return self._connected(GREETING_SECONDS if timeout is None else min(timeout, GREETING_SECONDS))

    def _last_idle(self) -> socket.socket | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _connected(self, timeout: float) -> socket.socket:
        with FORKING:
            connection = socket.socket()
            self._all.add(connection)
        try:
            connection.settimeout(timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect((HOST, self.port))
            greet(connection, self._token)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _close(self, connection: socket.socket) -> None:
        self._all.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close the connections that no call is using, and the others when their calls have ended."""
        self._is_closed = True
        while (connection := self._last_idle()) is not None:
            self._close(connection)

    def leave(self) -> None:
        """Close what a forked process inherited, the connections too that a thread of its parent is using."""
        for connection in list(self._all):
            self._close(connection)


def _is_quiet(connection: socket.socket) -> bool:
    """Whether the other side has neither closed the idle connection nor said anything on it."""
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return True
    except OSError:
        return False
    return False


def _asked(connection: socket.socket, method: str, metadata: Metadata, payload: bytes, end: float | None) -> Reply:
    has_begun, first_id = False, 0
    try:
        _limit(connection, end)
        send(connection, {"method": method, "metadata": list(metadata)}, payload)
        while True:
            _limit(connection, end)
            found = receive(connection)
            if found is None:
                raise ConnectionResetError("the other side closed")
            head, body = found
            if "begun" not in head:
                return Reply(head["code"], head["details"], body)
            has_begun, first_id = True, head["begun"]
    except TimeoutError:
        raise
    except OSError as error:
        if has_begun:
            raise Lost(first_id) from error
        raise Moved from error


def _limit(connection: socket.socket, end: float | None) -> None:
    """Let the next sending or receiving take until then."""
    left = None if end is None else end - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError
    connection.settimeout(left)
