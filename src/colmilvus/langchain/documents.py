"""Between LangChain's Documents and entities: pages with their pictures, plain texts, chunks of one parent."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document

from colmilvus.entity import Entity, Hit, ImageLike, Segment
from colmilvus.errors import InvalidEntity, InvalidInput
from colmilvus.gathering import group
from colmilvus.images import is_kept
from colmilvus.pdf import page_image

__all__ = [
    "BEST_SEGMENTS",
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
DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)


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
    check_lengths(len(listed), metadatas=metadatas, ids=ids)
    given: Sequence[Mapping[str, Any] | None] = [None] * len(listed) if metadatas is None else metadatas
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
    documents: Sequence[Document], ids: Sequence[str | None] | None, *, sees: bool, whole: bool
) -> list[Entity]:
    """One entity for each document, under its id in ``ids``, its own, or a new one.

    ``sees`` says that the embedder looks at pictures. ``whole`` is False for what becomes segments, which keep their
    metadata as they are and have no pictures. Raises InvalidInput for an id that comes twice and for what is no
    Document, and UnreadableFile for the page of a file that is not there.
    """
    for document in documents:
        if not isinstance(document, Document):
            raise InvalidInput(f"this takes a list of LangChain's Documents, not {type(document).__name__}")
    check_lengths(len(documents), ids=ids)
    names = [
        given or document.id or str(uuid4())
        for given, document in zip(ids or [None] * len(documents), documents, strict=True)
    ]
    _check_once(names)
    return [_entity(name, document, sees, whole) for name, document in zip(names, documents, strict=True)]


def _check_once(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(f"two documents have the id {name!r}; give each its own, or leave one out")
        seen.add(name)


def _entity(name: str, document: Document, sees: bool, whole: bool) -> Entity:
    metadata = dict(document.metadata)
    image = _stored_picture(metadata, sees) if whole else None
    source, page = metadata.get("source"), metadata.get("page")
    own = source if isinstance(source, str) and source else None
    if own and isinstance(page, int) and name.endswith(f"#{page}"):
        own = name.removesuffix(f"#{page}")  # as read_pages names the page of a document
    return Entity(name, document.page_content, image, document=own, metadata=metadata)


def _stored_picture(metadata: dict[str, Any], sees: bool) -> ImageLike | None:
    """The picture that is to be stored; a reference of ours is taken out, as the stored picture has a new one."""
    told = metadata.get("image")
    if not isinstance(told, str):
        return None
    ours = page_image(told) or (Path(told) if is_kept(told) and Path(told).is_file() else None)
    if ours is not None:
        del metadata["image"]
        return ours
    return picture_of(metadata) if sees else None


def picture_of(metadata: Mapping[str, Any]) -> ImageLike | None:
    """The picture that ``image`` in the metadata names, None for none.

    That is the page of a file, as PageLoader writes it, the path of a file that is there, or a data URI in base64.
    """
    told = metadata.get("image")
    if not isinstance(told, str) or not told:
        return None
    if found := page_image(told):
        return found
    if prefix := DATA_URI.match(told):
        try:
            return b64decode(told[prefix.end() :], validate=True)
        except Base64Error:
            return None
    try:
        return Path(told) if Path(told).is_file() else None
    except (OSError, ValueError):  # no path at all: a NUL in it, or too long
        return None


def gathered(entities: Sequence[Entity], by: str) -> list[Entity]:
    """One entity for each value of the metadata key ``by``, with the entities that have it as its segments.

    Raises InvalidEntity for one that lacks the key.
    """
    for entity in entities:
        value = entity.metadata.get(by)
        if value is None or value == "" or isinstance(value, list | dict):
            keys = ", ".join(map(repr, entity.metadata)) or "none"
            raise InvalidEntity(f"document {entity.id!r} names no parent by {by!r}: it has the metadata keys {keys}")
    documents = {entity.id: entity.document for entity in entities}
    parents = group(entities, by=lambda entity: str(entity.metadata[by]))
    return [
        replace(parent, document=owned.pop())
        if len(owned := {documents[segment.id] for segment in parent.segments}) == 1
        else parent
        for parent in parents
    ]


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
        {"id": segment.id, "text": segment.text, "similarity": similarity, "metadata": dict(segment.metadata)}
        for segment, similarity in best
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
