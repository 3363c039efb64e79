"""The threads of one search: as many as there are processors, each with BLAS to itself.

Products of a query's few vectors with a page's many are too flat for BLAS's own threads: these wait for one another
longer than they work, and go on waiting, at the cost of everyone else, when they are done. So a search cuts its work
itself, and asks for one thread of BLAS while it lasts.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from colmilvus.errors import MissingExtra

try:
    from threadpoolctl import ThreadpoolController
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["each", "one_blas_thread", "processors"]

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What the function gives for every item, in their order; raises what it raises for the first that fails.

    The calling thread works itself, and waits for no others but those that work with it.
    """
    work = _Work(function, list(items))
    with one_blas_thread():
        helpers = _threads.start(work, min(processors(), len(work.left)) - 1)
        work()
        for helper in helpers:
            helper.cancel()
        work.wait()
    if work.failed is not None:
        raise work.failed
    return work.found


class _Work(Generic[T, R]):
    """Items that several threads take one after the other, until none is left or one has failed."""

    def __init__(self, function: Callable[[T], R], items: list[T]) -> None:
        self._function = function
        self._changed = threading.Condition()
        self._running = 0
        self.left = deque(enumerate(items))
        self.found: list[Any] = [None] * len(items)
        self.failed: BaseException | None = None

    def __call__(self) -> None:
        while True:
            with self._changed:
                if not self.left:
                    return
                at, item = self.left.popleft()
                self._running += 1
            try:
                self.found[at] = self._function(item)
            except BaseException as error:
                with self._changed:
                    self.failed = self.failed or error
                    self.left.clear()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def wait(self) -> None:
        """Until no thread works on an item; those that begin later find none."""
        with self._changed:
            while self._running:
                self._changed.wait()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """OpenBLAS works in one thread until the end of the last of such blocks, in the whole process.

    Other BLAS libraries, which count threads for each thread apart, are left as they are.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


class _Threads:
    """The threads, which are started when they are needed first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        if count < 1:
            return []
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(processors(), thread_name_prefix="colmilvus-search")
            started: list[Future[None]] = []
            with suppress(RuntimeError):  # where Python is ending, or the system has no thread to give
                started.extend(self._pool.submit(work) for _ in range(count))
            return started


class _Blas:
    """The number of OpenBLAS's threads, which belongs to the process and is given back as it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._libraries: list[Any] | None = None
        self._before: list[tuple[Any, int]] = []

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                if self._libraries is None:
                    # Looking for them takes longer than a search; that of numpy, as of most wheels, is there by now.
                    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
                    self._libraries = [library for library in found if library.threading_layer == "pthreads"]
                self._before = [(library, library.get_num_threads()) for library in self._libraries]
                for library, _ in self._before:
                    _set(library, 1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.restore()

    def restore(self) -> None:
        for library, threads in self._before:
            _set(library, threads)


def _set(library: Any, threads: int) -> None:
    # Newer versions of threadpoolctl listen to one thread alone, until they are told that it is done.
    done = getattr(library, "clear_controlling_thread", None)
    if done is not None:
        done(force=True)
    library.set_num_threads(threads)
    if done is not None:
        done(force=True)


_threads, _blas = _Threads(), _Blas()


def _begin_anew() -> None:
    """After a fork there are no threads, and a lock may be held by one that is gone."""
    global _threads, _blas
    if _blas._inside:
        _blas.restore()
    _threads, _blas = _Threads(), _Blas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
