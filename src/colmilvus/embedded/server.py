"""This process's part in each path: it runs the engine, or has joined the one that another process runs."""

from __future__ import annotations

import atexit
import itertools
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import grpc
from pymilvus.client.cache import GlobalCache

from colmilvus.embedded import folder
from colmilvus.embedded.dispatch import (
    FIRST_ID,
    NOT_TWICE,
    REQUEST_BYTES,
    Metadata,
    Reply,
    failed,
    too_large,
    with_reason,
)
from colmilvus.embedded.engine import Engine
from colmilvus.embedded.forks import in_child
from colmilvus.embedded.line import Line, Lost, Moved
from colmilvus.embedded.lite import DataDirLockedError
from colmilvus.embedded.workers import Workers
from colmilvus.errors import DatabaseError, DatabaseInUse

__all__ = ["ENGINES", "Member", "address"]

PATIENCE_SECONDS = 20.0
"""How long an engine may take to start or to end, before whoever waits for it gives up."""
WAITING = 16
"""Calls of one path that wait for their answers in threads of their own."""
NUMBERS = itertools.count(1)
PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.2
LATE = failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
REPEATED = (
    "; the engine that was asked first ended before it answered, and may have done it already: see what is there "
    "before asking again"
)


class Member:
    """One path in this process: calls go to the engine, wherever it runs, and to the next one when it ends.

    It runs in the process that opened the path first; when that ends, in the one that makes the next call.
    """

    def __init__(self, path: Path, token: str | None = None) -> None:
        self.path = path
        self.token = token
        self.name = f"http://embedded-{next(NUMBERS)}:1"  # nobody asks there; pymilvus remembers schemas by it
        self.users = 0
        self.clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self.begin()

    def begin(self) -> None:
        """Know of no engine, as at first and after a fork."""
        self._lock = threading.Lock()
        self._workers_lock = threading.Lock()
        self._workers: Workers | None = None
        self.engine: Engine | None = None
        self._line: Line | None = None

    @property
    def workers(self) -> Workers:
        """The threads in which calls wait whose callers do not."""
        with self._workers_lock:
            self._workers = self._workers or Workers(WAITING, "colmilvus-waiting")
            return self._workers

    def exchange(self, method: str, metadata: Metadata, payload: bytes, timeout: float | None) -> Reply:
        """Make one call. Raises DatabaseError where no engine can be reached or started.

        A call whose engine ended meanwhile is made again, with the ids that its rows had been given before.
        """
        if len(payload) > REQUEST_BYTES:
            return too_large("Received", payload, REQUEST_BYTES)
        end = None if timeout is None else time.monotonic() + timeout
        is_repeated = False
        while True:
            place: Engine | Line | None = None
            try:
                place = self.find(end)
                reply = place.call(method, metadata, payload, _left(end))
                return with_reason(method, reply, REPEATED) if is_repeated and method in NOT_TWICE else reply
            except Moved:
                self._forget(place)
            except Lost as lost:
                is_repeated = True
                if lost.first_id:
                    metadata = [*metadata, (FIRST_ID, str(lost.first_id))]
                self._forget(place)
            except TimeoutError:
                return LATE

    def find(self, end: float | None = None) -> Engine | Line:
        """The engine of this process or the line to another's, started or joined if need be.

        Raises TimeoutError at ``end``, DatabaseInUse where another process holds the folder and does not answer, and
        what opening the folder raises.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        pause = PAUSE_SECONDS
        while True:
            left = _left(end)
            if not self._lock.acquire(timeout=-1 if left is None else max(left, 0)):
                raise TimeoutError
            try:
                found = self.engine or self._line or self._started() or self._joined()
            finally:
                self._lock.release()
            if found is not None:
                return found
            if end is not None and time.monotonic() + pause > end:
                raise TimeoutError
            if time.monotonic() > give_up:
                raise _in_use(self.path)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _started(self) -> Engine | None:
        try:
            self.engine = Engine(self.path, self.token)
        except DataDirLockedError:
            return None
        except OSError as error:
            raise DatabaseError(
                f"{self.path} cannot be opened, because {error.filename or self.path} cannot be written: "
                f"{error.strerror or error}; give a path in a folder where this user may write"
            ) from error
        return self.engine

    def _joined(self) -> Line | None:
        found = folder.read_address(self.path)
        if not found:
            return None
        try:
            self._line = Line(found["port"], found["token"])
        except OSError:
            return None
        # pymilvus remembers schemas, and other processes may have changed them.
        GlobalCache.schema.clear()
        GlobalCache.collection_ts.clear()
        return self._line

    def _forget(self, place: Engine | Line | None) -> None:
        with self._lock:
            if place is self._line is not None:
                self._line.close()
                self._line = None
            elif place is self.engine:
                self.engine = None

    def look(self) -> None:
        """Forget an engine that has moved."""
        with self._lock:
            if self.engine is not None and self.engine.has_ended:
                self.engine = None
            if self._line is not None and folder.read_address(self.path).get("port") != self._line.port:
                self._line.close()
                self._line = None

    def own(self) -> Engine | None:
        """The engine, once it runs here; another process hands it over, unless it serves other machines: then None."""
        while not isinstance(self.find(), Engine):
            if self.exchange("HandOver", (), b"", PATIENCE_SECONDS).code:
                return None
            self.look()
        return self.engine

    def leave(self) -> None:
        """Stop the engine, once flushed, where it runs here; another process that has joined it takes over."""
        engine = self._let_go()
        if engine is not None:
            engine.stop()

    def lose(self) -> None:
        """End what is left of a folder that was removed or replaced: its clients answer with a DatabaseError."""
        for client in list(self.clients):
            client.end(f"{self.path} was removed or replaced while it was open; connect again")
        engine = self._let_go()
        if engine is not None:
            engine.lose()

    def _let_go(self) -> Engine | None:
        """Know of no engine any more; the one that ran here."""
        with self._lock:
            engine, self.engine = self.engine, None
            if self._line is not None:
                self._line.close()
                self._line = None
        with self._workers_lock:
            if self._workers is not None:
                self._workers.shutdown(wait=False)
                self._workers = None
        return engine

    def begin_anew(self) -> None:
        """In a forked process: join the parent's engine at the next call."""
        line = self._line
        self.begin()
        if line is not None:
            line.leave()


