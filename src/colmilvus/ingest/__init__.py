"""How entities get into a collection: checked, skipped where nothing changed, embedded, stored, and reported.

Pictures are drawn ahead and entities are stored behind, each in a thread of its own, while the embedder works. The
caller's iterable and the caller's embedder run in the caller's thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from colmilvus.embedder import Embedder, reads_images
from colmilvus.entity import Entity, LazyImage
from colmilvus.errors import ColmilvusError, InvalidInput, UnreadableFile
from colmilvus.ingest.drawing import DrawnAhead, DrawnOnce
from colmilvus.ingest.embedding import Embedding, Pace
from colmilvus.ingest.items import Given, Item, batches, changed, checked
from colmilvus.overlap import Behind
from colmilvus.report import AddReport, IncompleteAdd, Problem
from colmilvus.store import Change, EntityStore, Stored

__all__ = ["Ingest"]

WAITING = 1
"""Portions that may wait while one is stored and the next embedded: each holds its pictures."""


@dataclass(frozen=True)
class _Portion:
    """What is embedded at once and then stored."""

    items: Sequence[Item]
    changes: Sequence[Change]


class Ingest:
    """One call of ``Collection.add``; it holds a batch of what comes in, and the pictures of a portion of it.

    ``advance`` is called with how many more entities are done.
    """

    def __init__(self, store: EntityStore, embedder: Embedder | None, advance: Callable[[int], object]) -> None:
        self.report = AddReport()
        self._store = store
        self._embedder = embedder
        self._advance = advance
        self._embedding = Embedding(embedder, store.layout.spec, self.report)
        self._pace = Pace()
        self._versions: dict[str, str] = {}

    def run(self, entities: Iterable[Given], failures: Sequence[UnreadableFile] = ()) -> AddReport:
        """Store everything that can be stored, then remove what older versions of the documents left.

        ``failures`` is where the reader of the entities reports pages that it could not read, while it reads. Raises
        IncompleteAdd, at the end, where entities were refused for what they hold.
        """
        with DrawnAhead() as drawing, Behind(self._write, WAITING) as behind:
            self._take(entities, drawing, behind)
        self.report.failed += map(Problem.unread, failures)
        self._remove_outdated()
        refused = [problem.error for problem in self.report.failed if isinstance(problem.error, InvalidInput)]
        if refused:
            raise IncompleteAdd(self.report, refused) from refused[0]
        return self.report

    def _take(self, entities: Iterable[Given], drawing: DrawnAhead, behind: Behind[_Portion]) -> None:
        upcoming: list[Item] = []
        under_way: set[str] = set()
        for batch in batches(entities, self._pace.next_batch):
            if isinstance(batch, Exception):
                self._embed(upcoming, behind)
                raise batch
            items = list(self._checked(batch))
            ids = {item.entity.id for item in items}
            if ids & under_way:  # they can be compared with what is held only when that is stored
                self._embed(upcoming, behind)
                behind.wait()
                upcoming, under_way = [], set()
            new = changed(items, self._store)
            self.report.unchanged += len(items) - len(new)
            self._advance(len(batch) - len(new))
            drawing.draw(image for item in new if (image := self._to_draw(item)) is not None)
            self._embed(upcoming, behind)
            upcoming, under_way = new, under_way | ids
        self._embed(upcoming, behind)

    def _checked(self, batch: Sequence[Given]) -> Iterator[Item]:
        for entity, vectors in batch:
            try:
                item = checked((self._drawn_once(entity), vectors), self._store)
            except (InvalidInput, UnreadableFile) as error:
                self.report.fail(entity, error)
                continue
            if item.entity.document and item.entity.version:
                self._versions[item.entity.document] = item.entity.version
            yield item

    def _drawn_once(self, entity: Entity) -> Entity:
        """The entity with a picture that is drawn once for embedder and store, where they need not tell it apart."""
        image = getattr(entity, "image", None)
        if isinstance(image, LazyImage) or (image is not None and reads_images(self._embedder)):
            return replace(entity, image=DrawnOnce(image))
        return entity

    def _to_draw(self, item: Item) -> DrawnOnce | None:
        image = item.entity.image
        if not isinstance(image, DrawnOnce):
            return None
        is_looked_at = reads_images(self._embedder) and item.vectors is None and not item.is_held
        return image if is_looked_at or self._store.will_draw(image) else None

    def _embed(self, items: Sequence[Item], behind: Behind[_Portion]) -> None:
        while items:
            portion = self._pace.portion(items)
            with self._pace.measured(portion):
                changes = self._embedding.changes(portion)
            behind.hand(_Portion(portion, changes))
            self._advance(len(portion))
            items = items[len(portion) :]

    def _write(self, portion: _Portion) -> None:
        try:
            if portion.changes:
                self._count(portion.changes, *self._store.write(portion.changes))
        finally:
            for item in portion.items:
                if isinstance(item.entity.image, DrawnOnce):
                    item.entity.image.let_go()

    def _count(
        self,
        changes: Sequence[Change],
        stored: Mapping[str, Stored],
        unreadable: Sequence[tuple[Entity, ColmilvusError]],
    ) -> None:
        for entity, error in unreadable:
            self.report.fail(entity, error)
        written = {change.entity.id for change in changes} - {entity.id for entity, _ in unreadable}
        self.report.replaced += len(written & stored.keys())
        self.report.added += len(written - stored.keys())

    def _remove_outdated(self) -> None:
        """A document that was not read to its end keeps what it had; a page that was not read keeps its old state."""
        unread = {problem.id for problem in self.report.failed}
        versions = {document: version for document, version in self._versions.items() if document not in unread}
        if versions:
            self.report.removed += self._store.remove_outdated(versions, keep=unread.__contains__)
