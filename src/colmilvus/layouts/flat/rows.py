"""Between an entity with its vectors and the rows that hold it where a row has one vector."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidEntity
from colmilvus.filters.dialects import HAS_DOCUMENT, KINDS, kinds_of
from colmilvus.layouts.flat.keys import MOST_PARTS, Place
from colmilvus.layouts.precision import size_of
from colmilvus.layouts.rows import Record, entity_of, info_of
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import Row
from colmilvus.layouts.tenants import Tenant

__all__ = ["FLAT_SCALARS", "flat_entity", "flat_rows", "flat_segments", "flat_vectors", "sent_bytes"]

FLAT_SCALARS = ("id", "document", HAS_DOCUMENT, "part", "text", "image", "metadata", "internal")
OVERHEAD = 200
"""Bytes of a row beside its vector, key, id, document and metadata, about."""
STAND_INS: Mapping[type, Any] = {bool: False, int: 0, float: 0.0, str: ""}
"""What lies in a column where there is no value."""


def flat_rows(record: Record, spec: CollectionSpec, place: Place, tenant: Tenant | None = None) -> list[dict[str, Any]]:
    """The rows of one record, a vector each, those of one segment together, under the keys of its place.

    What filters ask for lies in every row, all else in the first, and of a segment in the first of its rows. Raises
    InvalidEntity for more vectors than can be numbered.
    """
    entity, vectors = record.entity, _in_order(record.vectors, record.entity.segments)
    if len(vectors) > MOST_PARTS:
        raise InvalidEntity(
            f"entity {entity.id!r} has {len(vectors)} vectors, in flat rows it has at most {MOST_PARTS}; "
            "add it as several entities"
        )
    shared = {
        "id": entity.id,
        "document": entity.document or "",
        HAS_DOCUMENT: entity.document is not None,
        "image": entity.image or "",
        "metadata": dict(entity.metadata),
        KINDS: kinds_of(entity.metadata),
        "writing": place.writing,
        **{name: _or_stand_in(entity.metadata.get(name), kind) for name, kind in spec.fields.items()},
        **({tenant.field: tenant.name} if tenant else {}),
    }
    internal: dict[str, Any] = {
        **record.internal,
        "version": entity.version,
        "sizes": [size_of(vectors, spec.dtype) + sum(_weight(segment) for segment in entity.segments)],
    }
    if entity.internal:
        internal["adapter"] = dict(entity.internal)
    nothing: dict[str, Any] = {}
    rows = [
        {
            "key": place.key(part),
            "part": part,
            "text": "" if part else entity.text,
            "internal": nothing if part else internal,
            "emb": vector,
            **shared,
        }
        for part, vector in enumerate(vectors.vectors)
    ]
    if spec.segments:
        _add_segments(rows, vectors, entity.segments)
    return rows


def sent_bytes(row: Mapping[str, Any]) -> int:
    """About how many bytes a row takes in a request."""
    texts = (
        row["id"],
        row["document"],
        row["text"],
        row.get("segment_text", ""),
        row.get("segment_info", ""),
    )
    written = len(json.dumps(row["metadata"])) + len(json.dumps(row["internal"]))
    return int(row["emb"].nbytes) + sum(map(len, texts)) + written + OVERHEAD


def _in_order(vectors: MultiVector, segments: Sequence[Segment]) -> MultiVector:
    if vectors.segments is None or not segments:
        return MultiVector(vectors.vectors)
    order = np.argsort(vectors.segments, kind="stable")
    return MultiVector(vectors.vectors[order], vectors.segments[order])


def _or_stand_in(value: Any, kind: type) -> Any:
    return STAND_INS[kind] if value is None else value


def _weight(segment: Segment) -> int:
    return len(segment.text.encode()) + len(info_of(segment).encode())


def _add_segments(rows: list[dict[str, Any]], vectors: MultiVector, segments: Sequence[Segment]) -> None:
    owners = [-1] * len(rows) if vectors.segments is None else vectors.segments.tolist()
    before = None
    for row, owner in zip(rows, owners, strict=True):
        own = segments[owner] if owner >= 0 else None
        first = own if owner != before else None
        row["segment"] = owner
        row["segment_id"] = own.id if own else ""
        row["segment_text"] = first.text if first else ""
        row["segment_info"] = info_of(first) if first else ""
        before = owner


def flat_entity(row: Row, segments: Iterable[Segment] = ()) -> Entity:
    """The entity of its first row; ``image`` is the stored reference."""
    return entity_of({**row, "document": row["document"] if row[HAS_DOCUMENT] else None}, segments)


def flat_segments(rows: Iterable[Row]) -> tuple[Segment, ...]:
    """The segments of an entity, from the first row of each."""
    found = {
        row["segment"]: Segment(text=row["segment_text"], **json.loads(row["segment_info"]))
        for row in rows
        if row["segment_info"]
    }
    return tuple(found[owner] for owner in sorted(found))


def flat_vectors(rows: Sequence[Row], vectors: NDArray[np.float32]) -> MultiVector:
    """The vectors of an entity, with the numbers of their segments from its rows, both in order."""
    owners = [row.get("segment", -1) for row in rows]
    return MultiVector(vectors, None if owners[0] < 0 else np.array(owners, np.int32))
