"""Estimates of one query's MaxSim with many records, from the lists that its vectors come nearest to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.parallel import each, one_blas_thread, processors

__all__ = ["Probe"]

LEVELS = (5_000, 100_000)
"""Among so many vectors, the nearest by their lists, records are looked for by codes: first all, then the best."""
GUESSED = 100_000
"""Among so many vectors records are looked for by the lists alone."""
MEMBER = 0.1
"""The work of a vector of a record that is not looked for, by that of scoring a code."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Probe:
    """Estimates of one query's MaxSim with records of a generation, better the more lists are looked into.

    What a query vector adds comes from the codes of a record's vectors where the lists looked into hold any. Where they
    hold none, it is how near the first list comes that does, among many more, of which only the members are read: a
    twentieth of the work, and without it the guesses are what estimates err by most.
    """

    def __init__(self, generation: Generation, query: NDArray[np.generic], rows: Integers) -> None:
        """``query`` is ``(n, dim)``; ``rows`` are the records to estimate, each of which the generation holds."""
        self._parts = generation.parts
        self._quantizer = generation.quantizer
        self._queries = self._quantizer.prepare(query)
        with one_blas_thread():
            self._nearness = self._quantizer.nearness(self._queries)
        place = np.full(1 + max(int(part.rows["row"].max(initial=0)) for part in self._parts), -1, np.int64)
        place[rows] = np.arange(len(rows))
        self._wanted = [_Wanted.of(part, place[part.rows["row"]]) for part in self._parts]
        shape = (len(self._queries), len(rows))
        self._best = np.full(shape, -np.inf, np.float32)
        self._guesses = np.empty(shape, np.float32)
        self._guessed = np.zeros(shape, np.bool_)
        self._levels = sorted({self._lists_with(vectors) for vectors in LEVELS})
        self._ranked = np.zeros((len(self._queries), self._levels[-1]), np.int64)
        self._depth = self._levels.pop(0)
        # In one thread: these are many short steps between which threads would wait for one another.
        for number in range(len(self._queries)):
            self._guess(number)
            self._look_for(number, self._wanted, 0, self._depth)

    def _lists_with(self, vectors: int) -> int:
        """How many lists have so many vectors, about."""
        held = sum(len(part.members) for part in self._parts)
        return max(1, min(self._quantizer.lists, round(vectors * self._quantizer.lists / max(1, held))))

    def deeper(self, records: int) -> float:
        """About how many codes' work it is to look deeper for so many records; infinite where it cannot be."""
        if not self._levels:
            return math.inf
        members = sum(len(part.members) for part in self._parts) / self._quantizer.lists
        share = records / self.records
        return self.width * (self._levels[0] - self._depth) * members * (MEMBER + share)

    @property
    def width(self) -> int:
        """How many vectors the query has."""
        return len(self._queries)

    @property
    def vectors_a_record(self) -> float:
        """How many vectors a record has on average."""
        return sum(len(part.members) for part in self._parts) / max(1, self.records)

    @property
    def records(self) -> int:
        """How many records the generation has, wanted or not."""
        return sum(len(part.rows) for part in self._parts)

    def look_deeper(self, places: Integers) -> None:
        """Look for the records at these places into many more lists; the estimates of others stay as they are."""
        among = np.zeros(self._best.shape[1], np.bool_)
        among[places] = True
        wanted = [part.among(among) for part in self._wanted]
        before, self._depth = self._depth, self._levels.pop(0)

        def look(numbers: Integers) -> None:
            for number in numbers:
                self._look_for(number, wanted, before, self._depth)

        each(look, np.array_split(np.arange(self.width), min(self.width, processors())))

    def _guess(self, number: int) -> None:
        """Rank the lists for one query vector, and take how near they come for how near their members do."""
        near = self._nearness[number]
        lists = np.arange(len(near))
        size, guessed = self._ranked.shape[1], self._lists_with(GUESSED)
        if size < len(near):
            lists = np.argpartition(-near, size)[: size + 1]
        lists = lists[np.argsort(-near[lists], kind="stable")]
        self._ranked[number] = lists[:size]
        guesses = np.full(self._best.shape[1], -np.inf, np.float32)
        farthest_first = lists[:guessed][::-1]
        for wanted in self._wanted:
            members, counts = wanted.members(farthest_first)
            of_rows = np.full(len(wanted.wanted), -np.inf, np.float32)
            # The last of what is assigned to a row stays, which is the nearest.
            of_rows[members.astype(np.int64)] = np.repeat(near[farthest_first], counts)
            wanted.raise_to(guesses, of_rows)
        self._guessed[number] = guesses > -np.inf
        self._guesses[number] = np.maximum(guesses, near[lists[min(guessed, len(lists) - 1)]])

    def _look_for(self, number: int, wanted: list[_Wanted], before: int, depth: int) -> None:
        """Look into the lists of one query vector."""
        near = self._nearness[number]
        lists = self._ranked[number, before:depth]
        with self._quantizer.scanner(self._queries[number]) as scanner:
            for part in wanted:
                codes, members, counts = part.codes(lists)
                if len(members):
                    of_rows = np.full(len(part.wanted), -np.inf, np.float32)
                    np.maximum.at(of_rows, members, scanner(codes, lists, counts, near[lists]))
                    part.raise_to(self._best[number], of_rows)

    def estimates(self) -> tuple[Floats, Floats]:
        """The estimated MaxSim of every record, for "L2" its negative, and what an error of it may depend on.

        That is ``(records, 2)``: how many query vectors met only the record's lists, and how many not even these.
        """
        met = self._best > -np.inf
        estimates = np.where(met, self._best, self._guesses).sum(axis=0)
        unmet = np.stack([np.count_nonzero(~met & seen, axis=0) for seen in (self._guessed, ~self._guessed)], axis=1)
        return estimates, unmet.astype(np.float32)


