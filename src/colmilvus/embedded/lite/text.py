"""BM25 over a whole collection: term counts of its segments and its memtable, scored by statistics of all live rows.

Milvus Lite scores each segment by statistics of its own, so that its scores change when rows are flushed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.lite.snapshot import Part

__all__ = ["K1", "B", "TextIndex"]

# Milvus's documented defaults; Milvus Lite has 1.5 for k1.
K1 = 1.2
B = 0.75
ENTRY = np.dtype([("term", "<u4"), ("frequency", "<f4")])

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Postings:
    """Term counts of some texts, sorted by term: the rows that hold each, and how often; and the texts' lengths."""

    terms: NDArray[np.uint32]
    rows: NDArray[np.int32]
    frequencies: NDArray[np.float32]
    lengths: Floats

    @classmethod
    def read(cls, values: Sequence[bytes | None]) -> Postings:
        """Postings of the sparse vectors that Milvus Lite stored, one a row."""
        counts = np.array([len(value or b"") // ENTRY.itemsize for value in values], np.int64)
        entries = np.frombuffer(b"".join(value or b"" for value in values), ENTRY)
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        lengths = np.bincount(rows, entries["frequency"], len(counts))
        return cls._sorted(entries["term"], rows, entries["frequency"], lengths)

    def extended(self, more: Postings) -> Postings:
        """These texts followed by others."""
        return self._sorted(
            np.concatenate([self.terms, more.terms]),
            np.concatenate([self.rows, more.rows + np.int32(len(self.lengths))]),
            np.concatenate([self.frequencies, more.frequencies]),
            np.concatenate([self.lengths, more.lengths]),
        )

    @classmethod
    def _sorted(cls, terms: Any, rows: Any, frequencies: Any, lengths: Any) -> Postings:
        order = np.argsort(terms, kind="stable")
        return cls(terms[order], rows[order], frequencies[order], lengths)

    def find(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The rows with the term, and how often each has it."""
        wanted = self.terms.dtype.type(term)
        found = slice(*(int(np.searchsorted(self.terms, wanted, side)) for side in ("left", "right")))
        return self.rows[found], self.frequencies[found]


class Growing:
    """Postings of a memtable, which only grows: in few blocks, each more than twice as long as the next."""

    def __init__(self) -> None:
        self.blocks: list[Postings] = []
        self._batches = 0

    def extend(self, memtable: Any, field: str) -> None:
        batches = memtable._insert_batches[self._batches :]
        if not batches:
            return
        self._batches += len(batches)
        self.blocks.append(Postings.read([value for batch in batches for value in batch.column(field).to_pylist()]))
        while len(self.blocks) > 1 and len(self.blocks[-2].terms) <= 2 * len(self.blocks[-1].terms):
            last = self.blocks.pop()
            self.blocks[-1] = self.blocks[-1].extended(last)


@dataclass(frozen=True)
class Scored:
    """A part of the collection as one search sees it."""

    blocks: tuple[Postings, ...]
    lengths: Floats
    live: NDArray[np.bool_]
    kept: Integers

    @classmethod
    def of(cls, part: Part, blocks: Sequence[Postings]) -> Scored:
        lengths = blocks[0].lengths if len(blocks) == 1 else np.concatenate([block.lengths for block in blocks])
        live = np.zeros(len(lengths), np.bool_)
        live[part.live] = True
        return cls(tuple(blocks), lengths, live, part.kept)

    def find(self, term: int) -> tuple[Integers, NDArray[np.float32]]:
        """The live rows with the term, and how often each has it."""
        starts = np.cumsum([0, *(len(block.lengths) for block in self.blocks)])
        found = [block.find(term) for block in self.blocks]
        rows = np.concatenate([rows + start for (rows, _), start in zip(found, starts[:-1], strict=True)])
        alive = self.live[rows]
        return rows[alive], np.concatenate([frequencies for _, frequencies in found])[alive]


class TextIndex:
    """The term counts of one BM25 field, read once for a segment and once for each batch of unflushed rows."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._lock = threading.Lock()
        self._growing: WeakKeyDictionary[Any, Growing] = WeakKeyDictionary()

    def scores(self, parts: Sequence[Part], queries: Sequence[Mapping[int, float]], k1: float, b: float) -> Floats:
        """BM25 of each query with each matching row, by the statistics of all live rows: ``(queries, rows)``.

        A word that n of N rows have, and this one f times, adds log(1 + (N - n + 0.5) / (n + 0.5)) * f * (k1 + 1) /
        (f + k1 * (1 - b + b * length / mean length)), times its count in the query. A row without any scores 0.
        """
        seen = [Scored.of(part, self._blocks(part.holder)) for part in parts]
        documents = sum(len(part.live) for part in parts)
        total = sum(float(part.lengths[part.live].sum()) for part in seen)
        mean = total / documents if total else 1.0
        weights = [k1 * (1 - b + b * part.lengths / mean) for part in seen]
        found = np.zeros((len(queries), sum(len(part.kept) for part in parts)))
        for line, query in zip(found, queries, strict=True):
            sums = [np.zeros(len(part.lengths)) for part in seen]
            for term, count in query.items():
                hits = [part.find(term) for part in seen]
                having = sum(len(rows) for rows, _ in hits)
                factor = count * (k1 + 1) * math.log1p((documents - having + 0.5) / (having + 0.5))
                for score, weight, (rows, frequencies) in zip(sums, weights, hits, strict=True):
                    score[rows] += factor * (frequencies / (frequencies + weight[rows]))
            if seen:
                line[:] = np.concatenate([score[part.kept] for score, part in zip(sums, seen, strict=True)])
        return found

    def _blocks(self, holder: Any) -> tuple[Postings, ...]:
        with self._lock:
            if hasattr(holder, "sparse_indexes"):
                return (self._of_segment(holder),)
            growing = self._growing.setdefault(holder, Growing())
            growing.extend(holder, self._field)
            return tuple(growing.blocks)

    def _of_segment(self, segment: Any) -> Postings:
        # Where Milvus Lite would keep its own, so that both go when the segment, its index or the loading does.
        held = segment.sparse_indexes.get(self._field)
        if not isinstance(held, Postings):
            held = segment.sparse_indexes[self._field] = Postings.read(segment.table.column(self._field).to_pylist())
        return held
