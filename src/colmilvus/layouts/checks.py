"""What a Milvus server would not take, refused before anything is sent; the same for the embedded engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidEntity, InvalidInput, InvalidVectors
from colmilvus.layouts.spec import CollectionSpec

__all__ = ["ID_BYTES", "VARCHAR_BYTES", "check_entity", "check_vectors", "id_list"]

VARCHAR_BYTES = 65_535
JSON_BYTES = 65_536
OWN_BYTES = 8_192
"""Bytes of the column ``internal`` that this package needs itself."""
ID_BYTES = 4_096


def check_entity(entity: object, spec: CollectionSpec) -> None:
    """Raise InvalidEntity where a Milvus server would not take the entity, naming it and both numbers.

    Lengths are in bytes of UTF-8, as Milvus counts them ("Limits": VARCHAR 65,535, JSON 65,536), and hold for the
    embedded engine too, so that whatever was stored on a laptop can move to a server.
    """
    if not isinstance(entity, Entity):
        told = f"add takes entities, such as Entity(id, text) or those of read_pages(...); got {entity!r}"
        raise InvalidEntity(told[:300])
    if not isinstance(entity.id, str) or not entity.id:
        raise InvalidEntity(f"an entity's id is a string of at least one character, not {entity.id!r}")
    name = f"entity {entity.id[:80]!r}"
    _check_kinds(name, entity)
    _check_bytes(name, "id", entity.id, ID_BYTES, "shorten it")
    _check_bytes(name, "document", entity.document or "", ID_BYTES, "shorten it")
    _check_bytes(name, "version", entity.version or "", ID_BYTES, "shorten it")
    _check_bytes(name, "text", entity.text, VARCHAR_BYTES, "split it into segments, or into entities of their own")
    _check_segments(name, entity.segments)
    _check_json(name, "metadata", entity.metadata, JSON_BYTES)
    _check_json(name, "internal data", entity.internal, JSON_BYTES - OWN_BYTES)
    if entity.segments and not spec.segments:
        raise InvalidEntity(f"{name} has segments; make the collection with segments=True to store them")
    for column, kind in spec.fields.items():
        _check_typed(name, column, kind, entity.metadata.get(column))


def _check_kinds(name: str, entity: Entity) -> None:
    for what, value in (("document", entity.document), ("version", entity.version)):
        if not (value is None or isinstance(value, str)):
            raise InvalidEntity(f"{name}: its {what} is a string or None, not {value!r}")
    if not isinstance(entity.metadata, Mapping):
        raise InvalidEntity(f"{name}: its metadata is a dict, not {entity.metadata!r}")
    for segment in entity.segments:
        if not isinstance(segment, Segment):
            raise InvalidEntity(f"{name}: its segments are of the class Segment, not {segment!r}")


def _check_segments(name: str, segments: Sequence[Segment]) -> None:
    ids: set[str] = set()
    for segment in segments:
        if not isinstance(segment.id, str) or not segment.id:
            raise InvalidEntity(f"{name}: a segment's id is a string of at least one character, not {segment.id!r}")
        if segment.id in ids:
            raise InvalidEntity(f"{name}: two of its segments have the id {segment.id[:80]!r}; give each its own")
        ids.add(segment.id)
        told = f"{name}, segment {segment.id[:80]!r}"
        _check_bytes(told, "id", segment.id, ID_BYTES, "shorten it")
        _check_bytes(told, "text", segment.text, VARCHAR_BYTES, "split it")
        info = {"id": segment.id, "metadata": segment.metadata, "internal": segment.internal}
        _check_json(told, "metadata", info, VARCHAR_BYTES)


def _check_bytes(name: str, what: str, text: str, limit: int, advice: str) -> None:
    if not isinstance(text, str):
        raise InvalidEntity(f"{name}: its {what} is a string, not {type(text).__name__}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidEntity(f"{name}: its {what} is not valid Unicode text: {error}") from None
    if size > limit:
        raise InvalidEntity(f"{name}: its {what} has {size} bytes, Milvus stores at most {limit}; {advice}")


def _check_json(name: str, what: str, value: Mapping[str, Any], limit: int) -> None:
    try:
        written = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        size = len(written.encode())
    except (TypeError, ValueError) as error:
        raise InvalidEntity(f"{name}: its {what} is not what JSON can hold: {error}") from None
    if size > limit:
        raise InvalidEntity(f"{name}: its {what} has {size} bytes as JSON, Milvus stores at most {limit}; shorten it")
    _check_values(name, what, value)
    if json.loads(written) != value:
        raise InvalidEntity(f"{name}: its {what} would come back changed; use string keys, and lists for tuples")


def _check_values(name: str, what: str, value: Any) -> None:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidEntity(f"{name}: its {what} holds {value}, Milvus stores integers of 64 bits; use a string")
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _check_values(name, what, inner)


def _check_typed(name: str, column: str, kind: type, value: Any) -> None:
    fits = value is None or type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise InvalidEntity(f"{name}: field {column!r} holds {kind.__name__} values, not {value!r}")
    if kind is str and value is not None:
        _check_bytes(name, column, value, VARCHAR_BYTES, "shorten it")


def check_vectors(entity: Entity, vectors: MultiVector, spec: CollectionSpec) -> None:
    """Raise InvalidVectors where the multi-vector does not fit the collection, or its segments not the entity."""
    name = f"entity {entity.id[:80]!r}"
    if vectors.dim != spec.dim:
        raise InvalidVectors(f"{name}: its vectors have {vectors.dim} dimensions, the collection has {spec.dim}")
    if not entity.segments:
        if len(vectors) > spec.capacity:
            raise InvalidVectors(
                f"{name} has {len(vectors)} vectors, the collection holds {spec.capacity} an entity; "
                "pool them, raise capacity= (at most 4096), or give the entity segments"
            )
        return
    if vectors.segments is None:
        raise InvalidVectors(f"{name} has {len(entity.segments)} segments, but its vectors do not say whose they are")
    sizes = np.bincount(vectors.segments, minlength=len(entity.segments))
    if len(sizes) > len(entity.segments):
        raise InvalidVectors(f"{name} has {len(entity.segments)} segments, its vectors name segment {len(sizes) - 1}")
    if (sizes == 0).any():
        raise InvalidVectors(f"{name}: its segment {entity.segments[int(sizes.argmin())].id!r} has no vectors")
    if sizes.max() > spec.capacity:
        raise InvalidVectors(
            f"{name}: its segment {entity.segments[int(sizes.argmax())].id!r} has {sizes.max()} vectors, "
            f"the collection holds {spec.capacity} a row; split the segment"
        )


def id_list(ids: Iterable[str]) -> list[str]:
    """The ids as a list. Raises InvalidInput for one string, and for what is no string among them."""
    if isinstance(ids, str):
        raise InvalidInput(f"this takes a list of ids: [{ids!r}]")
    listed = list(ids)
    for name in listed:
        if not isinstance(name, str):
            raise InvalidInput(f"an id is a string, not {name!r}")
    return listed
