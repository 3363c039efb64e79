"""The stored records as an inverted file needs them: which can be found, and their vectors, portion by portion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.lists import rows_of
from colmilvus.embedded.inverted.plan import Live
from colmilvus.embedded.inverted.quantizer import SUBSPACE, prepared
from colmilvus.embedded.vectors import VectorStore
from colmilvus.errors import DatabaseDamaged

__all__ = ["Portion", "Records"]

PORTION = 1 << 16
SAMPLE_BYTES = 160 << 20
SAMPLED_A_LIST = 64
SAMPLED_RECORDS = 4096
OTHERS = 4
"""So many times the sample's vectors are looked through for rare ones."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Portion:
    """Prepared vectors ``(n, width)``, each one's position in ``rows``, which are as those of ``Lists``."""

    vectors: Floats
    members: Integers
    rows: NDArray[np.void]


@dataclass(frozen=True)
class Records:
    """One vector sub-field of a store; ``live`` gives the numbers of the records that can be found, ascending."""

    store: VectorStore
    column: int
    dim: int
    live: Callable[[], Integers]

    def found(self) -> Live:
        """The records with vectors that can be found now."""
        with self.store.reading():
            rows = np.unique(self.live())
            counts = self.store.counts(rows)
        return Live(rows[counts > 0], counts[counts > 0])

    def checks(self, rows: Integers) -> NDArray[np.uint32]:
        """The checksums of records; of those that are not there, 0."""
        return self.store.checksums(rows, self.column)

    @property
    def subspace(self) -> int:
        """Dimensions for a byte of a code, so that codes have the same share of what is stored for every type."""
        return SUBSPACE * 4 // self.store.columns[self.column].dtype.itemsize

    def portions(self, live: Live, kind: str) -> Iterator[Portion]:
        """The vectors of the records, about ``PORTION`` at a time, without those damaged, and those gone by now."""
        while len(live.rows):
            some = live.first(PORTION)
            live = Live(live.rows[len(some.rows) :], live.counts[len(some.rows) :])
            with self.store.reading():
                found = self._portion(some, kind)
            if found is not None:
                yield found

    def _portion(self, live: Live, kind: str) -> Portion | None:
        rows, vectors = [], []
        for row in live.rows.tolist():
            try:
                vectors.append(prepared(self.store.vectors(row, self.column), kind, self.subspace))
            except DatabaseDamaged:
                continue  # compared exactly, which tells whoever searches
            rows.append(row)
        if not rows:
            return None
        numbers = np.array(rows, np.int64)
        counts = [len(each) for each in vectors]
        described = rows_of(rows, self.checks(numbers).tolist(), counts)
        return Portion(np.concatenate(vectors), np.repeat(np.arange(len(rows)), counts), described)

    def sample(self, live: Live, kind: str, lists: int, go_on: Callable[[], None], *, seed: int = 0) -> Floats:
        """Prepared vectors ``(n, width)`` of records drawn at random, to learn so many lists from.

        Raises what ``go_on`` does, which is called before each record.
        """
        random = np.random.default_rng(seed)
        drawn = np.sort(random.permutation(len(live.rows))[:SAMPLED_RECORDS])
        total = int(live.counts[drawn].sum())
        share = min(1.0, min(SAMPLE_BYTES / (4 * self.dim), SAMPLED_A_LIST * lists) / max(1, total))
        # Room for all at once, of which only what is filled takes memory: what is gathered is not there twice.
        found = np.empty((int(share * total) + len(drawn), self.dim + -self.dim % self.subspace), np.float32)
        filled = 0
        for at in drawn.tolist():
            count = int(live.counts[at])
            size = int(share * count + random.random())
            if not size:
                continue
            go_on()
            with self.store.reading():
                try:
                    vectors = self.store.vectors(int(live.rows[at]), self.column)
                except DatabaseDamaged:
                    continue
                part = vectors[np.sort(random.permutation(count)[:size])]
                found[filled : filled + size] = prepared(part, kind, self.subspace)
            filled += size
        return found[:filled]

    def others(self, live: Live, kind: str, sampled: int, *, seed: int = 1) -> Iterator[Floats]:
        """Prepared vectors of whole records drawn at random, in portions, ``OTHERS`` times as many as were sampled."""
        order = np.random.default_rng(seed).permutation(len(live.rows))
        drawn = np.sort(order[: len(Live(live.rows[order], live.counts[order]).first(OTHERS * sampled).rows)])
        for portion in self.portions(Live(live.rows[drawn], live.counts[drawn]), kind):
            yield portion.vectors
