"""How entities get into a collection: in batches, checked, skipped where nothing changed, and reported."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import ColmilvusError, IncompleteAdd, InvalidInput, InvalidVectors, UnreadableFile
from colmilvus.filters import one_of
from colmilvus.images import image_key
from colmilvus.layouts.checks import check_entity, check_vectors
from colmilvus.layouts.rows import Record
from colmilvus.store import EntityStore

__all__ = ["AddReport", "Ingest", "Problem"]

BATCH = 32


@dataclass(frozen=True)
class Problem:
    """One entity, page or file that was not stored, and why; ``error`` is the exception, if there was one."""

    id: str
    reason: str
    source: str | None = None
    page: int | None = None
    error: ColmilvusError | None = None

    def __str__(self) -> str:
        where = self.source or self.id
        return f"{where}, page {self.page}: {self.reason}" if self.page else f"{where}: {self.reason}"


@dataclass
class AddReport:
    """What ``Collection.add`` did: entities stored new, left as they were, replaced, removed with their old version.

    ``unreadable`` lists those that hold nothing that the embedder reads, ``failed`` those that could not be read or
    stored.
    """

    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    removed: int = 0
    unreadable: list[Problem] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        counts = {
            "added": self.added,
            "unchanged": self.unchanged,
            "replaced": self.replaced,
            "removed": self.removed,
            "unreadable": len(self.unreadable),
            "failed": len(self.failed),
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to add"


@dataclass(frozen=True)
class _Item:
    entity: Entity
    vectors: MultiVector | ColmilvusError | None
    digest: str


class Ingest:
    """One call of ``Collection.add``; it holds one batch at a time."""

    def __init__(self, store: EntityStore, embedder: Embedder | None) -> None:
        self.report = AddReport()
        self._store = store
        self._embedder = embedder
        self._versions: dict[str, str] = {}

    def run(
        self,
        entities: Iterable[tuple[Entity, MultiVector | ColmilvusError | None]],
        failures: Sequence[UnreadableFile] = (),
    ) -> AddReport:
        """Store everything that can be stored, then remove what older versions of the documents left.

        ``failures`` is where the reader of the entities reports pages that it could not read, while it reads. Raises
        IncompleteAdd, at the end, where entities were refused for what they hold.
        """
        stream = iter(entities)
        while batch := list(islice(stream, BATCH)):
            self._add(batch)
        self.report.failed += [_unread(failure) for failure in failures]
        self._remove_outdated()
        refused = [problem.error for problem in self.report.failed if isinstance(problem.error, InvalidInput)]
        if refused:
            raise IncompleteAdd(self.report, refused) from refused[0]
        return self.report

    def _add(self, batch: Sequence[tuple[Entity, MultiVector | ColmilvusError | None]]) -> None:
        items: dict[str, _Item] = {}
        for entity, vectors in batch:
            try:
                check_entity(entity, self._store.layout.spec)
                items[entity.id] = _Item(entity, vectors, _digest(entity, vectors))
            except (InvalidInput, UnreadableFile) as error:
                self._fail(entity, error)
        stored = self._store.layout.stored(list(items)) if items else {}
        changed = [item for name, item in items.items() if name not in stored or stored[name].digest != item.digest]
        self.report.unchanged += len(items) - len(changed)
        self._versions |= {
            item.entity.document: item.entity.version
            for item in items.values()
            if item.entity.document and item.entity.version
        }
        records = list(self._embedded(changed))
        failed = self._store.write(records, stored)
        for entity, fault in failed:
            self._fail(entity, fault)
        written = {record.entity.id for record in records} - {entity.id for entity, _ in failed}
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
                if isinstance(vectors, ColmilvusError):
                    raise vectors
                check_vectors(item.entity, vectors, self._store.layout.spec)
            except InvalidVectors as error:
                self._fail(item.entity, error)
            else:
                yield Record(item.entity, vectors, {"digest": item.digest})

    def _embed(self, entities: Sequence[Entity]) -> Sequence[MultiVector | Unreadable | ColmilvusError]:
        if not entities:
            return ()
        if self._embedder is None:
            raise InvalidInput("this collection was opened without an embedder: pass vectors=, or open it with one")
        answers = self._embedder.embed_entities(entities)
        if len(answers) != len(entities):
            raise InvalidVectors(
                f"embedder {self._embedder.name!r} gave {len(answers)} multi-vectors for {len(entities)} entities"
            )
        return [
            answer if isinstance(answer, Unreadable) else multi_vector_for(entity, answer)
            for entity, answer in zip(entities, answers, strict=True)
        ]

    def _remove_outdated(self) -> None:
        unread = {problem.id for problem in self.report.failed}
        for document, version in self._versions.items():
            outdated = [name for name in self._store.layout.outdated(document, version) if name not in unread]
            for start in range(0, len(outdated), BATCH):
                self._store.delete(one_of("id", outdated[start : start + BATCH]))
            self.report.removed += len(outdated)

    def _fail(self, entity: Entity, error: ColmilvusError) -> None:
        reason = error.reason if isinstance(error, UnreadableFile) else str(error)
        problem = _problem(entity, reason, error)
        self.report.failed.append(problem)
        if not isinstance(error, InvalidInput):
            warnings.warn(str(problem), stacklevel=2)


def multi_vector_for(entity: Entity, vectors: object) -> MultiVector | InvalidVectors:
    """The value as a MultiVector, or what is wrong with it, naming the entity."""
    try:
        return MultiVector.of(vectors)  # type: ignore[arg-type]  # whatever it is, MultiVector judges it
    except InvalidVectors as error:
        return InvalidVectors(f"entity {str(entity.id)[:80]!r}: {error}")


def _problem(entity: Entity, reason: str, error: ColmilvusError | None = None) -> Problem:
    source, page = entity.metadata.get("source"), entity.metadata.get("page")
    return Problem(
        id=str(entity.id),
        reason=reason,
        source=source if isinstance(source, str) else None,
        page=page if isinstance(page, int) else None,
        error=error,
    )


def _unread(failure: UnreadableFile) -> Problem:
    return Problem(failure.id or failure.source, failure.reason, failure.source, failure.page, failure)


def _digest(entity: Entity, vectors: MultiVector | ColmilvusError | None) -> str:
    told = {
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
