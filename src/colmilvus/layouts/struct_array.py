"""One row an entity (or a part of one), its vectors an array of structs, MAX_SIM in the server.

Source: Milvus, "Array of Structs" and "Search with Embedding Lists".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.filters import all_of, contains_any, none_of, one_of
from colmilvus.layouts.inserting import STRUCTS, upsert
from colmilvus.layouts.layout import Found, Layout, Stored
from colmilvus.layouts.portions import IDS, MOST_ROWS, REQUEST_BYTES, batches, weighed, within
from colmilvus.layouts.precision import as_sent, check_client
from colmilvus.layouts.rows import (
    SCALARS,
    SEGMENT_IDS,
    Record,
    current,
    entity_of,
    rows_of,
    segments_of,
    vectors_of,
)
from colmilvus.layouts.schema import BM25, VECTOR, index_parameters, milvus_schema
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import Row, Table

__all__ = ["StructArrayLayout", "ann_ratio", "vector_parameters"]

DEFAULT_RATIO = 3.0
"""``retrieval_ann_ratio`` of a server that is not told another."""
RATIO = 30.0
LEAST_DEPTH = 300


def ann_ratio(limit: int) -> float:
    """``retrieval_ann_ratio``, so that a server has good candidates for ``limit`` entities among near-duplicates.

    Of each segment, every vector of the query finds ``limit`` times that many vectors, whose entities are compared
    exactly (Knowhere, ``emb_list_strategy_token_ann.cc``). With the default these are near-alike vectors of few pages:
    of 2,000 patch-like pages, 0.63 of the ten best were among them, with 10 0.95, with 30 all; of word vectors 0.90,
    0.99 and all.
    """
    return max(DEFAULT_RATIO, min(max(RATIO, LEAST_DEPTH / limit), MOST_ROWS / limit))


def vector_parameters(metric: Metric, limit: int, table: Table) -> dict[str, Any]:
    """What a search by MaxSim passes on; the embedded engine needs no candidates, it is exact."""
    depth = {} if table.is_embedded else {"retrieval_ann_ratio": ann_ratio(limit)}
    return {"metric_type": f"MAX_SIM_{metric}", "params": {**depth, **table.search_params}}


class StructArrayLayout(Layout):
    """The rows of one collection on a server, or an engine, that has arrays of structs."""

    name = "struct_array"

    @classmethod
    def make(cls, table: Table, spec: CollectionSpec) -> None:
        """Make the collection, without its indexes. Raises Unsupported where the installed pymilvus cannot."""
        check_client(spec.dtype)
        table.create(milvus_schema(spec))

    @classmethod
    def open(cls, table: Table, spec: CollectionSpec) -> StructArrayLayout:
        """The collection as it is, with all its indexes. Raises Unsupported where the installed pymilvus cannot."""
        check_client(spec.dtype)
        table.prepare(index_parameters(spec))
        return cls(table, spec)

    @property
    def is_exact(self) -> bool:
        return False

    @property
    def splits(self) -> bool:
        return self.spec.segments

    def write(self, records: Sequence[Record], stored: Mapping[str, Stored]) -> None:
        # First the further parts, then the first parts, which say what the others are and hold the digest; last go the
        # further parts that are of no use any more.
        parts = {record.entity.id: rows_of(record, self.spec, self.table.tenant) for record in records}
        further = [row for rows in parts.values() for row in rows[1:]]
        self._upsert(further)
        self._upsert([rows[0] for rows in parts.values()])
        split = [
            name for name, rows in parts.items() if len(rows) > 1 or (name in stored and len(stored[name].sizes) > 1)
        ]
        if split:
            needed = none_of("key", (row["key"] for row in further))
            self.delete(all_of(one_of("id", split), "part > 0", needed))

    def _upsert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for some in weighed(rows, lambda row: int(row["internal"]["sizes"][row["part"]]), REQUEST_BYTES):
            with self.table.storing(len(some)):
                upsert(self.table.client, self.table.name, some, timeout=self.table.timeout)

    def delete(self, expression: str) -> None:
        self.table.delete(expression)

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        vectors = [EmbeddingList(as_sent(query, self.spec.dtype)) for query in queries]
        parameters = vector_parameters(self.spec.metric, limit, self.table)
        return self._search(vectors, VECTOR, parameters, limit, expression, whole)

    def search_text(self, query: str, limit: int, expression: str = "", *, whole: bool) -> list[Found]:
        (found,) = self._search([query], BM25, {"metric_type": "BM25"}, limit, expression, whole)
        return found

    def check_text(self) -> None:
        """Every such collection has an index of its text."""

    def _search(
        self,
        queries: list[Any],
        field: str,
        parameters: Mapping[str, Any],
        limit: int,
        expression: str,
        whole: bool,
    ) -> list[list[Found]]:
        fields = SCALARS if whole else ("id", "document", "internal")
        answers = self.table.search(queries, field, parameters, limit, expression, fields)
        return [[_found(hit, whole) for hit in hits] for hits in answers]

    def with_segments(self, ids: Sequence[str]) -> list[Entity]:
        fields = [*SCALARS, *(f"{STRUCTS}[{name}]" for name in ("segment", "text", "info"))]
        grouped = (self._grouped(some, fields) for some in batches(ids, IDS))
        return [entity_of(rows[0], segments_of(rows)) for found in grouped for rows in found.values()]

    def contents(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[Entity, MultiVector]]:
        grouped = (self._grouped(some, [*SCALARS, STRUCTS]) for some in within(sizes))
        return {
            name: (entity_of(rows[0], segments_of(rows)), vectors_of(rows))
            for found in grouped
            for name, rows in found.items()
        }

    def _grouped(self, ids: Sequence[str], fields: Sequence[str]) -> dict[str, list[Row]]:
        """The rows of each entity, part by part, those that a writing cut short left behind left out."""
        rows: dict[str, list[Row]] = {}
        for row in self.table.read(one_of("id", ids), fields):
            rows.setdefault(row["id"], []).append(row)
        return {name: kept for name, found in rows.items() if (kept := current(found))}

    def holding(self, segments: Sequence[str]) -> dict[str, Sequence[int]]:
        found: dict[str, Sequence[int]] = {}
        for some in batches(segments, IDS):
            for row in self.table.rows(contains_any(SEGMENT_IDS, some), ["id", "internal"]):
                found[row["id"]] = row["internal"]["sizes"]
        return found

    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for some in batches(segments, IDS):
            wanted = set(some)
            for row in self.table.rows(contains_any(SEGMENT_IDS, some), ["id", SEGMENT_IDS]):
                found.setdefault(row["id"], []).extend(name for name in row[SEGMENT_IDS] if name in wanted)
        return found

    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for some in batches(ids, IDS):
            for row in self.table.read(one_of("id", some), ["id", SEGMENT_IDS]):
                found.setdefault(row["id"], []).extend(row[SEGMENT_IDS])
        return found


def _found(hit: Mapping[str, Any], whole: bool) -> Found:
    row = hit["entity"]
    # the text and the rest stand in an entity's first row alone
    entity = entity_of(row) if whole and row["part"] == 0 else None
    return Found(row["id"], row["document"], float(hit["distance"]), row["internal"]["sizes"], entity)
