"""Exact MaxSim of queries with many stored multi-vectors, in blocked matrix products over the files they lie in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.parallel import each, processors
from colmilvus.embedded.vectors import Column, VectorStore

__all__ = ["SMALL", "Queries", "are_one", "cut", "groups", "matrices", "scores", "verify"]

BLOCK_BYTES = 13 << 18
"""So much of vectors is multiplied at once: as fast as it gets where a cache of some MiB holds them."""
QUERY_VECTORS = 1024
CELLS = 8 << 20
CHECKED = 16
LARGE = 1e37
SMALL = 1e-30
ROUNDED = 2**-21
SHORT = 32
"""Pieces of so many vectors are copied faster one by one, shorter ones together."""
ZERO = np.zeros(1, np.int64)

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Matrix = tuple[NDArray[Any], NDArray[np.float32]]


class Chunk(NamedTuple):
    """Some records: their positions, and the segments, beginnings and numbers of their vectors, in order."""

    positions: Integers
    segments: Integers
    starts: Integers
    counts: Integers


class Block(NamedTuple):
    """Some records with all of their vectors, end to end."""

    starts: Integers
    vectors: NDArray[Any]
    norms: NDArray[Any]


def scores(
    store: VectorStore, column: int, rows: Integers, queries: Sequence[NDArray[Any]], kind: str
) -> NDArray[np.float32]:
    """MaxSim of each query with each record: float32 ``(queries, rows)``.

    Every query is ``(n, dim)``, every record has at least one vector, ``kind`` is "COSINE", "IP" or "L2". Raises
    DatabaseDamaged where a record is not what was written. A score too large for float32 is infinite.
    """
    found = np.zeros((len(queries), len(rows)), np.float32)
    if not len(rows):
        return found
    verify(store, column, rows)
    for first, last in groups(queries):
        part = Queries.of(queries[first:last], kind)
        compare = _Compare(store, column, rows, part, found[first:last])
        each(compare, compare.chunks)
    return found


def verify(store: VectorStore, column: int, rows: Integers, *, first: bool = False) -> None:
    """As ``VectorStore.verify``, with several threads."""
    left = store.unverified(rows, column, first=first)
    parts = [left[at : at + CHECKED] for at in range(0, len(left), CHECKED)]
    each(lambda part: store.verify(part, column, first=first), parts)


def matrices(store: VectorStore, column: int, segments: Integers, ends: Integers) -> dict[int, Matrix]:
    """What is stored in each of the segments, by number, and the norms, as far as the ends of records in it."""
    found = {}
    for segment in np.unique(segments).tolist():
        found[segment] = store.matrix(segment, column, int(ends[segments == segment].max()))
    return found


def groups(queries: Sequence[NDArray[Any]]) -> Iterator[tuple[int, int]]:
    """Runs of queries, from and to, which together have few enough vectors."""
    first, total = 0, 0
    for i, query in enumerate(queries):
        if i > first and total + len(query) > QUERY_VECTORS:
            yield first, i
            first, total = i, 0
        total += len(query)
    yield first, len(queries)


@dataclass(frozen=True)
class Queries:
    """Queries of one metric, end to end: in float64 and float32, their squared norms, and where each begins."""

    kind: str
    wide: Doubles
    narrow: NDArray[np.float32]
    squares: Doubles
    bounds: Integers

    @classmethod
    def of(cls, queries: Sequence[NDArray[Any]], kind: str) -> Queries:
        wide = np.concatenate([np.asarray(query, np.float64) for query in queries])
        squares = np.einsum("ij,ij->i", wide, wide)
        if kind == "COSINE":
            norms = np.sqrt(squares)[:, None]
            wide = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
            squares = np.ones_like(squares)
        return cls(kind, wide, wide.astype(np.float32), squares, np.cumsum([0, *map(len, queries[:-1])]))

    def scores(self, block: Block) -> NDArray[Any]:
        """MaxSim of each query with each record of the block."""
        if self.kind == "COSINE" and are_one(block.norms):
            best = _reduced(np.maximum, self.narrow @ block.vectors.T, block.starts)
        elif self.fit_float32(block.norms.min(where=block.norms > 0, initial=1), float(block.norms.max())):
            best = self._best(self.narrow, block)
        else:
            vectors = block.vectors.astype(np.float64)
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            best = self._best(self.wide, Block(block.starts, vectors, norms))
        return np.asarray(np.add.reduceat(best, self.bounds, axis=0, dtype=np.float64))

    def fit_float32(self, least: Any, largest: Any) -> Any:
        """Whether float32 holds every number on the way to the scores of vectors whose norms lie between these.

        ``least`` is the smallest norm above zero. Both may be arrays.
        """
        if self.kind == "COSINE":
            return (largest < LARGE) & (least >= SMALL)
        query = float(np.sqrt(self.squares.max()))
        fits = (largest < LARGE) & (query < LARGE) & (largest * query < LARGE)
        return fits & ((largest + query) ** 2 < LARGE) if self.kind == "L2" else fits

    def _best(self, queries: NDArray[Any], block: Block) -> NDArray[Any]:
        """The best match of every query vector in every record: ``(query vectors, records)``.

        Block and queries are of one type, float32 or float64, in which is calculated.
        """
        # One line a query vector: along lines numpy finds the best of a record many times faster than across them.
        matches = queries @ block.vectors.T
        if self.kind == "L2":
            matches *= -2
            matches += np.square(block.norms)
            matches += self.squares[:, None].astype(matches.dtype)
            return np.asarray(np.maximum(_reduced(np.minimum, matches, block.starts), 0))
        if self.kind == "COSINE":
            matches *= np.divide(1, block.norms, out=np.zeros_like(block.norms), where=block.norms > 0)
        return _reduced(np.maximum, matches, block.starts)


def are_one(norms: NDArray[Any]) -> bool:
    """Whether the norms differ from one by no more than float32 rounds a vector of length one."""
    return bool(norms.min() >= 1 - ROUNDED and norms.max() <= 1 + ROUNDED)


def _reduced(of: np.ufunc, matches: NDArray[Any], starts: Integers) -> NDArray[Any]:
    if len(starts) == 1:
        return np.asarray(of.reduce(matches, axis=1, keepdims=True))
    return np.asarray(of.reduceat(matches, starts, axis=1))


class _Compare:
    """Writes the scores of chunks of records to their places."""

    def __init__(
        self, store: VectorStore, column: int, rows: Integers, queries: Queries, found: NDArray[np.float32]
    ) -> None:
        self._queries = queries
        self._found = found
        segments, starts, counts = store.locate(rows)
        order = np.lexsort((starts, segments))
        segments, starts, counts = segments[order], starts[order], counts[order]
        dim = store.columns[column].dim
        height = max(1, min(BLOCK_BYTES // (4 * dim), CELLS // (len(queries.wide) * processors())))
        self.chunks = [Chunk(order[part], segments[part], starts[part], counts[part]) for part in cut(counts, height)]
        self._column = store.columns[column]
        self._matrices = matrices(store, column, segments, starts + counts)
        self._shape = (min(height, int(counts.sum())), dim)
        self._buffers: deque[NDArray[np.float32]] = deque()

    def __call__(self, chunk: Chunk) -> None:
        if int(chunk.counts.sum()) > self._shape[0]:
            self._compare(chunk, self._in_place(chunk))
            return
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = np.empty(self._shape, np.float32)
        self._compare(chunk, self._gathered(chunk, buffer))
        self._buffers.append(buffer)

    def _compare(self, chunk: Chunk, block: Block) -> None:
        with np.errstate(over="ignore"):
            self._found[:, chunk.positions] = self._queries.scores(block)

    def _in_place(self, chunk: Chunk) -> Block:
        """The one record of a chunk, which is too large to be copied."""
        ((segment, which, _, _),) = _pieces(chunk, self._column)
        vectors, lengths = self._matrices[segment]
        return Block(ZERO, np.asarray(self._column.given(vectors[which]), np.float32), lengths[which])

    def _gathered(self, chunk: Chunk, buffer: NDArray[np.float32]) -> Block:
        """The records of a chunk, copied out of their segments, end to end."""
        # BLAS is faster for it: it reads a cache then, and not memory, in leaps of a row.
        norms = np.empty(int(chunk.counts.sum()), np.float32)
        begin = 0
        for segment, which, count, halved in _pieces(chunk, self._column):
            vectors, lengths = self._matrices[segment]
            piece = buffer[begin : begin + count]
            if halved:
                self._column.join(self._column.halves(vectors[which]), piece)
            else:
                piece[:] = vectors[which]
            norms[begin : begin + count] = lengths[which]
            begin += count
        return Block(np.cumsum(chunk.counts) - chunk.counts, buffer[:begin], norms)


def _pieces(chunk: Chunk, column: Column) -> Iterator[tuple[int, slice | Integers, int, bool]]:
    """Segment, places in it, number of vectors, and whether they are one record's halves.

    Others are together where they lie in one piece, or where pieces are short, in one segment.
    """
    halved = column.halved(chunk.counts)
    joins = (chunk.segments[1:] == chunk.segments[:-1]) & ~halved[1:] & ~halved[:-1]
    follows = joins & (chunk.starts[1:] == chunk.starts[:-1] + chunk.counts[:-1])
    is_long = SHORT * (1 + np.count_nonzero(~follows)) <= chunk.counts.sum()
    first = np.append(0, np.flatnonzero(~(follows if is_long else joins)) + 1)
    for begin, end in pairwise([*first.tolist(), len(chunk.counts)]):
        starts, counts = chunk.starts[begin:end], chunk.counts[begin:end]
        total = int(counts.sum())
        which: slice | Integers = slice(int(starts[0]), int(starts[0]) + total)
        if not is_long and end - begin > 1:
            which = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(total)
        yield int(chunk.segments[begin]), which, total, bool(halved[begin])


def cut(counts: Integers, height: int) -> Iterator[slice]:
    """Cut records into chunks of about ``height`` vectors."""
    totals = np.concatenate([[0], np.cumsum(counts)])
    begin = 0
    while begin < len(counts):
        stop = max(begin + 1, int(np.searchsorted(totals, totals[begin] + height, side="right")) - 1)
        yield slice(begin, stop)
        begin = stop
