"""Gives the space of records back that nothing refers to any more, while others read and write.

A segment of which too much is dead is left: what lives in it is copied to a new segment, which is on the disk before it
counts, and the old files go when the last reader that may see them has ended. Numbers of records do not change. A kill
leaves old and new beside each other, which say the same, or the beginning of a new one, which the next run removes: its
log has the suffix ``.new`` until it is whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded import vectors
from colmilvus.embedded.durability import sync_files, sync_folder
from colmilvus.embedded.log import CHECKS, HEADER_SIZE, NUMBER, Entry, checksums, pack_mark, pack_written
from colmilvus.embedded.places import PLACE, Integers, Places, Span, Survey, place
from colmilvus.embedded.segments import Segment, write
from colmilvus.embedded.vectors import StoreClosed, VectorStore
from colmilvus.errors import DatabaseDamaged

__all__ = ["Collecting"]

LEAST_BYTES = 1 << 20
CHUNK_BYTES = 4 << 20
MANY = 4

logger = logging.getLogger(__name__)


class Collecting:
    """What gives the space of one store back. It ends at once where the store is closed."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._unremoved: list[Segment] = []
        self._damaged: set[int] = set()
        self._swept = False

    def run(self, live: Callable[[], Integers], settle: Callable[[], None], share: float) -> None:
        """Leave the segments of which more than ``share`` is dead.

        ``live`` gives the numbers of all records that are referred to at the moment of its call. ``settle`` puts what
        refers to them on the disk: what it replaced is gone for ever after this. Raises StoreClosed, OSError.
        """
        with self._store.collecting():
            self._sweep()
            survey = self._store.survey()
            # In this order: what is settled, and not referred to afterwards, will not be referred to later.
            dead = np.setdiff1d(survey.settled, live())
            groups = self._groups(survey, dead, share)
            if groups:
                settle()
            for group in groups:
                self._leave(group, dead)
                self._remove()

    def finish(self) -> bool:
        """Remove files that readers kept until now; whether none are left. Raises StoreClosed."""
        with self._store.collecting():
            self._remove()
            return not self._unremoved and not self._store.leaves

    def _remove(self) -> None:
        self._unremoved += self._store.left()
        self._unremoved = [segment for segment in self._unremoved if not self._removed(segment)]

    def _groups(self, survey: Survey, dead: Integers, share: float) -> list[list[Segment]]:
        """The segments to be left, those together whose records fit into one; first those that nothing lives in."""
        spent = self._spent(survey, dead)
        spans = [span for span in survey.spans if span.segment.number not in self._damaged]
        sparse = [span for span in spans if spent[span.segment.number] > share * span.size]
        if sum(spent[span.segment.number] for span in sparse) < LEAST_BYTES:
            sparse = []
        small = [
            span
            for span in spans
            if span not in sparse and span.segment is not survey.active and span.size < vectors.SEGMENT_BYTES // MANY
        ]
        if not sparse and len(small) < MANY:
            return []
        return _packed([*sparse, *small], spent)

    def _spent(self, survey: Survey, dead: Integers) -> dict[int, int]:
        """How many bytes of each segment no living record needs: dead ones, and those that lie elsewhere too."""
        table, columns = survey.table, self._store.columns
        lies_in, count, size = (table.places[name].astype(np.int64) for name in ("segment", "count", "size"))
        each = (
            count * sum(column.width + 4 for column in columns) + size + HEADER_SIZE + NUMBER.size * (1 + len(columns))
        )
        living = ~np.isin(table.numbers, dead)
        needed = np.bincount(
            lies_in[living], each[living], 1 + max((s.segment.number for s in survey.spans), default=0)
        )
        return {span.segment.number: span.size - int(needed[span.segment.number]) for span in survey.spans}

    def _leave(self, group: list[Segment], dead: Integers) -> None:
        """Move what lives in these segments to a new one, and leave them."""
        new = self._store.reserve(group)
        survey = self._store.survey()
        table, last = survey.table, max(segment.last for segment in group)
        inside = np.isin(table.places["segment"], [segment.number for segment in group])
        table = table.only(inside & ~np.isin(table.numbers, dead))
        if not table.size and any(span.last >= last and span.segment not in group for span in survey.spans):
            self._store.replace(group, None, table.numbers, table.places)
            return
        try:
            places = self._copy(table, new, last)
        except BaseException as error:
            self._removed(new)
            if not isinstance(error, DatabaseDamaged):
                raise
            self._damaged.update(segment.number for segment in group)
            logger.warning("%s: no space is given back where %s", self._store.folder, error)
        else:
            self._store.replace(group, new, table.numbers, places)

    def _copy(self, table: Places, new: Segment, last: int) -> NDArray[Any]:
        places: list[tuple[int, int, int, int, int]] = []
        log = _unfinished(new)
        with log.open("xb", buffering=0) as file:
            mark = pack_mark(last)
            new.remember(Entry(last, 0, (), (), len(mark), 0, mark=True))
            write(file, mark)
            for chunk in self._chunks(table):
                began = time.monotonic()
                places += self._copy_chunk(chunk, new, file)
                self._pause(time.monotonic() - began)
        sync_files(path for path, _ in new.sizes()[1:])
        sync_files([log])
        self._require_place()
        log.rename(new.log)
        sync_folder(self._store.folder)
        return np.array(places, PLACE)

    def _chunks(self, table: Places) -> Iterator[Places]:
        width = sum(column.width + 4 for column in self._store.columns)
        parts = np.cumsum(table.places["count"].astype(np.int64) * width + HEADER_SIZE) // CHUNK_BYTES
        for part in np.unique(parts):
            yield table.only(parts == part)

    def _copy_chunk(self, table: Places, new: Segment, log: BinaryIO) -> list[tuple[int, int, int, int, int]]:
        for i in range(len(self._store.columns)):
            read = [self._read(table, at, i) for at in range(table.size)]
            for path, parts in zip((new.vectors[i], new.norms[i]), zip(*read, strict=True), strict=True):
                with path.open("ab", buffering=0) as file:
                    write(file, b"".join(parts))
        places, packed = [], bytearray()
        for at in range(table.size):
            row, checks = int(table.numbers[at]), tuple(table.checks[at].tolist())
            count, written = int(table.places["count"][at]), self._store.written(row)
            roundings = tuple(table.roundings[at].tolist())
            entry, start = pack_written(row, count, checks, roundings, written)
            found = Entry(row, count, checks, roundings, new.log_size + start, len(written))
            places.append(place(new.number, new.remember(found), found))
            packed += entry
        write(log, packed)
        return places

    def _read(self, table: Places, at: int, column: int) -> tuple[bytes, bytes]:
        """The vectors and norms of a record, as they lie on the disk. Raises DatabaseDamaged."""
        segment, count, start = (int(table.places[name][at]) for name in ("segment", "count", "start"))
        if not count:
            return b"", b""
        found, norms = (part[start : start + count] for part in self._store.matrix(segment, column, start + count))
        checks = checksums(self._store.columns[column], found, norms)
        if checks != tuple(table.checks[at, CHECKS * column : CHECKS * (column + 1)].tolist()):
            raise DatabaseDamaged(f"the vectors of record {table.numbers[at]} are not what was written")
        return found.tobytes(), norms.tobytes()

    def _pause(self, worked: float) -> None:
        """Leave half of the time to others. Raises StoreClosed where the store is to be closed."""
        if self._store.ending.wait(worked):
            raise StoreClosed(f"{self._store.folder} is closed")

    def _sweep(self) -> None:
        """Remove what a kill left of an unfinished segment."""
        if not self._swept:
            for log in self._store.folder.glob("*.log.new"):
                self._removed(Segment(self._store.folder, int(log.name.split(".")[0]), self._store.columns))
            self._swept = True

    def _removed(self, segment: Segment) -> bool:
        """Remove the files of a segment, the log last: as long as it is there, the next opening knows of them."""
        try:
            self._require_place()
            for path in (*segment.vectors, *segment.norms, segment.log, _unfinished(segment)):
                path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _require_place(self) -> None:
        if not self._store.in_place():
            raise StoreClosed(f"{self._store.folder} was removed or replaced")


def _unfinished(segment: Segment) -> Path:
    return segment.log.with_name(segment.log.name + ".new")


def _packed(spans: list[Span], spent: dict[int, int]) -> list[list[Segment]]:
    living = {span.segment.number: span.size - spent[span.segment.number] for span in spans}
    groups: list[list[Span]] = [[span for span in spans if not living[span.segment.number]]]
    room = -1
    for span in sorted(spans, key=lambda span: span.segment.number):
        size = living[span.segment.number]
        if not size:
            continue
        if size > room:
            groups.append([])
            room = vectors.SEGMENT_BYTES
        groups[-1].append(span)
        room -= size
    return [
        [span.segment for span in group]
        for group in groups
        if len(group) > 1 or any(spent[span.segment.number] for span in group)
    ]