@dataclass(frozen=True)
class _Wanted:
    """A part of a generation, and which of its rows are wanted, at which places."""

    part: Lists
    wanted: NDArray[np.bool_]
    rows: Integers
    places: Integers

    @classmethod
    def of(cls, part: Lists, places: Integers) -> _Wanted:
        """``places`` has one for each row of the part, -1 for rows that are not wanted."""
        wanted = places >= 0
        return cls(part, wanted, np.flatnonzero(wanted), places[wanted])

    def among(self, places: NDArray[np.bool_]) -> _Wanted:
        """The same part, with those of its wanted rows that are at one of these places."""
        keep = places[self.places]
        wanted = np.zeros(len(self.wanted), np.bool_)
        wanted[self.rows[keep]] = True
        return _Wanted(self.part, wanted, self.rows[keep], self.places[keep])

    def members(self, lists: Integers) -> tuple[NDArray[Any], Integers]:
        """The rows of everything in the lists, wanted or not, and how many each list has."""
        counts = self.part.bounds[lists + 1] - self.part.bounds[lists]
        return self._within(self.part.members, lists), counts

    def codes(self, lists: Integers) -> tuple[NDArray[np.uint8], NDArray[Any], Integers]:
        """The codes in the lists, their rows, and how many each list has; where few rows are wanted, of these only."""
        members, counts = self.members(lists)
        if 2 * len(self.rows) > len(self.wanted):
            return self._within(self.part.codes, lists), members, counts
        kept = np.flatnonzero(self.wanted[members])
        ends = np.cumsum(counts)
        found = np.diff(np.searchsorted(kept, ends), prepend=0)
        places = kept + np.repeat(self.part.bounds[lists] - (ends - counts), found)
        return np.take(self.part.codes, places, axis=0), members[kept], found

    def _within(self, array: NDArray[Any], lists: Integers) -> NDArray[Any]:
        """What an array of the part has for these lists, one after the other."""
        bounds = self.part.bounds
        runs = zip(bounds[lists].tolist(), bounds[lists + 1].tolist(), strict=True)
        return np.concatenate([array[begin:end] for begin, end in runs])

    def raise_to(self, best: Floats, of_rows: Floats) -> None:
        """Let what is best at each place be at least what its row of the part has."""
        best[self.places] = np.maximum(best[self.places], of_rows[self.rows])
