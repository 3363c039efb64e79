"""Estimates of one query's MaxSim with many records, from the codes in the lists that its vectors come nearest to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.library import one_thread_after_a_fork
from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.parallel import each

__all__ = ["Probe"]

LOW = 0.1
"""A record that no probed list holds is taken to be as near as the lowest tenth of those that were met."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Probe:
    """Estimates of one query's MaxSim with records of a generation, better the more lists are looked into.

    An estimate comes from the codes of a record's vectors where the probed lists hold any; where they hold none, the
    record is taken to be as near as the next list, or as the lowest tenth of the records that were met (measured to be
    better than to leave it out).
    """

    def __init__(self, generation: Generation, query: NDArray[np.generic], rows: Integers) -> None:
        """``query`` is ``(n, dim)``; ``rows`` are the records to estimate, each of which the generation holds."""
        self._parts = generation.parts
        self._quantizer = generation.quantizer
        self._queries = self._quantizer.prepare(query)
        self._nearness = self._quantizer.nearness(self._queries)
        place = np.full(1 + max(int(part.rows["row"].max(initial=0)) for part in self._parts), -1, np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        self._places = [place[part.rows["row"]] for part in self._parts]
        self._best = np.full((len(self._queries), len(rows)), -np.inf, np.float32)
        self._estimates = np.zeros_like(self._best)
        self.scored = 0
        self._depth = 0

    @property
    def deepest(self) -> bool:
        """Whether every list was looked into."""
        return self._depth >= self._quantizer.lists

    @property
    def depth(self) -> int:
        """How many lists of each query vector were looked into."""
        return self._depth

    @property
    def width(self) -> int:
        """How many vectors the query has."""
        return len(self._queries)

    @property
    def vectors_a_record(self) -> float:
        """How many vectors a record has on average."""
        rows = sum(len(part.rows) for part in self._parts)
        return sum(len(part.members) for part in self._parts) / max(1, rows)

    def deepen(self, depth: int) -> None:
        """Look into so many lists of each query vector."""
        one_thread_after_a_fork()
        before, self._depth = self._depth, min(depth, self._quantizer.lists)
        self.scored += sum(each(lambda number: self._look(number, before, self._depth), range(len(self._queries))))

    def _look(self, number: int, before: int, depth: int) -> int:
        """Look into the lists of one query vector; returns how many codes were scored."""
        near = self._nearness[number]
        lists = np.arange(len(near))
        if depth < len(near):
            lists = np.argpartition(-near, depth)[: depth + 1]
        lists = lists[np.argsort(-near[lists], kind="stable")]
        following = float(near[lists[depth]]) if depth < len(lists) else -np.inf
        lists = lists[before:depth]
        scanner = self._quantizer.scanner(self._queries[number])
        best = self._best[number]
        scored = 0
        for part, places in zip(self._parts, self._places, strict=True):
            codes, at, counts = _found(part, places, lists)
            if len(at):
                np.maximum.at(best, at, scanner(codes, lists, counts, near[lists]))
            scored += len(at)
        self._estimates[number] = _completed(best, following)
        return scored

    def estimates(self) -> tuple[Floats, Floats]:
        """The estimated MaxSim of every record, for "L2" its negative, and how many query vectors did not meet it."""
        unmet = np.count_nonzero(np.isneginf(self._best), axis=0)
        return self._estimates.sum(axis=0), unmet.astype(np.float32)


def _found(part: Lists, places: NDArray[np.int32], lists: Integers) -> tuple[NDArray[np.uint8], Integers, Integers]:
    """Codes in the lists, the places of their records, and how many of each list, without records that have none."""
    begins, ends = part.bounds[lists], part.bounds[lists + 1]
    runs = list(zip(begins.tolist(), ends.tolist(), strict=True))
    at = places[np.concatenate([part.members[begin:end] for begin, end in runs])]
    counts = ends - begins
    codes = np.concatenate([part.codes[begin:end] for begin, end in runs])
    keep = at >= 0
    if keep.all():
        return codes, at, counts
    of_list = np.repeat(np.arange(len(lists)), counts)[keep]
    return codes[keep], at[keep], np.bincount(of_list, minlength=len(lists))


def _completed(best: Floats, following: float) -> Floats:
    """The best matches of one query vector, with a guess for records that were not met."""
    met = best > -np.inf
    found = best[met]
    if not len(found):
        return np.zeros_like(best)
    at = int(LOW * (len(found) - 1))
    low = float(np.partition(found, at)[at])
    return np.where(met, best, np.float32(low if following == -np.inf else min(low, following)))