class Engines:
    """The members of this process by real path. Joining, counting and leaving happen one at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._members: dict[Path, Member] = {}

    def take(self, path: Path, token: str | None = None) -> Member:
        """The member of ``path``, whose engine runs, with one client more; ``token`` is what an engine here goes by."""
        with self._lock:
            member = self._members.get(path)
            if member is not None:
                member.look()
            if member is not None and member.engine is not None and not member.engine.in_place():
                self._members.pop(path).lose()
                member = None
            if member is None:
                member = Member(path, token)
            member.find()
            self._members[path] = member
            member.users += 1
            return member

    def give_back(self, member: Member) -> None:
        """One client less; the engine stops with the last."""
        with self._lock:
            member.users -= 1
            if not member.users and self._members.get(member.path) is member:
                del self._members[member.path]
                member.leave()

    def running(self, path: Path) -> Engine | None:
        """The engine that this process runs for ``path``."""
        member = self.member(path)
        return None if member is None else member.engine

    def member(self, path: Path) -> Member | None:
        with self._lock:
            return self._members.get(path)

    def abandon_all(self) -> None:
        with self._lock:
            while self._members:
                engine = self._members.popitem()[1].engine
                if engine is not None:
                    engine.abandon()

    def begin_anew(self) -> None:
        """In a forked process: join the parent's engines at the next calls."""
        self._lock = threading.RLock()
        for member in self._members.values():
            member.begin_anew()


ENGINES = Engines()
in_child(ENGINES.begin_anew)
atexit.register(ENGINES.abandon_all)


def address(path: Path) -> tuple[str, str]:
    """Uri and token of the engine of ``path``, a real path. Raises DatabaseError where it was not opened here."""
    member = ENGINES.member(path)
    if member is None:
        raise DatabaseError(f"this process has not opened {path}; call colmilvus.embedded.connect first")
    reply = member.exchange("Address", (), b"", PATIENCE_SECONDS)
    found = folder.read_address(path)
    if reply.code or not found.get("uri"):
        raise DatabaseError(f"the engine of {path} cannot be reached over gRPC: {reply.details}")
    return found["uri"], found["token"]


def _left(end: float | None) -> float | None:
    return None if end is None else end - time.monotonic()


def _in_use(path: Path) -> DatabaseInUse:
    found = folder.read_address(path)
    holder = f"process {found['pid']}" if found else "another process"
    return DatabaseInUse(
        f"{path} is held by {holder}, which has not answered for {PATIENCE_SECONDS:.0f} s: end it, or wait for it; "
        "where it runs on another machine or in a container of its own, run there: colmilvus serve",
        found.get("uri"),
    )
