"""The files that hold records: vectors, as ``halves`` has them, their norms, and the log that says which count.

A log entry is a header (record number, size and checksum of the body, checksum of the header) and a body: how many
structs, two checksums for each vector sub-field, for each how far its short components are off, the scalar sub-fields
as messages. An entry without a body is a mark:
its number was given, though no record may be left that has it. All numbers are little-endian.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

from colmilvus.embedded.halves import Column
from colmilvus.errors import DatabaseDamaged

__all__ = [
    "CHECKS",
    "HEADER_SIZE",
    "NUMBER",
    "Column",
    "Entry",
    "Record",
    "Segment",
    "checksum",
    "checksums",
    "entries",
    "pack",
    "pack_all",
    "pack_mark",
    "pack_written",
    "unpack_scalars",
    "write",
    "write_all",
]

START = struct.Struct("<QII")
NUMBER = struct.Struct("<I")
HEADER_SIZE = START.size + NUMBER.size
CHECKS = 2
"""Checksums that a record has for each vector sub-field."""
JOINED = 1 << 16
"""Bytes below which arrays are copied together, to be written at once; larger ones are written where they lie."""


class Mapped(NamedTuple):
    """Vectors and norms of one column of a segment, and the files that they are mapped from."""

    vectors: NDArray[Any]
    norms: NDArray[np.float32]
    vectors_file: mmap.mmap
    norms_file: mmap.mmap


@dataclass(frozen=True)
class Record:
    """One entity's ``count`` structs: ``(count, dim)`` for each vector sub-field, scalar sub-fields as messages."""

    count: int
    vectors: tuple[NDArray[Any], ...]
    scalars: tuple[bytes, ...]

    def stored(self, columns: Sequence[Column]) -> Record:
        """The same, with its vectors as they are stored."""
        vectors = tuple(column.stored(given) for column, given in zip(columns, self.vectors, strict=True))
        return Record(self.count, vectors, self.scalars)


@dataclass(frozen=True)
class Entry:
    """What the log says of a record; ``scalars`` and ``size`` are the place of its scalar sub-fields in the log.

    A ``mark`` says that the number was given, and is no record.
    """

    row: int
    count: int
    checks: tuple[int, ...]
    roundings: tuple[float, ...]
    scalars: int
    size: int
    mark: bool = False

    @property
    def end(self) -> int:
        return self.scalars + self.size


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


def pack(
    row: int, count: int, checks: Sequence[int], roundings: Sequence[float], scalars: Sequence[bytes]
) -> tuple[bytes, int]:
    """A log entry, and where in it the scalar sub-fields begin."""
    written = b"".join(NUMBER.pack(len(scalar)) + scalar for scalar in scalars)
    return pack_written(row, count, checks, roundings, written)


def pack_all(
    columns: Sequence[Column],
    records: Iterable[Record],
    norms: Iterable[list[NDArray[np.float32]]],
    roundings: Iterable[Sequence[float]],
    first: int,
    at: int,
) -> tuple[list[Entry], bytearray]:
    """The log entries of records that are numbered from ``first``, as they will stand from byte ``at`` of a log.

    The records have their vectors as they are stored.
    """
    found, log = [], bytearray()
    for row, (record, lengths, off) in enumerate(zip(records, norms, roundings, strict=True), first):
        parts = (checksums(*each) for each in zip(columns, record.vectors, lengths, strict=True))
        checks = [check for both in parts for check in both]
        packed, scalars = pack(row, record.count, checks, off, record.scalars)
        place = at + len(log) + scalars
        found.append(Entry(row, record.count, tuple(checks), tuple(off), place, len(packed) - scalars))
        log += packed
    return found, log


def pack_written(
    row: int, count: int, checks: Sequence[int], roundings: Sequence[float], scalars: bytes
) -> tuple[bytes, int]:
    """The same of scalar sub-fields as another log entry has them."""
    body = _head(len(roundings)).pack(count, *checks, *roundings)
    return _entry(row, body + scalars), HEADER_SIZE + len(body)


def pack_mark(row: int) -> bytes:
    """A log entry that says that the number was given."""
    return _entry(row, b"")


def _head(columns: int) -> struct.Struct:
    """What the body of an entry begins with."""
    return struct.Struct(f"<{1 + CHECKS * columns}I{columns}f")


def _entry(row: int, body: bytes) -> bytes:
    start = START.pack(row, len(body), zlib.crc32(body))
    return start + NUMBER.pack(zlib.crc32(start)) + body


def entries(path: Path, columns: int) -> Iterator[Entry]:
    """The whole entries of a log; an incomplete last one is left out. Raises DatabaseDamaged, naming the file."""
    data = path.read_bytes()
    head = _head(columns)
    at = 0
    while at + HEADER_SIZE <= len(data):
        start = data[at : at + START.size]
        if NUMBER.unpack_from(data, at + START.size)[0] != zlib.crc32(start):
            raise DatabaseDamaged(f"{path}: the entry at byte {at} is not what was written")
        row, size, check = START.unpack(start)
        if not size:
            at += HEADER_SIZE
            yield Entry(row, 0, (), (), at, 0, mark=True)
            continue
        body = data[at + HEADER_SIZE : at + HEADER_SIZE + size]
        if len(body) < size:
            return
        if zlib.crc32(body) != check:
            raise DatabaseDamaged(f"{path}: record {row} at byte {at} is not what was written")
        count, *told = head.unpack_from(body)
        checks, roundings = tuple(told[: CHECKS * columns]), tuple(told[CHECKS * columns :])
        yield Entry(row, count, checks, roundings, at + HEADER_SIZE + head.size, size - head.size)
        at += HEADER_SIZE + size


def unpack_scalars(body: bytes, number: int) -> list[bytes]:
    """The scalar sub-fields of an entry."""
    found, at = [], 0
    for _ in range(number):
        (size,) = NUMBER.unpack_from(body, at)
        found.append(body[at + NUMBER.size : at + NUMBER.size + size])
        at += NUMBER.size + size
    return found


def checksums(column: Column, stored: NDArray[Any], norms: NDArray[np.float32]) -> tuple[int, int]:
    """Two checksums for the vectors of a record: of the first part and their norms, and of the rest."""
    first, rest = column.parts(stored)
    return checksum(first, norms), checksum(rest)


def checksum(*arrays: NDArray[Any]) -> int:
    """One checksum for arrays, one after the other; 0 for nothing."""
    found = xxh3_64()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.intdigest() & 0xFFFFFFFF if any(array.size for array in arrays) else 0


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
