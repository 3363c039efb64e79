"""Who reads at the moment, so that nothing is removed that a reader may still see."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Pins"]


class Pins:
    """Readers by the moment at which they began. What is replaced at a moment is seen by readers from before it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment = 0
        self._readers: Counter[int] = Counter()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep everything that can be seen now until the end of the block."""
        with self._lock:
            moment = self._moment
            self._readers[moment] += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers[moment] -= 1
                if not self._readers[moment]:
                    del self._readers[moment]

    def replaced(self) -> int:
        """The moment that has just ended, to be asked about with ``unseen``."""
        with self._lock:
            self._moment += 1
            return self._moment - 1

    def unseen(self, moment: int) -> bool:
        """Whether no reader is left that began at this moment or before."""
        with self._lock:
            return all(other > moment for other in self._readers)
