"""Entities with their pictures: the rows in Milvus, the pictures in a folder, and no picture that no row names."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from uuid import uuid4
from weakref import WeakValueDictionary

from colmilvus.entity import Entity
from colmilvus.errors import ColmilvusError, InvalidInput, UnreadableFile
from colmilvus.filters import one_of
from colmilvus.images import ImageStore
from colmilvus.layouts.rows import Record
from colmilvus.layouts.struct_array import Stored, StructArrayLayout

__all__ = ["EntityStore"]

IDS = 500
"""Entities removed in one request."""


class _Lock:
    """A lock that can be held weakly."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
_locks_guard = threading.Lock()


class EntityStore:
    """The rows of a layout together with the pictures that they name; without ``images`` pictures are not kept.

    ``place`` says which collection of which database this is. Whatever this process writes to one place is written
    under one lock, because a write is several requests: what is held is read, pictures and rows are written, and what
    they replace is freed.
    """

    def __init__(self, layout: StructArrayLayout, images: ImageStore | None, place: str) -> None:
        self.layout = layout
        self._images = images
        with _locks_guard:
            self._held = _locks.setdefault(place, _Lock())
        self._free_what_was_left()

    def write(self, records: Sequence[Record]) -> tuple[dict[str, Stored], list[tuple[Entity, ColmilvusError]]]:
        """Store records, pictures first, and free what they replace.

        Returns what was held under their ids before, and those that were not stored, as their picture cannot be read.
        """
        with self._held.lock:
            stored = self.layout.stored([record.entity.id for record in records])
            referring, unreadable = self._referring(records)
            touched = [entity.image for entity, _ in referring] + [before.image for before in stored.values()]
            with self._freeing(image for image in touched if isinstance(image, str)):
                written = list(self._drawn(referring, unreadable))
                self.layout.write(written, stored)
        return stored, unreadable

    def delete(self, ids: Sequence[str]) -> int:
        """Remove the entities under these ids, and the pictures that no other names; return how many there were."""
        parts = [one_of("id", ids[start : start + IDS]) for start in range(0, len(ids), IDS)]
        return sum(self.delete_matching(expression) for expression in parts)

    def delete_matching(self, expression: str) -> int:
        """Remove the entities whose rows match, as ``delete`` does."""
        with self._held.lock:
            removed = self.layout.count(expression)
            if removed:
                with self._freeing(self.layout.images(expression)):
                    self.layout.delete(expression)
        return removed

    def remove_outdated(self, versions: Mapping[str, str], keep: Callable[[str], bool]) -> int:
        """Remove what comes from another version of its document than the one given, but for the ids to keep."""
        with self._held.lock:
            return self.delete([name for name in self.layout.outdated(versions) if not keep(name)])

    def drop(self) -> None:
        """Remove the collection with all its pictures."""
        with self._held.lock:
            self.layout.drop()
            if self._images is not None and self._images.folder.is_dir():
                shutil.rmtree(self._images.folder)

    def lacks_picture(self, entity: Entity, stored: Stored) -> bool:
        """Whether the entity has a picture, pictures are kept, and this one is not."""
        return entity.image is not None and self._images is not None and not stored.image

    def hydrated(self, entity: Entity) -> Entity:
        """The entity with its picture as a path, None where pictures are not kept."""
        if self._images is None or not isinstance(entity.image, str):
            return replace(entity, image=None)
        return replace(entity, image=self._images.path(entity.image))

    def _referring(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[Entity, Record]], list[tuple[Entity, ColmilvusError]]]:
        """Each record with its entity as it is stored, its picture a reference that nothing may lie under yet."""
        referring: list[tuple[Entity, Record]] = []
        unreadable: list[tuple[Entity, ColmilvusError]] = []
        for record in records:
            entity = record.entity
            try:
                kept = None if entity.image is None or self._images is None else self._images.reference(entity.image)
            except (InvalidInput, UnreadableFile) as error:
                unreadable.append((entity, error))
            else:
                referring.append((replace(entity, image=kept), record))
        return referring, unreadable

    def _drawn(
        self, referring: Iterable[tuple[Entity, Record]], unreadable: list[tuple[Entity, ColmilvusError]]
    ) -> Iterator[Record]:
        for entity, record in referring:
            try:
                if self._images is not None and record.entity.image is not None:
                    self._images.put(record.entity.image)
            except (InvalidInput, UnreadableFile) as error:
                unreadable.append((record.entity, error))
            else:
                yield replace(record, entity=entity)

    @contextmanager
    def _freeing(self, candidates: Iterable[str]) -> Iterator[None]:
        """Afterwards remove those pictures that no row names; at the next opening, where this is cut short."""
        references = sorted({reference for reference in candidates if reference})
        if self._images is None or not references:
            yield
            return
        note = self._images.folder / f"unfinished-{uuid4().hex}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(references))
        yield
        self._free(references)
        note.unlink()

    def _free(self, references: Sequence[str]) -> None:
        if self._images is not None:
            self._images.discard(set(references) - self.layout.images_in_use(references))

    def _free_what_was_left(self) -> None:
        if self._images is None:
            return
        with self._held.lock:
            for note in self._images.folder.glob("unfinished-*.json"):
                with suppress(ValueError):  # cut short while it was written, so before anything that it announces
                    self._free(json.loads(note.read_text()))
                note.unlink()
