"""Between LangChain's Documents and entities: pages with their pictures, plain texts, chunks of one parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict
from uuid import uuid4

from langchain_core.documents import Document

from colmilvus.entity import Entity, Hit, ImageLike, Segment
from colmilvus.errors import InvalidEntity, InvalidInput
from colmilvus.gathering import group
from colmilvus.images import is_kept
from colmilvus.pdf import named_picture, page_image

__all__ = [
    "BEST_SEGMENTS",
    "BestSegment",
    "Pictures",
    "best_segments_of",
    "check_segments",
    "documents_of",
    "entities_of",
    "gathered",
    "hit_document",
    "picture_of",
    "scored_document",
    "segment_document",
    "stored_document",
]

BEST_SEGMENTS = 5
"""Segments that make the text of a hit, unless another number is asked for."""


@dataclass(frozen=True)
class Pictures:
    """What becomes of pictures: whether the embedder sees them, and whether the collection keeps them."""

    seen: bool
    kept: bool


class BestSegment(TypedDict):
    """A segment of a hit, as it stands in the metadata of its document under ``segments``."""

    id: str
    text: str
    similarity: float
    metadata: dict[str, Any]


def documents_of(
    texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[Document]:
    """Documents of what ``add_texts`` takes. Raises InvalidInput where there are not as many of each."""
    if isinstance(texts, str):
        raise InvalidInput(f"this takes a list of texts: [{texts[:40]!r}]")
    listed = list(texts)
    for text in listed:
        if not isinstance(text, str):
            raise InvalidInput(f"a text is a string, not {type(text).__name__}")
    given: Sequence[Mapping[str, Any] | None] = [None] * len(listed) if metadatas is None else list(metadatas)
    check_lengths(len(listed), metadatas=given, ids=ids)
    for metadata in given:
        if not (metadata is None or isinstance(metadata, Mapping)):
            raise InvalidInput(f"metadatas has a dict for each text, not {metadata!r}")
    names: Sequence[str | None] = [None] * len(listed) if ids is None else ids
    return [
        Document(page_content=text, metadata=dict(metadata or {}), id=name)
        for text, metadata, name in zip(listed, given, names, strict=True)
    ]


def check_lengths(documents: int, **others: Sequence[Any] | None) -> None:
    """Raise InvalidInput where one of the others has another length, naming it and both numbers."""
    for what, values in others.items():
        if values is not None and len(values) != documents:
            raise InvalidInput(f"{what} has {len(values)} items for {documents} documents: one for each")


def entities_of(
    documents: Sequence[Document], ids: Sequence[str | None] | None, pictures: Pictures | None
) -> list[Entity]:
    """One entity for each document, under its id in ``ids``, its own, or a new one.

    ``pictures`` is None for what becomes segments, which keep their metadata as they are and have no pictures. Raises
    InvalidInput for an id that comes twice or is no text, and for what is no Document, and UnreadableFile for the page
    of a file that is not there.
    """
    for document in documents:
        if not isinstance(document, Document):
            raise InvalidInput(f"this takes a list of LangChain's Documents, not {type(document).__name__}")
    check_lengths(len(documents), ids=ids)
    given: Sequence[str | None] = [None] * len(documents) if ids is None else ids
    own = [document.id if name is None else name for name, document in zip(given, documents, strict=True)]
    for name in own:
        if not (name is None or isinstance(name, str)) or name == "":
            raise InvalidInput(f"an id is a string of at least one character, or None for a new one; not {name!r}")
    names = [name or str(uuid4()) for name in own]
    _check_once(names)
    return [_entity(name, document, pictures) for name, document in zip(names, documents, strict=True)]


def _check_once(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(f"two documents have the id {name!r}; give each its own, or leave one out")
        seen.add(name)


def _entity(name: str, document: Document, pictures: Pictures | None) -> Entity:
    metadata = dict(document.metadata)
    image = None if pictures is None else _stored_picture(metadata, pictures)
    source, page = metadata.get("source"), metadata.get("page")
    own = source if isinstance(source, str) and source else None
    if own and isinstance(page, int) and name.endswith(f"#{page}"):
        own = name.removesuffix(f"#{page}")  # as read_pages names the page of a document
    return Entity(name, document.page_content, image, document=own, metadata=metadata)


def _stored_picture(metadata: dict[str, Any], pictures: Pictures) -> ImageLike | None:
    """The picture that is to be embedded or kept; taken out of the metadata where the kept one will be named there."""
    told = metadata.get("image")
    if not isinstance(told, str):
        return None
    is_page = page_image(told) is not None or is_kept(told)
    image = picture_of(metadata) if pictures.seen or (is_page and pictures.kept) else None
    if image is not None and pictures.kept:
        del metadata["image"]
    return image


def picture_of(metadata: Mapping[str, Any]) -> ImageLike | None:
    """The picture that ``image`` in the metadata names, as ``named_picture`` understands it, None for none.

    Raises UnreadableFile for the page of a file that is not there.
    """
    told = metadata.get("image")
    return named_picture(told) if isinstance(told, str) else None


def gathered(entities: Sequence[Entity], by: str) -> list[Entity]:
    """One entity for each value of the metadata key ``by``, with the entities that have it as its segments.

    Raises InvalidEntity for one that lacks the key.
    """
    for entity in entities:
        value = entity.metadata.get(by)
        if value is None or value == "" or isinstance(value, list | dict):
            keys = ", ".join(map(repr, entity.metadata)) or "none"
            raise InvalidEntity(f"document {entity.id!r} names no parent by {by!r}: it has the metadata keys {keys}")
    _check_kinds(entities, by)
    parents = group(entities, by=lambda entity: str(entity.metadata[by]))
    return [replace(parent, document=parent.id) for parent in parents] if by == "source" else parents


def _check_kinds(entities: Sequence[Entity], by: str) -> None:
    """Raise InvalidEntity where values of two kinds would name one parent, such as 1 and "1"."""
    values: dict[str, Any] = {}
    for entity in entities:
        value = entity.metadata[by]
        other = values.setdefault(str(value), value)
        if type(other) is not type(value):
            told = f"{other!r} and {value!r}, which would be one parent"
            raise InvalidEntity(f"the metadata key {by!r} holds {told}; write both in the same way")


def best_segments_of(document: Document) -> list[BestSegment]:
    """The segments that were found of a hit, best first; none where there are none, or the key is the user's own."""
    listed = document.metadata.get("segments")
    if not isinstance(listed, list):
        return []
    own = BestSegment.__annotations__.keys()
    ours = all(isinstance(part, dict) and part.keys() == own and isinstance(part["metadata"], dict) for part in listed)
    return listed if ours else []


