"""The numbers that a collection stores: of 32 bits as they are given, or rounded to 16 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymilvus
from numpy.typing import NDArray

from colmilvus.entity import DType, MultiVector
from colmilvus.errors import InvalidVectors, Unsupported

__all__ = ["as_sent", "check_client", "rounded", "size_of"]

LARGEST = 65_504
"""The largest number of 16 bits."""
PYMILVUS = (2, 6, 16)
"""The first release of pymilvus that sends structs with vectors of 16 bits."""


def rounded(vectors: MultiVector, dtype: DType, name: str) -> MultiVector:
    """The multi-vector with every number as it is stored: the nearest of the type, of two the even one.

    Raises InvalidVectors, with ``name`` and the number, where it is beyond 65,504, and for a vector that would be zero.
    """
    if dtype == "float32":
        return vectors
    given = vectors.vectors
    with np.errstate(over="ignore"):
        halves = given.astype(np.float16)
    if not np.isfinite(halves).all():
        at = int(np.flatnonzero(~np.isfinite(halves).all(axis=1))[0])
        raise InvalidVectors(
            f"{name}: vector {at} of {len(given)} holds {_largest(given[at]):g}, float16 holds numbers from -{LARGEST} "
            f"to {LARGEST}; scale the vectors, or make the collection with dtype='float32'"
        )
    vanished = ~halves.any(axis=1) & given.any(axis=1)
    if vanished.any():
        at = int(vanished.argmax())
        raise InvalidVectors(
            f"{name}: vector {at} of {len(given)} holds nothing larger than {_largest(given[at]):g}, of which float16 "
            "would make zero; scale the vectors, or make the collection with dtype='float32'"
        )
    return MultiVector(halves, vectors.segments)


def _largest(vector: NDArray[np.float32]) -> float:
    return float(vector[np.abs(vector).argmax()])


def as_sent(vectors: MultiVector, dtype: DType) -> NDArray[Any]:
    """The numbers of a multi-vector that is rounded, in the type in which they are sent: ``(n, dim)``."""
    return vectors.vectors.astype(dtype, copy=False)


def size_of(vectors: MultiVector, dtype: DType) -> int:
    """The bytes that a multi-vector takes where it is stored."""
    return vectors.vectors.size * np.dtype(dtype).itemsize


def check_client(dtype: DType) -> None:
    """Raise Unsupported where the installed pymilvus does not send vectors of this type in structs."""
    installed = tuple(int(part) for part in pymilvus.__version__.split(".")[:3] if part.isdigit())
    if dtype == "float16" and installed < PYMILVUS:
        raise Unsupported(
            f"a float16 collection needs pymilvus {'.'.join(map(str, PYMILVUS))} or later, and {pymilvus.__version__} "
            "is installed: pip install --upgrade pymilvus"
        )
