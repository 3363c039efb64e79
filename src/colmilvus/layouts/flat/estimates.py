"""What the rows that single query vectors found tell of the MaxSim of entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.layouts.flat.keys import families
from colmilvus.layouts.flat.prospects import Prospects

__all__ = ["Estimates", "Hits"]

BEYOND = 0.15
"""How far what was not found lies behind the last row that was, by what that lies behind the first, about.

So of 1,000 patch-like pages 0.965 of the ten best are among the 20 that look best, 0.997 among 40, 0.999 among 60.
"""

Keys = NDArray[np.int64]
Doubles = NDArray[np.float64]

UNKNOWN = -1
"""No family: these are not negative."""


class Hits(NamedTuple):
    """The rows that one query vector found, nearest first."""

    keys: Keys
    scores: Doubles


class Estimates(NamedTuple):
    """The families of all rows that were found, and what the MaxSim of each may be at most, and is about.

    For "L2", where less is better, both are of its negative. ``keys`` are those of the rows. ``nearest`` has for each
    query vector the families that it found, in order, and the best score of each, ``last`` the score of its last row,
    and ``spans`` how far that lies behind its first.
    """

    families: Keys
    most: Doubles
    middle: Doubles
    keys: Keys
    nearest: Sequence[Hits]
    last: Doubles
    spans: Doubles

    @classmethod
    def of(cls, hits: Sequence[Hits], *, less_is_better: bool) -> Estimates:
        """Where a query vector found nothing of an entity, that lies behind the last row that it did find."""
        hits = [Hits(found.keys, -found.scores if less_is_better else found.scores) for found in hits]
        keys = np.concatenate([np.zeros(0, np.int64), *(found.keys for found in hits)])
        known, numbers = np.unique(families(keys), return_inverse=True)
        ends = np.cumsum([len(found.keys) for found in hits])[:-1]
        last = np.array([found.scores[-1] if len(found.keys) else 0 for found in hits])
        spans = np.array([found.scores[0] - found.scores[-1] if len(found.keys) else 0 for found in hits])
        most, middle, nearest = np.zeros(len(known)), np.zeros(len(known)), []
        for rows, found, end, span in zip(np.split(numbers, ends), hits, last, spans, strict=True):
            own, first = np.unique(rows, return_index=True)
            best, behind = np.full(len(known), end), np.full(len(known), BEYOND * span)
            best[own], behind[own] = found.scores[first], 0
            most += best
            middle += best - behind
            nearest.append(Hits(known[own], best[own]))
        return cls(known, most, middle, np.unique(keys), nearest, last, spans)

    @classmethod
    def of_nothing(cls, vectors: int) -> Estimates:
        """Where so many query vectors found no row."""
        return cls.of([Hits(np.zeros(0, np.int64), np.zeros(0))] * vectors, less_is_better=False)

    def best(self, count: int) -> Keys:
        """The keys of the rows of so many families, those that look best."""
        order = np.argsort(-self.middle, kind="stable")[:count]
        return self.keys[np.isin(families(self.keys), self.families[order])]

    def prospects(self, keys: Sequence[int]) -> Prospects:
        """What is told of the entities with rows under these keys: nothing where their family is another's, too."""
        own = families(np.array(keys, np.int64))
        kinds, counts = np.unique(own, return_counts=True)
        own[np.isin(own, kinds[counts > 1])] = UNKNOWN
        nearest = np.stack([_of_each(own, found.keys, found.scores, np.nan) for found in self.nearest], axis=1)
        most = _of_each(own, self.families, self.most, np.inf)
        middle = _of_each(own, self.families, self.middle, np.inf)
        return Prospects(most, middle, nearest, self.last, self.spans)


def _of_each(own: Keys, known: Keys, values: Doubles, otherwise: float) -> Doubles:
    """The values of these families, by those of the known ones, which are in order."""
    at = np.searchsorted(known, own)
    at[~np.isin(own, known)] = len(known)
    return np.append(values, otherwise)[at]
