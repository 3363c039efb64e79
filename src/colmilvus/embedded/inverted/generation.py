"""One quantizer with the lists that were written by it: what a search sees, and never changes under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.inverted.quantizer import Quantizer

__all__ = ["Generation"]

AGED = 4

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Generation:
    """An inverted file over the vectors of the records in ``rows``.

    Its centroids were learnt when there were ``trained`` vectors in ``records`` records, the last of which had the
    number ``newest``.
    """

    name: str
    quantizer: Quantizer
    trained: int
    records: int
    newest: int
    parts: tuple[Lists, ...]

    @cached_property
    def rows(self) -> Integers:
        """The numbers of the records that it holds, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(part.rows["row"] for part in self.parts)]))

    def holds(self, rows: Integers) -> NDArray[np.bool_]:
        """Which of these records it holds."""
        return np.isin(rows, self.rows, assume_unique=True)

    def replaced(self, rows: Integers) -> bool:
        """Whether few of the records are left that the centroids were learnt from, and others have come."""
        left = int((rows <= self.newest).sum())
        return left < self.records / AGED and len(rows) > 2 * left

    def require(self) -> None:
        """Raise Damaged where one of its files has become shorter."""
        for part in self.parts:
            part.require()

    def verify(self, go_on: Callable[[], None]) -> None:
        """Raise Damaged where one of its files has other bytes than were written; calls ``go_on`` time and again."""
        for part in self.parts:
            part.verify(go_on)
