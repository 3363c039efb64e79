"""One row an entity (or a part of one), its vectors an array of structs, MAX_SIM in the server.

Source: Milvus, "Array of Structs" and "Search with Embedding Lists".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import Entity, MultiVector
from colmilvus.filters import all_of, contains_any, none_of, one_of
from colmilvus.layouts.inserting import STRUCTS, upsert
from colmilvus.layouts.precision import as_sent, check_client
from colmilvus.layouts.requests import request
from colmilvus.layouts.rows import (
    SCALARS,
    SEGMENT_IDS,
    Record,
    current,
    entity_of,
    key_of,
    rows_of,
    segments_of,
    vectors_of,
)
from colmilvus.layouts.schema import BM25, VECTOR, index_parameters, milvus_schema
from colmilvus.layouts.spec import CollectionSpec

__all__ = ["Found", "Stored", "StructArrayLayout"]

REQUEST_BYTES = 8 << 20
"""Bytes of vectors in one request, of which several copies are made; a server takes 64 MiB in all."""
ANSWER_BYTES = 64 << 20
"""Bytes that are asked for in one request; a server answers with 100 MiB at most (``quotaAndLimits``)."""
ROW_BYTES = 3 * 65_536
"""What a row's own text, metadata and internal data weigh, at most about."""
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
    sizes: Sequence[int]
    entity: Entity | None = None
    vectors: MultiVector | None = None
    fused: bool = False


@dataclass(frozen=True)
class Stored:
    """What a collection holds under an id: enough to tell whether it has to be written again.

    ``sizes`` has the bytes of each part, vectors and texts of segments.
    """

    digest: str | None
    version: str | None
    image: str
    sizes: Sequence[int]


