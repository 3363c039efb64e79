"""What the rows that single query vectors found tell of the MaxSim of entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.layouts.flat.rows import Key
from colmilvus.layouts.tenants import Tenant

__all__ = ["Hits", "estimates"]


class Hits(NamedTuple):
    """The rows that one query vector found, nearest first, and whether there are no others."""

    keys: Sequence[str]
    scores: NDArray[np.float64]
    are_all: bool


def estimates(hits: Sequence[Hits], tenant: Tenant | None = None) -> tuple[list[str], NDArray[np.float64]]:
    """The ids of all entities that were found, and an estimate of the MaxSim of each, for "L2" larger is worse.

    Where a query vector found nothing of an entity, it counts as much as the last row that it did find.
    """
    numbers: dict[str, int] = {}
    owners = [
        np.array([numbers.setdefault(Key.of(key, tenant).id, len(numbers)) for key in found.keys]) for found in hits
    ]
    total = np.zeros(len(numbers))
    for rows, found in zip(owners, hits, strict=True):
        if not len(rows):
            continue
        own, nearest = np.unique(rows, return_index=True)
        best = np.full(len(numbers), found.scores[-1])
        best[own] = found.scores[nearest]
        total += best
    return list(numbers), total
