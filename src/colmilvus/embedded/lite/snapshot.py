"""The live rows of a collection at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.lite.names import build_valid_mask, evaluate_mask, evaluate_segment_filter

__all__ = ["Moment", "Snapshot", "take"]


@dataclass(frozen=True)
class Moment:
    """What a read works on, so that a flush in between takes nothing away."""

    memtable: Any
    segments: tuple[Any, ...]
    deletions: Any


@dataclass(frozen=True)
class Snapshot:
    """The live rows of one moment: their keys, where Milvus Lite keeps each, and the numbers of their records."""

    keys: list[Any]
    places: list[tuple[Any, Any]]
    rows: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Source:
    """Some stored rows, live or not: a segment's, or the memtable's."""

    keys: list[Any]
    sequence: NDArray[np.uint64]
    places: list[tuple[Any, Any]]
    table: Any
    matching: NDArray[np.bool_] | None


def take(moment: Moment, compiled: Any, plan: Any, partitions: list[str], fields: list[str]) -> Snapshot:
    """The rows that are live and match the compiled filter, with the integer columns named in ``fields``."""
    sources = _sources(moment, compiled, plan, partitions)
    if not sources:
        return Snapshot([], [], {field: np.zeros(0, np.int64) for field in fields})
    keys = [key for source in sources for key in source.keys]
    places = [place for source in sources for place in source.places]
    sequence = np.concatenate([source.sequence for source in sources])
    masks = [source.matching for source in sources if source.matching is not None]
    matching = np.concatenate(masks) if masks else None
    kept = np.flatnonzero(build_valid_mask(keys, sequence, moment.deletions, matching, moment.memtable))
    rows = {}
    for field in fields:
        columns = [source.table.column(field).to_numpy() for source in sources]
        rows[field] = np.concatenate(columns).astype(np.int64)[kept]
    return Snapshot([keys[i] for i in kept], [places[i] for i in kept], rows)


def _sources(moment: Moment, compiled: Any, plan: Any, partitions: list[str]) -> list[Source]:
    sources = []
    for segment in moment.segments:
        if segment.num_rows and (not partitions or segment.partition in partitions):
            mask = None if compiled is None else evaluate_segment_filter(segment, compiled, plan)
            places = [(segment, i) for i in range(segment.num_rows)]
            sources.append(Source(segment.pks, segment.seqs, places, segment.table, mask))
    memtable = moment.memtable
    keys, sequence, _, refs, table = memtable.to_search_snapshot(None, partitions or None, True)
    if keys:
        mask = None if compiled is None else evaluate_mask(compiled, table)
        sources.append(Source(keys, sequence, [(memtable, ref) for ref in refs], table, mask))
    return sources
