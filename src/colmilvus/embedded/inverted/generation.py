"""One quantizer with the lists that were written by it: what a search sees, and never changes under it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.library import scan
from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.inverted.quantizer import Quantizer

__all__ = ["Generation", "Probe"]

FIRST_LISTS = 8
AGED = 4
LOW = 10
"""A record that no probed list holds is taken to be as near as the lowest tenth of those that were met."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Generation:
    """An inverted file over the vectors of the records in ``rows``.

    Its centroids were learnt when there were ``trained`` vectors in ``records`` records, the last of which had the
    number ``newest``.
    """

    name: str
    quantizer: Quantizer
    trained: int
    records: int
    newest: int
    parts: tuple[Lists, ...]

    @cached_property
    def rows(self) -> Integers:
        """The numbers of the records that it holds, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(part.rows["row"] for part in self.parts)]))

    def holds(self, rows: Integers) -> NDArray[np.bool_]:
        """Which of these records it holds."""
        return np.isin(rows, self.rows, assume_unique=True)

    def replaced(self, rows: Integers) -> bool:
        """Whether few of the records are left that the centroids were learnt from, and others have come."""
        left = int((rows <= self.newest).sum())
        return left < self.records / AGED and len(rows) > 2 * left

    @cached_property
    def indexes(self) -> list[Any]:
        """Each of its parts as an index of faiss, whose stacked lists would be copied at every look."""
        return [self._index(part) for part in self.parts]

    def _index(self, part: Lists) -> Any:
        index = self.quantizer.empty_index()
        index.replace_invlists(part.lists, False)
        index.referenced_objects = [*index.referenced_objects, part.lists]
        return index

    def require(self) -> None:
        """Raise Damaged where one of its files has become shorter."""
        for part in self.parts:
            part.require()


class Probe:
    """Estimates of one query's MaxSim with records of a generation, better the more lists are looked into.

    An estimate comes from the codes of a record's vectors where the probed lists hold any; where they hold none, the
    record is taken to be as near as the next list, or as the lowest tenth of the records that were met (measured to be
    better than to leave it out).
    """

    def __init__(self, generation: Generation, query: NDArray[Any], rows: Integers, allowed: Any) -> None:
        """``query`` is ``(n, dim)``; ``rows`` are the records to estimate, ``allowed`` lets a scan see them only."""
        self._generation = generation
        self._queries = generation.quantizer.prepare(query)
        self._sign = -1 if generation.quantizer.kind == "L2" else 1
        self._allowed = allowed
        self._place = np.full(int(rows.max(initial=0)) + 1, -1, np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)
        self._best = np.full((len(self._queries), len(rows)), -np.inf, np.float32)
        self._next = np.full(len(self._queries), -np.inf, np.float32)
        self._depth = 0

    @property
    def deepest(self) -> bool:
        """Whether every list was looked into."""
        return self._depth >= self._generation.quantizer.lists

    def deepen(self, factor: int = 4) -> None:
        """Look into more lists: the first few, then ``factor`` times as many as before."""
        lists = self._generation.quantizer.lists
        depth = min(lists, self._depth * factor if self._depth else FIRST_LISTS)
        found, nearness = self._generation.quantizer.nearest(self._queries, min(depth + 1, lists))
        new = slice(self._depth, depth)
        best, width = self._best.reshape(-1), self._best.shape[1]
        for index in self._generation.indexes:
            of_query, numbers, scores = scan(index, self._queries, found[:, new], nearness[:, new], self._allowed)
            np.maximum.at(best, of_query * width + self._place[numbers], self._sign * scores)
        self._next = self._sign * nearness[:, depth] if depth < lists else np.full_like(self._next, -np.inf)
        self._depth = depth

    def estimates(self) -> tuple[Floats, Floats]:
        """The estimated MaxSim of every record, for "L2" its negative, and how many query vectors did not meet it."""
        total, unmet = np.zeros((2, self._best.shape[1]), np.float32)
        for line, following in zip(self._best, self._next, strict=True):
            met = line > -np.inf
            unmet += ~met
            if not met.any():
                continue
            low = np.percentile(line[met], LOW)
            total += np.where(met, line, min(low, following) if following > -np.inf else low)
        return total, unmet
