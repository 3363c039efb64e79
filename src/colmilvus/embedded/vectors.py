"""Durable multi-vectors beside Milvus Lite's data: append-only segment files and checked records.

A record is one entity's array of structs. Its vectors lie in one file for each vector sub-field, end to end with those
of the records before and after, so that a scan multiplies many entities at once. The log is written last: a record
without its whole log entry does not exist. What a kill leaves half-written is passed over on opening and cut off before
the next record is written, so that looking at a database changes none of its files. In memory are the places and
checksums of the records, 28 bytes each and 5 more for each vector sub-field; vectors are not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.segments import (
    Column,
    Entry,
    Record,
    Segment,
    checksum,
    entries,
    norms_of,
    pack,
    unpack_scalars,
    write,
    write_all,
)
from colmilvus.errors import DatabaseDamaged

__all__ = ["Column", "Record", "StoreClosed", "VectorStore"]

SEGMENT_BYTES = 64 << 20
PLACE = np.dtype([("segment", "i4"), ("count", "i4"), ("start", "i8"), ("scalars", "i8"), ("size", "i4")])
ABSENT = -1

Integers = NDArray[np.int64]


class StoreClosed(Exception):
    """The collection was closed while a request was on its way to its store."""


class VectorStore:
    """The records of one array-of-structs field, by number. Safe for many readers and writers at once."""

    def __init__(self, folder: Path, columns: Sequence[Column], scalars: int) -> None:
        """Open the store in ``folder``, or begin it. Raises DatabaseDamaged where a log is not what was written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._columns = tuple(columns)
        self._scalars = scalars
        self._lock = threading.Lock()
        self._segments: dict[int, Segment] = {}
        self._files: list[BinaryIO] = []
        self._next = 0
        self._closed = False
        self._places: NDArray[Any] = np.zeros(0, PLACE)
        self._checks: NDArray[np.uint32] = np.zeros((0, len(columns)), np.uint32)
        self._checked: NDArray[np.bool_] = np.zeros((0, len(columns)), np.bool_)
        self._open()

    def __len__(self) -> int:
        """One more than the largest record number."""
        return self._next

    # Writing

    def append(self, records: Sequence[Record]) -> list[int]:
        """Hand the records to the operating system; returns their numbers. Raises StoreClosed, OSError."""
        with self._lock:
            if self._closed:
                raise StoreClosed(f"{self.folder} is closed")
            numbers: list[int] = []
            for batch in self._batches(records):
                numbers += self._append(batch)
            return numbers

    def _batches(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        batch: list[Record] = []
        if not self._segments:
            self._roll()
        size = self._active.size
        for record in records:
            if size >= SEGMENT_BYTES:
                if batch:
                    yield batch
                self._roll()
                batch, size = [], 0
            batch.append(record)
            size += sum(vectors.nbytes for vectors in record.vectors) + sum(len(scalar) for scalar in record.scalars)
        if batch:
            yield batch

    @property
    def _active(self) -> Segment:
        return self._segments[max(self._segments)]

    def _roll(self) -> None:
        self._close_files()
        number = max(self._segments, default=-1) + 1
        self._segments[number] = Segment(self.folder, number, self._columns)

    def _append(self, records: list[Record]) -> list[int]:
        segment = self._active
        if not self._files:
            segment.cut()
            self._files = [path.open("ab", buffering=0) for path, _ in segment.sizes()]
        norms = [[norms_of(vectors) for vectors in record.vectors] for record in records]
        found, log = self._log(segment, records, norms)
        try:
            for i in range(len(self._columns)):
                write_all(self._files[1 + 2 * i], (record.vectors[i] for record in records))
                write_all(self._files[2 + 2 * i], (lengths[i] for lengths in norms))
            write(self._files[0], log)
        except OSError:
            segment.cut()
            raise
        for entry in found:
            self._remember(segment, entry, checked=True)
        return [entry.row for entry in found]

    def _log(
        self, segment: Segment, records: list[Record], norms: list[list[NDArray[np.float32]]]
    ) -> tuple[list[Entry], bytearray]:
        found, log = [], bytearray()
        for row, (record, lengths) in enumerate(zip(records, norms, strict=True), self._next):
            checks = tuple(checksum(vectors, norm) for vectors, norm in zip(record.vectors, lengths, strict=True))
            packed, at = pack(row, record.count, checks, record.scalars)
            place = segment.log_size + len(log)
            found.append(Entry(row, record.count, checks, place + at, len(packed) - at))
            log += packed
        return found, log

    def _remember(self, segment: Segment, entry: Entry, *, checked: bool) -> None:
        if entry.row >= len(self._places):
            self._grow(max(entry.row + 1, 2 * len(self._places), 64))
        self._checks[entry.row] = entry.checks
        self._checked[entry.row] = checked
        self._places[entry.row] = (segment.number, entry.count, segment.count, entry.scalars, entry.size)
        segment.count += entry.count
        segment.log_size = entry.end
        self._next = max(self._next, entry.row + 1)

    def _grow(self, size: int) -> None:
        # Readers may hold the old arrays: every record that they can know of is in those too.
        more = size - len(self._places)
        absent = np.zeros(more, PLACE)
        absent["segment"] = ABSENT
        self._checks = np.concatenate([self._checks, np.zeros((more, len(self._columns)), np.uint32)])
        self._checked = np.concatenate([self._checked, np.zeros((more, len(self._columns)), np.bool_)])
        self._places = np.concatenate([self._places, absent])

    # Reading

    def counts(self, rows: Integers) -> Integers:
        """How many structs each of the records has. Raises DatabaseDamaged where there is no such record."""
        return np.asarray(self._find(rows)["count"], np.int64)

    def locate(self, rows: Integers) -> tuple[Integers, Integers, Integers]:
        """Segment, first vector and number of vectors of each record. Raises DatabaseDamaged as ``counts``."""
        found = self._find(rows)
        return found["segment"].astype(np.int64), found["start"].astype(np.int64), found["count"].astype(np.int64)

    def matrix(self, segment: int, column: int, least: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """All vectors of a segment and their norms, as they lie on disk; ``least`` is how many must be there."""
        return self._segments[segment].matrix(column, least)

    def vectors(self, row: int, column: int) -> NDArray[Any]:
        """The vectors ``(n, dim)`` of one record, checked. Raises DatabaseDamaged."""
        rows = np.array([row], np.int64)
        self.verify(rows, column)
        segment, start, count = (int(found[0]) for found in self.locate(rows))
        if not count:
            return np.zeros((0, self._columns[column].dim), self._columns[column].dtype)
        return self.matrix(segment, column, start + count)[0][start : start + count]

    def scalars(self, row: int) -> list[bytes]:
        """The scalar sub-fields of one record, in the schema's order, as they were given."""
        place = self._find(np.array([row], np.int64))[0]
        segment = self._segments[int(place["segment"])]
        return unpack_scalars(segment.read(int(place["scalars"]), int(place["size"])), self._scalars)

    def verify(self, rows: Integers, column: int) -> None:
        """Compare records with their checksums, each once in the life of this object. Raises DatabaseDamaged."""
        self._find(rows)
        for row in rows[~self._checked[rows, column]].tolist():
            segment, start, count = (int(found[0]) for found in self.locate(np.array([row], np.int64)))
            if count:
                vectors, norms = self.matrix(segment, column, start + count)
                found = checksum(vectors[start : start + count], norms[start : start + count])
                if found != int(self._checks[row, column]):
                    path = self._segments[segment].vectors[column]
                    raise DatabaseDamaged(f"{path}: the vectors of record {row} are not what was written")
            self._checked[row, column] = True

    def _find(self, rows: Integers) -> NDArray[Any]:
        known = rows < self._next
        known[known] = self._places["segment"][rows[known]] != ABSENT
        if not known.all():
            missing = int(rows[int(known.argmin())])
            raise DatabaseDamaged(f"{self.folder}: record {missing} is gone, the last one is {self._next - 1}")
        return np.asarray(self._places[rows])

    # Opening and closing

    def _open(self) -> None:
        numbers = sorted(int(path.stem) for path in self.folder.glob("*.log"))
        for number in numbers:
            segment = self._segments[number] = Segment(self.folder, number, self._columns)
            self._read(segment, last=number == numbers[-1])

    def _read(self, segment: Segment, *, last: bool) -> None:
        available = segment.available()
        for entry in entries(segment.log, len(self._columns)):
            if segment.count + entry.count > available:
                break
            self._remember(segment, entry, checked=False)
        if not last and segment.log_size < segment.log.stat().st_size:
            raise DatabaseDamaged(f"{segment.log}: the segment ends before its last record")

    def close(self) -> None:
        """Close the files; what was appended is with the operating system already."""
        with self._lock:
            self._closed = True
            self._close_files()
            for segment in self._segments.values():
                segment.forget()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()
        self._files = []
