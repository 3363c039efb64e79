"""What to do next to an inverted file, so that it follows what is written: decided from numbers alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Lists

__all__ = ["Discard", "Encode", "Limits", "Live", "Merge", "Rebuild", "Step", "lists_for", "next_step"]

SCANNED_BYTES = 640 << 20
PENDING = 1 << 16
PART = 3 << 19

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """From how many vectors on there is an inverted file, and the sizes of its parts, in vectors.

    Below ``least`` a search compares everything exactly. ``pending`` vectors are left to be compared exactly before
    their codes are written; no more than ``part`` are coded at a time.
    """

    least: int
    pending: int
    part: int

    @classmethod
    def of(cls, dim: int) -> Limits:
        """For vectors of ``dim`` dimensions: up to 640 MiB of float32 are scanned, some 1,270 pages of 1,030 x 128."""
        return cls(SCANNED_BYTES // (4 * dim), PENDING, PART)


@dataclass(frozen=True)
class Live:
    """The records that can be found: their numbers, ascending, and how many vectors each has."""

    rows: Integers
    counts: Integers

    @property
    def vectors(self) -> int:
        return int(self.counts.sum())

    def without(self, generation: Generation) -> Live:
        """Those of the records that the generation does not hold."""
        missing = ~generation.holds(self.rows)
        return Live(self.rows[missing], self.counts[missing])

    def first(self, vectors: int) -> Live:
        """The first of the records, with about so many vectors."""
        stop = max(1, int(np.searchsorted(np.cumsum(self.counts), vectors, side="right")))
        return Live(self.rows[:stop], self.counts[:stop])


@dataclass(frozen=True)
class Rebuild:
    """Learn new centroids, and write the codes of everything anew."""


@dataclass(frozen=True)
class Encode:
    """Write the codes of these records."""

    live: Live


@dataclass(frozen=True)
class Merge:
    """Make one part of these, without what can no longer be found."""

    parts: tuple[Lists, ...]


@dataclass(frozen=True)
class Discard:
    """Remove the inverted file: a scan is faster."""


Step = Rebuild | Encode | Merge | Discard

GROWTH = 2
"""Centroids are learnt anew when there are so many times the vectors that they were learnt from."""
DEAD = 0.3
VECTORS_A_LIST = 640


def lists_for(vectors: int) -> int:
    """How many lists so many vectors get."""
    return 1 << max(4, round(math.log2(max(1, vectors / VECTORS_A_LIST))))


def next_step(generation: Generation | None, live: Live, limits: Limits) -> Step | None:
    """What to do next, None for nothing."""
    if generation is None:
        return Rebuild() if live.vectors >= limits.least else None
    if live.vectors < limits.least // 2:
        return Discard()
    if live.vectors >= GROWTH * generation.trained or generation.replaced(live.rows):
        return Rebuild()
    pending = live.without(generation)
    if pending.vectors >= limits.pending:
        return Encode(pending.first(limits.part))
    parts = _to_merge(generation, live)
    return Merge(parts) if parts else None


def _to_merge(generation: Generation, live: Live) -> tuple[Lists, ...]:
    """A part of which much is dead, or two parts of like size; so their number grows with the logarithm of the rest."""
    sized = []
    for part in generation.parts:
        alive = int(part.rows["count"][np.isin(part.rows["row"], live.rows, assume_unique=True)].sum())
        if alive < (1 - DEAD) * part.vectors:
            return (part,)
        sized.append((alive, part))
    sized.sort(key=lambda pair: pair[0])
    for (small, first), (large, second) in pairwise(sized):
        if large <= 2 * small:
            return (first, second)
    return ()
