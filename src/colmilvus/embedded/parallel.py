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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from colmilvus.errors import MissingExtra

try:
    from threadpoolctl import ThreadpoolController
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["each", "one_blas_thread"]

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
    helpers = min(processors(), len(work.left)) - 1
    with one_blas_thread():
        started = _threads.start(work, helpers) if helpers > 0 else []
        try:
            work()
        finally:
            for thread in started:
                if not thread.cancel():
                    wait([thread])
    if work.failed is not None:
        raise work.failed
    return work.found


class _Work(Generic[T, R]):
    """Items that several threads take one after the other, until none is left or one has failed."""

    def __init__(self, function: Callable[[T], R], items: list[T]) -> None:
        self._function = function
        self.left = deque(enumerate(items))
        self.found: list[Any] = [None] * len(items)
        self.failed: BaseException | None = None

    def __call__(self) -> None:
        while True:
            try:
                at, item = self.left.popleft()
            except IndexError:
                return
            try:
                self.found[at] = self._function(item)
            except BaseException as error:
                self.failed = self.failed or error
                self.left.clear()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS works in one thread until the end of the last of such blocks, in the whole process."""
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
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(processors(), thread_name_prefix="colmilvus-search")
            with suppress(RuntimeError):  # where Python is ending, and starts no threads any more
                return [self._pool.submit(work) for _ in range(count)]
            return []


class _Blas:
    """The number of threads of numpy's BLAS, which belongs to the process and is given back as it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._libraries: list[Any] | None = None
        self._before: list[tuple[Any, int]] = []

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                if self._libraries is None:
                    # Looking for them takes longer than a search. That of faiss counts threads for each thread apart.
                    found = ThreadpoolController().select(user_api="blas").lib_controllers
                    self._libraries = [library for library in found if "faiss" not in library.filepath]
                self._before = [(library, library.get_num_threads()) for library in self._libraries]
                for library, _ in self._before:
                    library.set_num_threads(1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.restore()

    def restore(self) -> None:
        for library, threads in self._before:
            library.set_num_threads(threads)


_threads, _blas = _Threads(), _Blas()


def _begin_anew() -> None:
    """After a fork there are no threads, and a lock may be held by one that is gone."""
    global _threads, _blas
    _blas.restore()
    _threads, _blas = _Threads(), _Blas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
