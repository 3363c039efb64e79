"""The live rows of a collection at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from colmilvus.embedded.lite.names import Segment, evaluate_mask, evaluate_segment_filter
from colmilvus.embedded.lite.stored import Flushed, Rows, Unflushed

__all__ = ["Moment", "Part", "Snapshot", "Snapshots", "replaced", "with_replaced"]


@dataclass(frozen=True)
class Moment:
    """What a read works on, so that a flush in between takes nothing away."""

    memtable: Any
    segments: tuple[Any, ...]
    deletions: Any


@dataclass(frozen=True)
class Part:
    """A segment or the memtable: the numbers of its live rows, and of those among them that match."""

    holder: Any
    live: NDArray[np.int64]
    kept: NDArray[np.int64]


@dataclass(frozen=True)
class Snapshot:
    """The matching live rows of one moment: their keys, where Milvus Lite keeps each, the numbers of their records.

    ``parts`` has them once more, in the same order, by the segment or memtable that they lie in.
    """

    keys: Sequence[Any]
    places: Sequence[tuple[Any, Any]]
    rows: dict[str, NDArray[np.int64]]
    parts: list[Part]


@dataclass(frozen=True)
class Filtering:
    """A compiled filter with the plan for indexed segments, if there is one, and the partitions to be looked at."""

    compiled: Any
    plan: Any
    partitions: list[str]

    def of_segments(self, segments: Sequence[Any]) -> NDArray[np.bool_]:
        """Which rows of the segments, end to end, match."""
        return np.concatenate([np.zeros(0, np.bool_), *(self._of_segment(segment) for segment in segments)])

    def _of_segment(self, segment: Any) -> NDArray[np.bool_]:
        mask = np.full(segment.num_rows, not self.partitions or segment.partition in self.partitions)
        if self.compiled is not None and mask.any():
            mask &= evaluate_segment_filter(segment, self.compiled, self.plan)
        return mask

    def of_memtable(self, unflushed: Rows) -> NDArray[np.bool_]:
        """Which of the live rows match."""
        mask = np.ones(len(unflushed.keys), np.bool_)
        if not unflushed.keys or not (self.partitions or self.compiled is not None):
            return mask
        table = unflushed.table
        if self.partitions:
            inside = pc.is_in(table.column("_partition"), value_set=pa.array(self.partitions))
            mask &= inside.to_numpy(zero_copy_only=False)[unflushed.numbers]
        if self.compiled is not None:
            mask &= evaluate_mask(self.compiled, table)[unflushed.numbers]
        return mask


class Snapshots:
    """Takes snapshots of one collection. What did not change since the last one is not read again."""

    def __init__(self) -> None:
        self._flushed: Flushed | None = None
        self._unflushed: WeakKeyDictionary[Any, Unflushed] = WeakKeyDictionary()

    def take(self, moment: Moment, compiled: Any, plan: Any, partitions: list[str], fields: Sequence[str]) -> Snapshot:
        """The rows that are live and match the compiled filter, with the integer columns named in ``fields``."""
        flushed = self._flushed = Flushed.of(moment.segments, moment.deletions, fields, self._flushed)
        with moment.memtable._lock:
            unflushed = self._unflushed.setdefault(moment.memtable, Unflushed(fields)).read(moment.memtable)
            alive = flushed.still_live(moment.memtable)
        filtering = Filtering(compiled, plan, partitions)
        old, new = alive & filtering.of_segments(flushed.segments), filtering.of_memtable(unflushed)
        kept = np.concatenate([np.flatnonzero(old), len(old) + np.flatnonzero(new)])
        rows = {field: np.concatenate([flushed.columns[field], unflushed.columns[field]])[kept] for field in fields}
        return Snapshot(
            _chosen(flushed.keys, unflushed.keys, kept),
            _chosen(flushed.places, unflushed.places, kept),
            rows,
            [*_parts(flushed.segments, alive, old), *_unflushed_part(moment.memtable, unflushed, new)],
        )


class _Chosen(Sequence[Any]):
    """Some items of one list and then of another, ascending, of which mostly a few are asked for."""

    def __init__(self, first: list[Any], second: list[Any], kept: NDArray[np.int64]) -> None:
        self._first = first
        self._second = second
        self._kept = kept

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, at: Any) -> Any:
        number = int(self._kept[at])
        beyond = number - len(self._first)
        return self._first[number] if beyond < 0 else self._second[beyond]

    def __iter__(self) -> Iterator[Any]:
        among_first = int(np.searchsorted(self._kept, len(self._first)))
        yield from map(self._first.__getitem__, self._kept[:among_first].tolist())
        yield from map(self._second.__getitem__, (self._kept[among_first:] - len(self._first)).tolist())


def _chosen(first: list[Any], second: list[Any], kept: NDArray[np.int64]) -> Sequence[Any]:
    """Joined only where all are kept, which is done once for all searches until the next write."""
    return first + second if len(kept) == len(first) + len(second) else _Chosen(first, second, kept)


def _parts(segments: Sequence[Any], live: NDArray[np.bool_], kept: NDArray[np.bool_]) -> list[Part]:
    parts, start = [], 0
    for segment in segments:
        own = slice(start, start := start + segment.num_rows)
        parts.append(Part(segment, np.flatnonzero(live[own]), np.flatnonzero(kept[own])))
    return parts


def _unflushed_part(memtable: Any, unflushed: Rows, kept: NDArray[np.bool_]) -> list[Part]:
    return [Part(memtable, unflushed.numbers, unflushed.numbers[kept])] if unflushed.keys else []


def replaced(parts: Iterable[Part]) -> Iterator[tuple[Any, int, str]]:
    """Key, number and partition of each flushed row that is live no more."""
    for part in parts:
        if isinstance(part.holder, Segment):
            for row in np.setdiff1d(np.arange(part.holder.num_rows), part.live).tolist():
                yield part.holder.pks[row], int(part.holder.seqs[row]), part.holder.partition


def with_replaced(deletions: Any, parts: Iterable[Part]) -> Any:
    """Milvus Lite's deletions, with every flushed row among them that is live no more."""
    more = deletions.frozen_copy()
    for key, number, _ in replaced(parts):
        # A deletion hides what is older than itself, which the row that replaced this one is not.
        more._map[key] = max(more._map.get(key, -1), number + 1)
    return more
