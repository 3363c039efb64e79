"""What a vector store adds, gives back by id, and removes: whole documents, or chunks of one parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from colmilvus.chunks import Chunks, warn_of_unread
from colmilvus.collection import Collection
from colmilvus.embedder import reads_images
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, Unsupported
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


class StoreWrites(StoreSearches):
    """A vector store over a collection, but for how it is made; ``group_by`` is the metadata key of chunks' parents."""

    def __init__(self, collection: Collection, group_by: str | None) -> None:
        self.collection = collection
        self.group_by = group_by
        self._removed = RemovedVectors()
        self._chunks = Chunks(collection)

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
        self._chunks.check_whole(names)
        report = self._add(entities, progress)
        warn_of_unread(report)
        missing = {problem.id for problem in (*report.unreadable, *report.failed)}
        return [name for name in names if name not in missing]

    def _add_grouped(self, chunks: Sequence[Entity], progress: bool) -> list[str]:
        held = set(self._chunks.add(gathered(chunks, str(self.group_by)), lambda some: self._add(some, progress)))
        return [chunk.id for chunk in chunks if chunk.id in held]

    def _add(self, entities: Sequence[Entity], progress: bool) -> AddReport:
        embedder = self.collection.embedder
        if embedder is not None and len(self._removed):
            embedder = RecallingEmbedder(embedder, self._removed)
        return self.collection.add(entities, progress=progress, embedder=embedder)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents under these ids, in that order; ids that are not held are left out."""
        whole, parents = self._chunks.get(ids, is_grouped=self.group_by is not None)
        wanted = set(ids) - {entity.id for entity in whole}
        found = {entity.id: stored_document(entity) for entity in whole}
        found |= {
            part.id: segment_document(part) for parent in parents for part in parent.segments if part.id in wanted
        }
        return [found[name] for name in ids if name in found]

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
        is ``store.collection.clear()``), and Unsupported for a source where chunks are grouped by another key, as a
        parent may have chunks of several sources.
        """
        if kwargs:
            raise InvalidInput(f"no argument {', '.join(sorted(kwargs))}; there are ids, filter, expr, source")
        given, _ = to_filter(filter, expr, self.collection.spec.fields)
        if sum(value is not None for value in (ids, given, source)) != 1:
            raise InvalidInput("delete takes ids, or filter=, or source=; for everything there is collection.clear()")
        if ids is not None:
            whole, chunks = self._chunks.told_apart(ids, is_grouped=self.group_by is not None)
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
