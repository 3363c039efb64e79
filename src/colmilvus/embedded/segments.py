"""The files of a segment: vectors, as ``halves`` has them, their norms, and the log that says which of them count."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.halves import Column
from colmilvus.embedded.log import HEADER_SIZE, Entry
from colmilvus.errors import DatabaseDamaged

__all__ = ["Segment", "write", "write_all"]

JOINED = 1 << 16
"""Bytes below which arrays are copied together, to be written at once; larger ones are written where they lie."""


class Mapped(NamedTuple):
    """Vectors and norms of one column of a segment, and the files that they are mapped from."""

    vectors: NDArray[Any]
    norms: NDArray[np.float32]
    vectors_file: mmap.mmap
    norms_file: mmap.mmap


class Segment:
    """The files of one segment, and how far they reach.

    ``marks`` are bytes of the log that hold no record, ``last`` is the largest number that the log gives.
    """

    def __init__(self, folder: Path, number: int, columns: Sequence[Column]) -> None:
        self.number = number
        self.columns = columns
        self.log = folder / f"{number:08d}.log"
        self.vectors = [folder / f"{number:08d}.{i}.vectors" for i in range(len(columns))]
        self.norms = [folder / f"{number:08d}.{i}.norms" for i in range(len(columns))]
        self.count = 0
        self.log_size = 0
        self.marks = 0
        self.last = -1
        self._maps: dict[int, Mapped] = {}

    def sizes(self) -> list[tuple[Path, int]]:
        """Every file with the size that its whole records have: the log, then vectors and norms by column."""
        sizes = [(self.log, self.log_size)]
        for column, vectors, norms in zip(self.columns, self.vectors, self.norms, strict=True):
            sizes += [(vectors, self.count * column.width), (norms, self.count * 4)]
        return sizes

    @property
    def size(self) -> int:
        return sum(size for _, size in self.sizes())

    def remember(self, entry: Entry) -> int:
        """Reach as far as this entry of the log; returns where its vectors begin."""
        start = self.count
        self.count += entry.count
        self.log_size = entry.end
        self.last = max(self.last, entry.row)
        self.marks += HEADER_SIZE * entry.mark
        return start

    def available(self) -> tuple[int, Path]:
        """How many vectors every file of vectors and norms has, and which one has so few."""
        found = []
        for column, vectors, norms in zip(self.columns, self.vectors, self.norms, strict=True):
            for path, width in ((vectors, column.width), (norms, 4)):
                found.append((_size(path) // width, path))
        return min(found, default=(2**62, self.log))

    def matrix(self, column: int, least: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Vectors ``(n, dim)``, as they are stored, and norms ``(n,)`` of one column; n is at least ``least``.

        Raises DatabaseDamaged where a file has become shorter than its records: to read beyond its end is fatal.
        """
        mapped = self._mapped(column, least)
        # By the open files, which takes a tenth of the time that it takes to look for them by their paths.
        _require(self.vectors[column], mapped.vectors_file.size(), mapped.vectors.nbytes)
        _require(self.norms[column], mapped.norms_file.size(), mapped.norms.nbytes)
        return mapped.vectors, mapped.norms

    def _mapped(self, column: int, least: int) -> Mapped:
        mapped = self._maps.get(column)
        if mapped is None or len(mapped.vectors) < least:
            kind, count = self.columns[column], self.count
            _require(self.vectors[column], _size(self.vectors[column]), count * kind.width)
            _require(self.norms[column], _size(self.norms[column]), count * 4)
            vectors = np.memmap(self.vectors[column], kind.dtype, "r", shape=(count, kind.dim))
            norms = np.memmap(self.norms[column], np.float32, "r", shape=(count,))
            # As plain arrays, of which a part costs a tenth of one of a memmap.
            files = cast(mmap.mmap, vectors.base), cast(mmap.mmap, norms.base)
            mapped = self._maps[column] = Mapped(np.asarray(vectors), np.asarray(norms), *files)
        return mapped

    def expect(self, column: int, start: int, count: int, share: float) -> None:
        """Have the system fetch the first ``share`` of these vectors' bytes, where it can be told to."""
        mapped = self._mapped(column, start + count).vectors_file
        width = self.columns[column].width
        if hasattr(mmap, "MADV_WILLNEED"):
            first = start * width // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, first, int((start + share * count) * width) - first)

    def read(self, at: int, size: int) -> bytes:
        """A part of the log. Raises DatabaseDamaged where it is no longer there."""
        _require(self.log, _size(self.log), at + size)
        with self.log.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def cut(self) -> None:
        """Remove from every file what lies beyond the last whole record."""
        for path, size in self.sizes():
            if _size(path) > size:
                self.forget()
                with path.open("rb+") as file:
                    file.truncate(size)

    def forget(self) -> None:
        """Let the mapped files go."""
        self._maps.clear()


def _size(path: Path) -> int:
    """The bytes of a file; none where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _require(path: Path, found: int, size: int) -> None:
    """Raise DatabaseDamaged where a file, of which ``found`` bytes are there, is shorter than its records need."""
    if found < size:
        raise DatabaseDamaged(f"{path}: the file has {found} bytes, its records need {size}")


def write_all(file: BinaryIO, arrays: Iterable[NDArray[Any]]) -> None:
    """Hand the arrays to the operating system, one after the other."""
    for run in _runs(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays):
        write(file, run[0] if len(run) == 1 else b"".join(run))


def _runs(parts: Iterable[memoryview]) -> Iterator[list[memoryview]]:
    run: list[memoryview] = []
    size = 0
    for part in parts:
        if run and size + len(part) > JOINED:
            yield run
            run, size = [], 0
        run.append(part)
        size += len(part)
    if run:
        yield run


def write(file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
    """Hand all of the data to the operating system; an unbuffered file may take it in parts."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
