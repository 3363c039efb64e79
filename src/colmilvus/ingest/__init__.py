"""How entities get into a collection: in batches, checked, skipped where nothing changed, and reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import ColmilvusError, InvalidInput, InvalidVectors, UnreadableFile, warn
from colmilvus.images import image_key
from colmilvus.layouts.checks import check_entity, check_vectors
from colmilvus.layouts.rows import Record
from colmilvus.report import AddReport, IncompleteAdd, Problem
from colmilvus.store import EntityStore

__all__ = ["Ingest", "multi_vector_for"]

BATCH = 32

Given: TypeAlias = tuple[Entity, MultiVector | InvalidVectors | None]
"""An entity with the vectors that were passed for it, what is wrong with them, or None where they are to be made."""


@dataclass(frozen=True)
class _Item:
    entity: Entity
    vectors: MultiVector | InvalidVectors | None
    digest: str


class Ingest:
    """One call of ``Collection.add``; it holds one batch at a time."""

    def __init__(self, store: EntityStore, embedder: Embedder | None) -> None:
        self.report = AddReport()
        self._store = store
        self._embedder = embedder
        self._versions: dict[str, str] = {}

    def run(self, entities: Iterable[Given], failures: Sequence[UnreadableFile] = ()) -> AddReport:
        """Store everything that can be stored, then remove what older versions of the documents left.

        ``failures`` is where the reader of the entities reports pages that it could not read, while it reads. Raises
        IncompleteAdd, at the end, where entities were refused for what they hold.
        """
        for batch in _batches(entities):
            self._add(batch)
        self.report.failed += [_unread(failure) for failure in failures]
        self._remove_outdated()
        refused = [problem.error for problem in self.report.failed if isinstance(problem.error, InvalidInput)]
        if refused:
            raise IncompleteAdd(self.report, refused) from refused[0]
        return self.report

    def _add(self, batch: Sequence[Given]) -> None:
        items = list(self._checked(batch))
        self._versions |= {
            item.entity.document: item.entity.version for item in items if item.entity.document and item.entity.version
        }
        changed = self._changed(items)
        self.report.unchanged += len(items) - len(changed)
        records = list(self._embedded(changed))
        if records:
            self._write(records)

    def _checked(self, batch: Sequence[Given]) -> Iterator[_Item]:
        for entity, vectors in batch:
            try:
                check_entity(entity, self._store.layout.spec)
                item = _Item(entity, vectors, _digest(entity, vectors))
            except (InvalidInput, UnreadableFile) as error:
                self._fail(entity, error)
            else:
                yield item

    def _changed(self, items: Sequence[_Item]) -> list[_Item]:
        stored = self._store.layout.stored([item.entity.id for item in items])
        return [
            item
            for item in items
            if (before := stored.get(item.entity.id)) is None
            or before.digest != item.digest
            or self._store.lacks_picture(item.entity, before)
        ]

    def _write(self, records: Sequence[Record]) -> None:
        stored, unreadable = self._store.write(records)
        for entity, error in unreadable:
            self._fail(entity, error)
        written = {record.entity.id for record in records} - {entity.id for entity, _ in unreadable}
        self.report.replaced += len(written & stored.keys())
        self.report.added += len(written - stored.keys())

    def _embedded(self, items: Sequence[_Item]) -> Iterator[Record]:
        answers = iter(self._embed([item.entity for item in items if item.vectors is None]))
        for item in items:
            vectors = next(answers) if item.vectors is None else item.vectors
            if isinstance(vectors, Unreadable):
                self.report.unreadable.append(_problem(item.entity, vectors.reason))
                continue
            try:
                if isinstance(vectors, InvalidVectors):
                    raise vectors
                check_vectors(item.entity, vectors, self._store.layout.spec)
            except InvalidVectors as error:
                self._fail(item.entity, error)
            else:
                yield Record(item.entity, vectors, {"digest": item.digest})

    def _embed(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable | InvalidVectors]:
        if not entities:
            return []
        if self._embedder is None:
            raise InvalidInput("this collection was opened without an embedder: pass vectors=, or open it with one")
        try:
            answers = self._embedder.embed_entities(entities)
        except InvalidVectors as error:
            if len(entities) > 1:  # one of them spoils it for the others
                return [answer for entity in entities for answer in self._embed([entity])]
            return [_naming(entities[0], error)]
        if len(answers) != len(entities):
            raise InvalidVectors(
                f"embedder {self._embedder.name!r} gave {len(answers)} multi-vectors for {len(entities)} entities"
            )
        return [
            answer if isinstance(answer, Unreadable) else multi_vector_for(entity, answer)
            for entity, answer in zip(entities, answers, strict=True)
        ]

    def _remove_outdated(self) -> None:
        """A document that was not read to its end keeps what it had; a page that was not read keeps its old state."""
        unread = {problem.id for problem in self.report.failed}
        versions = {document: version for document, version in self._versions.items() if document not in unread}
        if versions:
            self.report.removed += self._store.remove_outdated(versions, keep=unread.__contains__)

    def _fail(self, entity: object, error: ColmilvusError) -> None:
        reason = error.reason if isinstance(error, UnreadableFile) else str(error)
        problem = _problem(entity, reason, error)
        self.report.failed.append(problem)
        if not isinstance(error, InvalidInput):
            warn(str(problem))


def multi_vector_for(entity: Entity, vectors: object) -> MultiVector | InvalidVectors:
    """The value as a MultiVector, or what is wrong with it, naming the entity."""
    try:
        return MultiVector.of(vectors)  # type: ignore[arg-type]  # whatever it is, MultiVector judges it
    except InvalidVectors as error:
        return _naming(entity, error)


def _naming(entity: Entity, error: InvalidVectors) -> InvalidVectors:
    return InvalidVectors(f"entity {str(entity.id)[:80]!r}: {error}")


def _batches(entities: Iterable[Given]) -> Iterator[list[Given]]:
    """Batches in which no id comes twice; one that is cut short by an error comes before that error."""
    batch: list[Given] = []
    ids: set[str] = set()
    stream = iter(entities)
    while True:
        try:
            given = next(stream)
        except StopIteration:
            break
        except Exception:
            yield batch
            raise
        name = repr(getattr(given[0], "id", None))
        if len(batch) == BATCH or name in ids:
            yield batch
            batch, ids = [], set()
        batch.append(given)
        ids.add(name)
    yield batch


def _problem(entity: object, reason: str, error: ColmilvusError | None = None) -> Problem:
    metadata = getattr(entity, "metadata", None)
    told = metadata if isinstance(metadata, Mapping) else {}
    source, page = told.get("source"), told.get("page")
    return Problem(
        id=str(getattr(entity, "id", entity)),
        reason=reason,
        source=source if isinstance(source, str) else None,
        page=page if isinstance(page, int) else None,
        error=error,
    )


def _unread(failure: UnreadableFile) -> Problem:
    return Problem(failure.id or failure.source, failure.reason, failure.source, failure.page, failure)


def _digest(entity: Entity, vectors: object) -> str:
    told: dict[str, Any] = {
        "text": entity.text,
        "image": None if entity.image is None else image_key(entity.image),
        "document": entity.document,
        "version": entity.version,
        "segments": [[segment.id, segment.text, dict(segment.metadata)] for segment in entity.segments],
        "metadata": dict(entity.metadata),
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    if isinstance(vectors, MultiVector):
        digest.update(vectors.vectors.tobytes())
        digest.update(b"" if vectors.segments is None else vectors.segments.tobytes())
    return digest.hexdigest()
