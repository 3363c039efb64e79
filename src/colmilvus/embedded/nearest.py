"""The best of the stored multi-vectors by MaxSim: every one compared, or those that an inverted file points to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.bounded import Bounded, bounded
from colmilvus.embedded.inverted import InvertedFile
from colmilvus.embedded.scoring import Scorer, best_of
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
    scorers = [Scorer(store, column, rows, query, kind) for query in queries]
    found: dict[int, Best] = {}
    if inverted is not None:
        for i, scorer in enumerate(scorers):
            best = inverted.best(queries[i], rows, scorer, sum(window), ratio)
            if best is not None:
                found[i] = best
    left = [i for i in range(len(queries)) if i not in found]
    if left:
        everywhere = np.arange(len(rows))
        among = bounded(store, column, rows, [queries[i] for i in left], kind)
        for i, values, errors in zip(left, *among, strict=True):
            known = Bounded(-values if kind == "L2" else values, errors)
            found[i] = best_of(everywhere, known, scorers[i], sum(window))
    return [_window(*found[i], window, kind) for i in range(len(queries))]


def _window(positions: Integers, line: Floats, window: tuple[int, int], kind: str) -> Best:
    order = np.argsort(positions, kind="stable")
    positions, line = positions[order], -line[order] if kind == "L2" else line[order]
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
