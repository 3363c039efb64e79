"""One row an entity (or a part of one), its vectors an array of structs, MAX_SIM in the server.

Source: Milvus, "Array of Structs" and "Search with Embedding Lists".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType, Function, FunctionType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.filters import all_of, equal, one_of
from colmilvus.layouts.checks import ID_BYTES, VARCHAR_BYTES
from colmilvus.layouts.requests import request
from colmilvus.layouts.rows import SCALARS, Record, entity_of, key_of, rows_of, segments_of
from colmilvus.layouts.spec import CollectionSpec

__all__ = ["Found", "Stored", "StructArrayLayout"]

VECTOR = "vectors[emb]"
BM25 = "bm25"
REQUEST_BYTES = 32 << 20
"""Bytes of vectors in one request; a server takes 64 MiB in all (``proxy.grpc.serverMaxRecvSize``)."""
PAGE = 1_000
TYPES = {bool: DataType.BOOL, int: DataType.INT64, float: DataType.DOUBLE, str: DataType.VARCHAR}


@dataclass(frozen=True)
class Found:
    """An entity's first row, and the score of the row that matched."""

    entity: Entity
    score: float
    parts: int


@dataclass(frozen=True)
class Stored:
    """What a collection holds under an id: enough to tell whether it has to be written again."""

    digest: str | None
    image: str
    parts: int


