"""How much is asked for, or sent, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

__all__ = ["ANSWER_BYTES", "IDS", "MOST_ROWS", "REQUEST_BYTES", "batches", "weighed", "within"]

REQUEST_BYTES = 8 << 20
"""Bytes of vectors in one request, of which several copies are made; a server takes 64 MiB in all."""
ANSWER_BYTES = 64 << 20
"""Bytes that are asked for in one request; a server answers with 100 MiB at most (``quotaAndLimits``)."""
ROW_BYTES = 3 * 65_536
"""What a row's own text, metadata and internal data weigh, at most about."""
IDS = 200
"""Entities read in one request: with the longest text and metadata they stay below the 100 MiB of an answer."""
MOST_ROWS = 16_384
"""Most rows that Milvus gives for one query vector (``quotaAndLimits.limits.topK``)."""

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def weighed(items: Iterable[Item], weight: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """The items in portions that weigh at most so much together; what alone weighs more is one by itself."""
    waiting: list[Item] = []
    total = 0
    for item in items:
        own = weight(item)
        if waiting and total + own > most:
            yield waiting
            waiting, total = [], 0
        waiting.append(item)
        total += own
    if waiting:
        yield waiting


def within(sizes: Mapping[str, Sequence[int]]) -> Iterator[list[str]]:
    """The ids of entities in portions whose rows stay within the bytes of an answer; ``sizes`` has those of parts."""
    return weighed(sizes, lambda name: sum(sizes[name]) + len(sizes[name]) * ROW_BYTES, ANSWER_BYTES)
