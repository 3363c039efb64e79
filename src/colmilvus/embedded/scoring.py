"""The best of many records by exact MaxSim, of which most are compared no further than to within known bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.bounded import Bounded, bounded, exact
from colmilvus.embedded.vectors import VectorStore

__all__ = ["Scorer", "best_of"]

SPARE = 6
"""So many more than the count are scored exactly at first; with those scores known, many others need not be."""
STEP = 32

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Scorer:
    """One query's scores of some records by their positions; larger is better, for "L2" they are negative."""

    def __init__(self, store: VectorStore, column: int, rows: Integers, query: NDArray[Any], kind: str) -> None:
        self._store, self._column = store, column
        self._rows = rows
        self._query = query
        self._kind = kind

    def bounded(self, positions: Integers) -> Bounded:
        """Scores to within errors."""
        rows = self._rows[positions]
        (values,), (errors,) = bounded(self._store, self._column, rows, [self._query], self._kind)
        return Bounded(-values if self._kind == "L2" else values, errors)

    def exact(self, positions: Integers) -> Floats:
        """Scores."""
        found = exact(self._store, self._column, self._rows[positions], self._query, self._kind)
        return -found if self._kind == "L2" else found


def best_of(positions: Integers, found: Bounded, scorer: Scorer, count: int) -> tuple[Integers, Floats]:
    """Positions and exact scores of records among which are the ``count`` best, and all that equal the last of them.

    ``found`` is what is known of the scores at these positions.
    """
    least = _last_of_best(found.values - found.errors, count)
    highest = found.values + found.errors
    order = np.argsort(-highest, kind="stable")
    order = order[~(highest[order] < least)]
    known = np.zeros(0, np.float32)
    chosen = order[: count + SPARE]
    while len(chosen):
        scores = found.values[chosen]
        unsure = found.errors[chosen] > 0
        if unsure.any():
            scores[unsure] = scorer.exact(positions[chosen[unsure]])
        known = np.concatenate([known, scores])
        left = order[len(known) :]
        chosen = left[~(highest[left] < _last_of_best(known, count))][: count + STEP]
    return positions[order[: len(known)]], known


def _last_of_best(values: Floats, count: int) -> float:
    return float(np.partition(values, -count)[-count]) if len(values) >= count else -np.inf
