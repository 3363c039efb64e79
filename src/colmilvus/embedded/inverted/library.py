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

__all__ = ["Overflow", "Scanner", "faiss", "one_thread_after_a_fork", "stand_back"]

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


class Overflow(Exception):
    """Vectors are too large for their codes to be compared."""


class Scanner:
    """Scores the codes of residuals by an index of faiss's, for one query vector at a time.

    Scores are inner products, or negative squared distances. faiss's wrapper never frees a scanner, some 60 KB, and
    breaks when it is told to: scanners are to be used again.
    """

    def __init__(self, index: Any) -> None:
        self._distances = index.metric_type == faiss.METRIC_L2
        # Every version of faiss takes the first two; later ones want the third.
        arguments = (True, None, faiss.IVFPQSearchParameters())
        try:
            self._scanner = index.get_InvertedListScanner(*arguments)
        except TypeError:
            self._scanner = index.get_InvertedListScanner(*arguments[:2])
        self._used: list[Any] = [index, arguments]  # which the scanner refers to

    def aim(self, query: NDArray[np.float32]) -> None:
        """Score for this query vector from now on."""
        query = np.array(query, np.float32)
        self._used[2:] = [query]
        self._scanner.set_query(faiss.swig_ptr(query))

    def __call__(
        self, codes: NDArray[np.uint8], lists: NDArray[np.int64], counts: NDArray[np.int64], near: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores of codes ``(n, size)``, of which ``counts`` each lie in ``lists``, which come so ``near``.

        Raises Overflow.
        """
        if not self._distances:
            return self._scan([(0, 0.0, codes)]) + np.repeat(near, counts)
        ends = np.cumsum(counts)
        runs = zip(lists.tolist(), near.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True)
        return -self._scan([(number, -nearness, codes[begin:end]) for number, nearness, begin, end in runs])

    def _scan(self, runs: list[tuple[int, float, NDArray[np.uint8]]]) -> NDArray[np.float32]:
        count = sum(len(codes) for _, _, codes in runs)
        result = faiss.RangeSearchResult(1)
        result.buffer_size = count + 1  # else of three megabytes each time
        partial = faiss.RangeSearchPartialResult(result)
        found = partial.new_result(0)
        for number, nearness, codes in runs:
            if len(codes):
                self._scanner.set_list(number, nearness)
                radius = EVERYTHING if self._distances else -EVERYTHING
                self._scanner.scan_codes_range(len(codes), faiss.swig_ptr(codes), None, radius, found)
        partial.finalize()
        if int(faiss.rev_swig_ptr(result.lims, 2)[1]) < count:
            raise Overflow("float32 cannot hold the scores of some codes")
        return np.array(faiss.rev_swig_ptr(result.distances, count)) if count else np.zeros(0, np.float32)
