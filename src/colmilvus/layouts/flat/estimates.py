"""What the rows that single query vectors found tell of the MaxSim of entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.layouts.flat.keys import families

__all__ = ["Estimates", "Hits"]

BEYOND = 0.3
"""How far what was not found lies behind the last row that was, by what that lies behind the first, about at most.

Among 1,000 pages of text, words and patches 12 to 24 are left to compare for the ten best, with 0.99 of them or more.
"""

MISSED = 0.06
"""How far the sum of what the vectors of a query find lies from what there is, for the root of their number.

In the unit of ``BEYOND``. A search looks into a part of the lists, and may take a farther row of an entity for the
nearest. Among patch-like pages of 206 vectors it does so in a tenth of all cases, and the sums are off by 0.03, one
standard deviation. Without this 0.91 to 0.985 of the ten best of 1,000 patch-like pages were found, with filters and
without, settled or not; with it 0.978 to 1.
"""

COMPARED = 4 << 20
"""Bytes that are compared in any case, of the entities that look best.

Segments that Milvus has not made an index of are searched by one of its own, in which more is missed.
"""

Keys = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Hits(NamedTuple):
    """The rows that one query vector found, nearest first."""

    keys: Keys
    scores: Doubles


class Estimates(NamedTuple):
    """The families of all rows that were found, and of the MaxSim of each the most and the least that it may be.

    For "L2", where less is better, both are of its negative. ``keys`` are those of the rows. ``doubt`` is by how much
    they may be less than they would be if every vector of the query had found what is nearest to it.
    """

    families: Keys
    most: Doubles
    least: Doubles
    keys: Keys
    doubt: float = 0.0

    @classmethod
    def of(cls, hits: Sequence[Hits], *, less_is_better: bool) -> Estimates:
        """Where a query vector found nothing of an entity, that lies behind the last row that it did find."""
        keys = np.concatenate([np.zeros(0, np.int64), *(found.keys for found in hits)])
        known, numbers = np.unique(families(keys), return_inverse=True)
        ends = np.cumsum([len(found.keys) for found in hits])[:-1]
        most, least, spans = np.zeros(len(known)), np.zeros(len(known)), []
        for rows, found in zip(np.split(numbers, ends), hits, strict=True):
            if not len(rows):
                continue
            scores = -found.scores if less_is_better else found.scores
            own, nearest = np.unique(rows, return_index=True)
            best = np.full(len(known), scores[-1])
            best[own] = scores[nearest]
            most += best
            spans.append(scores[0] - scores[-1])
            worst = np.full(len(known), BEYOND * spans[-1])
            worst[own] = 0
            least += best - worst
        return cls(known, most, least, np.unique(keys), MISSED * sum(spans) / max(1, len(spans)) ** 0.5)

    @classmethod
    def of_nothing(cls) -> Estimates:
        """Of no row."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))

    def best(self, count: int) -> Keys:
        """The keys of the rows of so many families, those that look best."""
        order = np.argsort(-(self.most + self.least), kind="stable")[:count]
        return self.keys[np.isin(families(self.keys), self.families[order])]

    def contenders(self, limit: int, keys: Sequence[int], weights: Sequence[int]) -> NDArray[np.intp]:
        """Which of the entities with rows under these keys, by their places, may be among so many best ones.

        Of those of a family that was not found, or that another one shares, nothing is known: they may. Others that
        look best come with them, while what is to be compared weighs at most ``COMPARED`` in all.
        """
        own = families(np.array(keys, np.int64))
        kinds, counts = np.unique(own, return_counts=True)
        at = np.searchsorted(self.families, own)
        at[~np.isin(own, self.families) | np.isin(own, kinds[counts > 1])] = len(self.families)
        most, least = np.append(self.most, np.inf)[at], np.append(self.least, -np.inf)[at]
        at_least = np.partition(least, -limit)[-limit] if len(least) > limit else -np.inf
        middle = np.append(self.most + self.least, np.inf)[at]
        order = np.argsort(-middle, kind="stable")
        is_cheap = np.cumsum(np.array(weights, np.int64)[order]) <= COMPARED
        return np.sort(order[(most >= at_least - self.doubt)[order] | is_cheap])
