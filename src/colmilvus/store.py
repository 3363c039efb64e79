"""Entities with their pictures: rows in Milvus, pictures in an ImageStore, and no picture that no row names."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from uuid import uuid4
from weakref import WeakValueDictionary

from colmilvus.digest import digest_of
from colmilvus.entity import Entity, ImageLike, MultiVector
from colmilvus.errors import ColmilvusError, DatabaseError, InvalidInput, UnreadableFile
from colmilvus.forks import Lock
from colmilvus.gathering import merged, merged_vectors, without
from colmilvus.image_store import ImageStore
from colmilvus.layouts.layout import Layout, Stored
from colmilvus.layouts.rows import Record

__all__ = ["Change", "EntityStore", "Stored"]

GONE = "was removed by somebody else while it was being added; add it again"
ABANDONED = 3600.0
"""Seconds after which what another process began, of which it cannot be told whether it lives, counts as cut short."""
IDS = 500
"""Entities removed in one request."""


@dataclass(frozen=True)
class Change:
    """An entity that is to be stored, or of one with segments those that are new, with their vectors.

    ``vectors`` None is for one whose segments are all held, and whose metadata, text or picture is new. ``digest`` None
    is for one that is given in part.
    """

    entity: Entity
    vectors: MultiVector | None
    digest: str | None

    @property
    def is_partial(self) -> bool:
        """Whether more of the entity may be held, which stays."""
        return bool(self.entity.segments) or self.vectors is None


_locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
_locks_guard = Lock()


class EntityStore:
    """The rows of a layout together with the pictures that they name; without ``images`` pictures are not kept.

    ``place`` says which collection of which database this is. Whatever this process writes to one place is written
    under one lock, because a write is several requests: what is held is read, pictures and rows are written, and what
    they replace is freed.
    """

    def __init__(self, layout: Layout, images: ImageStore | None, place: str) -> None:
        self.layout = layout
        self._images = images
        self.place = place
        with _locks_guard:
            self._held = _locks.setdefault(place, Lock())
        self._free_what_was_left()

    def for_tenant(self, name: str, layout: Layout) -> EntityStore:
        """What one tenant has, its pictures in a folder of their own: what one frees no other needs."""
        own = hashlib.sha256(name.encode()).hexdigest()[:32]
        images = None if self._images is None else self._images.within(own)
        return EntityStore(layout, images, f"{self.place} {own}")

    def write(self, changes: Sequence[Change]) -> tuple[dict[str, Stored], list[tuple[Entity, ColmilvusError]]]:
        """Store entities, pictures first, and free what they replace.

        One with segments is merged with what is held of it, if that has the same version. Returns what was held under
        the ids before, and the entities that were not stored, as their picture cannot be read or what was to be changed
        is gone.
        """
        with self._held:
            stored = self.layout.stored([change.entity.id for change in changes])
            referring, unreadable = self._referring(changes)
            touched = [entity.image for entity, _ in referring] + [before.image for before in stored.values()]
            with self._freeing(image for image in touched if isinstance(image, str)) as named:
                drawn = list(self._drawn(referring, unreadable))
                records = list(self._records(drawn, stored))
                self.layout.write(records, stored)
                named.update(record.entity.image for record in records)
        written = {record.entity.id for record in records}
        gone = [(change.entity, DatabaseError(GONE)) for change in drawn if change.entity.id not in written]
        return stored, [*unreadable, *gone]

    def put(self, records: Sequence[Record], source: EntityStore) -> None:
        """Store records as they are, in place of what is held under their ids, with the pictures of ``source``.

        Their pictures are references to what that has.
        """
        with self._held:
            stored = self.layout.stored([record.entity.id for record in records])
            wanted = {record.entity.image for record in records if isinstance(record.entity.image, str)}
            with self._freeing({*wanted, *(before.image for before in stored.values())}) as named:
                for reference in wanted:
                    if self._images is not None and source._images is not None:
                        self._images.adopt(reference, source._images)
                self.layout.write(records, stored)
                named.update(wanted)

    def has_picture(self, reference: str) -> bool:
        """Whether pictures are kept, and the one of this reference has not disappeared."""
        return self._images is not None and self._images.has(reference)

    def _records(self, changes: Sequence[Change], stored: Mapping[str, Stored]) -> Iterator[Record]:
        """The changes as they are to lie in rows, each with what is held of its entity and stays."""
        sizes = {
            change.entity.id: before.sizes
            for change in changes
            if change.is_partial
            and (before := stored.get(change.entity.id))
            and before.version == change.entity.version
        }
        held = self.layout.contents(sizes) if sizes else {}
        for change in changes:
            name = change.entity.id
            if name in held and held[name][0].segments:
                yield _with_what_is_held(change, *held[name])
            elif change.vectors is not None:
                yield Record(change.entity, change.vectors, {"digest": change.digest})

    def delete_segments(self, ids: Iterable[str], of: Iterable[str] | None = None) -> int:
        """Remove these segments from the entities that have them, and entities that have no others; return how many.

        ``of`` has the ids of the entities that are meant, None for all.
        """
        wanted = frozenset(ids)
        with self._held:
            holding = self.layout.holding(sorted(wanted))
            meant = holding.keys() if of is None else holding.keys() & set(of)
            held = self.layout.contents({name: holding[name] for name in sorted(meant)})
            for name, (entity, vectors) in held.items():
                left = without(entity, vectors, wanted)
                if left is None:
                    self.delete([name])
                else:
                    self.layout.write([Record(*left, _internal(left[0]))], self.layout.stored([name]))
        return sum(segment.id in wanted for entity, _ in held.values() for segment in entity.segments)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove the entities under these ids, and the pictures that no other names; return how many there were."""
        parts = [self.layout.having(ids[start : start + IDS]) for start in range(0, len(ids), IDS)]
        return sum(self._delete_rows(expression) for expression in parts)

    def delete_matching(self, expression: str) -> int:
        """Remove the entities of which a row matches, with all their rows, as ``delete`` does."""
        if not self.layout.spec.segments:
            return self._delete_rows(expression)
        with self._held:
            return self.delete(self.layout.ids(expression))

    def _delete_rows(self, expression: str) -> int:
        with self._held:
            removed = self.layout.count(expression)
            if removed:
                with self._freeing(self.layout.images(expression)):
                    self.layout.delete(expression)
        return removed

    def remove_outdated(self, versions: Mapping[str, str], keep: Callable[[str], bool]) -> int:
        """Remove what comes from another version of its document than the one given, but for the ids to keep."""
        with self._held:
            return self.delete([name for name in self.layout.outdated(versions) if not keep(name)])

    def clear(self) -> None:
        """Remove all entities and their pictures; the collection stays."""
        with self._held, self._freeing(self.layout.images("part >= 0")):
            self.layout.clear()

    def drop(self) -> None:
        """Remove the collection with all its pictures."""
        with self._held:
            self.layout.drop()
            if self._images is not None:
                self._images.remove_all()

    def reference(self, image: ImageLike | None) -> str | None:
        """The reference that a picture is, or would be, kept under; None where there is none, or none is kept."""
        return None if image is None or self._images is None else self._images.reference(image)

    @property
    def keeps_images(self) -> bool:
        return self._images is not None

    def will_draw(self, image: ImageLike) -> bool:
        """Whether a picture has to be drawn to be kept: where pictures are kept, and this one is not yet."""
        return self._images is not None and not self._images.has(self._images.reference(image))

    def lacks_picture(self, entity: Entity, stored: Stored) -> bool:
        """Whether the entity has a picture, pictures are kept, and this one is not, or has disappeared."""
        if entity.image is None or self._images is None:
            return False
        return not stored.image or not self._images.has(stored.image)

    def hydrated(self, entity: Entity) -> Entity:
        """The entity with its picture as it is handed out, None where pictures are not kept."""
        if self._images is None or not isinstance(entity.image, str):
            return replace(entity, image=None)
        return replace(entity, image=self._images.picture(entity.image))

    def _referring(
        self, changes: Sequence[Change]
    ) -> tuple[list[tuple[Entity, Change]], list[tuple[Entity, ColmilvusError]]]:
        """Each change with its entity as it is stored, its picture a reference that nothing may lie under yet."""
        referring: list[tuple[Entity, Change]] = []
        unreadable: list[tuple[Entity, ColmilvusError]] = []
        for change in changes:
            entity = change.entity
            try:
                kept = self.reference(entity.image)
            except (InvalidInput, UnreadableFile) as error:
                unreadable.append((entity, error))
            else:
                referring.append((replace(entity, image=kept), change))
        return referring, unreadable

    def _drawn(
        self, referring: Iterable[tuple[Entity, Change]], unreadable: list[tuple[Entity, ColmilvusError]]
    ) -> Iterator[Change]:
        for entity, change in referring:
            try:
                if self._images is not None and change.entity.image is not None:
                    self._images.put(change.entity.image)
            except (InvalidInput, UnreadableFile) as error:
                unreadable.append((change.entity, error))
            else:
                yield replace(change, entity=entity)

    @contextmanager
    def _freeing(self, candidates: Iterable[str]) -> Iterator[set[object]]:
        """Afterwards remove those pictures that no row names; at the next opening, where this is cut short.

        The caller puts those into the set that a row is known to name.
        """
        references = sorted({reference for reference in candidates if reference})
        named: set[object] = set()
        if self._images is None or not references:
            yield named
            return
        note = f"unfinished-{uuid4().hex}.json"
        self._images.leave_note(note, json.dumps([_owner(), references, time.time()]))
        yield named
        self._free([reference for reference in references if reference not in named])
        self._images.remove_note(note)

    def _free(self, references: Sequence[str]) -> None:
        if self._images is not None and references:
            self._images.discard(set(references) - self.layout.images_in_use(references))

    def _free_what_was_left(self) -> None:
        if self._images is None:
            return
        with self._held:
            for note, text in self._images.notes():
                if note.startswith("unfinished-"):
                    with suppress(OSError):  # where pictures may only be read, nothing is freed
                        self._finish(self._images, note, text)
            self._images.remove_unfinished(ABANDONED)

    def _finish(self, images: ImageStore, note: str, text: str) -> None:
        try:
            owner, references, began = json.loads(text)
        except ValueError:  # damaged
            owner, references, began = _owner(), [], 0.0
        if owner == _owner() or _has_ended(owner) or time.time() - began > ABANDONED:
            self._free(references)
            images.remove_note(note)


def _owner() -> str:
    """This process, which is another once it was forked."""
    return f"{socket.gethostname()} {os.getpid()}"


def _has_ended(owner: str) -> bool:
    """Whether a process of this machine is there no more; False where that cannot be told."""
    host, _, number = owner.rpartition(" ")
    if host != socket.gethostname() or sys.platform == "win32":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:  # of another user
        return False
    return False


def _with_what_is_held(change: Change, held: Entity, vectors: MultiVector) -> Record:
    entity = merged(held, change.entity)
    added = [] if change.vectors is None else [(change.entity.segments, change.vectors)]
    return Record(entity, merged_vectors(entity.segments, (held.segments, vectors), *added), _internal(entity))


def _internal(entity: Entity) -> dict[str, str | None]:
    """The digest that an entity with these contents has when it is added; unknown with a picture that is stored."""
    return {"digest": None if entity.image is not None else digest_of(entity)}
