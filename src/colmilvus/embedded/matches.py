"""How nearly every stored vector matches every query vector, from the half of the bytes that says most.

Products are numkong's, of bfloat16 or float16 summed up in float32, several times faster than of whole vectors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.halves import rounded
from colmilvus.embedded.parallel import processors
from colmilvus.embedded.scan import SMALL, Queries, are_one, cut, matrices
from colmilvus.embedded.vectors import VectorStore
from colmilvus.errors import MissingExtra

try:
    import numkong
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["SUMMED", "Doubles", "Floats", "Integers", "Matches", "bounds_of", "largest"]

SUMMED = 2.0**-22
"""How far off a sum of float32 products, and the exact one beside it, are at most, by sizes, for each product."""
VANISHING = 2.0**-125
"""What is below this may count as nothing."""
CELLS = 1 << 20
"""So many products are made at a time; with fewer, threads wait for one another."""
FLAT = 32
LANES = 4
"""numkong multiplies with so many query vectors at a time, and with what is left of fewer up to twice as slowly."""

Kind = Literal["bf16", "f16", "f32"]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Matches:
    """Matches of queries with large records, which are in the order of their numbers of vectors.

    A match is a cosine, an inner product, or for "L2" twice the product less the stored vector's square: the largest
    is the best.
    """

    def __init__(self, store: VectorStore, column: int, rows: Integers, queries: Queries) -> None:
        self.queries = queries
        self.width = len(queries.narrow)
        self.lanes = self.width + -self.width % LANES
        self._column = store.columns[column]
        self._segments, self._starts, self.counts = store.locate(rows)
        self._matrices = matrices(store, column, self._segments, self._starts + self.counts)
        self._addresses = {segment: stored.ctypes.data for segment, (stored, _) in self._matrices.items()}
        self._lengths = np.sqrt(queries.squares)
        self._scale: Floats | None = None
        self._kind: Kind = "bf16"
        nearly: NDArray[np.floating[Any]]
        short, nearly = rounded(queries.narrow)
        if self._column.dtype == np.float16:
            # Its range is small: queries are compared at length one.
            scale = np.where(self._lengths > 0, self._lengths, 1).astype(np.float32)
            self._kind = "f16"
            short = (queries.wide / scale[:, None]).astype("<f2")
            nearly = short.astype(np.float64) * scale[:, None]
            self._scale = np.pad(scale, (0, self.lanes - self.width))
        short = np.pad(short, ((0, self.lanes - self.width), (0, 0)))
        self._packed = numkong.dots_pack(_tensor(short.ctypes.data, short.shape, self._kind, short), dtype=self._kind)
        self._roundings = store.roundings(rows, column).astype(np.float64)
        self._missed = np.linalg.norm(nearly - queries.wide, axis=1)
        self._buffers: deque[Floats] = deque()

    def chunks(self, least: int = 1) -> Iterator[slice]:
        """Slices of the records, as few as there are threads where these are not too many products.

        Where there are fewer than ``least`` vectors, they are one slice.
        """
        total = int(self.counts.sum())
        share = total if total < least else -(-total // processors())
        return cut(self.counts, min(share, max(1, CELLS // self.lanes)))

    @contextmanager
    def of(self, part: slice) -> Iterator[tuple[Floats, Floats]]:
        """Matches ``(records, vectors, lanes)`` and norms ``(records, vectors)`` of a slice of the records.

        The first ``width`` of the lanes are the query's vectors, the others nothing. Where a record has fewer vectors
        than others, the rest are no match, and have the norm of its first. What comes is overwritten after the block.
        """
        norms = np.empty((part.stop - part.start, int(self.counts[part.stop - 1])), np.float32)
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = np.empty(0, np.float32)
        if len(buffer) < norms.size * self.lanes:
            buffer = np.empty(norms.size * self.lanes, np.float32)
        matches = buffer[: norms.size * self.lanes].reshape(*norms.shape, self.lanes)
        with np.errstate(over="ignore", invalid="ignore"):
            self._match(part, matches, norms)
        yield matches, norms
        self._buffers.append(buffer)

    def _match(self, part: slice, matches: Floats, norms: Floats) -> None:
        """Write matches and norms of a slice of the records to where they belong."""
        self._multiply(part, matches, norms)
        if self._scale is not None and self.queries.kind != "COSINE":
            matches *= self._scale
        if self.queries.kind == "L2":
            matches *= 2
            matches -= np.square(norms)[..., None]
        elif self.queries.kind == "COSINE" and not are_one(norms):
            matches *= np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)[..., None]
        counts = self.counts[part]
        for i in np.flatnonzero(counts < norms.shape[1]).tolist():
            matches[i, counts[i] :] = -np.inf

    def _multiply(self, part: slice, products: Floats, norms: Floats) -> None:
        address, line = products.ctypes.data, products.strides[0]
        for i, at in enumerate(range(part.start, part.stop)):
            segment, start, count = int(self._segments[at]), int(self._starts[at]), int(self.counts[at])
            stored, lengths = self._matrices[segment]
            begin = self._addresses[segment] + start * self._column.width
            vectors = _tensor(begin, (count, self._column.dim), self._kind, stored)
            out = _tensor(address + i * line, (count, self.lanes), "f32", products)
            numkong.dots_packed(vectors, self._packed, out=out)
            norms[i, :count] = lengths[start : start + count]
            norms[i, count:] = norms[i, 0]

    def errors(self, part: slice, smallest: Floats, largest: Floats) -> Doubles:
        """How far off the matches of records may be at most, ``(records, query vectors)``; infinite where unknown.

        ``smallest`` is each record's smallest norm above zero, ``largest`` the largest.
        """
        least, most = smallest.astype(np.float64)[:, None], largest.astype(np.float64)[:, None]
        # Cauchy and Schwarz: what rounding a query's vector, then a stored one, then adding up may change.
        rounding = self._roundings[part, None]
        off = self._missed * (1 + rounding) + self._lengths * (rounding + SUMMED * self._column.dim)
        vanishing = VANISHING * self._column.dim * (1 + self._lengths + most)
        if self.queries.kind == "COSINE":
            found = off + vanishing / np.maximum(least, SMALL)
        elif self.queries.kind == "IP":
            found = off * most + vanishing
        else:
            found = 2 * off * most + SUMMED * np.square(self._lengths + most) + 2 * vanishing
        return np.where(self.queries.fit_float32(least, most), found, np.inf)

    def vectors(self, at: int, which: Integers) -> Floats:
        """Some vectors of one record, ``(n, dim)``."""
        stored, _ = self._matrices[int(self._segments[at])]
        start = int(self._starts[at])
        return self._column.some(stored[start : start + int(self.counts[at])], which)


def bounds_of(norms: Floats) -> tuple[Floats, Floats]:
    """Of each line the smallest norm above zero, or one, and the largest."""
    return np.where(norms > 0, norms, 1).min(axis=1), norms.max(axis=1)


def largest(matches: Floats) -> Floats:
    """The largest numbers along the middle axis."""
    # Halves are compared line by line, ten times as fast as numpy goes down columns.
    while matches.shape[1] > FLAT:
        half = matches.shape[1] // 2
        best = np.maximum(matches[:, :half], matches[:, half : 2 * half])
        if matches.shape[1] % 2:
            np.maximum(best[:, 0], matches[:, -1], out=best[:, 0])
        matches = best
    return np.asarray(matches.max(axis=1))


def _tensor(address: int, shape: tuple[int, ...], kind: Kind, owner: NDArray[Any]) -> numkong.Tensor:
    """Memory of an array, for numkong."""
    return numkong.from_pointer(address, shape, kind, owner=owner)
