"""Files of inverted lists: the codes of some records' vectors, sorted by list, and what they were made of.

``NNNN.codes`` has the codes, ``NNNN.members`` for each of them its record's position in ``NNNN.rows``, in two bytes
where that is enough; both are mapped from disk, so that memory holds nothing of them. ``NNNN.rows`` names the records,
with the checksums that they had, so that codes of what is no longer there are noticed and made anew.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

__all__ = ["Codes", "Damaged", "Lists", "files_of", "rows_of"]

ROW = np.dtype([("row", "<i8"), ("check", "<u4"), ("count", "<u4")])
READ = 1 << 22

Integers = NDArray[np.int64]


class Damaged(Exception):
    """A file of the inverted file is not what was written; it can be made anew from the vectors."""


class Codes(NamedTuple):
    """Some vectors, sorted by list: their lists, their codes, and the positions of their records among the rows."""

    lists: Integers
    codes: NDArray[np.uint8]
    members: NDArray[Any]


@dataclass(frozen=True)
class Lists:
    """Some records' codes: ``rows`` has the numbers, checksums and vector counts of the records.

    ``codes`` is uint8 ``(n, code size)``, ``members`` has n positions in ``rows``; those of list i lie between
    ``bounds[i]`` and ``bounds[i + 1]``. ``checks`` are the checksums of the two files.
    """

    path: Path
    rows: NDArray[Any]
    bounds: Integers
    codes: NDArray[np.uint8]
    members: NDArray[Any]
    checks: tuple[int, int]
    files: tuple[int, int]

    @classmethod
    def write(cls, path: Path, rows: NDArray[Any], shape: tuple[int, int], written: Iterable[Codes]) -> Lists:
        """Write codes, which follow one another by list, to the files of ``path``, and open them.

        ``shape`` is the number of lists, and of the bytes of a code.
        """
        sizes = np.zeros(shape[0], np.int64)
        kind = np.min_scalar_type(max(len(rows) - 1, 256))
        codes_path, members_path, rows_path = files_of(path)
        with codes_path.open("wb") as codes_file, members_path.open("wb") as members_file:
            codes, members = _Checked(codes_file), _Checked(members_file)
            for some in written:
                sizes += np.bincount(some.lists, minlength=shape[0])
                codes.write(some.codes)
                members.write(some.members.astype(kind))
            _settle(codes_file)
            _settle(members_file)
        checks = np.array([codes.check, members.check], np.uint64)
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        with rows_path.open("wb") as file:
            np.savez(file, rows=rows, bounds=bounds, checks=checks, member=np.zeros(0, kind))
            _settle(file)
        return cls.open(path, shape)

    @classmethod
    def open(cls, path: Path, shape: tuple[int, int]) -> Lists:
        """Map the files of ``path``. Raises Damaged where they are not such as ``write`` leaves for this shape."""
        codes_path, members_path, rows_path = files_of(path)
        try:
            with np.load(rows_path) as said:
                rows, bounds, checks, kind = said["rows"], said["bounds"], said["checks"], said["member"].dtype
            if rows.dtype != ROW or len(bounds) != shape[0] + 1:
                raise Damaged(f"{rows_path} belongs to other centroids")
            total = int(bounds[-1])
            codes, first = _mapped(codes_path, np.dtype(np.uint8), (total, shape[1]))
            try:
                members, second = _mapped(members_path, kind, (total,))
            except BaseException:
                os.close(first)
                raise
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile) as error:
            raise Damaged(f"{path}: {error}") from error
        found = cls(path, rows, bounds, codes, members, (int(checks[0]), int(checks[1])), (first, second))
        for number in found.files:
            # Not when Python ends: the engine, which ends then as well, may still be reading.
            weakref.finalize(found, os.close, number).atexit = False
        return found

    def require(self) -> None:
        """Raise Damaged where a file has become shorter: to read beyond its end is fatal."""
        # By the open file, as the path may have been given up for another part by now.
        for number, array in zip(self.files, (self.codes, self.members), strict=True):
            if (found := os.fstat(number).st_size) < array.nbytes:
                raise Damaged(f"{self.path}: a file has {found} bytes, {array.nbytes} were written")

    def verify(self, go_on: Callable[[], None]) -> None:
        """Raise Damaged where a file has other bytes than were written; ``go_on`` is called between portions."""
        for file, array, check in zip(self.files, (self.codes, self.members), self.checks, strict=True):
            found = xxh3_64()
            flat = array.reshape(-1)
            for begin in range(0, len(flat), READ):
                go_on()
                found.update(self._read(file, flat, begin, min(len(flat), begin + READ)).data)
            if found.intdigest() != check:
                raise Damaged(f"{self.path}: a file is not what was written")

    @property
    def vectors(self) -> int:
        return int(self.rows["count"].sum())

    def between(self, begin: int, end: int) -> Codes:
        """What lies in these lists, read from the files. Raises Damaged where they end before it."""
        first, last = int(self.bounds[begin]), int(self.bounds[end])
        lists = np.repeat(np.arange(begin, end), np.diff(self.bounds[begin : end + 1]))
        codes, members = self.files
        return Codes(lists, self._read(codes, self.codes, first, last), self._read(members, self.members, first, last))

    def _read(self, file: int, array: NDArray[Any], first: int, last: int) -> NDArray[Any]:
        """A part of a file: what takes long reads, as a file that is cut meanwhile is fatal to who has it mapped."""
        if not hasattr(os, "pread"):  # on Windows, where no mapped file can be cut
            return array[first:last]
        width = array.nbytes // max(1, len(array))
        data = os.pread(file, (last - first) * width, first * width)
        if len(data) < (last - first) * width:
            raise Damaged(f"{self.path}: a file ends {(last - first) * width - len(data)} bytes early")
        return np.frombuffer(data, array.dtype).reshape(-1, *array.shape[1:])


class _Checked:
    """A file that is written, and the checksum of what was."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._check = xxh3_64()

    def write(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self._file.write(data)
        self._check.update(data)

    @property
    def check(self) -> int:
        return self._check.intdigest()


def _mapped(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    """The array that is the whole of a file, mapped, and the open file."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size, wanted = os.fstat(number).st_size, kind.itemsize * int(np.prod(shape))
        if size != wanted:
            raise Damaged(f"{path} has {size} bytes, {wanted} were written")
        return np.asarray(np.memmap(path, kind, "r", shape=shape)) if wanted else np.zeros(shape, kind), number
    except BaseException:
        os.close(number)
        raise


def rows_of(numbers: Iterable[int], checks: Iterable[int], counts: Iterable[int]) -> NDArray[Any]:
    """The array that ``Lists.rows`` is."""
    return np.array(list(zip(numbers, checks, counts, strict=True)), ROW)


def files_of(path: Path) -> tuple[Path, Path, Path]:
    """The files of codes, of members and of rows."""
    codes, members, rows = (path.with_suffix(suffix) for suffix in (".codes", ".members", ".rows"))
    return codes, members, rows


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
