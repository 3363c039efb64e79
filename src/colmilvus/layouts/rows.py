"""Between an entity with its vectors and the rows that hold it: one row, or several parts of one entity."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.layouts.inserting import STRUCTS, Structs
from colmilvus.layouts.precision import as_sent, size_of
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.tenants import Tenant

__all__ = [
    "SCALARS",
    "SEGMENT_IDS",
    "Record",
    "current",
    "entity_of",
    "info_of",
    "key_of",
    "rows_of",
    "segments_of",
    "vectors_of",
]

UNSAFE = re.compile(r"""[\x00-\x1f\x7f"'%\\]""")

SCALARS = ("id", "document", "part", "text", "image", "metadata", "internal")
SEGMENT_IDS = "segment_ids"
"""The column with the ids of the segments in a row: filters see no fields of structs before Milvus 3.0."""
PART_BYTES = 16 << 20
"""Bytes of segments' texts in one row; a request takes 64 MiB in all."""
TEXT_BYTES = 65_535
"""Bytes of the text column (Milvus, "Limits": VARCHAR)."""


@dataclass(frozen=True)
class Record:
    """An entity as it is stored: its picture a reference, its vectors beside it, and what only this package reads."""

    entity: Entity
    vectors: MultiVector
    internal: Mapping[str, Any] = field(default_factory=dict)


def key_of(id: str, part: int = 0, writing: str = "", tenant: Tenant | None = None) -> str:
    """The primary key of one part of an entity: of the first always the same, of others another with each writing.

    So a writing that is cut short leaves the parts of the one before as they were: the first part, which is written
    last, says which writing the others are of. Quotes, backslashes and control characters are percent-encoded:
    keys are written into expressions as they are.
    """
    owner = f"{UNSAFE.sub(_encoded, tenant.name).replace('/', '%2F')}/" if tenant else ""
    return f"{part}/{writing if part else ''}/{owner}{UNSAFE.sub(_encoded, id)}"


def _encoded(character: re.Match[str]) -> str:
    return f"%{ord(character.group()):02X}"


def rows_of(record: Record, spec: CollectionSpec, tenant: Tenant | None = None) -> list[dict[str, Any]]:
    """The rows of one record, part by part; parts are cut between segments."""
    entity = record.entity
    parts = list(_parts(record.vectors, entity.segments, spec.capacity))
    shared = {
        "id": entity.id,
        "document": entity.document,
        "image": entity.image or "",
        "metadata": dict(entity.metadata),
        **{column: entity.metadata.get(column) for column in spec.fields},
        **({tenant.field: tenant.name} if tenant else {}),
    }
    sizes = [size_of(vectors, spec.dtype) + _text_bytes(vectors, entity.segments) for vectors in parts]
    writing = uuid4().hex[:12] if len(parts) > 1 else ""
    internal = {**record.internal, "version": entity.version, "sizes": sizes, "writing": writing}
    if entity.internal:
        internal["adapter"] = dict(entity.internal)
    if entity.segments and not entity.text:
        internal["text"] = "of segments"
    return [
        {
            "key": key_of(entity.id, part, writing, tenant),
            "part": part,
            "text": _text(entity, vectors, part),
            "internal": internal,
            STRUCTS: _structs(vectors, entity.segments, spec),
            **({SEGMENT_IDS: [entity.segments[owner].id for owner in _owners(vectors)]} if spec.segments else {}),
            **shared,
        }
        for part, vectors in enumerate(parts)
    ]


def _text(entity: Entity, vectors: MultiVector, part: int) -> str:
    """What BM25 sees of a part: the entity's own text in the first one; without any, the texts of its segments.

    Of texts that are longer than the column, each different word once; where even these are, those that come first.
    """
    if entity.text or not entity.segments:
        return entity.text if part == 0 else ""
    text = "\n".join(entity.segments[owner].text for owner in _owners(vectors))
    if len(text.encode()) <= TEXT_BYTES:
        return text
    words = " ".join(dict.fromkeys(text.split()))
    if len(words.encode()) <= TEXT_BYTES:
        return words
    fitting = words.encode()[:TEXT_BYTES].decode(errors="ignore")
    return fitting.rpartition(" ")[0] or fitting


