"""Files of inverted lists: the codes of some records' vectors, sorted by list, and what they were made of.

``NNNN.lists`` is faiss's own form: mapped from disk, so that memory holds nothing of it. ``NNNN.rows`` names the
records with the checksums that they had, so that codes of what is no longer there are noticed and made anew.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.library import faiss
from colmilvus.embedded.inverted.quantizer import Quantizer

__all__ = ["NUMBER_BYTES", "Damaged", "Lists", "rows_of"]

NUMBER_BYTES = 8
ROW = np.dtype([("row", "<i8"), ("check", "<u4"), ("count", "<u4")])


class Damaged(Exception):
    """A file of the inverted file is not what was written; it can be made anew from the vectors."""


@dataclass(frozen=True)
class Lists:
    """Some records' codes: ``rows`` has the numbers, checksums and vector counts of the records."""

    path: Path
    rows: NDArray[Any]
    size: int
    lists: Any
    file: int | None

    @classmethod
    def write(cls, path: Path, index: Any, rows: NDArray[Any], quantizer: Quantizer) -> Lists:
        """Write the lists of an index in memory to ``path`` and open them there."""
        new = path.with_suffix(".new")
        faiss.write_InvertedLists(index.invlists, faiss.FileIOWriter(str(new)))
        with _named(path).open("wb") as file:
            np.save(file, rows)
            _settle(file)
        with new.open("rb+") as file:
            _settle(file)
        new.replace(path)
        return cls.open(path, quantizer)

    @classmethod
    def open(cls, path: Path, quantizer: Quantizer) -> Lists:
        """Map a file of lists. Raises Damaged where it is not one of this quantizer's."""
        try:
            with _named(path).open("rb") as file:
                rows = np.load(file)
            size = path.stat().st_size
            lists = faiss.read_InvertedLists(faiss.FileIOReader(str(path)), _mapping())
        except (OSError, ValueError, RuntimeError, EOFError) as error:
            raise Damaged(f"{path}: {error}") from error
        mapped = _mapping()
        found = cls(path, rows, size, lists, os.open(path, os.O_RDONLY) if mapped else None)
        if found.file is not None:
            weakref.finalize(found, os.close, found.file)
        found._check(quantizer)
        return found

    def _check(self, quantizer: Quantizer) -> None:
        """The sizes in the head of the file must fit its length: what lies beyond the end must never be read."""
        if self.rows.dtype != ROW or self.lists.nlist != quantizer.lists or self.lists.code_size != quantizer.code_size:
            raise Damaged(f"{self.path} belongs to other centroids")
        sizes = np.array([self.lists.list_size(number) for number in range(self.lists.nlist)], np.int64)
        width = self.lists.code_size + NUMBER_BYTES
        head = self.size - int(sizes.sum()) * width
        if (sizes < 0).any() or not 0 <= head <= NUMBER_BYTES * (self.lists.nlist + 16):
            raise Damaged(f"{self.path}: {self.size} bytes cannot hold {int(sizes.sum())} codes of {width} bytes")

    def require(self) -> None:
        """Raise Damaged where the file has become shorter: to read beyond its end is fatal."""
        # By the open file, as the path may have been given up for another part by now.
        found = self.size if self.file is None else os.fstat(self.file).st_size
        if found < self.size:
            raise Damaged(f"{self.path}: the file has {found} bytes, {self.size} were written")

    @property
    def vectors(self) -> int:
        return int(self.rows["count"].sum())

    def in_memory(self) -> Any:
        """The lists, read from the file, to be changed."""
        return faiss.read_InvertedLists(faiss.FileIOReader(str(self.path)))


def rows_of(numbers: Iterable[int], checks: Iterable[int], counts: Iterable[int]) -> NDArray[Any]:
    """The array that ``Lists.rows`` is."""
    return np.array(list(zip(numbers, checks, counts, strict=True)), ROW)


def _named(path: Path) -> Path:
    return path.with_suffix(".rows")


def _mapping() -> int:
    # faiss maps no files on Windows; there the lists lie in memory.
    return 0 if os.name == "nt" else int(faiss.IO_FLAG_MMAP)


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
