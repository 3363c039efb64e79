"""Entities with their pictures: the rows in Milvus, the pictures in a folder, and neither without the other."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from colmilvus.entity import Entity, ImageLike
from colmilvus.errors import ColmilvusError, InvalidInput, UnreadableFile
from colmilvus.images import ImageStore
from colmilvus.layouts.rows import Record
from colmilvus.layouts.struct_array import Stored, StructArrayLayout

__all__ = ["EntityStore"]


class _Lock:
    """A lock that can be held weakly."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
_locks_guard = threading.Lock()


class EntityStore:
    """The rows of a layout together with the pictures that they name; without ``images`` pictures are not kept."""

    def __init__(self, layout: StructArrayLayout, images: ImageStore | None) -> None:
        self.layout = layout
        self._images = images
        # One lock a folder: a picture that nobody names any more must not be removed while another thread, or another
        # collection object, is about to name it again.
        with _locks_guard:
            self._pictures = _locks.setdefault(str(images.folder) if images else f"no folder {id(self)}", _Lock())

    def write(self, records: Sequence[Record], stored: dict[str, Stored]) -> list[tuple[Entity, ColmilvusError]]:
        """Store records, pictures first, and free what they replace. Returns those whose picture cannot be read."""
        with self._pictures.lock:
            unreadable: list[tuple[Entity, ColmilvusError]] = []
            written = []
            for record in records:
                try:
                    written.append(replace(record, entity=self._with_reference(record.entity)))
                except (InvalidInput, UnreadableFile) as error:
                    unreadable.append((record.entity, error))
            self.layout.write(written, stored)
            self._free(stored[record.entity.id].image for record in written if record.entity.id in stored)
        return unreadable

    def delete(self, expression: str) -> None:
        """Remove the rows that match, and the pictures that no other row names."""
        with self._pictures.lock:
            self._free(self.layout.delete(expression))

    def drop_pictures(self) -> None:
        """Remove all pictures of the collection."""
        if self._images is not None:
            with self._pictures.lock:
                self._images.discard(list(self._images.references()))

    def hydrated(self, entity: Entity) -> Entity:
        """The entity with its picture as a path, None where pictures are not kept."""
        image: ImageLike | None = None
        if self._images is not None and isinstance(entity.image, str):
            image = self._images.path(entity.image)
        return replace(entity, image=image)

    def _with_reference(self, entity: Entity) -> Entity:
        if entity.image is None or self._images is None:
            return replace(entity, image=None)
        return replace(entity, image=self._images.put(entity.image))

    def _free(self, references: Iterable[str]) -> None:
        candidates = {reference for reference in references if reference}
        if candidates and self._images is not None:
            self._images.discard(candidates - self.layout.images_in_use(candidates))
