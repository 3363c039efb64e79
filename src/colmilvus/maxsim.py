"""MaxSim, the score of late interaction, exact and in numpy: the meaning that every search here is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colmilvus.entity import Metric, MultiVector
from colmilvus.errors import InvalidVectors

__all__ = ["maxsim", "similarities", "unit"]


def maxsim(query: MultiVector | ArrayLike, document: MultiVector | ArrayLike, metric: Metric = "COSINE") -> float:
    """The sum, over the query's vectors, of the best match among the document's vectors.

    With ``COSINE`` and ``IP`` the best match is the largest cosine or inner product, and more is better; with ``L2``
    it is the smallest squared Euclidean distance, and less is better. Both sides are ``(n, dim)``. A zero vector has
    cosine 0 with everything, as in Milvus. Raises InvalidVectors where the dimensions differ.

    Source: ColBERT (arXiv:2004.12832), section 3.2; Milvus, "Metric Types", Maximum similarity.

    >>> maxsim([[1, 0], [0, 1]], [[1, 0], [3, 4]])
    1.8
    """
    matches = similarities(query, document, metric)
    best = matches.min(axis=1) if metric == "L2" else matches.max(axis=1)
    return float(best.sum())


def similarities(
    query: MultiVector | ArrayLike, document: MultiVector | ArrayLike, metric: Metric = "COSINE"
) -> NDArray[np.float64]:
    """Cosine, inner product or squared distance of each query vector with each document vector.

    Returns float64 ``(query vectors, document vectors)``. Raises InvalidVectors where the dimensions differ.
    """
    q, d = MultiVector.of(query), MultiVector.of(document)
    if q.dim != d.dim:
        raise InvalidVectors(f"the query has vectors of {q.dim} dimensions, the document of {d.dim}")
    left, right = q.vectors.astype(np.float64), d.vectors.astype(np.float64)
    if metric == "COSINE":
        left, right = unit(left), unit(right)
    products: NDArray[np.float64] = left @ right.T
    if metric != "L2":
        return products
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(squares - 2 * products, 0))


def unit(vectors: ArrayLike) -> NDArray[np.float64]:
    """The vectors ``(n, dim)`` scaled to length 1, float64; zero vectors stay as they are."""
    vectors = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0))
