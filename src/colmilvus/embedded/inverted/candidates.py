"""Exact MaxSim where the estimates of an inverted file say that it may matter.

The records that look best are compared exactly, first few, then as many more as may still belong to the best by the
errors of the estimates so far. Where these would be many, more lists are looked into first.
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
# Tuned on token vectors of real text and on patch-like ones, 2,000 and 10,000 pages; see benchmarks/engine.py.
FIRST = 64
MOST = 960
STEP = 64
# More candidates than this cost more than looking into four times as many lists.
MANY = 128
DEEPEST = 2
# How far above its estimate a score may lie: so many deviations of the errors, or so many times the worst of them.
DEVIATIONS = 4.0
WORST = 1.25
LEARNT_FROM = 16

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
    found = _Compared(probe, len(inside))
    chosen = found.first(first)
    deepened = 0
    while True:
        found.note(chosen, exact(inside[chosen]))
        threshold = _threshold(np.concatenate([scores, found.values[found.compared]]), count)
        hopeful = found.hopeful(threshold)
        left = most - int(found.compared.sum())
        if not len(hopeful) or left <= 0:
            break
        if len(hopeful) > MANY and deepened < DEEPEST and not probe.deepest:
            probe.deepen()
            deepened += 1
            found.estimate()
            hopeful = found.hopeful(threshold)
        chosen = hopeful[: min(STEP, left)]
        if not len(chosen):
            break
    at = np.flatnonzero(found.compared)
    return np.concatenate([done, inside[at]]), np.concatenate([scores, found.values[at]])


class _Compared:
    """What is known of records: estimates, and of some the exact scores, which teach how far off estimates are."""

    def __init__(self, probe: Probe, size: int) -> None:
        self._probe = probe
        self.compared = np.zeros(size, np.bool_)
        self.values = np.zeros(size, np.float32)
        self.estimate()

    def estimate(self) -> None:
        """Take the estimates of what the probe has seen by now."""
        self._estimates, self._unmet = self._probe.estimates()

    def first(self, number: int) -> Integers:
        """The records with the best estimates, and a few others, to learn about errors from."""
        order = np.argsort(-self._estimates, kind="stable")
        rest = order[number:]
        return np.concatenate([order[:number], rest[:: max(1, len(rest) // LEARNT_FROM)][:LEARNT_FROM]])

    def note(self, positions: Integers, scores: Floats) -> None:
        self.values[positions] = scores
        self.compared[positions] = True

    def hopeful(self, threshold: float) -> Integers:
        """The records, best first, whose scores may reach the threshold by what is known of the errors."""
        known = self.compared
        # An estimate is the further off the more query vectors did not meet the record.
        terms = np.stack([np.ones(len(known)), self._unmet], axis=1)
        errors = (self.values - self._estimates)[known]
        weights = np.linalg.lstsq(terms[known], errors, rcond=None)[0]
        left = errors - terms[known] @ weights
        spread = max(DEVIATIONS * float(left.std()), WORST * float(left.max()))
        expected = self._estimates + terms @ weights
        reach = np.flatnonzero(~known & (expected + spread >= threshold))
        return reach[np.argsort(-expected[reach], kind="stable")]


def _threshold(scores: Floats, count: int) -> float:
    return float(np.partition(scores, -count)[-count]) if len(scores) > count else -np.inf
