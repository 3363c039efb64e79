"""Which entities are compared exactly: those that look best first, then others, by what the first were found to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["AT_ONCE", "COMPARED", "Prospects"]

COMPARED = 8 << 20
"""Bytes that are compared first, of the entities that look best: their scores tell which others may be better."""

MISSED = 4.0
"""How far the MaxSim of an entity may lie above the most that was told, by the share of nearest rows that were missed.

In the unit of ``Prospects.unit``. A search looks into a part of the lists, and less closely into segments that Milvus
has not indexed yet: of those of 1,000 patch-like pages that were compared first it missed 0.05 of what it should have
found, right after they were stored, 0.02 later, and 0.015 when all were indexed. What was found for 100 queries,
compared again with a fixed doubt of 0.06, told 0.98 of the ten best of the first thirty, of 25 pages each, and with
this 0.993 of 47; later both tell 0.99 to 1 of about 30 pages.
"""

LEAST_DOUBT = 0.05
"""The same where nothing was missed among those compared first."""

CLOSE = 1e-4
"""Share of a match by which the arithmetic of a server, in single precision, may differ from ours."""

AT_ONCE = 2
"""Requests in which entities are read to be compared, all at once.

Reading about 27 pages of 1,030 vectors took 280 to 310 ms in one, 230 to 250 in two, 260 to 280 in three, on two cores.
"""

Doubles = NDArray[np.float64]
Places = NDArray[np.intp]


class Prospects(NamedTuple):
    """What single query vectors tell of some entities.

    ``most`` ``(entities,)`` is what the MaxSim of each may be at most, if no row was missed, and ``middle`` what it is
    about; both are infinite where nothing is known. ``nearest`` ``(entities, query vectors)`` is the best row that was
    found, not a number where none was. ``last`` ``(query vectors,)`` is the last row that each found, of any entity,
    and ``spans`` how far it lies behind the first. For "L2", where less is better, all are of the negative distances.
    """

    most: Doubles
    middle: Doubles
    nearest: Doubles
    last: Doubles
    spans: Doubles

    @property
    def unit(self) -> float:
        """How far a sum is off when each query vector is off by its span at random."""
        return float(self.spans.sum() / np.sqrt(max(1, len(self.spans))))

    def first(self, limit: int, weights: Sequence[int]) -> Places:
        """The places of those to compare first.

        Which look best, while they weigh ``COMPARED`` together at most, but no fewer than so many; and all unknown.
        """
        order = np.argsort(-self.middle, kind="stable")
        is_cheap = np.cumsum(np.array(weights, np.int64)[order]) <= COMPARED
        return order[is_cheap | (np.arange(len(order)) < limit) | np.isinf(self.middle[order])]

    def others(self, compared: Places, matches: Doubles, limit: int) -> Places:
        """The places of those not compared that may be among so many best.

        ``matches`` ``(compared, query vectors)`` are the exact ones of those compared, not numbers of what is gone. In
        any case the next best come with them, one for each request: so a search takes as many requests whatever it is
        for.
        """
        scores = matches.sum(axis=1)
        scores = scores[~np.isnan(scores)]
        worst = float(np.partition(scores, -limit)[-limit]) if len(scores) >= limit else -np.inf
        order = np.argsort(-self.middle, kind="stable")
        others = order[~np.isin(order, compared)]
        may_be = self.most[others] >= worst - self.unit * max(LEAST_DOUBT, MISSED * self._missed(compared, matches))
        return others[may_be | (np.arange(len(others)) < AT_ONCE)]

    def _missed(self, compared: Places, matches: Doubles) -> float:
        """The share of the best rows of these entities that were not found though nearer than the last that was."""
        is_known = np.isfinite(self.most[compared])
        exact, found = matches[is_known], self.nearest[compared[is_known]]
        slack = CLOSE * np.abs(exact)
        is_due = exact > self.last + slack
        is_missed = is_due & ~(found >= exact - slack)
        return float(is_missed.sum()) / max(1, int(is_due.sum()))
