"""Durable multi-vectors beside Milvus Lite's data: append-only segment files and checked records.

A record is one entity's array of structs. Its vectors lie in one file for each vector sub-field, end to end with those
of the records before and after, so that a scan multiplies many entities at once. The log is written last: a record
without its whole log entry does not exist. What a kill leaves half-written is passed over on opening and cut off before
the next record is written, so that looking at a database changes none of its files. In memory are the numbers, places
and checksums of the records, 36 bytes each and 10 more for each vector sub-field; vectors are not.

A number is a record's for ever. ``collecting`` moves records that are left to other segments, and removes those that
nobody refers to any more once no reader is left that may see them; their numbers are not given again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from os.path import samestat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.disk import Disk
from colmilvus.embedded.durability import sync_files, sync_folder
from colmilvus.embedded.halves import Column, norms_of
from colmilvus.embedded.log import CHECKS, Record, checksum, pack_all, unpack_scalars
from colmilvus.embedded.opening import opened
from colmilvus.embedded.pins import Pins
from colmilvus.embedded.places import Integers, Places, Span, Survey
from colmilvus.embedded.segments import Segment, write, write_all
from colmilvus.errors import DatabaseDamaged

__all__ = ["Column", "Record", "StoreClosed", "VectorStore"]

SEGMENT_BYTES = 64 << 20


class StoreClosed(Exception):
    """The collection was closed while a request was on its way to its store."""


class VectorStore:
    """The records of one array-of-structs field, by number. Safe for many readers and writers at once."""

    def __init__(self, folder: Path, columns: Sequence[Column], scalars: int) -> None:
        """Open the store in ``folder``, or begin it. Raises DatabaseDamaged where a log is not what was written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.columns = tuple(columns)
        self._scalars = scalars
        self._lock = threading.Lock()
        self._pins = Pins()
        self._segments: dict[int, Segment] = {}
        self._active: Segment | None = None
        self._files: list[BinaryIO] = []
        self._next = 0
        self._closed = False
        self._collecting = threading.Lock()
        self._disk = Disk()
        self.ending = threading.Event()
        self._identity = folder.stat()
        self.outlives_power: Callable[[], bool] = lambda: False
        self._syncing = threading.Lock()
        self._written: set[Segment] = set()
        self._synced = 0
        self._underway: set[int] = set()
        self._retired: list[tuple[int, list[Segment]]] = []
        self._faults: list[str] = []
        self._table: Places
        self._open()

    def __len__(self) -> int:
        """One more than the largest record number that was ever given."""
        return self._next

    def numbers(self) -> Integers:
        """The numbers of all records that are there, ascending, whether anything refers to them or not."""
        table = self._table
        return np.asarray(table.numbers[: table.size])

    @property
    def vectors_held(self) -> int:
        """How many vectors a column has in all, those of records that nobody refers to among them."""
        return sum(segment.count for segment in tuple(self._segments.values()))

    # Writing

    def append(self, records: Sequence[Record]) -> list[int]:
        """Hand the records to the operating system; returns their numbers. Raises StoreClosed, OSError.

        None of them is collected before ``settle`` is told its number.
        """
        with self._lock:
            if self._closed:
                raise StoreClosed(f"{self.folder} is closed")
            numbers: list[int] = []
            for batch in self._batches(records):
                numbers += self._append(batch)
            self._underway.update(numbers)
            reached = self._next
        if self.outlives_power():
            try:
                self.sync(reached)
            except BaseException:
                self.settle(numbers)
                raise
        return numbers

    def sync(self, reached: int | None = None) -> None:
        """Have on the disk what was appended, up to this number; those who ask at once wait for one. Raises OSError."""
        with self._syncing:
            if reached is not None and self._synced >= reached:
                return
            with self._lock:
                written, self._written, reached = self._written, set(), self._next
            try:
                sync_files(path for segment in written for path, _ in segment.sizes())
                sync_folder(self.folder, self.folder.parent, self.folder.parent.parent)
            except BaseException:
                with self._lock:
                    self._written |= written
                raise
            self._synced = reached

    def settle(self, numbers: Iterable[int]) -> None:
        """Say that whoever appended these records has referred to them by now, or never will."""
        with self._lock:
            self._underway.difference_update(numbers)

    def _batches(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        batch: list[Record] = []
        size = self._roll().size if self._active is None else self._active.size
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

    def _roll(self) -> Segment:
        self._close_files()
        self._active = self._segments[self._free] = Segment(self.folder, self._free, self.columns)
        self._free += 1
        return self._active

    def _append(self, records: list[Record]) -> list[int]:
        segment = self._active or self._roll()
        if not self._files:
            segment.cut()
            self._files = [path.open("ab", buffering=0) for path, _ in segment.sizes()]
        norms = [[norms_of(vectors) for vectors in record.vectors] for record in records]
        kept = [record.stored(self.columns) for record in records]
        roundings = [
            [column.rounding(*of_one) for column, *of_one in zip(self.columns, *of_each, strict=True)]
            for of_each in zip((one.vectors for one in kept), (one.vectors for one in records), norms, strict=True)
        ]
        found, log = pack_all(self.columns, kept, norms, roundings, self._next, segment.log_size)
        try:
            for i in range(len(self.columns)):
                write_all(self._files[1 + 2 * i], (record.vectors[i] for record in kept))
                write_all(self._files[2 + 2 * i], (lengths[i] for lengths in norms))
            write(self._files[0], log)
        except OSError:
            segment.cut()
            raise
        self._written.add(segment)
        self._table = self._table.with_room(len(found))
        for entry in found:
            self._table.add(segment.number, segment.remember(entry), entry)
            self._next = entry.row + 1
        return [entry.row for entry in found]

    # Reading

    def reading(self) -> AbstractContextManager[None]:
        """Keep every record, and the place of every record, that can be seen now until the end of the block.

        Whoever looks for numbers of records in a snapshot, and then for the records, does both inside.
        """
        return self._pins.reading()

    def counts(self, rows: Integers) -> Integers:
        """How many structs each of the records has. Raises DatabaseDamaged where there is no such record."""
        table, found = self._found(rows)
        return table.places["count"][found].astype(np.int64)

    def locate(self, rows: Integers) -> tuple[Integers, Integers, Integers]:
        """Segment, first vector and number of vectors of each record. Raises DatabaseDamaged as ``counts``."""
        table, found = self._found(rows)
        segments, starts, counts = (table.places[name][found] for name in ("segment", "start", "count"))
        return segments.astype(np.int64), starts.astype(np.int64), counts.astype(np.int64)

    def roundings(self, rows: Integers, column: int) -> NDArray[np.float32]:
        """How far off the short components of the records are, see ``Column.rounding``."""
        table, found = self._found(rows)
        return np.asarray(table.roundings[found, column])

    def matrix(self, segment: int, column: int, least: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """All vectors of a segment, as they are stored, and their norms; ``least`` is how many must be there."""
        return self._segments[segment].matrix(column, least)

    def expect(self, rows: Integers, column: int, share: float = 1) -> None:
        """Say that the vectors of these records are read next, or the first ``share`` of the bytes of each.

        Where all is in memory, as it seems, nothing is said, which would take a tenth of the time of comparing them.
        """
        if not self._disk.read_lately():
            return
        for segment, start, count in zip(*(found.tolist() for found in self.locate(rows)), strict=True):
            if count:
                self._segments[segment].expect(column, start, count, share)

    def vectors(self, row: int, column: int) -> NDArray[Any]:
        """The vectors ``(n, dim)`` of one record, checked. Raises DatabaseDamaged."""
        rows = np.array([row], np.int64)
        self.verify(rows, column)
        segment, start, count = (int(found[0]) for found in self.locate(rows))
        if not count:
            return np.zeros((0, self.columns[column].dim), self.columns[column].dtype)
        return self.columns[column].given(self.matrix(segment, column, start + count)[0][start : start + count])

    def scalars(self, row: int) -> list[bytes]:
        """The scalar sub-fields of one record, in the schema's order, as they were given."""
        return unpack_scalars(self.written(row), self._scalars)

    def unverified(self, rows: Integers, column: int, *, first: bool = False) -> Integers:
        """Those of the records that ``verify`` has not compared yet."""
        table, found = self._found(rows)
        checked = table.checked[found, CHECKS * column : CHECKS * column + (1 if first else CHECKS)]
        return np.asarray(rows[~checked.all(axis=1)])

    def verify(self, rows: Integers, column: int, *, first: bool = False) -> None:
        """Compare records with their checksums, each once in the life of this object. Raises DatabaseDamaged.

        Where ``first``, this is done for the first part of each, as ``Column.parts`` tells it from the rest.
        """
        table, found = self._found(rows)
        for part in range(1 if first else CHECKS):
            which = CHECKS * column + part
            for at in found[~table.checked[found, which]].tolist():
                self._check(table, at, column, part)
                table.checked[at, which] = True

    def _check(self, table: Places, at: int, column: int, part: int) -> None:
        segment, start, count = (int(table.places[name][at]) for name in ("segment", "start", "count"))
        if count:
            vectors, norms = self.matrix(segment, column, start + count)
            parts = self.columns[column].parts(vectors[start : start + count])
            found = checksum(parts[0], norms[start : start + count]) if part == 0 else checksum(parts[1])
            if found != int(table.checks[at, CHECKS * column + part]):
                held, row = self._segments[segment], int(table.numbers[at])
                raise DatabaseDamaged(
                    f"{held.vectors[column]} or {held.norms[column]}: the vectors of record {row} are not what was "
                    "written; put the file back as it was, or drop the collection and add its documents again"
                )

    def checksums(self, rows: Integers, column: int) -> NDArray[np.uint32]:
        """What the first parts of these records are checked by; 0 where there is no such record."""
        table = self._table
        found = np.zeros(len(rows), np.uint32)
        known = np.isin(rows, table.numbers[: table.size])
        found[known] = table.checks[table.find(rows[known]), CHECKS * column]
        return found

    def _found(self, rows: Integers) -> tuple[Places, Integers]:
        table = self._table
        try:
            return table, table.find(rows)
        except KeyError as missing:
            raise DatabaseDamaged(f"record {missing} is gone: {self.faults()}") from None

    def holds(self, rows: Integers) -> NDArray[np.bool_]:
        """Whether each of the records is there."""
        return np.isin(rows, self.numbers())

    def faults(self) -> str:
        """What was found wrong with the files at opening."""
        last = self._segments[max(self._segments)].log if self._segments else self.folder
        return " and ".join(self._faults) or f"{last} ends before it, with record {self._next - 1}"

    # Giving space back, for one thread at a time

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep the store open, and others from collecting it, until the end of the block. Raises StoreClosed."""
        with self._collecting:
            if self._closed:
                raise StoreClosed(f"{self.folder} is closed")
            yield

    def survey(self) -> Survey:
        """What is there now; without what ``replace`` has left behind."""
        with self._lock:
            retired = {segment.number for _, segments in self._retired for segment in segments}
            table = self._table.without(list(retired))
            spans = [Span(each, each.size - each.marks, each.last) for each in self._segments.values()]
            return Survey(
                table,
                table.numbers[~np.isin(table.numbers, list(self._underway))],
                [span for span in spans if span.segment.number not in retired],
                self._active,
            )

    def written(self, row: int) -> bytes:
        """The scalar sub-fields of a record, as its log entry has them."""
        table, found = self._found(np.array([row], np.int64))
        place = table.places[found][0]
        size = int(place["size"])
        return self._segments[int(place["segment"])].read(int(place["scalars"]), size) if size else b""

    def reserve(self, left: Sequence[Segment]) -> Segment:
        """A segment to move records into; nothing more is written to those that are to be left."""
        with self._lock:
            if self._active in left:
                self._close_files()
                self._active = None
            self._free += 1
            return Segment(self.folder, self._free - 1, self.columns)

    def replace(self, left: Sequence[Segment], segment: Segment | None, rows: Integers, places: NDArray[Any]) -> None:
        """Let records be read from their new places, and leave the segments to those who read already."""
        with self._lock:
            if segment is not None:
                self._segments[segment.number] = segment
                self._table = self._table.moved(rows, places)
            self._retired.append((self._pins.replaced(), list(left)))

    def left(self) -> list[Segment]:
        """The segments that no reader can see any more; they are forgotten, and their files are the caller's."""
        with self._lock:
            gone = [each for each in self._retired if self._pins.unseen(each[0])]
            self._retired = [each for each in self._retired if each not in gone]
            segments = [segment for _, group in gone for segment in group]
            self._table = self._table.without([segment.number for segment in segments])
            for segment in segments:
                del self._segments[segment.number]
                self._written.discard(segment)
                segment.forget()
            return segments

    @property
    def leaves(self) -> bool:
        """Whether readers still see what ``replace`` has left behind."""
        return bool(self._retired)

    def in_place(self) -> bool:
        """Whether the folder is still the one that was opened."""
        with suppress(OSError):
            return samestat(self._identity, self.folder.stat())
        return False

    # Opening and closing

    def _open(self) -> None:
        found = opened(self.folder, self.columns)
        self._segments, self._table, self._free = found.segments, found.table, found.free
        self._faults += found.faults
        self._next = max((segment.last for segment in self._segments.values()), default=-1) + 1
        self._active = self._segments[max(self._segments)] if self._segments else None
        # What an earlier process wrote may not be on the disk yet.
        self._written.update(self._segments.values())

    def close(self) -> None:
        """Close the files; what was appended is with the operating system already."""
        self.ending.set()
        with self._collecting, self._lock:
            self._closed = True
            self._close_files()
            for segment in self._segments.values():
                segment.forget()

    def leave(self) -> None:
        """Close the files and write nothing more; wait for nobody."""
        self.ending.set()
        self._closed = True
        self._close_files()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()
        self._files = []
