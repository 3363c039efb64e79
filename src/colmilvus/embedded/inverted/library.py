"""The one place that imports faiss, which Milvus Lite brings along."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.errors import MissingExtra

try:
    import faiss as untyped
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["faiss", "one_thread_after_a_fork", "scan", "selector", "stand_back"]

faiss: Any = untyped  # whose types lack much of what is used here
EVERYTHING = 3e38

FORKED: list[bool] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: FORKED.append(True))


def one_thread_after_a_fork() -> None:
    """See to it that this thread starts no others: those of OpenMP do not survive a fork, and would be waited for."""
    if FORKED:
        faiss.omp_set_num_threads(1)


def stand_back() -> None:
    """Let this thread's work wait for that of others, where the system can tell threads apart."""
    one_thread_after_a_fork()
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def selector(numbers: NDArray[np.int64]) -> Any:
    """Lets a scan see these numbers only."""
    bits = np.zeros(int(numbers.max(initial=-1)) + 1, np.bool_)
    bits[numbers] = True
    return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))


def scan(
    index: Any, queries: NDArray[np.float32], lists: NDArray[np.int64], nearness: NDArray[np.float32], allowed: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Score every allowed vector in the lists of each query: positions of queries, numbers of vectors, scores.

    ``lists`` and ``nearness`` are ``(queries, lists)``, as ``Quantizer.nearest`` gives them. Scores are estimates of
    inner products, or of squared distances.
    """
    one_thread_after_a_fork()
    count, depth = lists.shape
    params = faiss.IVFPQSearchParameters()
    params.sel, params.nprobe = allowed, depth
    result = faiss.RangeSearchResult(count)
    arrays = [np.ascontiguousarray(array) for array in (queries, lists, nearness)]
    pointers = [faiss.swig_ptr(array) for array in arrays]
    larger_is_better = index.metric_type == faiss.METRIC_INNER_PRODUCT
    radius = -EVERYTHING if larger_is_better else EVERYTHING
    index.range_search_preassigned_c(count, pointers[0], radius, *pointers[1:], result, False, params)
    limits = faiss.rev_swig_ptr(result.lims, count + 1).astype(np.int64)
    size = int(limits[-1])
    if not size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    of_query = np.repeat(np.arange(count), np.diff(limits))
    return of_query, faiss.rev_swig_ptr(result.labels, size).copy(), faiss.rev_swig_ptr(result.distances, size).copy()
