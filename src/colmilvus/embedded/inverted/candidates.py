"""Exact MaxSim where the estimates of an inverted file say that it may matter.

The records that look best are compared exactly, first few, then as many more as might, by the errors of the estimates
so far, still belong to the best. Where these would be many, more lists are looked into first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation, Probe
from colmilvus.embedded.inverted.library import selector

__all__ = ["USUAL_RATIO", "best"]

USUAL_RATIO = 3.0
FIRST = 64
MOST = 640
STEP = 64
MANY = 128
"""More candidates than this cost more than looking into four times as many lists."""
DEVIATIONS = 3.0
DEEPEST = 2
"""How often more lists are looked into."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Scorer = Callable[[Integers], Floats]


def best(
    generation: Generation, query: NDArray[Any], rows: Integers, exact: Scorer, count: int, ratio: float
) -> tuple[Integers, Floats]:
    """Positions in ``rows`` and scores of records among which are, very nearly always, the ``count`` best.

    ``exact`` gives the scores of positions, larger is better. Records that the generation does not hold are all
    compared exactly. ``ratio`` times as many candidates are looked at as for the usual one.
    """
    held = generation.holds(rows)
    done = np.flatnonzero(~held)
    scores = exact(done)
    inside = np.flatnonzero(held)
    if not len(inside):
        return done, scores
    probe = Probe(generation, query, rows[inside], selector(rows[inside]))
    probe.deepen()
    return _refined(probe, inside, done, scores, exact, count, ratio / USUAL_RATIO)


def _refined(
    probe: Probe, inside: Integers, done: Integers, scores: Floats, exact: Scorer, count: int, scale: float
) -> tuple[Integers, Floats]:
    first, most = (max(count, int(scale * (number + 4 * count))) for number in (FIRST, MOST))
    estimates = probe.estimates()
    compared = np.zeros(len(inside), np.bool_)
    values = np.zeros(len(inside), np.float32)
    deepened = 0
    wanted = first
    while True:
        order = np.argsort(-np.where(compared, -np.inf, estimates), kind="stable")
        chosen = order[: min(wanted, int((~compared).sum()))]
        values[chosen] = exact(inside[chosen])
        compared[chosen] = True
        threshold = _threshold(np.concatenate([scores, values[compared]]), count)
        errors = values[compared] - estimates[compared]
        reach = float(errors.mean() + DEVIATIONS * errors.std())
        hopeful = int((estimates[~compared] + reach >= threshold).sum())
        left = most - int(compared.sum())
        if not hopeful or left <= 0:
            break
        if hopeful > MANY and deepened < DEEPEST and not probe.deepest:
            probe.deepen()
            deepened += 1
            estimates = probe.estimates()
            wanted = min(STEP, left)
            continue
        wanted = min(max(hopeful, STEP // 2), 2 * STEP, left)
    found = np.flatnonzero(compared)
    return np.concatenate([done, inside[found]]), np.concatenate([scores, values[found]])


def _threshold(scores: Floats, count: int) -> float:
    return float(np.partition(scores, -count)[-count]) if len(scores) > count else -np.inf
