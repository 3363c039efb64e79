"""From entities to what is stored of them: their vectors, checked, and what could not be embedded reported."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from colmilvus.embedder import Embedder, Unreadable, reads_images
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidInput, InvalidVectors, UnreadableFile
from colmilvus.gathering import narrowed
from colmilvus.ingest.drawing import DrawnOnce
from colmilvus.ingest.items import Item
from colmilvus.layouts.checks import check_vectors
from colmilvus.layouts.precision import rounded
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.report import AddReport, Problem
from colmilvus.store import Change

__all__ = ["Embedding", "Pace", "multi_vector_for"]

Answer: TypeAlias = "MultiVector | Unreadable | InvalidVectors"


class Embedding:
    """Asks an embedder for the vectors of items, and lists in the report what it could not embed."""

    def __init__(self, embedder: Embedder | None, spec: CollectionSpec, report: AddReport) -> None:
        self._embedder = embedder
        self._spec = spec
        self._report = report

    def changes(self, items: Sequence[Item]) -> list[Change]:
        """What is to be stored of the items, in order, without those that have nothing to be stored.

        Raises InvalidInput without an embedder where one is needed, and whatever the embedder raises for all of them.
        """
        ready = [item for item in items if self._can_be_seen(item)]
        answers = iter(self._answers([item.entity for item in ready if _is_asked(item)]))
        changes = (self._change(item, next(answers) if _is_asked(item) else item.vectors) for item in ready)
        return [change for change in changes if change is not None]

    def _can_be_seen(self, item: Item) -> bool:
        """Whether the picture for an embedder that looks at pictures can be drawn; a failure is listed."""
        image = item.entity.image
        if not (isinstance(image, DrawnOnce) and _is_asked(item) and reads_images(self._embedder)):
            return True
        try:
            image.open()
        except UnreadableFile as error:
            self._report.fail(item.entity, error)
            return False
        return True

    def _change(self, item: Item, answer: Answer | None) -> Change | None:
        if isinstance(answer, Unreadable):
            self._report.unreadable.append(Problem.about(item.entity, answer.reason))
            return None
        if answer is None:
            return Change(item.entity, None, item.digest)
        entity, vectors = item.entity, answer
        try:
            if isinstance(vectors, InvalidVectors):
                raise vectors
            if _is_asked(item):
                entity, vectors = self._without_empty_segments(entity, vectors)
            check_vectors(entity, vectors, self._spec)
            vectors = rounded(vectors, self._spec.dtype, f"entity {entity.id[:80]!r}")
        except InvalidVectors as error:
            self._report.fail(entity, error)
            return None
        return Change(entity, vectors, item.digest)

    def _without_empty_segments(self, entity: Entity, vectors: MultiVector) -> tuple[Entity, MultiVector]:
        """Leave out, and list, the segments in which the embedder found nothing to read."""
        if vectors.segments is None or not entity.segments or vectors.segments.max() >= len(entity.segments):
            return entity, vectors
        read, owners = np.unique(vectors.segments, return_inverse=True)
        if len(read) == len(entity.segments):
            return entity, vectors
        for index in sorted(set(range(len(entity.segments))) - set(read.tolist())):
            reason = f"its segment {entity.segments[index].id[:80]!r} has nothing to read in it, and is left out"
            self._report.unreadable.append(Problem.about(entity, reason))
        left = tuple(entity.segments[index] for index in read)
        return narrowed(entity, left), MultiVector(vectors.vectors, owners)

    def _answers(self, entities: Sequence[Entity]) -> list[Answer]:
        if not entities:
            return []
        if self._embedder is None:
            raise InvalidInput(
                f"this collection was opened without an embedder: pass vectors=, or open it with the one that it was "
                f"made with ({self._spec.made_with})"
            )
        try:
            answers = self._embedder.embed_entities(entities)
        except InvalidVectors as error:
            if len(entities) > 1:  # one of them spoils it for the others
                return [answer for entity in entities for answer in self._answers([entity])]
            return [_naming(entities[0], error)]
        if len(answers) != len(entities):
            raise InvalidVectors(
                f"embedder {self._embedder.name!r} gave {len(answers)} multi-vectors for {len(entities)} entities"
            )
        return [
            answer if isinstance(answer, Unreadable) else multi_vector_for(entity, answer)
            for entity, answer in zip(entities, answers, strict=True)
        ]


def _is_asked(item: Item) -> bool:
    """Whether the embedder is to make the vectors."""
    return item.vectors is None and not item.is_held


def multi_vector_for(entity: Entity, vectors: object) -> MultiVector | InvalidVectors:
    """The value as a MultiVector, or what is wrong with it, naming the entity."""
    try:
        return MultiVector.of(vectors)  # type: ignore[arg-type]  # whatever it is, MultiVector judges it
    except InvalidVectors as error:
        return _naming(entity, error)


def _naming(entity: Entity, error: InvalidVectors) -> InvalidVectors:
    return InvalidVectors(f"entity {str(entity.id)[:80]!r}: {error}")


class Pace:
    """How many items are embedded at once: so many that a call takes about a second, and their pictures have room.

    A model that takes ten seconds a page is asked page by page, so that progress is seen and little is lost to an
    interruption; a service that answers at once is asked for many.
    """

    SECONDS = 1.0
    FIRST = 8
    LEAST_COMPARED = 32
    MOST = 512
    MOST_PICTURES = 16
    PICTURE_BYTES = 128 << 20

    def __init__(self) -> None:
        self._size = self.FIRST
        self._compared = self.FIRST
        self._picture_bytes = 0

    def next_batch(self) -> int:
        """How many are to be read, and compared at once with what is held; few at first, so that work begins."""
        compared, self._compared = self._compared, min(2 * self._compared, self.LEAST_COMPARED)
        return compared if compared < self.LEAST_COMPARED else max(self._size, compared)

    def portion(self, items: Sequence[Item]) -> Sequence[Item]:
        """As many of the first items as are to be embedded at once."""
        if not any(item.entity.image is not None for item in items):
            return items[: self._size]
        fitting = self.PICTURE_BYTES // max(self._picture_bytes, 1)
        return items[: min(self._size, self.MOST_PICTURES, max(fitting, 1))]

    @contextmanager
    def measured(self, portion: Sequence[Item]) -> Iterator[None]:
        """Learn from how long the embedding of a portion takes, and from the largest picture of it."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        if seconds > 2 * self.SECONDS:
            self._size = max(1, len(portion) // 2)
        elif seconds < self.SECONDS / 2 and len(portion) >= self._size:
            self._size = min(2 * self._size, self.MOST)
        pictures = [item.entity.image for item in portion]
        self._picture_bytes = max((image.bytes for image in pictures if isinstance(image, DrawnOnce)), default=0)