class StructArrayLayout:
    """The rows of one collection on a server, or an engine, that has arrays of structs."""

    def __init__(self, client: MilvusClient, name: str, spec: CollectionSpec, *, timeout: float) -> None:
        self.spec = spec
        self._client = client
        self._name = name
        self._timeout = timeout

    @classmethod
    def create(cls, client: MilvusClient, name: str, spec: CollectionSpec, *, timeout: float) -> StructArrayLayout:
        """Make the collection with its indexes. Raises ServerError where the server cannot."""
        with request(f"create collection {name!r}"):
            client.create_collection(name, schema=_schema(spec), consistency_level="Strong", timeout=timeout)
        layout = cls(client, name, spec, timeout=timeout)
        layout._prepare()
        return layout

    @classmethod
    def open(cls, client: MilvusClient, name: str, *, timeout: float) -> StructArrayLayout | None:
        """The collection as it is, None if there is none. Raises CollectionMismatch where something else made it."""
        with request(f"open collection {name!r}"):
            if not client.has_collection(name, timeout=timeout):
                return None
            description = client.describe_collection(name, timeout=timeout)["description"]
        layout = cls(client, name, CollectionSpec.from_description(name, description), timeout=timeout)
        layout._prepare()
        return layout

    def _prepare(self) -> None:
        """Add the indexes that are not there, all of them where making the collection was cut short, and load it."""
        with request(f"prepare collection {self._name!r}"):
            present = set(self._client.list_indexes(self._name, timeout=self._timeout))
            missing = self._client.prepare_index_params()
            for field, index in _indexes(self.spec).items():
                if field not in present:
                    missing.add_index(field, **index)
            if len(missing):
                # Unlike create_collection(index_params=...), which sleeps half a second for each index
                self._client.create_index(self._name, missing, sync=False, timeout=self._timeout)
            self._client.load_collection(self._name, timeout=self._timeout)

    def write(self, records: Iterable[Record], stored: Mapping[str, Stored]) -> None:
        """Store the records in requests of bounded size, then remove the parts that a smaller entity leaves behind."""
        rows: list[dict[str, Any]] = []
        size = 0
        surplus: list[str] = []
        for record in records:
            parts = rows_of(record, self.spec)
            before = stored.get(record.entity.id)
            surplus += [key_of(record.entity.id, part) for part in range(len(parts), before.parts if before else 0)]
            for row in parts:
                weight = len(row["vectors"]) * self.spec.dim * 4
                if rows and size + weight > REQUEST_BYTES:
                    self._upsert(rows)
                    rows, size = [], 0
                rows.append(row)
                size += weight
        self._upsert(rows)
        if surplus:
            self._delete(one_of("key", surplus))

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            with request(f"store {len(rows)} rows in {self._name!r}"):
                self._client.upsert(self._name, data=list(rows), timeout=self._timeout)

    def search(self, query: MultiVector, limit: int, expression: str = "") -> list[Found]:
        """The best rows by MaxSim, best first; an entity of several parts may come several times."""
        vectors = EmbeddingList(query.vectors)
        parameters = {"metric_type": f"MAX_SIM_{self.spec.metric}"}
        return self._search(vectors, VECTOR, parameters, limit, expression)

    def search_text(self, query: str, limit: int, expression: str = "") -> list[Found]:
        """The best rows by BM25 over their text, best first; rows that share no word with the query are not found."""
        return self._search(query, BM25, {"metric_type": "BM25"}, limit, expression)

    def _search(
        self, query: Any, field: str, parameters: Mapping[str, Any], limit: int, expression: str
    ) -> list[Found]:
        with request(f"search {self._name!r}", expression):
            (hits,) = self._client.search(
                self._name,
                data=[query],
                anns_field=field,
                search_params=dict(parameters),
                limit=limit,
                filter=expression,
                output_fields=list(SCALARS),
                timeout=self._timeout,
            )
        return [
            Found(entity_of(hit["entity"]), float(hit["distance"]), hit["entity"]["internal"]["parts"]) for hit in hits
        ]

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        """What is held under these ids; ids that are not there are left out."""
        rows = self._read(one_of("key", [key_of(name) for name in ids]), ["id", "image", "internal"])
        return {
            row["id"]: Stored(row["internal"].get("digest"), row["image"], row["internal"]["parts"]) for row in rows
        }

    def entities(self, expression: str) -> list[Entity]:
        """The entities whose rows match, in any order, without their segments."""
        return [entity_of(row) for row in self._rows(all_of("part == 0", expression), SCALARS)]

    def multi_vectors(self, parts: Mapping[str, int]) -> dict[str, tuple[MultiVector, tuple[Segment, ...]]]:
        """All vectors and segments of entities, from ids and the number of parts of each."""
        keys = [key_of(name, part) for name, count in parts.items() for part in range(count)]
        step = max(1, REQUEST_BYTES // (self.spec.capacity * self.spec.dim * 4))
        rows = [
            row
            for start in range(0, len(keys), step)
            for row in self._read(one_of("key", keys[start : start + step]), ["id", "part", "vectors"])
        ]
        rows.sort(key=lambda row: row["part"])
        return {name: segments_of([row for row in rows if row["id"] == name]) for name in parts}

    def images(self, expression: str) -> set[str]:
        """The references to pictures in the rows that match."""
        return {row["image"] for row in self._rows(expression, ["image"]) if row["image"]}

    def images_in_use(self, references: Iterable[str]) -> set[str]:
        """Those of the references that a row still names."""
        return self.images(one_of("image", sorted(references)))

    def documents(self) -> dict[str, int]:
        """Every document, with how many entities the collection holds of it."""
        counts: dict[str, int] = {}
        for row in self._rows(all_of("part == 0", "document is not null"), ["document"]):
            counts[row["document"]] = counts.get(row["document"], 0) + 1
        return counts

    def outdated(self, document: str, version: str) -> dict[str, str | None]:
        """The entities of a document that come from another version of it: id and version."""
        rows = self._rows(all_of("part == 0", equal("document", document)), ["id", "internal"])
        return {row["id"]: row["internal"]["version"] for row in rows if row["internal"]["version"] != version}

    def delete(self, expression: str) -> set[str]:
        """Remove the rows that match, all parts; return the references to pictures that they had."""
        pictures = self.images(expression)
        self._delete(expression)
        return pictures

    def count(self, expression: str = "") -> int:
        """How many entities match; parts of one entity count once."""
        with request(f"count the entities of {self._name!r}", expression):
            (answer,) = self._client.query(
                self._name,
                filter=all_of("part == 0", expression),
                output_fields=["count(*)"],
                timeout=self._timeout,
            )
        return int(answer["count(*)"])

    def drop(self) -> None:
        with request(f"drop collection {self._name!r}"):
            self._client.drop_collection(self._name, timeout=self._timeout)

    def _delete(self, expression: str) -> None:
        with request(f"delete entities of {self._name!r}", expression):
            self._client.delete(self._name, filter=expression, timeout=self._timeout)

    def _read(self, expression: str, fields: Sequence[str]) -> list[Mapping[str, Any]]:
        """The rows that match, where it is known that they are few."""
        with request(f"read {self._name!r}", expression):
            return list(
                self._client.query(self._name, filter=expression, output_fields=["key", *fields], timeout=self._timeout)
            )

    def _rows(self, expression: str, fields: Sequence[str]) -> list[Mapping[str, Any]]:
        """All rows that match, however many: a server answers with at most 16,384, so they come in pages by key."""
        rows: list[Mapping[str, Any]] = []
        with request(f"read {self._name!r}", expression):
            pages = self._client.query_iterator(
                self._name,
                batch_size=PAGE,
                filter=expression,
                output_fields=["key", *fields],
                timeout=self._timeout,
            )
            try:
                while page := pages.next():
                    rows += page
            finally:
                pages.close()
        return rows


def _schema(spec: CollectionSpec) -> Any:
    schema = MilvusClient.create_schema(auto_id=False, description=spec.to_description())
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=3 * ID_BYTES + 256)
    schema.add_field("id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("document", DataType.VARCHAR, max_length=ID_BYTES, nullable=True)
    schema.add_field("part", DataType.INT16)
    schema.add_field(
        "text", DataType.VARCHAR, max_length=VARCHAR_BYTES, enable_analyzer=True, analyzer_params=dict(spec.analyzer)
    )
    schema.add_field(BM25, DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, input_field_names=["text"], output_field_names=[BM25]))
    schema.add_field("image", DataType.VARCHAR, max_length=1_024)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("internal", DataType.JSON)
    for name, kind in spec.fields.items():
        length = {"max_length": VARCHAR_BYTES} if kind is str else {}
        schema.add_field(name, TYPES[kind], nullable=True, **length)
    schema.add_field(
        "vectors",
        DataType.ARRAY,
        element_type=DataType.STRUCT,
        struct_schema=_element(spec),
        max_capacity=spec.capacity,
    )
    return schema


def _element(spec: CollectionSpec) -> Any:
    element = MilvusClient.create_struct_field_schema()
    element.add_field("emb", DataType.FLOAT_VECTOR, dim=spec.dim)
    if spec.segments:
        element.add_field("segment", DataType.INT32)
        element.add_field("text", DataType.VARCHAR, max_length=VARCHAR_BYTES)
        element.add_field("info", DataType.VARCHAR, max_length=VARCHAR_BYTES)
    return element


def _indexes(spec: CollectionSpec) -> dict[str, dict[str, Any]]:
    bm25 = {"bm25_k1": 1.2, "bm25_b": 0.75}
    return {
        VECTOR: {"index_type": "HNSW", "metric_type": f"MAX_SIM_{spec.metric}"},
        BM25: {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "BM25", "params": bm25},
        **{name: {"index_type": "INVERTED"} for name in ("id", "document", *spec.fields)},
    }
