"""What the rows that single query vectors found tell of the MaxSim of entities."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.layouts.flat.rows import Key
from colmilvus.layouts.tenants import Tenant

__all__ = ["Estimates", "Hits"]

BEYOND = 0.3
"""How far what was not found lies behind the last row that was, by what that lies behind the first, about at most.

Among 1,000 pages of text, words and patches 12 to 24 are left to compare for the ten best, with 0.99 of them or more.
"""


class Hits(NamedTuple):
    """The rows that one query vector found, nearest first."""

    keys: Sequence[str]
    scores: NDArray[np.float64]


class Estimates(NamedTuple):
    """The ids of all entities that were found, and of the MaxSim of each the most and the least that it may be.

    For "L2", where less is better, both are of its negative.
    """

    ids: list[str]
    most: NDArray[np.float64]
    least: NDArray[np.float64]

    @classmethod
    def of(cls, hits: Sequence[Hits], *, less_is_better: bool, tenant: Tenant | None = None) -> Estimates:
        """Where a query vector found nothing of an entity, that lies behind the last row that it did find."""
        numbers: dict[str, int] = {}
        known: dict[str, int] = {}

        def owner(key: str) -> int:
            rest = key.partition("/")[2]  # alike for most rows of an entity, of which there are tens of thousands
            if rest not in known:
                known[rest] = numbers.setdefault(Key.of(key, tenant).id, len(numbers))
            return known[rest]

        owners = [np.array([owner(key) for key in found.keys], np.intp) for found in hits]
        most, least = np.zeros(len(numbers)), np.zeros(len(numbers))
        for rows, found in zip(owners, hits, strict=True):
            if not len(rows):
                continue
            scores = -found.scores if less_is_better else found.scores
            own, nearest = np.unique(rows, return_index=True)
            best = np.full(len(numbers), scores[-1])
            best[own] = scores[nearest]
            most += best
            worst = np.full(len(numbers), BEYOND * (scores[0] - scores[-1]))
            worst[own] = 0
            least += best - worst
        return cls(list(numbers), most, least)

    @classmethod
    def of_nothing(cls, ids: list[str]) -> Estimates:
        """Of entities of which nothing is known."""
        return cls(ids, np.full(len(ids), np.inf), np.full(len(ids), -np.inf))

    def best(self, count: int) -> Estimates:
        """Those of so many that look best, these first."""
        order = np.argsort(-(self.most + self.least), kind="stable")[:count]
        return Estimates([self.ids[at] for at in order.tolist()], self.most[order], self.least[order])

    def contenders(self, limit: int, there: Collection[str]) -> list[str]:
        """Of those that are there, the ids of all that may be among so many best ones."""
        places = [at for at, name in enumerate(self.ids) if name in there]
        if len(places) <= limit:
            return [self.ids[at] for at in places]
        at_least = np.partition(self.least[places], -limit)[-limit]
        return [self.ids[at] for at in places if self.most[at] >= at_least]
