"""The threads that answer calls, as long as the process lives."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["Workers"]

Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Workers(Executor):
    """A pool of daemon threads, which start when there is work for them.

    Python shuts its own pools down when the main thread ends, before other threads of the program have ended, and
    their calls would then never be answered.
    """

    def __init__(self, number: int, name: str) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._number, self._name = number, name
        self._idle = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the function in one of the threads. Raises RuntimeError after ``shutdown``."""
        future: Future[Any] = Future()
        with self._lock:
            if self._ended:
                raise RuntimeError("these threads have ended and take no more work")
            self._tasks.put((future, function, args, kwargs))
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._number:
                self._start()
        return future

    def _start(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End the threads once they have done what was submitted before."""
        with self._lock:
            for _ in () if self._ended else self._threads:
                self._tasks.put(None)
            self._ended = True
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, function, args, kwargs = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)
            del task, future, function, args, kwargs
            with self._lock:
                self._idle += 1