def check_segments(value: Any) -> None:
    """Raise InvalidInput for anything but a number from 1, or None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidInput(f"best_segments is a number from 1, or None for all, not {value!r}")


def stored_document(entity: Entity, *, images: bool = True) -> Document:
    """The document that an entity is, with its whole text; ``image`` in its metadata is the path of its picture."""
    return _document(entity, entity.full_text, images)


def segment_document(segment: Segment) -> Document:
    """The document that became a segment, as it went in."""
    return Document(id=segment.id, page_content=segment.text, metadata=dict(segment.metadata))


def hit_document(hit: Hit, segments: int | None, *, images: bool = True) -> Document:
    """The document of a hit; of an entity with segments, with the text of so many of its best, None for all its text.

    These are listed in its metadata under ``segments``, best first.
    """
    if not hit.segments:
        return stored_document(hit.entity, images=images)
    best = hit.segments[:segments]
    chosen = {segment.id for segment, _ in best}
    parts = [segment.text for segment in hit.entity.segments if segment.id in chosen]
    text = hit.entity.full_text if segments is None else "\n\n".join(part for part in parts if part)
    document = _document(hit.entity, text, images)
    listed = [
        BestSegment(id=part.id, text=part.text, similarity=similarity, metadata=dict(part.metadata))
        for part, similarity in best
    ]
    document.metadata.setdefault("segments", listed)
    return document


def scored_document(hit: Hit, segments: int | None, *, images: bool = True) -> Document:
    """The document of a hit, with ``score`` and, where there is one, ``similarity`` in its metadata."""
    document = hit_document(hit, segments, images=images)
    for name, value in (("score", hit.score), ("similarity", hit.similarity)):
        if value is not None:
            document.metadata.setdefault(name, value)
    return document


def _document(entity: Entity, text: str, images: bool) -> Document:
    metadata = dict(entity.metadata)
    if images and entity.image is not None:
        metadata.setdefault("image", str(entity.image))
    return Document(id=entity.id, page_content=text, metadata=metadata)
