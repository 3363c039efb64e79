"""What changes a collection: entities are added to it and removed."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

from colmilvus.embedder import Embedder
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput
from colmilvus.filters import Filter
from colmilvus.ingest import Ingest
from colmilvus.ingest.given import reading, with_vectors
from colmilvus.layouts.checks import check_entity, id_list
from colmilvus.opening import asked, check_embedder
from colmilvus.reading import Reading
from colmilvus.report import AddReport

__all__ = ["Writing"]


class Writing(Reading):
    """A collection that is read, and changed."""

    name: str

    def add(
        self,
        entities: Iterable[Entity],
        vectors: Iterable[Any] | None = None,
        *,
        progress: bool | None = None,
        embedder: Embedder | None = None,
    ) -> AddReport:
        """Store entities by id, in batches, and report what became of each.

        An entity that is held unchanged is skipped, one that is held otherwise is replaced. An entity with segments is
        merged with what is held of it: segments of the same id are replaced, others added, unless its ``version`` is
        another. Where entities carry a ``version``, those of the same document with another one are removed after the
        last is stored. ``vectors`` gives one multi-vector ``(n, dim)`` for each entity; otherwise the embedder makes
        them; ``embedder`` is asked in place of the collection's own, whose equal it is, such as one that keeps what it
        made. ``progress`` shows a bar on standard error, with entities a second and the time left; by default where
        that is a terminal.

        While the embedder works, the pictures of what comes next are drawn, and what came before is stored; after an
        error or an interrupt that too is stored.

        Raises IncompleteAdd, after all others are stored, where entities were refused for what they hold.
        """
        if isinstance(entities, Entity):
            raise InvalidInput(f"add takes a list of entities: add([entity]), not the entity {entities.id!r} alone")
        if isinstance(entities, str | bytes | os.PathLike):
            raise InvalidInput(f"add takes entities; for the pages of files: add(read_pages({str(entities)!r}))")
        check_embedder(embedder)
        self._layout.spec.check_same(self.name, asked(embedder))
        failures = getattr(entities, "failures", ())
        is_shown = sys.stderr.isatty() if progress is None else progress
        total = (operator.length_hint(entities) or None) if is_shown else None
        bar = tqdm(desc=self.name, unit=" pages", total=total, disable=not is_shown)
        with bar, reading(entities) as source:
            report = Ingest(self._store, embedder or self.embedder, bar.update).run(
                with_vectors(source, vectors), failures
            )
            bar.total = bar.n  # pages that could not be read were counted in beforehand
            return report

    def check(self, entity: Entity) -> None:
        """Raise InvalidEntity where ``add`` would refuse the entity for what it holds; nothing is embedded or sent."""
        check_entity(entity, self._layout.spec)

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | None = None,
        document: str | None = None,
        segments: Sequence[str] | None = None,
    ) -> int:
        """Remove entities by id, by filter, or all of one document, with their pictures; return how many there were.

        ``segments`` removes segments by id out of whatever entities have them, or with ``ids`` out of these alone, and
        leaves their others; an entity goes with its last one. Raises InvalidInput where none of the four is given, or
        more than one, ids beside segments excepted. Unknown ids are no error.
        """
        if sum(given is not None for given in (ids if segments is None else None, filter, document, segments)) != 1:
            raise InvalidInput("delete takes ids, or filter=, document= or segments=; to remove everything use clear()")
        if segments is not None:
            if not self._layout.spec.segments:
                return 0
            return self._store.delete_segments(id_list(segments), None if ids is None else id_list(ids))
        if ids is not None:
            return self._store.delete(id_list(ids))
        if document is not None:
            return self._store.delete_matching(self._layout.of_document(document))
        expression = self._layout.expression(filter)
        if not expression:
            raise InvalidInput(f"the filter {filter!r} matches everything; to remove everything use clear()")
        return self._store.delete_matching(expression)

    def clear(self) -> None:
        """Remove all entities with their pictures; the collection stays as it was made, and open."""
        self._store.clear()
