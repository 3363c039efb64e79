"""One row an entity (or a part of one), its vectors an array of structs, MAX_SIM in the server.

Source: Milvus, "Array of Structs" and "Search with Embedding Lists".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.filters import all_of, one_of
from colmilvus.layouts.requests import request
from colmilvus.layouts.rows import SCALARS, Record, entity_of, key_of, rows_of, segments_of, vectors_of
from colmilvus.layouts.schema import BM25, VECTOR, index_parameters, milvus_schema
from colmilvus.layouts.spec import CollectionSpec

__all__ = ["Found", "Stored", "StructArrayLayout"]

REQUEST_BYTES = 32 << 20
"""Bytes of vectors in one request; a server takes 64 MiB in all (``proxy.grpc.serverMaxRecvSize``)."""
PAGE = 1_000
IDS = 200
"""Entities read in one request: with the longest text and metadata they stay below the 100 MiB of an answer."""
DOCUMENTS = 100


@dataclass(frozen=True)
class Found:
    """A row that was found, its score, and of its entity what was read: all of it, or None."""

    id: str
    document: str | None
    score: float
    parts: int
    entity: Entity | None = None
    fused: bool = False


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
            client.create_collection(name, schema=milvus_schema(spec), consistency_level="Strong", timeout=timeout)
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
            for field, index in index_parameters(self.spec).items():
                if field not in present:
                    missing.add_index(field, **index)
            if len(missing):
                # Unlike create_collection(index_params=...), which sleeps half a second for each index
                self._client.create_index(self._name, missing, sync=False, timeout=self._timeout)
            self._client.load_collection(self._name, timeout=self._timeout)

    def write(self, records: Sequence[Record], stored: Mapping[str, Stored]) -> None:
        """Store the records; where this is cut short, ``stored`` does not show them and they are written again.

        First come the further parts, then the parts that a smaller entity leaves behind go, and last come the first
        parts, which hold the digest.
        """
        parts = {record.entity.id: rows_of(record, self.spec) for record in records}
        self._upsert([row for rows in parts.values() for row in rows[1:]])
        surplus = [
            key_of(name, part)
            for name, rows in parts.items()
            for part in range(len(rows), stored[name].parts if name in stored else 0)
        ]
        if surplus:
            self.delete(one_of("key", surplus))
        self._upsert([rows[0] for rows in parts.values()])

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        """Send the rows in requests of bounded size."""
        waiting: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            weight = len(row["vectors"]) * self.spec.dim * 4
            if waiting and size + weight > REQUEST_BYTES:
                self._send(waiting)
                waiting, size = [], 0
            waiting.append(row)
            size += weight
        if waiting:
            self._send(waiting)

    def _send(self, rows: list[dict[str, Any]]) -> None:
        with request(f"store {len(rows)} rows in {self._name!r}"):
            self._client.upsert(self._name, data=rows, timeout=self._timeout)

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        """For each query the best rows by MaxSim, best first; an entity of several parts may come several times.

        ``whole`` reads the entities too, without their segments.
        """
        vectors = [EmbeddingList(query.vectors) for query in queries]
        parameters = {"metric_type": f"MAX_SIM_{self.spec.metric}"}
        return self._search(vectors, VECTOR, parameters, limit, expression, whole)

    def search_text(self, query: str, limit: int, expression: str = "", *, whole: bool) -> list[Found]:
        """The best rows by BM25 over their text, best first; rows that share no word with the query are not found."""
        (found,) = self._search([query], BM25, {"metric_type": "BM25"}, limit, expression, whole)
        return found

    def _search(
        self,
        queries: list[Any],
        field: str,
        parameters: Mapping[str, Any],
        limit: int,
        expression: str,
        whole: bool,
    ) -> list[list[Found]]:
        with request(f"search {self._name!r}", expression):
            answers = self._client.search(
                self._name,
                data=queries,
                anns_field=field,
                search_params=dict(parameters),
                limit=limit,
                filter=expression,
                output_fields=list(SCALARS if whole else ("id", "document", "internal")),
                timeout=self._timeout,
            )
        return [[_found(hit, whole) for hit in hits] for hits in answers]

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        """What is held under these ids; ids that are not there are left out."""
        rows = self._first_rows(ids, ["id", "image", "internal"])
        return {
            row["id"]: Stored(row["internal"].get("digest"), row["image"], row["internal"]["parts"]) for row in rows
        }

    def entities(self, ids: Sequence[str]) -> list[Entity]:
        """The entities under these ids, with their segments, in any order; ids that are not there are left out."""
        rows = self._first_rows(ids, SCALARS)
        if not self.spec.segments:
            return [entity_of(row) for row in rows]
        segments = self._segments({row["id"]: row["internal"]["parts"] for row in rows})
        return [entity_of(row, segments[row["id"]]) for row in rows]

    def _segments(self, parts: Mapping[str, int]) -> dict[str, tuple[Segment, ...]]:
        fields = ["id", "part", *(f"vectors[{name}]" for name in ("segment", "text", "info"))]
        keys = [key_of(name, part) for name, count in parts.items() for part in range(count)]
        grouped = _by_id(row for some in _batches(keys, IDS) for row in self._read(one_of("key", some), fields))
        return {name: segments_of(grouped.get(name, ())) for name in parts}

    def multi_vectors(self, parts: Mapping[str, int]) -> dict[str, tuple[MultiVector, tuple[Segment, ...]]]:
        """All vectors and segments of entities, from ids and the number of parts of each; what is gone is left out."""
        keys = [key_of(name, part) for name, count in parts.items() for part in range(count)]
        step = max(1, REQUEST_BYTES // (self.spec.capacity * self.spec.dim * 4))
        fields = ["id", "part", "vectors"]
        grouped = _by_id(row for some in _batches(keys, step) for row in self._read(one_of("key", some), fields))
        return {name: (vectors_of(rows), segments_of(rows)) for name, rows in grouped.items()}

    def _first_rows(self, ids: Sequence[str], fields: Sequence[str]) -> list[Mapping[str, Any]]:
        keys = [key_of(name) for name in ids]
        return [row for some in _batches(keys, IDS) for row in self._read(one_of("key", some), fields)]

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

    def outdated(self, versions: Mapping[str, str]) -> list[str]:
        """The ids of the entities that come from another version of their document than the one given for it."""
        ids: list[str] = []
        for some in _batches(list(versions), DOCUMENTS):
            rows = self._rows(all_of("part == 0", one_of("document", some)), ["id", "document", "internal"])
            ids += [row["id"] for row in rows if row["internal"]["version"] != versions[row["document"]]]
        return ids

    def delete(self, expression: str) -> None:
        """Remove the rows that match."""
        with request(f"delete entities of {self._name!r}", expression):
            self._client.delete(self._name, filter=expression, timeout=self._timeout)

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


def _found(hit: Mapping[str, Any], whole: bool) -> Found:
    row = hit["entity"]
    # the text and the rest stand in an entity's first row alone
    entity = entity_of(row) if whole and row["part"] == 0 else None
    return Found(row["id"], row["document"], float(hit["distance"]), row["internal"]["parts"], entity)


def _by_id(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each entity, part by part."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: int(row["part"])):
        grouped.setdefault(row["id"], []).append(row)
    return grouped


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
