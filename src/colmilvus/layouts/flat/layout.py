"""The collection of flat rows: written, found by candidates, read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import ServerError, Unsupported
from colmilvus.filters import Filter, all_of, none_of, one_of, to_expression
from colmilvus.filters.dialects import HAS_DOCUMENT, Dialect
from colmilvus.layouts.flat.estimates import Estimates
from colmilvus.layouts.flat.inserting import insert
from colmilvus.layouts.flat.keys import parts, writings
from colmilvus.layouts.flat.nearest import nearest
from colmilvus.layouts.flat.places import places_for
from colmilvus.layouts.flat.prospects import AT_ONCE
from colmilvus.layouts.flat.reading import answer_bytes, first_rows, portions
from colmilvus.layouts.flat.rows import FLAT_SCALARS, flat_entity, flat_rows, flat_segments, flat_vectors, sent_bytes
from colmilvus.layouts.flat.schema import ALL_LISTS, PROBES, VECTOR, flat_indexes, flat_schema, flat_search
from colmilvus.layouts.layout import Found, Layout, Stored
from colmilvus.layouts.portions import IDS, MOST_ROWS, REQUEST_BYTES, batches, weighed
from colmilvus.layouts.rows import Record
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import FIRST, Row, Table

__all__ = ["FlatLayout"]

SPARE = 40
"""Entities that may be compared exactly beyond twice as many as are asked for."""
LEAST_DEPTH = 4_000
"""Rows that each query vector finds, at least: pages have many vectors nearly alike."""
DEPTH = 200
"""Rows that each query vector finds for each entity that is asked for."""
DELETED = 500
"""Entities removed in one request."""

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

    def _first_rows(self, ids: Sequence[str], fields: Sequence[str], expression: str = "") -> list[Row]:
        return first_rows(self.table, ids, fields, expression)

    def write(self, records: Sequence[Record], stored: Mapping[str, Stored]) -> None:
        # First the rows of a new writing, then the first rows, which say that it counts; then those before go. Until
        # they are gone the first rows have no digest: what is cut short is not taken for done, and is written again.
        left = self._left_behind([record.entity.id for record in records if record.entity.id not in stored])
        begun = time.monotonic()
        try:
            first = self._write_further(records, stored, self._insert)
        except ServerError:
            if time.monotonic() - begun > self.table.timeout:
                raise
            left = {record.entity.id for record in records}  # what of the first writing has arrived, nobody knows
            first = self._write_further(records, stored, self._upsert)
        replaced = [name for name in first if name in stored or name in left]
        self._upsert([_unfinished(row) if name in replaced else row for name, row in first.items()])
        for some in batches(replaced, IDS):
            outdated = none_of(WRITING, [first[name][WRITING] for name in some])
            self.table.delete(all_of(one_of("id", some), "part > 0", outdated))
        self._upsert([first[name] for name in replaced])

    def _left_behind(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids, of which nothing is held, that have rows: a writing that was cut short left them."""
        asked = (all_of(one_of("id", some), "part > 0") for some in batches(ids, IDS))
        return {row["id"] for each in asked for row in self.table.rows(each, ["id"])}

    def _write_further(
        self, records: Sequence[Record], held: Collection[str], send: Callable[[list[dict[str, Any]]], None]
    ) -> dict[str, dict[str, Any]]:
        """Send all rows but the first of each entity; return these first rows by ids. ``held`` are ids there are."""
        places = places_for(self.table, [record.entity.id for record in records], held)
        rows = [flat_rows(record, self.spec, places[record.entity.id], self.table.tenant) for record in records]
        send([row for of_one in rows for row in of_one[1:]])
        return {of_one[0]["id"]: of_one[0] for of_one in rows}

    def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store rows under keys that are new: nothing is removed before, which takes a server most of the time."""
        for some in weighed(rows, sent_bytes, REQUEST_BYTES):
            with self.table.storing(len(some)):
                insert(self.table.client, self.table.name, some, timeout=self.table.timeout)

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        for some in weighed(rows, sent_bytes, REQUEST_BYTES):
            with self.table.storing(len(some)):
                self.table.client.upsert(self.table.name, data=some, timeout=self.table.timeout)

    def delete(self, expression: str) -> None:
        # the first rows before the others: cut short, it leaves none that counts, and none without its vectors
        for some in batches(self.ids(expression), DELETED):
            named = one_of("id", some)
            self.table.delete(all_of(named, FIRST))
            self.table.delete(named)

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        return [self._search(query, limit, expression, whole) for query in queries]

    def _search(self, query: MultiVector, limit: int, expression: str, whole: bool) -> list[Found]:
        rows, found = self._candidates(query, limit, expression, [*(FLAT_SCALARS if whole else SHOWN), WRITING])
        prospects = found.prospects([row["key"] for row in rows])
        begun = prospects.first(limit, [answer_bytes(row["internal"]["sizes"], self.spec.dim) for row in rows])
        matches = self._matches(query, [rows[at] for at in begun])
        others = prospects.others(begun, matches, limit)
        compared = [rows[at] for at in (*begun, *others)]
        scores = np.concatenate([matches, self._matches(query, [rows[at] for at in others])]).sum(axis=1)
        best = [at for at in np.argsort(-scores, kind="stable")[:limit] if not np.isnan(scores[at])]
        sign = -1 if self.spec.metric == "L2" else 1
        return [_found(compared[at], float(sign * scores[at]), whole) for at in best]

    def _matches(self, query: MultiVector, rows: Sequence[Row]) -> NDArray[np.float64]:
        """What each vector of the query matches best, of the entities with these first rows, of "L2" the negative.

        Returns ``(rows, query vectors)``, not a number where an entity is gone meanwhile.
        """

        def matches(some: Sequence[Row]) -> list[dict[str, NDArray[np.float64]]]:
            sizes = {row["id"]: row["internal"]["sizes"] for row in some}
            read = portions(self.table, sizes, [], {row["id"]: row for row in some}, self.spec.dim)
            return [each.matches(query, self.spec.metric) for each in read]

        gone = np.full(len(query.vectors), np.nan)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            shares = pool.map(matches, (rows[start::AT_ONCE] for start in range(min(AT_ONCE, len(rows)))))
            found = {name: best for share in shares for each in share for name, best in each.items()}
        told = np.array([found.get(row["id"], gone) for row in rows]).reshape(-1, len(gone))
        return -told if self.spec.metric == "L2" else told

    def _candidates(
        self, query: MultiVector, limit: int, expression: str, fields: Sequence[str]
    ) -> tuple[list[Row], Estimates]:
        """The first rows of the entities that look best, more than ``limit``, where there are."""
        wanted = 2 * limit + SPARE
        depth = min(MOST_ROWS, max(LEAST_DEPTH, DEPTH * limit))
        found, _ = self._estimates(query, depth, PROBES, expression)
        if len(found.families) >= wanted:
            return self._first_rows_of(found.best(wanted), fields, expression), found
        if self.count(expression) <= wanted:
            return self._first_rows(self.ids(expression), fields, expression), Estimates.of_nothing(len(query.vectors))
        found, are_all = self._estimates(query, MOST_ROWS, ALL_LISTS, expression)
        rows = self._first_rows_of(found.best(wanted), fields, expression)
        if are_all and len(rows) < limit:
            # Vectors of length zero are near to nothing, and entities of such alone are not found.
            others = set(self.ids(expression)) - {row["id"] for row in rows}
            rows += self._first_rows(sorted(others)[: wanted - len(rows)], fields, expression)
        return rows, found

    def _first_rows_of(self, keys: NDArray[np.int64], fields: Sequence[str], expression: str) -> list[Row]:
        """The first rows of the entities that these rows are of, unless a writing cut short left the rows behind.

        Asked again for the filter: what was left behind may match it where the entity does not.
        """
        firsts, others = keys[parts(keys) == 0].tolist(), np.unique(writings(keys[parts(keys) > 0])).tolist()
        columns = [*(("key", first) for first in firsts), *((WRITING, other) for other in others)]
        named = [_named(some) for some in batches(columns, IDS)]
        rows = {row["id"]: row for each in named for row in self.table.read(all_of(each, FIRST, expression), fields)}
        return list(rows.values())

    def _estimates(self, query: MultiVector, depth: int, probes: int, expression: str) -> tuple[Estimates, bool]:
        """What so many rows for each query vector tell, and whether there are no others."""
        told = {**flat_search(self.spec, depth, probes), **self.table.search_params}
        parameters = {"metric_type": self.spec.metric, "params": told}
        asked = self.table.asked(list(query.vectors), VECTOR, parameters, expression, [])
        with self.table.request(f"search {self.table.name!r}", expression):
            hits = nearest(self.table.client, self.table.name, depth, **asked)
        found = Estimates.of(hits, less_is_better=self.spec.metric == "L2")
        return found, all(len(each.keys) < depth for each in hits)

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
        fields = SEGMENT_FIELDS if self.spec.segments else ()
        there = {name: sizes[name] for name in first}
        found = {}
        for portion in portions(self.table, there, fields, first, self.spec.dim):
            for name, places in portion.places.items():
                rows = portion.rows_of(name)
                segments = flat_segments(rows) if self.spec.segments else ()
                vectors = flat_vectors(rows, portion.vectors[places])
                found[name] = (flat_entity(first[name], segments), vectors)
        return found

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


def _named(columns: Sequence[tuple[str, int]]) -> str:
    """An expression that is true of rows that have one of the values in its column."""
    values: dict[str, list[int]] = {}
    for column, value in columns:
        values.setdefault(column, []).append(value)
    return " or ".join(one_of(column, some) for column, some in values.items())


def _unfinished(first: dict[str, Any]) -> dict[str, Any]:
    return {**first, "internal": {**first["internal"], "digest": None}}


def _ids(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["id"] for row in rows))
