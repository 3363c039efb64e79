"""The log of a segment: which records count, the checksums of their vectors, and their scalar sub-fields.

An entry is a header (record number, size and checksum of the body, checksum of the header) and a body: how many
structs, two checksums for each vector sub-field, for each how far its short components are off, the scalar sub-fields
as messages. An entry without a body is a mark: its number was given, though no record may be left that has it. All
numbers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

from colmilvus.embedded.halves import Column
from colmilvus.errors import DatabaseDamaged

__all__ = [
    "CHECKS",
    "HEADER_SIZE",
    "NUMBER",
    "Entry",
    "Record",
    "checksum",
    "checksums",
    "entries",
    "pack_all",
    "pack_mark",
    "pack_written",
    "unpack_scalars",
]

START = struct.Struct("<QII")
NUMBER = struct.Struct("<I")
HEADER_SIZE = START.size + NUMBER.size
CHECKS = 2
"""Checksums that a record has for each vector sub-field."""


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
        written = b"".join(NUMBER.pack(len(scalar)) + scalar for scalar in record.scalars)
        packed, scalars = pack_written(row, record.count, checks, off, written)
        place = at + len(log) + scalars
        found.append(Entry(row, record.count, tuple(checks), tuple(off), place, len(packed) - scalars))
        log += packed
    return found, log


def pack_written(
    row: int, count: int, checks: Sequence[int], roundings: Sequence[float], scalars: bytes
) -> tuple[bytes, int]:
    """A log entry, of scalar sub-fields as they stand in one, and where in it they begin."""
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
