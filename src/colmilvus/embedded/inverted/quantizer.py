"""What the inverted file knows of vectors in general: the centroids that name its lists, and the codes of residuals.

A vector goes to the list of (nearly) its nearest centroid, and what is left of it is written as one byte for each few
dimensions. Centroids are found in two levels, so that training and assigning cost little. Source: product quantisation
(Jégou et al., 2011); token codes with residuals for late interaction (PLAID, 2022; WARP, 2025).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.library import Scanner, faiss

__all__ = ["SUBSPACE", "Quantizer", "prepared"]

SUBSPACE = 4
"""Dimensions that one byte of a code stands for, where vectors are kept as float32; of narrower ones more."""
BITS = 8
ROUNDS = 8
VECTORS_A_CODEWORD = 128
NEAREST_GROUPS = 2
LARGEST = 1e15
RARE = 0.05
"""The share of vectors, those farthest from every centroid, that have centroids of their own."""
RARE_LISTS = 0.25
"""The share of the lists that these get. Without them, a rare word is in a list that no search for it comes to."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Quantizer:
    """Centroids ``(lists, width)``, their groups' ``(groups, width)``, and codewords ``(bytes, 256, subspace)``.

    ``width`` is the dimension of the vectors, filled up with zeros to a multiple of ``subspace``. ``kind`` is "COSINE"
    (the vectors are normalised), "IP" or "L2".
    """

    kind: str
    groups: Floats
    centroids: Floats
    codewords: Floats

    @property
    def width(self) -> int:
        return int(self.centroids.shape[1])

    @property
    def lists(self) -> int:
        return len(self.centroids)

    @property
    def code_size(self) -> int:
        """Bytes of the code of a vector."""
        return len(self.codewords)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of lists, and of the bytes of a code."""
        return self.lists, self.code_size

    @classmethod
    def train(
        cls,
        kind: str,
        sample: Floats,
        lists: int,
        go_on: Callable[[], None],
        *,
        others: Iterable[Floats] = (),
        subspace: int = SUBSPACE,
        seed: int = 0,
    ) -> Quantizer:
        """Learn about ``lists`` centroids and the codewords from a sample ``(n, width)`` of prepared vectors.

        ``others`` are more vectors, in portions, among which rare ones are looked for. Raises what ``go_on`` does,
        which is called every second or so.
        """
        groups = _centroids(sample, max(1, round(np.sqrt(lists))), seed)
        centroids = _children(sample, groups, round((1 - RARE_LISTS) * lists), seed, go_on)
        codewords = np.zeros((sample.shape[1] // subspace, 256, subspace), np.float32)
        rare = cls(kind, groups, centroids, codewords)._far(sample, others, go_on)
        if len(rare):
            more = _children(rare, groups, lists - round((1 - RARE_LISTS) * lists), seed, go_on)
            centroids = np.concatenate([centroids, more])
        found = cls(kind, groups, centroids, codewords)
        part = sample[np.random.default_rng(seed).permutation(len(sample))[: 256 * VECTORS_A_CODEWORD]]
        part -= centroids[found.assign(part)]
        for number, codewords in enumerate(found.codewords):
            go_on()
            codewords[:] = _codewords(part[:, number * subspace : (number + 1) * subspace], seed)
        return found

    def prepare(self, vectors: NDArray[Any]) -> Floats:
        """Vectors ``(n, dim)`` of any float type as they are compared here: ``(n, width)``."""
        return prepared(vectors, self.kind, self.codewords.shape[2])

    def assign(self, vectors: Floats) -> Integers:
        """The list of each prepared vector."""
        _, found = self._assigner.search(np.ascontiguousarray(vectors), 1)
        # What is too far from everything for float32 has no nearest one.
        return np.asarray(np.maximum(found[:, 0], 0), np.int64)

    def _far(self, sample: Floats, others: Iterable[Floats], go_on: Callable[[], None]) -> Floats:
        """The vectors that are farther from their centroid than all but a few of the sample are."""
        distances = self._assigner.search(sample, 1)[0][:, 0]
        limit = np.quantile(distances, 1 - RARE)
        found = [sample[distances > limit]]
        for portion in others:
            go_on()
            found.append(portion[self._assigner.search(portion, 1)[0][:, 0] > limit])
        return np.concatenate(found)

    @cached_property
    def _assigner(self) -> Any:
        base = faiss.IndexFlatL2(self.width)
        base.add(self.groups)
        assigner = faiss.IndexIVFFlat(base, self.width, len(self.groups), faiss.METRIC_L2)
        assigner.referenced_objects = [base]
        assigner.is_trained = True
        assigner.add(self.centroids)
        assigner.nprobe = min(NEAREST_GROUPS, len(self.groups))
        return assigner

    def encode(self, vectors: Floats, lists: Integers) -> Codes:
        """The codes of prepared vectors in these lists: uint8 ``(n, code_size)``."""
        return np.asarray(self._product.compute_codes(vectors - self.centroids[lists]), np.uint8)

    @cached_property
    def _product(self) -> Any:
        product = faiss.ProductQuantizer(self.width, self.code_size, BITS)
        faiss.copy_array_to_vector(self.codewords.ravel(), product.centroids)
        product.sync_transposed_centroids()
        return product

    @contextmanager
    def scanner(self, query: Floats) -> Iterator[Scanner]:
        """What scores codes for one prepared query vector until the end of the block."""
        try:
            found = self._scanners.pop()
        except IndexError:
            found = Scanner(self._index)
        found.aim(query)
        try:
            yield found
        finally:
            self._scanners.append(found)

    @cached_property
    def _scanners(self) -> deque[Scanner]:
        return deque()

    @cached_property
    def _index(self) -> Any:
        metric = faiss.METRIC_L2 if self.kind == "L2" else faiss.METRIC_INNER_PRODUCT
        flat = faiss.IndexFlat(self.width, metric)
        flat.add(self.centroids)
        index = faiss.IndexIVFPQ(flat, self.width, self.lists, self.code_size, BITS, metric)
        index.referenced_objects = [flat]
        # The part of an inner product that the centroid has is added by the scanner, for many lists at once.
        index.by_residual = self.kind == "L2"
        index.use_precomputed_table = -1  # which would hold 32 KB a list in memory
        faiss.copy_array_to_vector(self.codewords.ravel(), index.pq.centroids)
        index.is_trained = True
        return index

    def nearness(self, queries: Floats) -> Floats:
        """How near each list comes to each query vector, larger is nearer: ``(queries, lists)``.

        It is the inner product with the list's centroid, for "L2" the negative squared distance.
        """
        found = queries @ self.centroids.T
        if self.kind == "L2":
            found *= 2
            found -= self._squares
            found -= np.einsum("ij,ij->i", queries, queries)[:, None]
        return np.asarray(found)

    @cached_property
    def _squares(self) -> Floats:
        return np.asarray(np.einsum("ij,ij->i", self.centroids, self.centroids), np.float32)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        with path.open("wb") as file:
            np.savez(file, kind=self.kind, groups=self.groups, centroids=self.centroids, codewords=self.codewords)

    @classmethod
    def load(cls, path: Path) -> Quantizer:
        """Read what ``save`` wrote. Raises OSError, ValueError, KeyError or zipfile.BadZipFile for anything else."""
        with np.load(path) as found:
            return cls(str(found["kind"]), found["groups"], found["centroids"], found["codewords"])


def prepared(vectors: NDArray[Any], kind: str, subspace: int = SUBSPACE) -> Floats:
    """Vectors as an inverted file compares them: float32, of length one for "COSINE", filled up to whole subspaces."""
    found = np.asarray(vectors, np.float32)
    if kind == "COSINE":
        norms = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
        found = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0, casting="same_kind")
    if missing := -found.shape[1] % subspace:
        found = np.pad(found, ((0, 0), (0, missing)))
    # Beyond that, squared distances are infinite, and faiss writes where it should not.
    return np.ascontiguousarray(np.clip(found, -LARGEST, LARGEST), np.float32)


def _centroids(sample: Floats, number: int, seed: int) -> Floats:
    if len(sample) <= number:
        return np.array(sample, np.float32)
    means = faiss.Kmeans(
        sample.shape[1], number, niter=ROUNDS, seed=seed + 1, min_points_per_centroid=1, max_points_per_centroid=512
    )
    means.train(sample)
    return np.asarray(means.centroids, np.float32)


def _codewords(residuals: Floats, seed: int) -> Floats:
    if len(residuals) < 256:  # faiss learns from no fewer
        residuals = np.resize(residuals, (256, residuals.shape[1]))
    product = faiss.ProductQuantizer(residuals.shape[1], 1, BITS)
    product.cp.niter = ROUNDS
    product.cp.seed = seed + 1
    product.cp.min_points_per_centroid = 1
    product.train(np.ascontiguousarray(residuals))
    return np.asarray(faiss.vector_to_array(product.centroids).reshape(256, -1), np.float32)


def _children(sample: Floats, groups: Floats, lists: int, seed: int, go_on: Callable[[], None]) -> Floats:
    """The centroids within each group, as many as its share of the sample has earned."""
    base = faiss.IndexFlatL2(sample.shape[1])
    base.add(groups)
    of_group = base.search(sample, 1)[1][:, 0]
    found = []
    for group in range(len(groups)):
        go_on()
        part = np.ascontiguousarray(sample[of_group == group])
        if len(part):
            found.append(_centroids(part, max(1, round(lists * len(part) / len(sample))), seed))
    return np.concatenate(found)