class StructArrayLayout:
    """The rows of one collection on a server, or an engine, that has arrays of structs."""

    def __init__(self, client: MilvusClient, name: str, spec: CollectionSpec, *, timeout: float) -> None:
        self.spec = spec
        self._client = client
        self._name = name
        self._timeout = timeout

    @classmethod
    def create(cls, client: MilvusClient, name: str, spec: CollectionSpec, *, timeout: float) -> StructArrayLayout:
        """Make the collection with its indexes. Raises ServerError where the server cannot.

        Raises Unsupported where the installed pymilvus cannot.
        """
        check_client(spec.dtype)
        with request(f"create collection {name!r}"):
            client.create_collection(name, schema=milvus_schema(spec), consistency_level="Strong", timeout=timeout)
        layout = cls(client, name, spec, timeout=timeout)
        layout._prepare()
        return layout

    @classmethod
    def open(cls, client: MilvusClient, name: str, *, timeout: float) -> StructArrayLayout | None:
        """The collection as it is, None if there is none.

        Raises CollectionMismatch where something else made it, Unsupported where the installed pymilvus cannot use it.
        """
        with request(f"open collection {name!r}"):
            if not client.has_collection(name, timeout=timeout):
                return None
            description = client.describe_collection(name, timeout=timeout)["description"]
        layout = cls(client, name, CollectionSpec.from_description(name, description), timeout=timeout)
        check_client(layout.spec.dtype)
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
        """Store the records; where this is cut short, each entity is whole, as it was before or as it is after.

        First come the further parts, then the first parts, which say what the others are and hold the digest; last go
        the further parts that are of no use any more.
        """
        parts = {record.entity.id: rows_of(record, self.spec) for record in records}
        further = [row for rows in parts.values() for row in rows[1:]]
        self._upsert(further)
        self._upsert([rows[0] for rows in parts.values()])
        split = [
            name for name, rows in parts.items() if len(rows) > 1 or (name in stored and len(stored[name].sizes) > 1)
        ]
        if split:
            needed = none_of("key", (row["key"] for row in further))
            self.delete(all_of(one_of("id", split), "part > 0", needed))

    def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        """Send the rows in requests of bounded size."""
        waiting: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            weight = row["internal"]["sizes"][row["part"]]
            if waiting and size + weight > REQUEST_BYTES:
                self._send(waiting)
                waiting, size = [], 0
            waiting.append(row)
            size += weight
        if waiting:
            self._send(waiting)

    def _send(self, rows: list[dict[str, Any]]) -> None:
        with request(f"store {len(rows)} rows in {self._name!r}"):
            upsert(self._client, self._name, rows, timeout=self._timeout)

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        """For each query the best rows by MaxSim, best first; an entity of several parts may come several times.

        ``whole`` reads the entities too, without their segments.
        """
        vectors = [EmbeddingList(as_sent(query, self.spec.dtype)) for query in queries]
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
        return {row["id"]: _stored(row) for row in rows}

    def entities(self, ids: Sequence[str]) -> list[Entity]:
        """The entities under these ids, with their segments, in any order; ids that are not there are left out."""
        if not self.spec.segments:
            return [entity_of(row) for row in self._first_rows(ids, SCALARS)]
        fields = [*SCALARS, *(f"{STRUCTS}[{name}]" for name in ("segment", "text", "info"))]
        grouped = (self._grouped(some, fields) for some in _batches(ids, IDS))
        return [entity_of(rows[0], segments_of(rows)) for found in grouped for rows in found.values()]

    def contents(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[Entity, MultiVector]]:
        """Entities with their segments and all their vectors, in one request unless they are very many.

        ``sizes`` has the bytes of each part under each id, as they were found; what is gone is left out.
        """
        grouped = (self._grouped(some, [*SCALARS, STRUCTS]) for some in _within(sizes))
        return {
            name: (entity_of(rows[0], segments_of(rows)), vectors_of(rows))
            for found in grouped
            for name, rows in found.items()
        }

    def _grouped(self, ids: Sequence[str], fields: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
        """The rows of each entity, part by part, those that a writing cut short left behind left out."""
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in self._read(one_of("id", ids), fields):
            rows.setdefault(row["id"], []).append(row)
        return {name: kept for name, found in rows.items() if (kept := current(found))}

    def holding(self, segments: Sequence[str]) -> dict[str, Sequence[int]]:
        """The ids of the entities with any of these segments, with the bytes of their parts."""
        found: dict[str, Sequence[int]] = {}
        for some in _batches(segments, IDS):
            for row in self._rows(contains_any(SEGMENT_IDS, some), ["id", "internal"]):
                found[row["id"]] = row["internal"]["sizes"]
        return found

    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the entities with any of these segments, each with those that it has."""
        found: dict[str, list[str]] = {}
        for some in _batches(segments, IDS):
            wanted = set(some)
            for row in self._rows(contains_any(SEGMENT_IDS, some), ["id", SEGMENT_IDS]):
                found.setdefault(row["id"], []).extend(name for name in row[SEGMENT_IDS] if name in wanted)
        return found

    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the segments of each of these entities that is held; none for one without segments."""
        found: dict[str, list[str]] = {}
        for some in _batches(ids, IDS):
            for row in self._read(one_of("id", some), ["id", SEGMENT_IDS]):
                found.setdefault(row["id"], []).extend(row[SEGMENT_IDS])
        return found

    def _first_rows(self, ids: Sequence[str], fields: Sequence[str]) -> list[Mapping[str, Any]]:
        keys = [key_of(name) for name in ids]
        return [row for some in _batches(keys, IDS) for row in self._read(one_of("key", some), fields)]

    def ids(self, expression: str) -> list[str]:
        """The ids of the entities of which a row matches."""
        return list(dict.fromkeys(row["id"] for row in self._rows(expression, ["id"])))

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
    return Found(row["id"], row["document"], float(hit["distance"]), row["internal"]["sizes"], entity)


def _stored(row: Mapping[str, Any]) -> Stored:
    internal = row["internal"]
    return Stored(internal.get("digest"), internal["version"], row["image"], internal["sizes"])


def _within(sizes: Mapping[str, Sequence[int]]) -> Iterator[list[str]]:
    """The ids in portions whose rows stay within the bytes of an answer."""
    waiting: list[str] = []
    total = 0
    for name, parts in sizes.items():
        weight = sum(parts) + len(parts) * ROW_BYTES
        if waiting and total + weight > ANSWER_BYTES:
            yield waiting
            waiting, total = [], 0
        waiting.append(name)
        total += weight
    if waiting:
        yield waiting


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
