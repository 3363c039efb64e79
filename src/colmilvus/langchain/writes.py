"""What a vector store adds, gives back by id, and removes: whole documents, or chunks of one parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.documents import Document

from colmilvus.collection import Collection
from colmilvus.embedder import reads_images
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, Unsupported, warn
from colmilvus.langchain.documents import (
    Pictures,
    documents_of,
    entities_of,
    gathered,
    segment_document,
    stored_document,
)
from colmilvus.langchain.filters import to_filter
from colmilvus.langchain.removed import RecallingEmbedder, RemovedVectors
from colmilvus.langchain.searches import StoreSearches
from colmilvus.report import AddReport

__all__ = ["StoreWrites"]


class _Lock:
    """A lock that can be held weakly."""

    def __init__(self) -> None:
        self.lock = RLock()


_locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
_locks_guard = RLock()


class StoreWrites(StoreSearches):
    """A vector store over a collection, but for how it is made; ``group_by`` is the metadata key of chunks' parents."""

    def __init__(self, collection: Collection, group_by: str | None) -> None:
        self.collection = collection
        self.group_by = group_by
        self._removed = RemovedVectors()
        with _locks_guard:
            self._grouping = _locks.setdefault(collection.place, _Lock())

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts, each with its metadata and under its id, or a new one; see add_documents."""
        return self.add_documents(documents_of(texts, metadatas, ids), **kwargs)

    def add_documents(
        self, documents: Sequence[Document], *, ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add documents, or replace those under the same ids, and return the ids of all that are stored, in order.

        What is stored already as it is, is left alone and not embedded again. The ids are those given, else the
        documents' own, else new ones. ``batch_size``, which LangChain's indexing passes, is taken and not needed;
        ``progress=True`` shows a bar.

        Before anything is stored, raises InvalidInput for lists of different lengths, an id that comes twice and an
        unknown argument, InvalidEntity for metadata that JSON cannot hold and for what a Milvus server would not take,
        and UnreadableFile for a picture that is not there. What the embedder cannot read, such as an empty text, is
        left out with a warning.
        """
        if unknown := sorted(kwargs.keys() - {"batch_size", "progress"}):
            raise InvalidInput(f"no argument {', '.join(unknown)}; there are ids, batch_size, progress")
        is_grouped = self.group_by is not None
        pictures = Pictures(seen=reads_images(self.collection.embedder), kept=self.collection.keeps_images)
        entities = entities_of(list(documents), ids, None if is_grouped else pictures)
        for entity in entities:
            self.collection.check(entity)
        progress = bool(kwargs.get("progress", False))
        return self._add_grouped(entities, progress) if is_grouped else self._add_whole(entities, progress)

    def _add_whole(self, entities: Sequence[Entity], progress: bool) -> list[str]:
        names = [entity.id for entity in entities]
        for parent, held in self.collection.parents(names).items():
            raise InvalidInput(
                f"{held[0]!r} is the id of a chunk of {parent!r}; open the store with the group_by= that it was made "
                "with, or give the document another id"
            )
        report = self._add(entities, progress)
        missing = {problem.id for problem in (*report.unreadable, *report.failed)}
        return [name for name in names if name not in missing]

    def _add_grouped(self, chunks: Sequence[Entity], progress: bool) -> list[str]:
        parents = gathered(chunks, str(self.group_by))
        for parent in parents:
            self.collection.check(parent)
        self._check_ids([chunk.id for chunk in chunks], [parent.id for parent in parents])
        with self._grouping.lock:  # of two who give a chunk two parents the last one wins, and none takes it away
            report = self._add(parents, progress)
            added = {parent.id: {part.id for part in parent.segments} for parent in parents}
            self._leave_other_parents(added)
        names = [chunk.id for chunk in chunks]
        return self._those_held(parents, names) if report.unreadable or report.failed else names

    def _check_ids(self, chunks: Sequence[str], parents: Sequence[str]) -> None:
        """Raise InvalidInput where one id would be that of a chunk and of a parent, now or with what is held."""
        both = set(chunks) & set(parents) or {
            name for held in self.collection.parents(parents).values() for name in held
        }
        if not both and self.collection.count({"$id": list(chunks)}):
            both = {entity.id for entity in self.collection.get(chunks)}
        if both:
            name = min(both)
            raise InvalidInput(f"{name!r} would be the id of a chunk and of a parent; give the chunk another id")

    def _add(self, entities: Sequence[Entity], progress: bool) -> AddReport:
        embedder = self.collection.embedder
        if embedder is not None and len(self._removed):
            embedder = RecallingEmbedder(embedder, self._removed)
        report = self.collection.add(entities, progress=progress, embedder=embedder)
        for problem in report.unreadable:
            warn(f"not stored: {problem}; what is held under its id, if anything, stays as it is")
        return report

    def _leave_other_parents(self, added: Mapping[str, set[str]]) -> None:
        """Take chunks that have been given another parent out of the one that they had."""
        names = [name for segments in added.values() for name in segments]
        for parent, held in self.collection.parents(names).items():
            moved = [name for name in held if name not in added.get(parent, ())]
            if moved:
                self.collection.delete([parent], segments=moved)

    def _those_held(self, parents: Sequence[Entity], ids: Sequence[str]) -> list[str]:
        """Those ids whose chunks are held as they are in these parents."""
        wanted = {part.id: part for parent in parents for part in parent.segments}
        held = self.collection.get([parent.id for parent in parents])
        same = {part.id for parent in held for part in parent.segments if wanted.get(part.id) == part}
        return [name for name in ids if name in same]

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents under these ids, in that order; ids that are not held are left out."""
        whole, chunks = self._told_apart(ids)
        found = {entity.id: stored_document(entity) for entity in self.collection.get(whole)}
        if chunks:
            wanted = set(chunks)
            parents = self.collection.get(list(self.collection.parents(chunks)))
            parts = (part for parent in parents for part in parent.segments if part.id in wanted)
            found |= {part.id: segment_document(part) for part in parts}
        return [found[name] for name in ids if name in found]

    def _told_apart(self, ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """The ids of entities, and those of chunks; an id of both is, where chunks are grouped, that of the chunk."""
        if isinstance(ids, str):
            raise InvalidInput(f"this takes a list of ids: [{ids!r}]")
        chunks = {name for held in self.collection.parents(ids).values() for name in held}
        if chunks and self.group_by is None:
            chunks -= {entity.id for entity in self.collection.get([name for name in ids if name in chunks])}
        return [name for name in ids if name not in chunks], [name for name in ids if name in chunks]

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Any = None,
        expr: str | None = None,
        source: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Remove documents by id, by filter, or all of one source (the value of ``source`` in their metadata); True.

        Ids that are not held are no error. Where chunks are grouped, ids are those of chunks or of whole parents, and
        filters see parents. The vectors of what is removed by ids, up to 256 MiB, are remembered for when the same is
        added again, as LangChain's indexing does.

        Raises InvalidInput where nothing says what to remove, or more than one thing does (to remove everything there
        is ``store.collection.drop()``), and Unsupported for a source where chunks are grouped by another key, as a
        parent may have chunks of several sources.
        """
        if kwargs:
            raise InvalidInput(f"no argument {', '.join(sorted(kwargs))}; there are ids, filter, expr, source")
        given, _ = to_filter(filter, expr, self.collection.spec.fields)
        if sum(value is not None for value in (ids, given, source)) != 1:
            raise InvalidInput("delete takes ids, or filter=, or source=; for everything there is collection.drop()")
        if ids is not None:
            whole, chunks = self._told_apart(ids)
            self._removed.remember(self.collection, whole, chunks)
            self.collection.delete(whole)
            if chunks:
                self.collection.delete(segments=chunks)
        elif source is not None:
            self._delete_source(source)
        else:
            self.collection.delete(filter=given)
        return True

    def _delete_source(self, source: str) -> None:
        if self.group_by not in (None, "source"):
            raise Unsupported(f"source= where chunks are grouped by {self.group_by!r}; delete by ids or filter=")
        if self.group_by is None:
            self.collection.delete(filter={"source": source})
        else:
            self.collection.delete([str(source)])
