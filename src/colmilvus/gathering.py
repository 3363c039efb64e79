"""Many small texts of one parent as one entity with many segments, whatever portions they come in."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidEntity

__all__ = ["group", "in_order", "merged", "merged_vectors", "narrowed", "without"]

DIGITS = re.compile(r"(\d+)")
Value = TypeVar("Value")


def group(entities: Iterable[Entity], by: str | Callable[[Entity], str | None] = "document") -> list[Entity]:
    """One entity for each parent, with the entities of that parent as its segments.

    ``by`` is "document", a key of the metadata such as "title", or a function that names the parent of an entity. The
    parent's id is that name; its metadata are those that all its segments have in common; grouped by document, it keeps
    document and version. A segment keeps the id, the text and the metadata of the entity that it was. Segments stand in
    the order of their metadata's ``page``, then of where they begin (``start_index`` in the metadata, or ``start`` in
    what is internal), then of their ids. All are held in memory. A
    collection merges a parent with what it holds of it already, so that it can be added in portions, in any order.

    Raises InvalidEntity for an entity without a parent, with segments, or with a picture, for which a segment has no
    room.

    >>> paragraphs = [Entity("a-1", "Once", metadata={"title": "A"}), Entity("a-2", "upon", metadata={"title": "A"})]
    >>> [(parent.id, len(parent.segments), parent.metadata) for parent in group(paragraphs, by="title")]
    [('A', 2, {'title': 'A'})]
    """
    name_of = by if callable(by) else _naming(by)
    families: dict[str, list[Entity]] = {}
    for entity in entities:
        families.setdefault(_parent(entity, name_of, by), []).append(entity)
    parents = [_gathered(name, members) for name, members in families.items()]
    if by != "document":
        return parents
    return [replace(parent, document=parent.id, version=_only(families[parent.id])) for parent in parents]


def _naming(by: str) -> Callable[[Entity], str | None]:
    def name_of(entity: Entity) -> str | None:
        if by == "document":
            return entity.document
        value = entity.metadata.get(by)
        return value if value is None or isinstance(value, str) else str(value)

    return name_of


def _parent(entity: Entity, name_of: Callable[[Entity], str | None], by: object) -> str:
    name = name_of(entity)
    if not name or not isinstance(name, str):
        keys = ", ".join(map(str, entity.metadata)) or "none"
        raise InvalidEntity(f"entity {entity.id!r} names no parent by {by!r} (its metadata has: {keys})")
    if entity.segments:
        raise InvalidEntity(f"entity {entity.id!r} has segments already; gather plain texts")
    if entity.image is not None:
        raise InvalidEntity(f"entity {entity.id!r} has a picture, and a segment has none: replace(entity, image=None)")
    return name


def _gathered(name: str, members: Sequence[Entity]) -> Entity:
    segments = {member.id: Segment(member.id, member.text, member.metadata, member.internal) for member in members}
    common = _common([segment.metadata for segment in segments.values()])
    return Entity(id=name, segments=tuple(sorted(segments.values(), key=_place)), metadata=common)


def _only(members: Iterable[Entity]) -> str | None:
    """The version that all have, None where they have several."""
    versions = {member.version for member in members}
    return versions.pop() if len(versions) == 1 else None


def _common(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The pairs that are in all of them; True and 1 are not the same."""
    first, *others = metadata or [{}]
    return {
        key: value
        for key, value in first.items()
        if all(key in other and type(other[key]) is type(value) and other[key] == value for other in others)
    }


def _place(segment: Segment) -> tuple[Any, ...]:
    """Where a segment belongs in its entity: by page, where it begins, and its id, numbers in it as numbers."""
    begin = segment.metadata.get("start_index", segment.internal.get("start"))
    numbers = (segment.metadata.get("page"), begin)
    counted = (float(number) if isinstance(number, int | float) else -1.0 for number in numbers)
    parts = enumerate(DIGITS.split(segment.id))  # every second one is a number
    return (*counted, tuple((0, int(part), "") if at % 2 else (1, 0, part) for at, part in parts), segment.id)


def in_order(entity: Entity, vectors: Value) -> tuple[Entity, Value | MultiVector]:
    """The entity with its segments in their own order, and ready vectors that still name theirs.

    The order does not depend on the order in which they come, so that neither does what is stored.
    """
    order = sorted(range(len(entity.segments)), key=lambda index: _place(entity.segments[index]))
    if order == list(range(len(order))):
        return entity, vectors
    segments = tuple(entity.segments[index] for index in order)
    if not isinstance(vectors, MultiVector) or vectors.segments is None or vectors.segments.max() >= len(order):
        return replace(entity, segments=segments), vectors
    return replace(entity, segments=segments), MultiVector(vectors.vectors, np.argsort(order)[vectors.segments])


def merged(held: Entity, new: Entity) -> Entity:
    """The entity that is held with the new one's segments added, or put in place of those with the same id.

    Where the new one has a text, a picture, a document or metadata of its own, they count; metadata that stood in the
    entity only because all its segments had them stay where they are in all of them still.
    """
    segments = {segment.id: segment for segment in (*held.segments, *new.segments)}
    return replace(
        held,
        text=new.text or held.text,
        image=held.image if new.image is None else new.image,
        document=held.document if new.document is None else new.document,
        segments=tuple(sorted(segments.values(), key=_place)),
        metadata=_merged_metadata(held, new, [segment.metadata for segment in segments.values()]),
        internal=new.internal or held.internal,
    )


def _merged_metadata(held: Entity, new: Entity, segments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shared = _common(segments)
    everywhere = {**held.metadata, **new.metadata}
    kept = {key: value for key, value in everywhere.items() if key in shared and shared[key] == value}
    return {**kept, **_own(held), **_own(new)}


def _own(entity: Entity) -> dict[str, Any]:
    """The metadata of an entity that are not merely what all its segments have in common."""
    shared = _common([segment.metadata for segment in entity.segments]) if entity.segments else {}
    return {key: value for key, value in entity.metadata.items() if key not in shared or shared[key] != value}


def narrowed(entity: Entity, segments: tuple[Segment, ...]) -> Entity:
    """The entity with only these of its segments.

    Its own metadata stay. If it had those that all its segments have in common, it has those of the ones that stay.
    """
    common = _common([segment.metadata for segment in entity.segments])
    had_them = bool(common) and all(entity.metadata.get(key) == value for key, value in common.items())
    has_them = _common([segment.metadata for segment in segments]) if had_them else {}
    return replace(entity, segments=segments, metadata={**has_them, **_own(entity)})


def merged_vectors(segments: Sequence[Segment], *sources: tuple[Sequence[Segment], MultiVector]) -> MultiVector:
    """The vectors of these segments in their order, each segment's from the last source that has any of it."""
    rows: dict[str, NDArray[np.float32]] = {}
    for owned, vectors in sources:
        rows |= {segment.id: vectors.vectors[vectors.segments == index] for index, segment in enumerate(owned)}
    counts = [len(rows[segment.id]) for segment in segments]
    return MultiVector(
        np.concatenate([rows[segment.id] for segment in segments]), np.repeat(np.arange(len(segments)), counts)
    )


def without(entity: Entity, vectors: MultiVector, ids: Container[str]) -> tuple[Entity, MultiVector] | None:
    """What is left of an entity when these segments are gone; None where nothing is."""
    left = tuple(segment for segment in entity.segments if segment.id not in ids)
    if not left:
        return None
    return narrowed(entity, left), merged_vectors(left, (entity.segments, vectors))
