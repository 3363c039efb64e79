"""MaxSim to within known bounds, and exactly from the few vectors that may be the best matches by these bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.matches import SUMMED, Doubles, Floats, Integers, Matches, bounds_of, largest
from colmilvus.embedded.parallel import each
from colmilvus.embedded.scan import Queries, are_one, groups, scores, verify
from colmilvus.embedded.vectors import VectorStore

__all__ = ["Bounded", "bounded", "exact"]

LARGEST = float(np.finfo(np.float32).max)
ALONE = 40_000
"""Fewer vectors than these are compared exactly by one thread: two would wait for each other longer than they gain."""
CROWD = 16
"""Where more vectors than these may match a query vector best, on average, all are compared."""


class Bounded(NamedTuple):
    """Scores, float32 ``(queries, records)``, and how far off each is at most; 0 where it is exact."""

    values: Floats
    errors: Floats


def bounded(store: VectorStore, column: int, rows: Integers, queries: Sequence[NDArray[Any]], kind: str) -> Bounded:
    """MaxSim of each query with each record as ``scan.scores`` gives it, to within the errors that come with it.

    Raises DatabaseDamaged where a record is not what was written. An error may be infinite.
    """
    found = Bounded(*np.zeros((2, len(queries), len(rows)), np.float32))
    large = _large(store, column, rows)
    others = np.setdiff1d(np.arange(len(rows)), large)
    if len(others):
        found.values[:, others] = scores(store, column, rows[others], queries, kind)
    if len(large):
        for part, matches in _matches(store, column, rows[large], queries, kind):
            found.values[part, large], found.errors[part, large] = _bounded(matches)
    return found


def exact(store: VectorStore, column: int, rows: Integers, query: NDArray[Any], kind: str) -> Floats:
    """MaxSim of a query with each record, as ``scan.scores`` gives it, which is several times slower."""
    verify(store, column, rows)
    large = _large(store, column, rows)
    found = np.full(len(rows), np.nan, np.float32)
    for _, matches in _matches(store, column, rows[large], [query], kind):
        found[large] = _exact(matches)
    others = np.flatnonzero(np.isnan(found))
    if len(others):
        found[others] = scores(store, column, rows[others], [query], kind)[0]
    return found


def _large(store: VectorStore, column: int, rows: Integers) -> Integers:
    """The places of the records that can be compared so, in the order of their numbers of vectors."""
    counts = store.counts(rows)
    places = np.flatnonzero(store.columns[column].short(counts))
    return np.asarray(places[np.argsort(counts[places], kind="stable")])


def _matches(
    store: VectorStore, column: int, rows: Integers, queries: Sequence[NDArray[Any]], kind: str
) -> Iterator[tuple[slice, Matches]]:
    if len(rows):
        store.expect(rows, column, 2 / store.columns[column].dtype.itemsize)
        verify(store, column, rows, first=True)
        for first, last in groups(queries):
            yield slice(first, last), Matches(store, column, rows, Queries.of(queries[first:last], kind))


def _bounded(matches: Matches) -> tuple[Floats, Floats]:
    queries = matches.queries
    best = np.empty((len(matches.counts), matches.width), np.float32)
    norms = np.empty((2, len(matches.counts)), np.float32)

    def compare(part: slice) -> None:
        with matches.of(part) as (found, lengths):
            best[part] = largest(found)[:, : matches.width]
            norms[:, part] = bounds_of(lengths)

    each(compare, matches.chunks())
    errors = matches.errors(slice(None), *norms)
    unknown = ~np.isfinite(errors).all(axis=1)
    best[unknown], errors[unknown] = 0, 0
    values = _sums(_scores(best.astype(np.float64), queries), queries)
    errors = _sums(errors, queries) + SUMMED * np.abs(values)
    errors[unknown] = np.inf
    too_large = ~(np.abs(values) + errors < LARGEST)
    values[too_large], errors[too_large] = 0, np.inf
    return values.T.astype(np.float32), errors.T.astype(np.float32)


def _scores(best: Doubles, queries: Queries) -> Doubles:
    """What the best matches add to a score."""
    return np.maximum(queries.squares - best, 0) if queries.kind == "L2" else best


def _sums(of_vectors: Doubles, queries: Queries) -> Doubles:
    return np.asarray(np.add.reduceat(of_vectors, queries.bounds, axis=1))


def _exact(matches: Matches) -> Floats:
    """Scores of one query; NaN where all vectors had better be compared."""
    found = np.full(len(matches.counts), np.nan, np.float32)

    def compare(part: slice) -> None:
        with matches.of(part) as (of_part, norms):
            errors = matches.errors(part, *bounds_of(norms))
            few = np.isfinite(errors).all(axis=1)
            of_part[~few], errors[~few] = 0, 0
            enough = np.full((len(norms), matches.lanes), np.inf, np.float32)
            least = (largest(of_part)[:, : matches.width] - 2 * errors).astype(np.float32)
            enough[:, : matches.width] = np.nextafter(least, np.float32(-np.inf))
            near = np.flatnonzero(of_part >= enough[:, None])  # in one dimension it is three times as fast
        record, vector, word = np.unravel_index(near, of_part.shape)
        few &= np.bincount(record, minlength=len(norms)) <= CROWD * matches.width
        kept = few[record]
        record, vector, word = record[kept], vector[kept], word[kept]
        if len(record):
            bounds = np.searchsorted(record, np.arange(len(norms) + 1))
            runs = enumerate(pairwise(bounds.tolist()), part.start)
            vectors = np.concatenate([matches.vectors(at, vector[a:b]) for at, (a, b) in runs if a < b])
            best = _best(vectors, norms[record, vector], word, record * matches.width + word, matches.queries)
            with np.errstate(over="ignore"):
                found[part.start + np.flatnonzero(few)] = best.reshape(-1, matches.width).sum(axis=1)

    each(compare, matches.chunks(ALONE))
    return found


def _best(vectors: Floats, norms: Floats, word: Integers, group: Integers, queries: Queries) -> Doubles:
    """What the best of each group of matches adds to a score, in the order of groups."""
    wide, asked = vectors.astype(np.float64), queries.wide[word]
    if queries.kind == "L2":
        matches = -np.square(wide - asked).sum(axis=1)
    else:
        matches = np.einsum("ij,ij->i", wide, asked)
        if queries.kind == "COSINE" and not are_one(norms):
            matches = np.divide(matches, norms, out=np.zeros_like(matches), where=norms > 0)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    best = np.maximum.reduceat(matches[order], first)
    return -best if queries.kind == "L2" else best
