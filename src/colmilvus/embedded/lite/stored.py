"""The rows that Milvus Lite holds in segments and in the memtable, read on from where they were read before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from colmilvus.embedded.lite.names import build_valid_mask

__all__ = ["Flushed", "Rows", "Unflushed"]

Integers = NDArray[np.int64]
NONE = np.zeros(0, np.int64)


class Pieces:
    """Columns of batches, each in one piece once it was read, to which later batches are added.

    A filter reads the same few columns again and again, and inserts leave hundreds of batches.
    """

    def __init__(self) -> None:
        self._columns: dict[str, tuple[int, Any]] = {}

    def column(self, name: str, batches: Sequence[Any]) -> Any:
        """A column of these batches, which are the first of all."""
        known, joined = self._columns.get(name, (0, None))
        if known < len(batches):
            before = [] if joined is None else [joined]
            joined = pa.concat_arrays([*before, *(batch.column(name) for batch in batches[known:])])
            self._columns[name] = len(batches), joined
        return joined


@dataclass(frozen=True)
class Batches:
    """Batches as filters read an Arrow table."""

    num_rows: int
    batches: Sequence[Any]
    pieces: Pieces

    def column(self, name: str) -> Any:
        return self.pieces.column(name, self.batches)[: self.num_rows]


@dataclass(frozen=True)
class Rows:
    """Live rows of the memtable in the order in which their keys came first; ``numbers`` count rows through batches.

    ``table`` is all that the numbers run through, ``columns`` are the integer columns of the live rows.
    """

    keys: list[Any]
    places: list[tuple[Any, Any]]
    numbers: Integers
    columns: Mapping[str, Integers]
    table: Batches


class Unflushed:
    """What was read of one memtable: new rows are added to it, as long as they replace none and none is removed."""

    def __init__(self, fields: Iterable[str]) -> None:
        self._fields = tuple(fields)
        self._forget()

    def _forget(self) -> None:
        self._keys: list[Any] = []
        self._places: list[tuple[Any, Any]] = []
        self._numbers = NONE
        self._columns = dict.fromkeys(self._fields, NONE)
        self._batches: tuple[Any, ...] = ()
        self._pieces = Pieces()
        self._size = 0

    def read(self, memtable: Any) -> Rows:
        """The live rows of the memtable now. Its lock is held by the caller."""
        new = tuple(memtable._insert_batches[len(self._batches) :])
        # Every new row under a new key, and every old one still there: there are as many keys as rows.
        if len(memtable._pk_index) == len(self._keys) + sum(batch.num_rows for batch in new):
            self._add(memtable, new)
        else:
            self._forget()
            self._begin(memtable)
        # Copies: the lists grow with the next reading.
        table = Batches(self._size, self._batches, self._pieces)
        return Rows(self._keys[:], self._places[:], self._numbers, self._columns, table)

    def _add(self, memtable: Any, new: tuple[Any, ...]) -> None:
        if not new:
            return
        first = len(self._batches)
        for i, batch in enumerate(new, first):
            self._keys += batch.column(memtable._pk_name).to_pylist()
            self._places += [(memtable, (i, row)) for row in range(batch.num_rows)]
        more = sum(batch.num_rows for batch in new)
        self._numbers = np.concatenate([self._numbers, np.arange(self._size, self._size + more)])
        self._columns = {
            field: np.concatenate([column, _integers(new, field)]) for field, column in self._columns.items()
        }
        self._batches, self._size = self._batches + new, self._size + more

    def _begin(self, memtable: Any) -> None:
        self._batches = tuple(memtable._insert_batches)
        starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self._size = int(starts[-1])
        self._keys = list(memtable._pk_index)
        places = [(batch, row) for batch, row, _ in memtable._pk_index.values()]
        self._places = [(memtable, place) for place in places]
        held = np.array(places, np.int64).reshape(-1, 2)
        self._numbers = starts[held[:, 0]] + held[:, 1]
        self._columns = {field: _integers(self._batches, field)[self._numbers] for field in self._fields}


def _integers(batches: Iterable[Any], field: str) -> Integers:
    columns = [batch.column(field).to_numpy(zero_copy_only=False) for batch in batches]
    return np.concatenate([NONE, *columns]).astype(np.int64)


@dataclass(frozen=True)
class Flushed:
    """All rows of some segments, end to end; ``live`` says which of them neither another replaces nor a delete removes.

    ``deletions`` are those that were flushed, by key.
    """

    segments: tuple[Any, ...]
    deletions: Mapping[Any, int]
    keys: list[Any]
    places: list[tuple[Any, Any]]
    sequence: list[int]
    columns: Mapping[str, Integers]
    live: NDArray[np.bool_]

    @classmethod
    def of(cls, segments: tuple[Any, ...], deletions: Any, fields: Iterable[str], held: Flushed | None) -> Flushed:
        """Read the segments; ``held`` is what was read last, and is given back where nothing changed."""
        if held is not None and held._is_of(segments, deletions):
            return held
        filled = tuple(segment for segment in segments if segment.num_rows)
        keys = [key for segment in filled for key in segment.pks]
        sequence = np.concatenate([np.zeros(0, np.uint64), *(segment.seqs for segment in filled)])
        columns = {
            field: np.concatenate([NONE, *(segment.table.column(field).to_numpy() for segment in filled)])
            for field in fields
        }
        return cls(
            filled,
            dict(deletions._map),
            keys,
            [(segment, row) for segment in filled for row in range(segment.num_rows)],
            sequence.tolist(),
            {field: column.astype(np.int64) for field, column in columns.items()},
            build_valid_mask(keys, sequence, deletions),
        )

    def _is_of(self, segments: Iterable[Any], deletions: Any) -> bool:
        filled = [segment for segment in segments if segment.num_rows]
        return (
            len(filled) == len(self.segments)
            and all(ours is theirs for ours, theirs in zip(self.segments, filled, strict=True))
            and self.deletions == deletions._map
        )

    def still_live(self, memtable: Any) -> NDArray[np.bool_]:
        """Which rows are live that the memtable has nothing newer of. Its lock is held by the caller."""
        replaced, removed = memtable._pk_index, memtable._delete_index
        if not self.keys or not (replaced or removed):
            return self.live
        newer = (
            ((found := replaced.get(key)) is not None and found[2] > at)
            or ((gone := removed.get(key)) is not None and gone[0] > at)
            for key, at in zip(self.keys, self.sequence, strict=True)
        )
        return self.live & ~np.fromiter(newer, np.bool_, len(self.keys))
