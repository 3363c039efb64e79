"""The collection of flat rows: written, found by candidates, read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import uuid4

import numpy as np

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import Unsupported
from colmilvus.filters import Filter, all_of, one_of, to_expression
from colmilvus.filters.dialects import HAS_DOCUMENT, Dialect
from colmilvus.layouts.flat.estimates import Hits, estimates
from colmilvus.layouts.flat.rows import FLAT_SCALARS, Key, flat_entity, flat_rows, flat_segments, flat_vectors
from colmilvus.layouts.flat.schema import VECTOR, flat_indexes, flat_schema
from colmilvus.layouts.layout import Found, Layout, Stored
from colmilvus.layouts.portions import IDS, MOST_ROWS, REQUEST_BYTES, batches, depth_for, weighed, within
from colmilvus.layouts.rows import Record
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import FIRST, Row, Table
from colmilvus.maxsim import maxsim

__all__ = ["FlatLayout"]

SPARE = 10
"""Entities that are compared exactly beyond twice as many as are asked for."""
DELETED = 500
"""Entities removed in one request."""
OVERHEAD = 200
"""Bytes of a row beside its vector, key, id, document and metadata, about."""

PARTITION_KEYS = (2, 4)
"""Of Milvus 2.3.5 it was seen that what is upserted by a partition key lies where no search for that key looks."""

WRITING = "writing"
SHOWN = ("id", "document", HAS_DOCUMENT, "internal")
SEGMENT_FIELDS = ("segment", "segment_id", "segment_text", "segment_info")
HEADS = 'segment_info != ""'
"""What is true of the first row of each segment."""


class FlatLayout(Layout):
    """The rows of one collection on a server of any kind."""

    name = "flat"
    once = FIRST

    @classmethod
    def create(cls, table: Table, spec: CollectionSpec) -> FlatLayout:
        """Make the collection with its indexes. Raises Unsupported for float16, ServerError where the server cannot."""
        if spec.dtype == "float16":
            raise Unsupported(
                "float16 needs a server with arrays of structs; flat rows are stored with dtype='float32'"
            )
        table.create(flat_schema(spec, has_partition_keys=table.version >= PARTITION_KEYS))
        return cls.open(table, spec)

    @classmethod
    def open(cls, table: Table, spec: CollectionSpec) -> FlatLayout:
        table.prepare(flat_indexes(spec))
        return cls(table, spec)

    @property
    def is_exact(self) -> bool:
        return True

    @property
    def splits(self) -> bool:
        return False

    def _scalars(self) -> Sequence[str]:
        return FLAT_SCALARS

    def _entity(self, row: Row) -> Entity:
        return flat_entity(row)

    def expression(self, filter: Filter | None) -> str:
        return to_expression(filter, self.spec.fields, self._dialect)

    @cached_property
    def _dialect(self) -> Dialect:
        """Servers before 2.4 read patterns of what texts begin with, and no others."""
        return Dialect(kinds=True, patterns=self.table.understands(f'id like "%a%" and {FIRST}'))

    def write(self, records: Sequence[Record], stored: Mapping[str, Stored]) -> None:
        # First the rows of a new writing, then the first rows, which say that it counts; then those before go. Until
        # they are gone the first rows have no digest: what is cut short is not taken for done, and is written again.
        writing = uuid4().hex[:12]
        rows = [flat_rows(record, self.spec, writing, self.table.tenant) for record in records]
        left = self._left_behind([record.entity.id for record in records if record.entity.id not in stored])
        first = {of_one[0]["id"]: of_one[0] for of_one in rows}
        replaced = [name for name in first if name in stored or name in left]
        self._upsert([row for of_one in rows for row in of_one[1:]])
        self._upsert([_unfinished(row) if name in replaced else row for name, row in first.items()])
        for some in batches(replaced, IDS):
            self.table.delete(all_of(one_of("id", some), "part > 0", f'writing != "{writing}"'))
        self._upsert([first[name] for name in replaced])

    def _left_behind(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids, of which nothing is held, that have rows: a writing that was cut short left them."""
        asked = (all_of(one_of("id", some), "part > 0") for some in batches(ids, IDS))
        return {row["id"] for each in asked for row in self.table.rows(each, ["id"])}

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        for some in weighed(rows, _weight, REQUEST_BYTES):
            with self.table.storing(len(some)):
                self.table.client.upsert(self.table.name, data=some, timeout=self.table.timeout)

    def delete(self, expression: str) -> None:
        for some in batches(self.ids(expression), DELETED):
            self.table.delete(one_of("id", some))

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        return [self._search(query, limit, expression, whole) for query in queries]

    def _search(self, query: MultiVector, limit: int, expression: str, whole: bool) -> list[Found]:
        candidates = self._candidates(query, limit, expression)
        # Asked again for the filter: rows that a writing cut short left behind may match it where the entity does not.
        shown = [*(FLAT_SCALARS if whole else SHOWN), WRITING]
        first = {row["id"]: row for row in self._first_rows(candidates, shown, expression)}
        sizes = {name: row["internal"]["sizes"] for name, row in first.items()}
        scored = {
            name: maxsim(query, flat_vectors(rows), self.spec.metric)
            for name, rows in self._grouped(sizes, [VECTOR], first)
        }
        best = sorted(scored, key=lambda name: scored[name], reverse=self.spec.metric != "L2")[:limit]
        return [_found(first[name], scored[name], whole) for name in best]

    def _candidates(self, query: MultiVector, limit: int, expression: str) -> list[str]:
        """The ids of the entities that look best, best first: more than ``limit``, where there are."""
        wanted = 2 * limit + SPARE
        depth = depth_for(limit)
        while True:
            parameters = {"metric_type": self.spec.metric, "params": {"ef": depth, **self.table.search_params}}
            answers = self.table.search(list(query.vectors), VECTOR, parameters, depth, expression, [])
            hits = [Hits(hits.ids, np.array(hits.distances, np.float64), len(hits) < depth) for hits in answers]
            names, scores = estimates(hits, self.table.tenant)
            are_all = all(found.are_all for found in hits)
            if len(names) < wanted and depth < MOST_ROWS and not are_all:
                depth = min(MOST_ROWS, 4 * depth)
                continue
            order = np.argsort(scores if self.spec.metric == "L2" else -scores, kind="stable")
            best = [names[at] for at in order[:wanted].tolist()]
            if are_all and len(best) < limit:
                # Vectors of length zero are near to nothing, and entities of such alone are not found.
                best += [name for name in self.ids(expression) if name not in set(names)][: limit - len(best)]
            return best

    def _grouped(
        self, sizes: Mapping[str, Sequence[int]], fields: Sequence[str], first: Mapping[str, Row]
    ) -> Iterator[tuple[str, list[Row]]]:
        """The rows of each entity in order, those of another writing than that of its first row left out."""
        for some in within(sizes):
            rows: dict[str, list[tuple[int, Row]]] = {}
            for row in self.table.read(one_of("id", some), fields):
                key = Key.of(row["key"], self.table.tenant)
                if key.part == 0 or key.writing == first[key.id]["writing"]:
                    rows.setdefault(key.id, []).append((key.part, row))
            for name, found in rows.items():
                found.sort(key=lambda pair: pair[0])
                yield name, [row for _, row in found]

    def search_text(self, *_: Any, **__: Any) -> list[Found]:
        self.check_text()
        return []

    def check_text(self) -> None:
        raise Unsupported(
            f"collection {self.table.name!r} lies in flat rows, of which the text cannot be searched; search with "
            "mode='late_interaction', or move it to the embedded engine or a Milvus server of 2.6.8 or later"
        )

    def contents(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[Entity, MultiVector]]:
        first = {row["id"]: row for row in self._first_rows(list(sizes), [*FLAT_SCALARS, WRITING])}
        fields = [VECTOR, *(SEGMENT_FIELDS if self.spec.segments else ())]
        there = {name: sizes[name] for name in first}
        return {
            name: (flat_entity(first[name], self._segments(rows)), flat_vectors(rows))
            for name, rows in self._grouped(there, fields, first)
        }

    def _segments(self, rows: Sequence[Row]) -> Sequence[Segment]:
        return flat_segments(rows) if self.spec.segments else ()

    def with_segments(self, ids: Sequence[str]) -> list[Entity]:
        entities = []
        for some in batches(ids, IDS):
            first = {row["id"]: row for row in self._first_rows(some, [*FLAT_SCALARS, WRITING])}
            told: dict[str, list[Row]] = {name: [] for name in first}
            for row in self.table.rows(all_of(one_of("id", list(first)), HEADS), ["id", "writing", *SEGMENT_FIELDS]):
                if row["writing"] == first[row["id"]]["writing"]:
                    told[row["id"]].append(row)
            entities += [flat_entity(row, flat_segments(told[name])) for name, row in first.items()]
        return entities

    def holding(self, segments: Sequence[str]) -> dict[str, Sequence[int]]:
        names = list(self.parents(segments))
        return {name: stored.sizes for name, stored in self.stored(names).items()}

    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        return self._heads("segment_id", segments)

    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        return self._heads("id", ids)

    def _heads(self, field: str, values: Sequence[str]) -> dict[str, list[str]]:
        """The ids of segments by the ids of their entities, where a column has one of the values."""
        found: dict[str, list[str]] = {}
        for some in batches(values, IDS):
            rows = self.table.rows(all_of(one_of(field, some), HEADS), ["id", "writing", "segment", "segment_id"])
            writings = {row["id"]: row["writing"] for row in self._first_rows(_ids(rows), ["id", "writing"])}
            for row in sorted(rows, key=lambda row: int(row["segment"])):
                if writings.get(row["id"]) == row["writing"]:
                    found.setdefault(row["id"], []).append(row["segment_id"])
        return found


def _found(row: Row, score: float, whole: bool) -> Found:
    document = row["document"] if row[HAS_DOCUMENT] else None
    return Found(row["id"], document, score, row["internal"]["sizes"], flat_entity(row) if whole else None)


def _unfinished(first: dict[str, Any]) -> dict[str, Any]:
    return {**first, "internal": {**first["internal"], "digest": None}}


def _ids(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["id"] for row in rows))


def _weight(row: Mapping[str, Any]) -> int:
    """About how many bytes a row takes in a request."""
    texts = (
        row["key"],
        row["id"],
        row["document"],
        row["text"],
        row.get("segment_text", ""),
        row.get("segment_info", ""),
    )
    written = len(json.dumps(row["metadata"])) + len(json.dumps(row["internal"]))
    return int(row[VECTOR].nbytes) + sum(map(len, texts)) + written + OVERHEAD
