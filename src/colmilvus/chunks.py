"""Chunks as adapters know them: added, found and removed by ids of their own, whatever parents they lie in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from weakref import WeakValueDictionary

from colmilvus.collection import Collection
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, warn
from colmilvus.report import AddReport

__all__ = ["Add", "Chunks", "warn_of_unread"]

Add = Callable[[Sequence[Entity]], AddReport]
"""What stores entities; ``Collection.add`` with whatever else an adapter gives it."""


class _Lock:
    """A lock that can be held weakly."""

    def __init__(self) -> None:
        self.lock = RLock()


_locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
_locks_guard = RLock()


class Chunks:
    """The chunks of a collection, which are segments of their parents there; safe to be used by several threads."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        with _locks_guard:
            self._moving = _locks.setdefault(collection.place, _Lock())

    def add(self, parents: Sequence[Entity], add: Add) -> list[str]:
        """Store chunks, the segments of these parents, merged with what is held of them; return the ids of those held.

        A chunk that is held under another parent leaves it. What the embedder cannot read is left out with a warning.
        Raises InvalidInput, before anything is stored, where one id would be that of a chunk and of a parent.
        """
        for parent in parents:
            self._collection.check(parent)
        names = [part.id for parent in parents for part in parent.segments]
        self._check_ids(names, [parent.id for parent in parents])
        with self._moving.lock:  # of two who give a chunk two parents the last one wins, and none takes it away
            report = add(parents)
            warn_of_unread(report)
            self._leave_other_parents({parent.id: {part.id for part in parent.segments} for parent in parents})
        return self._those_held(parents, names) if report.unreadable or report.failed else names

    def check_whole(self, ids: Sequence[str]) -> None:
        """Raise InvalidInput where one of these, which are to be entities of their own, is the id of a chunk."""
        for parent, held in self._collection.parents(ids).items():
            raise InvalidInput(
                f"{held[0]!r} is the id of a chunk of {parent!r}; open the store with the group_by= that it was made "
                "with, or give it another id"
            )

    def _check_ids(self, chunks: Sequence[str], parents: Sequence[str]) -> None:
        """Raise InvalidInput where one id would be that of a chunk and of a parent, now or with what is held."""
        both = set(chunks) & set(parents) or {
            name for held in self._collection.parents(parents).values() for name in held
        }
        if not both and self._collection.count({"$id": list(chunks)}):
            both = {entity.id for entity in self._collection.get(chunks)}
        if both:
            name = min(both)
            raise InvalidInput(f"{name!r} would be the id of a chunk and of a parent; give the chunk another id")

    def _leave_other_parents(self, added: Mapping[str, set[str]]) -> None:
        """Take chunks that have been given another parent out of the one that they had."""
        names = [name for segments in added.values() for name in segments]
        for parent, held in self._collection.parents(names).items():
            moved = [name for name in held if name not in added.get(parent, ())]
            if moved:
                self._collection.delete([parent], segments=moved)

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
