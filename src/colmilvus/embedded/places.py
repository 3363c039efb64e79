"""Where every record lies: a table sorted by record number, read by many threads while one changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.log import CHECKS, Entry
from colmilvus.embedded.segments import Segment

__all__ = ["PLACE", "Integers", "Places", "Span", "Survey", "place"]

PLACE = np.dtype([("segment", "i4"), ("count", "i4"), ("start", "i8"), ("scalars", "i8"), ("size", "i4")])

Integers = NDArray[np.int64]


class Places:
    """Numbers, places, checksums and roundings of records; ``size`` of them are valid, the rest is room for more.

    One thread at a time writes. It only adds at the end, and makes a new table for every other change, so that a
    reader that holds a table and its size sees the same records until it lets go.
    """

    def __init__(
        self,
        numbers: Integers,
        places: NDArray[Any],
        checks: NDArray[np.uint32],
        checked: NDArray[np.bool_],
        roundings: NDArray[np.float32],
    ) -> None:
        self.numbers, self.places, self.checks, self.checked = numbers, places, checks, checked
        self.roundings = roundings
        self.size = len(numbers)

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, Entry]], columns: int) -> Places:
        """The table of what logs say: (segment, start, entry), of equal numbers the last one counts."""
        numbers = np.array([entry.row for _, _, entry in found], np.int64)
        # The first of equal numbers in the reverse is the last one.
        kept = len(found) - 1 - np.unique(numbers[::-1], return_index=True)[1]
        places = np.array([place(segment, start, entry) for segment, start, entry in found], PLACE)
        checks = np.array([entry.checks for _, _, entry in found], np.uint32).reshape(len(found), CHECKS * columns)
        roundings = np.array([entry.roundings for _, _, entry in found], np.float32).reshape(len(found), columns)
        checked = np.zeros((len(kept), CHECKS * columns), np.bool_)
        return cls(numbers[kept], places[kept], checks[kept], checked, roundings[kept])

    def find(self, rows: Integers) -> Integers:
        """The positions of records in the table. Raises KeyError with the first number that is not in it."""
        size = self.size
        at = np.searchsorted(self.numbers[:size], rows)
        known = at < size
        known[known] = self.numbers[at[known]] == rows[known]
        if not known.all():
            raise KeyError(int(rows[int(known.argmin())]))
        return np.asarray(at, np.int64)

    def with_room(self, more: int) -> Places:
        """This table, or a copy of it, with room for as many further records."""
        size = self.size
        if size + more <= len(self.numbers):
            return self
        room = max(size + more, 2 * size, 64)
        grown = Places(*(np.zeros((room, *held.shape[1:]), held.dtype) for held in self._arrays()))
        for old, new in zip(self._arrays(), grown._arrays(), strict=True):
            new[:size] = old[:size]
        grown.size = size
        return grown

    def add(self, segment: int, start: int, entry: Entry) -> None:
        """One record more, with a number above all others; there must be room."""
        at = self.size
        self.numbers[at], self.checks[at], self.checked[at] = entry.row, entry.checks, True
        self.roundings[at] = entry.roundings
        self.places[at] = place(segment, start, entry)
        self.size = at + 1

    def moved(self, rows: Integers, places: NDArray[Any]) -> Places:
        """A copy in which these records lie elsewhere."""
        copy = Places(*(held[: self.size].copy() for held in self._arrays()))
        copy.places[copy.find(rows)] = places
        return copy

    def without(self, segments: Sequence[int]) -> Places:
        """A copy without the records that lie in these segments."""
        return self.only(~np.isin(self.places["segment"][: self.size], segments))

    def only(self, kept: NDArray[np.bool_]) -> Places:
        """A copy of those records for which ``kept`` is true."""
        return Places(*(held[: len(kept)][kept] for held in self._arrays()))

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.numbers, self.places, self.checks, self.checked, self.roundings


def place(segment: int, start: int, entry: Entry) -> tuple[int, int, int, int, int]:
    """An entry's line of the table."""
    return segment, entry.count, start, entry.scalars, entry.size


@dataclass(frozen=True)
class Span:
    """A segment, the bytes of its records, and the largest number that it gives."""

    segment: Segment
    size: int
    last: int


@dataclass(frozen=True)
class Survey:
    """The records and segments of one moment; ``settled`` are the numbers that no writer is busy with."""

    table: Places
    settled: Integers
    spans: list[Span]
    active: Segment | None