def _parts(vectors: MultiVector, segments: Sequence[Segment], capacity: int) -> Iterator[MultiVector]:
    """The vectors in portions of whole segments, each of at most ``capacity`` vectors and of bounded bytes of text."""
    if vectors.segments is None or not segments:
        yield vectors
        return
    order = np.argsort(vectors.segments, kind="stable")
    rows, owners = vectors.vectors[order], vectors.segments[order]
    counts = np.bincount(owners, minlength=len(segments)).tolist()
    start = end = written = 0
    for count, segment in zip(counts, segments, strict=True):
        weight = _weight(segment)
        if end > start and (end + count - start > capacity or written + weight > PART_BYTES):
            yield MultiVector(rows[start:end], owners[start:end])
            start, written = end, 0
        end, written = end + count, written + weight
    yield MultiVector(rows[start:end], owners[start:end])


def _owners(vectors: MultiVector) -> list[int]:
    """The segments that have vectors here, in order."""
    return [] if vectors.segments is None else np.unique(vectors.segments).tolist()


def _text_bytes(vectors: MultiVector, segments: Sequence[Segment]) -> int:
    return sum(_weight(segments[owner]) for owner in _owners(vectors)) if segments else 0


def _weight(segment: Segment) -> int:
    return len(segment.text.encode()) + len(info_of(segment).encode())


def _structs(vectors: MultiVector, segments: Sequence[Segment], spec: CollectionSpec) -> Structs:
    """The array of structs of a part; the first of each segment has its text and its info."""
    if not spec.segments:
        return Structs(as_sent(vectors, spec.dtype), {})
    size = len(vectors)
    texts, infos = [""] * size, [""] * size
    owners = np.full(size, -1) if vectors.segments is None or not segments else vectors.segments
    for owner, at in zip(*(found.tolist() for found in np.unique(owners, return_index=True)), strict=True):
        if owner >= 0:
            texts[at], infos[at] = segments[owner].text, info_of(segments[owner])
    return Structs(as_sent(vectors, spec.dtype), {"segment": owners.tolist(), "text": texts, "info": infos})


def info_of(segment: Segment) -> str:
    """What a segment has beside its text, as JSON."""
    own = {"internal": dict(segment.internal)} if segment.internal else {}
    return json.dumps({"id": segment.id, "metadata": dict(segment.metadata), **own}, ensure_ascii=False)


def current(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of one entity as its first part knows them, in order; none where there is no first part."""
    ordered = sorted(rows, key=lambda row: int(row["part"]))
    if ordered[0]["part"] != 0:
        return []
    writing = ordered[0]["internal"]["writing"]
    return [row for row in ordered if row["internal"]["writing"] == writing]


def entity_of(row: Mapping[str, Any], segments: Iterable[Segment] = ()) -> Entity:
    """The entity of its first row; ``image`` is the stored reference."""
    internal = row["internal"]
    return Entity(
        id=row["id"],
        text="" if internal.get("text") else row["text"],
        image=row["image"] or None,
        document=row["document"],
        version=internal["version"],
        segments=tuple(segments),
        metadata=row["metadata"],
        internal=internal.get("adapter", {}),
    )


def segments_of(parts: Iterable[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """The segments of an entity, from the rows of all its parts."""
    segments = {
        element["segment"]: Segment(text=element["text"], **json.loads(element["info"]))
        for row in parts
        for element in row[STRUCTS]
        if element.get("info")
    }
    return tuple(segments[owner] for owner in sorted(segments))


def vectors_of(parts: Iterable[Mapping[str, Any]]) -> MultiVector:
    """All vectors of an entity, from the rows of all its parts in order."""
    elements = [element for row in parts for element in row[STRUCTS]]
    vectors = np.array([element["emb"] for element in elements], dtype=np.float32)
    owners = [element.get("segment", -1) for element in elements]
    return MultiVector(vectors, None if owners[0] < 0 else owners)
