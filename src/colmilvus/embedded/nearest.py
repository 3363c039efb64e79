"""The best of the stored multi-vectors by MaxSim: every one compared, or those that an inverted file points to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted import InvertedFile
from colmilvus.embedded.scan import scores
from colmilvus.embedded.vectors import VectorStore

__all__ = ["nearest", "ordered"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Best = tuple[Integers, Floats]


def nearest(
    store: VectorStore,
    column: int,
    rows: Integers,
    queries: Sequence[NDArray[Any]],
    kind: str,
    window: tuple[int, int],
    inverted: InvertedFile | None,
    ratio: float,
) -> list[Best]:
    """For each query positions in ``rows`` and their scores, best first, from the ``window`` (skip, limit).

    Queries, ``kind`` and errors as for ``scan.scores``. Scores are exact, whatever found them.
    """
    left = list(range(len(queries)))
    found: dict[int, Best] = {}
    if inverted is not None:
        sign = -1 if kind == "L2" else 1
        for i in left:
            exact = _Exact(store, column, rows, queries[i], kind, sign)
            best = inverted.best(queries[i], rows, exact, sum(window), ratio)
            if best is not None:
                found[i] = _window(best[0], sign * best[1], window, kind)
    left = [i for i in left if i not in found]
    if left:
        lines = scores(store, column, rows, [queries[i] for i in left], kind)
        for i, line in zip(left, lines, strict=True):
            found[i] = _window(np.arange(len(rows)), line, window, kind)
    return [found[i] for i in range(len(queries))]


class _Exact:
    """Exact scores of positions for one query, larger is better."""

    def __init__(
        self, store: VectorStore, column: int, rows: Integers, query: NDArray[Any], kind: str, sign: int
    ) -> None:
        self._store, self._column = store, column
        self._rows = rows
        self._query = query
        self._kind = kind
        self._sign = sign

    def __call__(self, positions: Integers) -> Floats:
        rows = self._rows[positions]
        self._store.expect(rows, self._column)
        found = scores(self._store, self._column, rows, [self._query], self._kind)[0]
        return np.asarray(self._sign * found, np.float32)


def _window(positions: Integers, line: Floats, window: tuple[int, int], kind: str) -> Best:
    positions = np.asarray(positions)
    order = np.argsort(positions, kind="stable")
    positions, line = positions[order], line[order]
    best = ordered(line, *window, ascending=kind == "L2")
    return positions[best], line[best]


def ordered(line: NDArray[Any], skip: int, limit: int, *, ascending: bool) -> Integers:
    """Where the best scores are, equal ones in the order of their places, so that windows never overlap."""
    key = line if ascending else -line
    count = min(skip + limit, len(key))
    if count <= skip:
        return np.zeros(0, np.int64)
    candidates = np.flatnonzero(~(key > np.partition(key, count - 1)[count - 1]))
    return np.asarray(candidates[np.argsort(key[candidates], kind="stable")][skip:count])
