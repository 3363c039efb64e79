"""What is seen of an event loop while work goes on: how long it stopped, and what waits for a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

__all__ = ["busy_threads", "longest_stop"]


async def longest_stop(work: Callable[[], Awaitable[object]]) -> float:
    """The longest time, in seconds, for which the event loop did nothing else while the work went on."""
    stops = [0.0]
    is_over = asyncio.Event()

    async def tick() -> None:
        while not is_over.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stops.append(time.perf_counter() - before - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    await work()
    is_over.set()
    await ticking
    return max(stops)


@contextmanager
def busy_threads() -> Iterator[threading.Event]:
    """The running loop has one thread for blocking work, which is busy until the event is set."""
    free = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(free.wait, 20)
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            yield free
        finally:
            free.set()
