"""Candidates for MaxSim from an inverted file of vectors with compressed residuals, and exact MaxSim on the best.

Up to some 1,270 pages a search compares everything. Beyond that the vectors near each query vector are looked up by
centroid, scored by their codes, and added up to an estimate for each record; the best are compared. Nothing of
an answer rests on the codes but which records are looked at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.building import BrokenOff, Builder
from colmilvus.embedded.inverted.candidates import USUAL_RATIO, best
from colmilvus.embedded.inverted.folder import InvertedFolder
from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.library import Overflow, one_thread_after_a_fork, stand_back
from colmilvus.embedded.inverted.lists import Damaged
from colmilvus.embedded.inverted.plan import Discard, Limits, next_step
from colmilvus.embedded.inverted.records import Records
from colmilvus.embedded.scoring import Scorer
from colmilvus.embedded.vectors import VectorStore

__all__ = ["USUAL_RATIO", "InvertedFile"]

FEW = 1 << 19
"""So many vectors are compared at once as soon as a filter leaves no more."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

logger = logging.getLogger(__name__)


class InvertedFile:
    """The inverted file of one vector sub-field, and the thread that keeps it up with what is written."""

    def __init__(
        self, path: Path, store: VectorStore, column: int, dim: int, kind: str, live: Callable[[], Integers]
    ) -> None:
        """Open what is saved in ``path``; ``live`` gives the numbers of the records that can be found."""
        self._records = Records(store, column, dim, live)
        self._folder = InvertedFolder(path, kind, dim + -dim % self._records.subspace)
        self._limits = Limits.of(dim)
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._builder = Builder(self._folder, self._records, kind, self._limits, self._ended.is_set)
        self.generation: Generation | None = self._folder.open(self._records) if path.is_dir() else None
        self.wake()

    # Searching

    def best(
        self, query: NDArray[Any], rows: Integers, scorer: Scorer, count: int, ratio: float
    ) -> tuple[Integers, Floats] | None:
        """Positions in ``rows`` and scores among which are the ``count`` best; None where all had better be compared.

        ``ratio`` is Milvus's ``retrieval_ann_ratio``.
        """
        generation = self.generation
        if generation is None or not generation.parts or self._few(rows):
            return None
        try:
            generation.require()
        except Damaged as damaged:
            self._give_up(generation, damaged)
            return None
        try:
            return best(generation, query, rows, scorer, count, ratio)
        except Overflow:
            return None
        except IndexError as error:  # what a damaged file names is nowhere
            self._give_up(generation, error)
            return None

    def _few(self, rows: Integers) -> bool:
        return len(rows) < FEW and int(self._records.store.counts(rows).sum()) <= FEW

    def pending(self, rows: Integers) -> int:
        """How many of these records are compared exactly because their codes are not written yet."""
        generation, rows = self.generation, np.unique(rows)
        if generation is not None:
            return int((~generation.holds(rows)).sum())
        return len(rows) if int(self._records.store.counts(rows).sum()) >= self._limits.least else 0

    def _give_up(self, generation: Generation, damaged: Exception) -> None:
        logger.warning("the inverted file is made anew: %s", damaged)
        if self.generation is generation:
            self.generation = None
            self.wake()

    # Following

    def wake(self) -> None:
        """Say that something was written."""
        if self.generation is None and self._records.store.vectors_held < self._limits.least:
            return
        self._wake.set()
        with self._start:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._follow, name="colmilvus-inverted-file", daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        one_thread_after_a_fork()
        stand_back()
        self._verify()
        while not self._ended.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._ended.is_set() and self._step():
                    pass
            except BrokenOff:
                return
            except Damaged as damaged:
                if self.generation is not None:
                    self._give_up(self.generation, damaged)
            except Exception:
                if not self._ended.is_set():
                    logger.exception("the inverted file in %s does not follow; searches stay right", self._folder.path)
                    self._folder.tidy(self.generation)

    def _verify(self) -> None:
        generation = self.generation
        if generation is not None:
            try:
                generation.verify(self._builder.go_on)
            except BrokenOff:
                return
            except (Damaged, OSError) as error:
                self._give_up(generation, error)

    def _step(self) -> bool:
        step = next_step(self.generation, self._records.found(), self._limits)
        if step is None:
            return False
        if isinstance(step, Discard):
            self._builder.go_on()
            self.generation = None
            self._folder.discard()
        else:
            self.generation = self._builder.take(step, self.generation)
        return True

    def close(self) -> None:
        """Break off the step that is under way, and wait for it, a second or two: faiss must not outlive Python."""
        self.leave()
        with self._start:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self.generation = None

    def leave(self) -> None:
        """Tell the thread to end, and do not wait for it: it may be another process's."""
        self._ended.set()
        self._wake.set()

    def discard(self) -> None:
        """End, and remove the files."""
        self.close()
        self._folder.discard()
