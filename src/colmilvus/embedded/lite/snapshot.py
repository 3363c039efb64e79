"""The live rows of a collection at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.lite.names import build_valid_mask, evaluate_mask, evaluate_segment_filter

__all__ = ["Moment", "Part", "Snapshot", "take"]


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

    keys: list[Any]
    places: list[tuple[Any, Any]]
    rows: dict[str, NDArray[np.int64]]
    parts: list[Part]


@dataclass(frozen=True)
class Source:
    """Some stored rows, live or not: a segment's, or the memtable's, whose rows are numbered through its batches."""

    holder: Any
    keys: list[Any]
    sequence: NDArray[np.uint64]
    places: list[tuple[Any, Any]]
    numbers: NDArray[np.int64]
    table: Any
    matching: NDArray[np.bool_]


def take(moment: Moment, compiled: Any, plan: Any, partitions: list[str], fields: list[str]) -> Snapshot:
    """The rows that are live and match the compiled filter, with the integer columns named in ``fields``."""
    # All partitions: a row may have been replaced by one in another.
    sources = [*_segments(moment, compiled, plan, partitions), *_unflushed(moment.memtable, compiled, partitions)]
    keys = [key for source in sources for key in source.keys]
    places = [place for source in sources for place in source.places]
    sequence = np.concatenate([np.zeros(0, np.uint64), *(source.sequence for source in sources)])
    live = build_valid_mask(keys, sequence, moment.deletions, None, moment.memtable)
    kept = np.flatnonzero(live & np.concatenate([np.zeros(0, np.bool_), *(source.matching for source in sources)]))
    rows = {}
    for field in fields:
        columns = [source.table.column(field).to_numpy() for source in sources]
        rows[field] = np.concatenate([np.zeros(0, np.int64), *columns]).astype(np.int64)[kept]
    return Snapshot([keys[i] for i in kept], [places[i] for i in kept], rows, _parts(sources, live))


def _parts(sources: list[Source], live: NDArray[np.bool_]) -> list[Part]:
    masks = np.split(live, np.cumsum([len(source.keys) for source in sources])[:-1]) if sources else []
    return [
        Part(source.holder, source.numbers[mask], source.numbers[mask & source.matching])
        for source, mask in zip(sources, masks, strict=True)
    ]


def _segments(moment: Moment, compiled: Any, plan: Any, partitions: list[str]) -> Iterator[Source]:
    for segment in moment.segments:
        if not (size := segment.num_rows):
            continue
        mask = np.full(size, not partitions or segment.partition in partitions)
        if compiled is not None and mask.any():
            mask &= evaluate_segment_filter(segment, compiled, plan)
        places = [(segment, i) for i in range(size)]
        yield Source(segment, segment.pks, segment.seqs, places, np.arange(size), segment.table, mask)


def _unflushed(memtable: Any, compiled: Any, partitions: list[str]) -> Iterator[Source]:
    keys, sequence, _, refs, table = memtable.to_search_snapshot(None, None, True)
    if not keys:
        return
    batches = memtable._insert_batches
    mask = np.ones(len(keys), np.bool_)
    if partitions:
        mask &= [batches[batch].column("_partition")[row].as_py() in partitions for batch, row in refs]
    if compiled is not None:
        mask &= evaluate_mask(compiled, table)
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    numbers = np.array([starts[batch] + row for batch, row in refs])
    yield Source(memtable, keys, sequence, [(memtable, ref) for ref in refs], numbers, table, mask)
