"""Chunks as adapters know them: added, found and removed by ids of their own, whatever parents they lie in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from weakref import WeakValueDictionary

from colmilvus.collection import Collection
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, warn
from colmilvus.forks import Lock
from colmilvus.report import AddReport

__all__ = ["Add", "Chunks", "warn_of_unread"]

Add = Callable[[Sequence[Entity]], AddReport]
"""What stores entities; ``Collection.add`` with whatever else an adapter gives it."""


_locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
_locks_guard = Lock()


class Chunks:
    """The chunks of a collection, which are segments of their parents there; safe to be used by several threads."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        with _locks_guard:
            self._moving = _locks.setdefault(collection.place, Lock())

    @property
    def lock(self) -> Lock:
        """Held while chunks are moved, and by whoever replaces several things that belong together."""
        return self._moving

    def add(self, parents: Sequence[Entity], add: Add) -> list[str]:
        """Store chunks, the segments of these parents, merged with what is held of them; return the ids of those held.

        A chunk that is held under another parent leaves it. What the embedder cannot read is left out with a warning.
        Raises InvalidInput, before anything is stored, where one id would be that of a chunk and of a parent, or a
        parent is held without chunks.
        """
        for parent in parents:
            self._collection.check(parent)
        names = [part.id for parent in parents for part in parent.segments]
        with self._moving:  # of two who give a chunk two parents the last one wins, and none takes it away
            held = self._collection.segment_ids([parent.id for parent in parents])
            self._check_parents(held)
            elsewhere = self._check_new(parents, held)
            report = add(parents)
            warn_of_unread(report)
            for parent_id, moved in elsewhere.items():
                self._collection.delete([parent_id], segments=moved)
        return self._those_held(parents, names) if report.unreadable or report.failed else names

    def check_whole(self, ids: Sequence[str]) -> None:
        """Raise InvalidInput where one of these, which are to have no chunks, is the id of a chunk or of a parent."""
        for name, segments in self._collection.segment_ids(ids).items():
            if segments:
                raise InvalidInput(f"{name!r} is held with chunks, which would be lost; delete it, or take another id")
        for parent, held in self._collection.parents(ids).items():
            raise InvalidInput(
                f"{held[0]!r} is the id of a chunk of {parent!r}; open the store with the group_by= that it was made "
                "with, or give it another id"
            )

    def _check_parents(self, held: Mapping[str, Sequence[str]]) -> None:
        for name, segments in held.items():
            if not segments:
                raise InvalidInput(f"{name!r} is held without chunks, and would be lost to them; delete it first")

    def _check_new(self, parents: Sequence[Entity], held: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """The chunks that are new to their parents and held by others, by these.

        Raises InvalidInput where one id would be that of a chunk and of a parent, now or with what is held.
        """
        own = {parent.id: set(held.get(parent.id, ())) for parent in parents}
        owners = {part.id: parent.id for parent in parents for part in parent.segments}
        new = [name for name, owner in owners.items() if name not in own[owner]]
        new_parents = [name for name in own if name not in held]
        both = owners.keys() & own.keys()
        elsewhere = self._collection.parents([*new, *new_parents]) if new or new_parents else {}
        both |= {name for found in elsewhere.values() for name in found} & set(new_parents)
        if not both and new and self._collection.count({"$id": new}):
            both = {entity.id for entity in self._collection.get(new)}
        if both:
            raise InvalidInput(f"{min(both)!r} would be the id of a chunk and of a parent; give the chunk another id")
        moved = {parent: [name for name in found if owners.get(name) != parent] for parent, found in elsewhere.items()}
        return {parent: names for parent, names in moved.items() if names}

    def _those_held(self, parents: Sequence[Entity], ids: Sequence[str]) -> list[str]:
        """Those ids whose chunks are held as they are in these parents."""
        wanted = {part.id: part for parent in parents for part in parent.segments}
        held = self._collection.get([parent.id for parent in parents])
        same = {part.id for parent in held for part in parent.segments if wanted.get(part.id) == part}
        return [name for name in ids if name in same]

    def told_apart(self, ids: Sequence[str], *, is_grouped: bool) -> tuple[list[str], list[str]]:
        """The ids of entities, and those of chunks; an id of both is, where chunks are grouped, that of the chunk."""
        if isinstance(ids, str):
            raise InvalidInput(f"this takes a list of ids: [{ids!r}]")
        chunks = {name for held in self._collection.parents(ids).values() for name in held}
        if chunks and not is_grouped:
            chunks -= {entity.id for entity in self._collection.get([name for name in ids if name in chunks])}
        return [name for name in ids if name not in chunks], [name for name in ids if name in chunks]

    def get(self, ids: Sequence[str], *, is_grouped: bool) -> tuple[list[Entity], list[Entity]]:
        """The entities under these ids, and the parents of those that are ids of chunks."""
        whole, chunks = self.told_apart(ids, is_grouped=is_grouped)
        parents = self._collection.get(list(self._collection.parents(chunks))) if chunks else []
        return self._collection.get(whole), parents


def warn_of_unread(report: AddReport) -> None:
    """Warn of each entity that the embedder could not read."""
    for problem in report.unreadable:
        warn(f"not stored: {problem}; what is held under its id, if anything, stays as it is")
