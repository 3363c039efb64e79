"""A vector store over a collection."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from colmilvus.collection import Collection
from colmilvus.embedder import Embedder, reads_images
from colmilvus.embedders.segments import SegmentEmbedder, as_embedder
from colmilvus.errors import InvalidInput, Unsupported, warn
from colmilvus.langchain.documents import (
    BEST_SEGMENTS,
    documents_of,
    entities_of,
    gathered,
    segment_document,
    stored_document,
)
from colmilvus.langchain.filters import to_filter
from colmilvus.langchain.removed import RecallingEmbedder, RemovedVectors
from colmilvus.langchain.searches import StoreSearches
from colmilvus.langchain.store_retriever import LateInteractionVectorStoreRetriever

__all__ = ["LateInteractionVectorStore"]


class LateInteractionVectorStore(StoreSearches):
    """LangChain's vector store over a collection: documents and pages, found by late interaction.

    Setup:
        ``pip install 'colmilvus[embedded,langchain,pdf,static]'``, and the extra of the embedder. There is nothing to
        start: the database is a folder.

    Instantiate:
        With any multi-vector embedder, on a folder or on a Milvus server:

        >>> from colmilvus import Collection
        >>> from colmilvus.embedders.static import StaticEmbedder
        >>> store = LateInteractionVectorStore(Collection("notes", StaticEmbedder(), uri="kb.db"))

        Or in one step, also with LangChain's own Embeddings (one vector a document, or a chunk):

        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> plain = LateInteractionVectorStore.from_texts(
        ...     ["a red boat"], DeterministicFakeEmbedding(size=8), uri="kb.db", collection_name="plain"
        ... )

    Add documents:
        A document that is added under an id that is held already replaces it.

        >>> boats = Document("A red boat lies at the quay.", metadata={"source": "news", "year": 2025})
        >>> trees = Document("Green trees stand in rows.", metadata={"source": "blog", "year": 2021})
        >>> store.add_documents([boats, trees], ids=["boats", "trees"])
        ['boats', 'trees']

    Search:
        >>> [found.id for found in store.similarity_search("boat", k=1)]
        ['boats']
        >>> [found.id for found in store.similarity_search("boat", filter={"year": {"$lt": 2025}})]
        ['trees']
        >>> [found.id for found in store.similarity_search("boat", expr='source == "blog"')]
        ['trees']
        >>> [(found.id, score > 0) for found, score in store.similarity_search_with_score("boat", k=1)]
        [('boats', True)]

    Use in a chain:
        >>> from langchain_core.runnables import RunnableLambda
        >>> retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 1})
        >>> chain = retriever | RunnableLambda(lambda found: found[0].page_content)
        >>> chain.invoke("boat")
        'A red boat lies at the quay.'

    Delete:
        >>> store.delete(["boats"]), store.delete(source="blog"), store.collection.count()
        (True, True, 0)
        >>> store.collection.close(), plain.collection.close()
        (None, None)

    **Filters** are a dict of ``colmilvus.filters``, a Milvus expression, or a StructuredQuery; ``expr`` is another name
    of ``filter``. In an expression ``id``, ``document``, ``text``, ``metadata`` and the collection's typed fields are
    columns, and every other name is a key of the metadata.

    **Scores** are MaxSim (larger is better; for the metric L2 smaller). Relevance scores are (similarity + 1) / 2,
    where similarity is MaxSim by query vector, so that they do not depend on a question's length.

    **Metadata** come back as they went in. A page's picture, which ``PageLoader`` names under ``image``, is kept by the
    collection, and comes back under ``image`` as the path of the kept one.

    **Chunks of one parent**: with ``group_by="source"``, or any other key of the metadata, all documents with the same
    value are one entity with many segments, in a collection made with ``segments=True``. A hit is the parent, its text
    that of its ``best_segments`` best (all of it with None), each listed under ``segments`` in its metadata with id,
    text, similarity and metadata; filters see the metadata that all chunks of a parent share. By id, chunks are got
    and deleted one by one.

    ``collection`` is the core object. Raises InvalidInput for anything else, and for ``group_by`` in a collection
    without segments.
    """

    def __init__(
        self, collection: Collection, *, group_by: str | None = None, best_segments: int | None = BEST_SEGMENTS
    ) -> None:
        if not isinstance(collection, Collection):
            raise InvalidInput(
                "this takes a Collection, such as Collection('notes', StaticEmbedder()), not "
                f"{type(collection).__name__}; for LangChain's Embeddings there is from_documents"
            )
        if group_by is not None and not collection.spec.segments:
            raise InvalidInput(
                f"group_by={group_by!r} makes segments, and collection {collection.name!r} was made without; "
                "make it with segments=True"
            )
        if best_segments is not None and (isinstance(best_segments, bool) or best_segments < 1):
            raise InvalidInput(f"best_segments is a number from 1, or None for all, not {best_segments!r}")
        self.collection = collection
        self.group_by = group_by
        self.best_segments = best_segments
        self._removed = RemovedVectors()

    @property
    def embeddings(self) -> Embeddings | None:
        """The plain Embeddings that the store was made with, None for a multi-vector embedder."""
        model = getattr(self.collection.embedder, "model", None)
        is_plain = isinstance(self.collection.embedder, SegmentEmbedder) and isinstance(model, Embeddings)
        return model if is_plain else None

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | Embedder,
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        uri: str | Path = "colmilvus.db",
        collection_name: str = "langchain",
        group_by: str | None = None,
        best_segments: int | None = BEST_SEGMENTS,
        **collection_options: Any,
    ) -> LateInteractionVectorStore:
        """Open or make a collection, and add texts to it; ``collection_options`` are those of ``Collection``.

        ``embedding`` is a multi-vector embedder, or LangChain's Embeddings. Raises InvalidInput for an unknown option,
        and what ``add_texts`` raises; then nothing was added.
        """
        documents = documents_of(texts, metadatas, ids)
        known = inspect.signature(Collection).parameters.keys() - {"name", "embedder", "uri"}
        if unknown := sorted(collection_options.keys() - known):
            raise InvalidInput(f"no option {', '.join(unknown)}; there are uri, {', '.join(sorted(known))}")
        if group_by is not None:
            collection_options.setdefault("segments", True)
        collection = Collection(collection_name, as_embedder(embedding), uri=uri, **collection_options)
        try:
            store = cls(collection, group_by=group_by, best_segments=best_segments)
            store.add_documents(documents)
        except BaseException:
            collection.close()
            raise
        return store

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document],
        embedding: Embeddings | Embedder,
        *,
        uri: str | Path = "colmilvus.db",
        collection_name: str = "langchain",
        group_by: str | None = None,
        **collection_options: Any,
    ) -> LateInteractionVectorStore:
        """Open or make a collection, and add documents to it, each under its own id or a new one; see from_texts."""
        collection_options.setdefault("ids", [document.id for document in documents])
        return cls.from_texts(
            [document.page_content for document in documents],
            embedding,
            [document.metadata for document in documents],
            uri=uri,
            collection_name=collection_name,
            group_by=group_by,
            **collection_options,
        )

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
        listed = list(documents)
        entities = entities_of(listed, ids, sees=reads_images(self.collection.embedder), whole=self.group_by is None)
        for entity in entities:
            self.collection.check(entity)
        added = [entity.id for entity in entities]
        if self.group_by is not None:
            entities = gathered(entities, self.group_by)
        for entity in entities:
            self.collection.check(entity)
        embedder = self.collection.embedder
        if embedder is not None and len(self._removed):
            embedder = RecallingEmbedder(embedder, self._removed)
        report = self.collection.add(entities, progress=kwargs.get("progress", False), embedder=embedder)
        for problem in report.unreadable:
            warn(f"not stored: {problem}")
        if self.group_by is None:
            missing = {problem.id for problem in (*report.unreadable, *report.failed)}
            return [name for name in added if name not in missing]
        self._leave_other_parents({entity.id: {part.id for part in entity.segments} for entity in entities})
        return self._held_segments(added) if report.unreadable or report.failed else added

    def _leave_other_parents(self, added: Mapping[str, set[str]]) -> None:
        """Take chunks that have been given another parent out of the one that they had."""
        names = [name for segments in added.values() for name in segments]
        for parent, held in self.collection.parents(names).items():
            moved = [name for name in held if name not in added.get(parent, ())]
            if moved:
                self.collection.delete([parent], segments=moved)

    def _held_segments(self, ids: Sequence[str]) -> list[str]:
        held = {name for segments in self.collection.parents(ids).values() for name in segments}
        return [name for name in ids if name in held]

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents under these ids, in that order; ids that are not held are left out."""
        found = {entity.id: stored_document(entity) for entity in self.collection.get(ids)}
        missing = [name for name in ids if name not in found]
        if missing and self.collection.spec.segments:
            parents = self.collection.get(list(self.collection.parents(missing)))
            wanted = set(missing)
            found |= {
                segment.id: segment_document(segment)
                for parent in parents
                for segment in parent.segments
                if segment.id in wanted
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
        filters see parents. The vectors of what is removed by ids, up to 512 MiB, are remembered for when the same is
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
            self._removed.remember(self.collection, ids, ids)
            self.collection.delete(ids)
            self.collection.delete(segments=ids)
        elif source is not None:
            if self.group_by not in (None, "source"):
                raise Unsupported(f"source= where chunks are grouped by {self.group_by!r}; delete by ids or filter=")
            self.collection.delete(filter={"source": source})
        else:
            self.collection.delete(filter=given)
        return True

    def as_retriever(self, **kwargs: Any) -> LateInteractionVectorStoreRetriever:
        """A retriever: ``search_type`` as in ``search``, ``search_kwargs`` the arguments of that search.

        Wrong ones are refused at once. For scores in the metadata, and other arguments in each call, there is
        LateInteractionRetriever.
        """
        tags = [*(kwargs.pop("tags", None) or []), *self._get_retriever_tags()]
        return LateInteractionVectorStoreRetriever(vectorstore=self, tags=tags, **kwargs)
