"""How the vectors of a record are stored: as they are, or in two halves, so that half of the bytes nearly tell them.

Large records of float32 lie on the disk as their vectors in bfloat16, rounded to the nearest, and then, in as many
bytes, what that leaves out: no bit is lost, nothing grows, and a search that reads the first half alone knows every
component to one part in 256. Small records are not worth the trouble, and float16 is short as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGE", "Column", "norms_of", "rounded"]

ROUNDED = 2.0**-8
"""How far off a component in bfloat16 is at most, by its size."""
LARGE = 64
"""Records of so many vectors or more are large."""
ROUNDING = np.uint32(0x8000)
"""Half of the last bit that bfloat16 keeps of a float32, as integers."""

Halves = NDArray[np.uint16]


@dataclass(frozen=True)
class Column:
    """One vector sub-field: the dimension and the type of its vectors."""

    dim: int
    dtype: np.dtype[Any]

    @property
    def width(self) -> int:
        """Bytes of one vector."""
        return self.dim * self.dtype.itemsize

    def halved(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which records, of so many vectors, are stored in halves."""
        return (counts >= LARGE) & (self.dtype == np.float32)

    def short(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which records have components of 16 bits that nearly tell their vectors, ahead of all else."""
        return (counts >= LARGE) & (self.dtype.kind == "f")

    def stored(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """What is stored of the vectors ``(n, dim)`` of a record: as many bytes, in the same shape."""
        if not self._is_halved(vectors):
            return vectors
        halves = np.stack(_halves_of(np.ascontiguousarray(vectors, "<f4").view("<u4") + ROUNDING))
        return halves.reshape(-1).view("<f4").reshape(vectors.shape)

    def given(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The vectors ``(n, dim)`` of a record, of as many rows of what is stored."""
        return self.join(self.halves(stored), np.empty(stored.shape, "<f4")) if self._is_halved(stored) else stored

    def rounding(self, stored: NDArray[Any], vectors: NDArray[Any], norms: NDArray[np.float32]) -> float:
        """How far the short components of what is stored tell the vectors wrong at most, by their norms.

        Of vectors next to nothing it may be more than this.
        """
        if not self._is_halved(stored):
            return 0.0
        with np.errstate(all="ignore"):
            missed = _numbers(self.halves(stored)[0])
            found = norms_of(np.subtract(vectors, missed, out=missed)) / norms
        # The norms are rounded, and so is this where it is written.
        most = float(np.fmax.reduce(found, initial=0)) * (1 + 1e-6)
        return min(most, ROUNDED) if np.isfinite(norms).all() else ROUNDED

    def _is_halved(self, rows: NDArray[Any]) -> bool:
        return bool(self.halved(np.array(len(rows))))

    def join(self, halves: Halves, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors ``(n, dim)`` of which these are the halves, written to ``out``."""
        bits = out.view("<u4")
        for half, part in zip(_halves_of(bits), halves, strict=True):
            half[:] = part
        bits -= ROUNDING
        return out

    def some(self, stored: NDArray[Any], which: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some vectors of a large record."""
        if self.dtype != np.float32:
            return stored[which].astype(np.float32)
        return self.join(self.halves(stored)[:, which], np.empty((len(which), self.dim), "<f4"))

    def parts(self, stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """What ``short`` components of a record, of so many rows of what is stored, are read from, and the rest."""
        return (stored, stored[:0]) if not self._is_halved(stored) else tuple(self.halves(stored))

    def halves(self, stored: NDArray[Any]) -> Halves:
        """The upper and the lower half, ``(2, n, dim)``, of a record that is stored in halves."""
        return stored.view("<u2").reshape(2, *stored.shape)


def _halves_of(bits: NDArray[np.uint32]) -> tuple[Halves, Halves]:
    """The upper and the lower half of numbers, in place."""
    pairs = bits.view("<u2").reshape(*bits.shape, 2)
    return pairs[..., 1], pairs[..., 0]


def rounded(vectors: NDArray[np.float32]) -> tuple[Halves, NDArray[np.float32]]:
    """Vectors in bfloat16, as its bits, and the numbers that these stand for."""
    high = ((np.ascontiguousarray(vectors, "<f4").view("<u4") + ROUNDING) >> np.uint32(16)).astype("<u2")
    return high, _numbers(high)


def _numbers(high: Halves) -> NDArray[np.float32]:
    """What bits of bfloat16 stand for."""
    bits = high.astype("<u4")
    bits <<= np.uint32(16)
    return np.asarray(bits.view("<f4"))


def norms_of(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """The Euclidean norm of every vector; infinite where float32 has no such number."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt(squares), np.float32)
