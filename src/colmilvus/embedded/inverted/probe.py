"""Estimates of one query's MaxSim with many records, from the lists that its vectors come nearest to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.parallel import one_blas_thread

__all__ = ["Probe"]

FIRST = 5_000
GUESSED = 100_000
"""Among so many vectors, the nearest by their lists, records are looked for, in all but the first without codes."""

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
        self._ranked = np.zeros((len(self._queries), self._lists_with(GUESSED)), np.int64)
        self.scored = 0
        self._depth = 0
        for number in range(len(self._queries)):
            self._guess(number)

    def _lists_with(self, vectors: int) -> int:
        """How many lists have so many vectors, about."""
        held = sum(len(part.members) for part in self._parts)
        return max(1, min(self._quantizer.lists, round(vectors * self._quantizer.lists / max(1, held))))

    @property
    def deepest(self) -> bool:
        """Whether it has looked into as many lists as it ever does."""
        return self._depth >= self._ranked.shape[1]

    @property
    def width(self) -> int:
        """How many vectors the query has."""
        return len(self._queries)

    @property
    def vectors_a_record(self) -> float:
        """How many vectors a record has on average."""
        rows = sum(len(part.rows) for part in self._parts)
        return sum(len(part.members) for part in self._parts) / max(1, rows)

    def deepen(self) -> None:
        """Look into the first lists of each query vector, and then into twice as many as before."""
        before = self._depth
        self._depth = min(2 * before or self._lists_with(FIRST), self._ranked.shape[1])
        self.scored += sum(self._look(number, before, self._depth) for number in range(len(self._queries)))

    def _guess(self, number: int) -> None:
        """Rank the lists for one query vector, and take how near they come for how near their members do."""
        near = self._nearness[number]
        lists = np.arange(len(near))
        size = self._ranked.shape[1]
        if size < len(near):
            lists = np.argpartition(-near, size)[: size + 1]
        lists = lists[np.argsort(-near[lists], kind="stable")]
        self._ranked[number] = lists[:size]
        guesses = np.full(self._best.shape[1], -np.inf, np.float32)
        for wanted in self._wanted:
            members, counts = wanted.members(lists[:size])
            wanted.raise_to(guesses, members, np.repeat(near[lists[:size]], counts))
        self._guessed[number] = guesses > -np.inf
        self._guesses[number] = np.maximum(guesses, near[lists[-1]])

    def _look(self, number: int, before: int, depth: int) -> int:
        """Look into the lists of one query vector; returns how many codes were scored."""
        near = self._nearness[number]
        lists = self._ranked[number, before:depth]
        scored = 0
        with self._quantizer.scanner(self._queries[number]) as scanner:
            for wanted in self._wanted:
                codes, members, counts = wanted.codes(lists)
                if len(members):
                    wanted.raise_to(self._best[number], members, scanner(codes, lists, counts, near[lists]))
                scored += len(members)
        return scored

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

    def members(self, lists: Integers) -> tuple[Integers, Integers]:
        """The rows of everything in the lists, wanted or not, and how many each list has."""
        counts = self.part.bounds[lists + 1] - self.part.bounds[lists]
        return self._within(self.part.members, lists).astype(np.int64), counts

    def codes(self, lists: Integers) -> tuple[NDArray[np.uint8], Integers, Integers]:
        """The codes in the lists, their rows, and how many each list has: of rows that are wanted only."""
        codes = self._within(self.part.codes, lists)
        members, counts = self.members(lists)
        if len(self.rows) == len(self.wanted):
            return codes, members, counts
        keep = self.wanted[members]
        of_list = np.repeat(np.arange(len(lists)), counts)[keep]
        return codes[keep], members[keep], np.bincount(of_list, minlength=len(lists))

    def _within(self, array: NDArray[Any], lists: Integers) -> NDArray[Any]:
        """What an array of the part has for these lists, one after the other."""
        bounds = self.part.bounds
        runs = zip(bounds[lists].tolist(), bounds[lists + 1].tolist(), strict=True)
        return np.concatenate([array[begin:end] for begin, end in runs])

    def raise_to(self, best: Floats, members: Integers, scores: Floats) -> None:
        """Let what is best at each place be at least the scores of its row."""
        of_rows = np.full(len(self.wanted), -np.inf, np.float32)
        np.maximum.at(of_rows, members, scores)
        best[self.places] = np.maximum(best[self.places], of_rows[self.rows])
