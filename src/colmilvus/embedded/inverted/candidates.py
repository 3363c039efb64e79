"""MaxSim where the estimates of an inverted file say that it may matter.

The records that look best are compared, first some, then more, best first, until those that are left are not expected
to have a share in the answer, by the errors of the estimates so far. Where many would have to be compared, more lists
are looked into for those first, if that costs less. The best of all that were compared are scored exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.bounded import Bounded
from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.probe import Probe
from colmilvus.embedded.scoring import Scorer, best_of

__all__ = ["USUAL_RATIO", "best"]

USUAL_RATIO = 3.0
# Tuned on token vectors of real text and on patch-like ones, 2,000 and 10,000 pages; see benchmarks/engine.py.
FIRST = 250
MOST = 4000
STEP = 64
LEARNT_FROM = 16
MISSED = 0.003
"""The share of the answer that may be missed, as expected by the errors of estimates."""
WIDENED = 1.4
"""How much wider than the errors seen so far those to come are taken to be."""
FEW = 4_000
FIRST_AMONG_FEW = 450
WIDENED_AMONG_FEW = 2.0
"""In generations of fewer records, where some are much better than they look, and comparing more costs little.

Of 2,000 patch-like pages 0.999 of the best ten are found, without the 50 best 0.996; with 250 and 2.0 it was 0.997 and
0.992. Of 5,000 of them both find 1.0, and of 10,000, by 250, 0.999, without the 50 best 0.997.
"""
FAR = 5.0
"""So many deviations away the chance is next to nothing, ten thousand times over."""
CODES_A_VECTOR = 0.06
"""Codes that may be scored for each vector of a candidate and of the query, so that fewer have to be compared."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def best(
    generation: Generation, query: NDArray[Any], rows: Integers, scorer: Scorer, count: int, ratio: float
) -> tuple[Integers, Floats]:
    """Positions in ``rows`` and exact scores of records among which are, very nearly always, the ``count`` best.

    Records that the generation does not hold are all compared. ``ratio`` times as many candidates are looked at as
    for the usual one.
    """
    held = generation.holds(rows)
    inside, positions = np.flatnonzero(held), np.flatnonzero(~held)
    found = scorer.bounded(positions)
    if len(inside):
        search = _Search(Probe(generation, query, rows[inside]), _told(found), count, ratio / USUAL_RATIO)
        search.run(lambda chosen: scorer.bounded(inside[chosen]))
        positions = np.concatenate([positions, inside[search.compared]])
        values = np.concatenate([found.values, search.values[search.compared]])
        found = Bounded(values, np.concatenate([found.errors, search.errors[search.compared]]))
    return best_of(positions, found, scorer, count)


class _Search:
    """What is known of records: estimates, and of some the exact scores, which teach how far off estimates are."""

    def __init__(self, probe: Probe, others: Floats, count: int, scale: float) -> None:
        self._probe = probe
        self._others = others
        self._count = count
        first, self._widened = (FIRST, WIDENED) if probe.records >= FEW else (FIRST_AMONG_FEW, WIDENED_AMONG_FEW)
        self._first, self._most = (max(count, int(scale * (number + 2 * count))) for number in (first, MOST))
        self._estimates, self._unmet = probe.estimates()
        self._left = np.ones(len(self._estimates), np.bool_)
        self.compared = np.zeros(len(self._estimates), np.bool_)
        self.values = np.zeros(len(self._estimates), np.float32)
        self.errors = np.zeros(len(self._estimates), np.float32)

    def run(self, compare: Callable[[Integers], Bounded]) -> None:
        chosen = self._beginning()
        while len(chosen):
            self.values[chosen], self.errors[chosen] = compare(chosen)
            self.compared[chosen] = True
            done = int(self.compared.sum())
            hopeful = self._hopeful()
            while self._pays_to_narrow(len(hopeful)):
                self._narrow(hopeful)
                hopeful = self._hopeful()
            chosen = hopeful[: min(max(0, self._most - done), max(STEP, done // 4))]

    def _beginning(self) -> Integers:
        """The records with the best estimates, and a few others, to learn about errors from."""
        order = np.argsort(-self._estimates, kind="stable")
        rest = order[self._first :]
        return np.concatenate([order[: self._first], rest[:: max(1, len(rest) // LEARNT_FROM)][:LEARNT_FROM]])

    def _pays_to_narrow(self, hopeful: int) -> bool:
        """Whether it costs less to look into more lists for these records than what it may save."""
        probe = self._probe
        return hopeful * probe.vectors_a_record * probe.width * CODES_A_VECTOR > probe.deeper(hopeful)

    def _narrow(self, hopeful: Integers) -> None:
        """Give up all records but these and those compared, which teach how far off the better estimates are."""
        self._left[:] = self.compared
        self._left[hopeful] = True
        self._probe.look_deeper(np.flatnonzero(self._left))
        self._estimates, self._unmet = self._probe.estimates()

    def _hopeful(self) -> Integers:
        """The records to compare, best first, so that not much of the answer is expected among those left."""
        known = self.compared
        values = _told(Bounded(self.values, self.errors))
        scores = np.concatenate([self._others, values[known]])
        enough = len(scores) > self._count
        threshold = float(np.partition(scores, -self._count)[-self._count]) if enough else -np.inf
        # An estimate is the further off the more query vectors did not meet the record.
        terms = np.hstack([np.ones((len(known), 1)), self._unmet])
        taught = np.flatnonzero(known & np.isfinite(values))
        if not len(taught):
            return np.flatnonzero(self._left & ~known)
        errors = (self.values - self._estimates)[taught]
        weights = np.linalg.lstsq(terms[taught], errors, rcond=None)[0]
        spread = self._widened * float((errors - terms[taught] @ weights).std()) + 1e-6
        lacking = (threshold - (self._estimates + terms @ weights)) / spread
        order = np.flatnonzero(self._left & ~known & ~(lacking >= FAR))
        order = order[np.argsort(lacking[order], kind="stable")]
        chances = _chance(lacking[order])
        left = np.cumsum(chances[::-1])[::-1]
        return order[: int((left > MISSED * self._count).sum())]


def _told(found: Bounded) -> Floats:
    """The values, where an error says something of them, else the least there is: they are no reason to stop."""
    return np.where(np.isfinite(found.errors), found.values, np.float32(-np.inf))


def _chance(lacking: Floats) -> Floats:
    """The chance that a normal error makes up for so many deviations, to three digits."""
    away = np.abs(lacking)
    tail = np.exp(-0.717 * away - 0.416 * away * away) / 2
    return np.asarray(np.where(lacking > 0, tail, 1 - tail))
