"""Reading ahead and writing behind: while one portion is worked on, the next is read and the last is stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

from colmilvus.errors import for_another_thread

__all__ = ["Behind", "ahead"]

Item = TypeVar("Item")


def ahead(items: Iterable[Item], depth: int) -> Generator[Item]:
    """The same items, read in a thread of its own, at most ``depth`` of them before they are asked for.

    An error of the source comes after the items before it. To be closed where it is not read to its end
    (``contextlib.closing``).
    """
    source, end = iter(items), object()
    step: Callable[[], Any] = for_another_thread(lambda: next(source, end))
    with ThreadPoolExecutor(1, "colmilvus-ahead") as thread:
        waiting = deque(thread.submit(step) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                yield item
                waiting.append(thread.submit(step))
        finally:
            for future in waiting:
                future.cancel()


class Behind(Generic[Item]):
    """Hands items to a function that runs in a thread of its own, in order, while at most ``depth`` wait.

    A context manager: at its end everything that was handed over is done, also where it ends in an error or an
    interrupt. What the function raises comes out of a later call, and what waited when it was raised is dropped.
    """

    def __init__(self, work: Callable[[Item], None], depth: int) -> None:
        self._work = for_another_thread(work)
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, "colmilvus-behind")
        self._waiting: deque[Future[None]] = deque()
        self._has_failed = False

    def _do(self, item: Item) -> None:
        if self._has_failed:
            return
        try:
            self._work(item)
        except BaseException:
            self._has_failed = True
            raise

    def hand(self, item: Item) -> None:
        """Hand over an item; waits while too many wait already. An interrupt of the waiting loses nothing."""
        try:
            self._settle(self._depth)
        finally:
            if not self._has_failed:
                self._waiting.append(self._thread.submit(self._do, item))

    def wait(self) -> None:
        """Wait until everything that was handed over is done."""
        self._settle(0)

    @property
    def is_idle(self) -> bool:
        """Whether everything that was handed over is done."""
        return all(future.done() for future in self._waiting)

    def _settle(self, left: int) -> None:
        while len(self._waiting) > left:
            first = self._waiting[0]
            try:
                first.result()
            except BaseException:
                if first.done() and first.exception() is not None:  # else the waiting was interrupted, not the work
                    self._thread.shutdown(wait=False, cancel_futures=True)
                    self._waiting.clear()
                raise
            self._waiting.popleft()

    def __enter__(self) -> Behind[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            self._settle(0)
