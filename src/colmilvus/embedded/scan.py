"""Exact MaxSim of queries with many stored multi-vectors, in blocked matrix products over the files they lie in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.vectors import VectorStore

__all__ = ["scores"]

BLOCK = 8192
RUN = 1024
CELLS = 8 << 20
LARGE = 1e37
SMALL = 1e-30

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Some entities with all of their vectors, end to end."""

    positions: Integers
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
    store.verify(rows, column)
    for first, last in _groups(queries):
        part = queries[first:last]
        stacked, squares = _stack(part, kind)
        narrow = stacked.astype(np.float32)
        bounds = np.cumsum([0, *(len(query) for query in part[:-1])])
        height = max(1, min(BLOCK, CELLS // len(stacked)))
        for block in _blocks(store, column, rows, height):
            fits = _fits_float32(block, squares, kind)
            best = _best(block, narrow, squares, kind) if fits else _best(_widened(block), stacked, squares, kind)
            with np.errstate(over="ignore"):
                found[first:last, block.positions] = np.add.reduceat(best, bounds, axis=0, dtype=np.float64)
    return found


def _groups(queries: Sequence[NDArray[Any]]) -> Iterator[tuple[int, int]]:
    first, total = 0, 0
    for i, query in enumerate(queries):
        if i > first and total + len(query) > RUN:
            yield first, i
            first, total = i, 0
        total += len(query)
    yield first, len(queries)


def _stack(queries: Sequence[NDArray[Any]], kind: str) -> tuple[Doubles, Doubles]:
    stacked = np.concatenate([np.asarray(query, np.float64) for query in queries])
    squares = np.einsum("ij,ij->i", stacked, stacked)
    if kind == "COSINE":
        norms = np.sqrt(squares)[:, None]
        stacked = np.divide(stacked, norms, out=np.zeros_like(stacked), where=norms > 0)
    return stacked, np.ones_like(squares) if kind == "COSINE" else squares


def _fits_float32(block: Block, squares: Doubles, kind: str) -> bool:
    """Whether float32 holds every number on the way to the block's scores."""
    largest, query = float(block.norms.max()), float(np.sqrt(squares.max()))
    if kind == "COSINE":
        return largest < LARGE and not ((block.norms > 0) & (block.norms < SMALL)).any()
    return max(largest, query, largest * query) < LARGE and (kind == "IP" or (largest + query) ** 2 < LARGE)


def _widened(block: Block) -> Block:
    vectors = block.vectors.astype(np.float64)
    return Block(block.positions, block.starts, vectors, np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))


def _best(block: Block, queries: NDArray[Any], squares: Doubles, kind: str) -> NDArray[Any]:
    """The best match of every query vector in every entity of the block: ``(query vectors, entities)``.

    Block and queries are of one type, float32 or float64, in which is calculated.
    """
    # One line a query vector: along lines numpy finds the best of an entity many times faster than across them.
    matches = queries @ block.vectors.T
    if kind == "L2":
        matches *= -2
        matches += np.square(block.norms)
        matches += squares[:, None].astype(matches.dtype)
        return np.asarray(np.maximum(_reduced(np.minimum, matches, block.starts), 0))
    if kind == "COSINE":
        matches *= np.divide(1, block.norms, out=np.zeros_like(block.norms), where=block.norms > 0)
    return _reduced(np.maximum, matches, block.starts)


def _reduced(of: np.ufunc, matches: NDArray[Any], starts: Integers) -> NDArray[Any]:
    if len(starts) == 1:
        return np.asarray(of.reduce(matches, axis=1, keepdims=True))
    return np.asarray(of.reduceat(matches, starts, axis=1))


def _blocks(store: VectorStore, column: int, rows: Integers, height: int) -> Iterator[Block]:
    segments, starts, counts = store.locate(rows)
    order = np.lexsort((starts, segments))
    segments, starts, counts = segments[order], starts[order], counts[order]
    for chunk in _chunks(segments, starts, counts, height):
        part = slice(*chunk)
        first, sizes = starts[part], counts[part]
        vectors, norms = store.matrix(int(segments[chunk[0]]), column, int(first[-1] + sizes[-1]))
        local = np.cumsum(sizes) - sizes
        total = int(sizes.sum())
        if first[-1] + sizes[-1] - first[0] == total:
            where: Any = slice(int(first[0]), int(first[0]) + total)
        else:
            where = np.repeat(first - local, sizes) + np.arange(total)
        yield Block(order[part], local, np.asarray(vectors[where], np.float32), np.asarray(norms[where]))


def _chunks(segments: Integers, starts: Integers, counts: Integers, height: int) -> list[tuple[int, int]]:
    """Cut the sorted records into blocks of one segment and about ``height`` vectors.

    A long unbroken run becomes blocks of its own, read in place; short runs share a block, whose vectors are copied.
    """
    breaks = np.flatnonzero((segments[1:] != segments[:-1]) | (starts[1:] != starts[:-1] + counts[:-1])) + 1
    edges = np.concatenate([[0], breaks, [len(segments)]])
    totals = np.concatenate([[0], np.cumsum(counts)])
    chunks: list[tuple[int, int]] = []
    alone = True
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        size = totals[end] - totals[begin]
        if chunks and not alone and size < RUN and _fits(segments, totals, chunks[-1][0], begin, end, height):
            chunks[-1] = (chunks[-1][0], end)
            continue
        alone = size >= RUN
        chunks += _split(totals, begin, end, height)
    return chunks


def _fits(segments: Integers, totals: Integers, first: int, begin: int, end: int, height: int) -> bool:
    return bool(segments[begin] == segments[first] and totals[end] - totals[first] <= height)


def _split(totals: Integers, begin: int, end: int, height: int) -> Iterator[tuple[int, int]]:
    while begin < end:
        stop = int(np.searchsorted(totals, totals[begin] + height, side="right")) - 1
        stop = min(max(stop, begin + 1), end)
        yield begin, stop
        begin = stop
