"""Codes put in the order of their lists: those of vectors that were just coded, and those of files that become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.lists import Codes, Lists

__all__ = ["merged", "sorted_by_list"]

PORTION = 1 << 18

Integers = NDArray[np.int64]


def sorted_by_list(portions: Sequence[Codes]) -> Iterator[Codes]:
    """All of the portions, which are in any order, by list, a bounded number at a time."""
    lists, codes, members = (np.concatenate(arrays) for arrays in zip(*portions, strict=True))
    order = np.argsort(lists, kind="stable")
    for begin in range(0, len(order), PORTION):
        part = order[begin : begin + PORTION]
        yield Codes(lists[part], codes[part], members[part])


def merged(parts: Sequence[Lists], positions: Sequence[Integers]) -> Iterator[Codes]:
    """What lies in the parts, by list; ``positions`` has for each part its rows' new places, -1 for those to leave."""
    bounds: Integers = sum((part.bounds for part in parts), np.zeros_like(parts[0].bounds))
    begin = 0
    while begin < len(bounds) - 1:
        end = max(begin + 1, int(np.searchsorted(bounds, bounds[begin] + PORTION, side="right")) - 1)
        found = [_moved(part.between(begin, end), new) for part, new in zip(parts, positions, strict=True)]
        yield from sorted_by_list(found)
        begin = end


def _moved(codes: Codes, new: Integers) -> Codes:
    members: NDArray[Any] = new[codes.members]
    keep = members >= 0
    return Codes(codes.lists[keep], codes.codes[keep], members[keep])
