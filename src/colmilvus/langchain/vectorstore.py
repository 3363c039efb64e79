"""A vector store over a collection."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

from colmilvus.collection import Collection
from colmilvus.connection import Place
from colmilvus.embedder import Embedder
from colmilvus.embedders.segments import SegmentEmbedder, as_embedder
from colmilvus.errors import InvalidInput
from colmilvus.langchain.documents import (
    BEST_SEGMENTS,
    check_lengths,
    check_segments,
    documents_of,
)
from colmilvus.langchain.store_retriever import LateInteractionVectorStoreRetriever
from colmilvus.langchain.writes import StoreWrites

__all__ = ["LateInteractionVectorStore"]


class LateInteractionVectorStore(StoreWrites):
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

    **Metadata** come back as they went in, but for ``image`` where it names a picture that the collection keeps: that
    of a page, as ``PageLoader`` does, and with an embedder that sees also a path or a data URI. It comes back as the
    path of the kept one.

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
        check_segments(best_segments)
        super().__init__(collection, group_by)
        self.best_segments = best_segments

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
        uri: Place = "colmilvus.db",
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
        uri: Place = "colmilvus.db",
        collection_name: str = "langchain",
        group_by: str | None = None,
        **collection_options: Any,
    ) -> LateInteractionVectorStore:
        """Open or make a collection, and add documents to it, each under its own id or a new one; see from_texts."""
        listed = list(documents)
        given = collection_options.pop("ids", None) or [None] * len(listed)
        check_lengths(len(listed), ids=given)
        return cls.from_texts(
            [document.page_content for document in listed],
            embedding,
            [document.metadata for document in listed],
            ids=[name or document.id for name, document in zip(given, listed, strict=True)],
            uri=uri,
            collection_name=collection_name,
            group_by=group_by,
            **collection_options,
        )

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | Embedder,
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **options: Any,
    ) -> LateInteractionVectorStore:
        """As ``from_texts``, in a thread."""
        return await run_in_executor(None, partial(cls.from_texts, texts, embedding, metadatas, ids=ids, **options))

    @classmethod
    async def afrom_documents(
        cls, documents: Sequence[Document], embedding: Embeddings | Embedder, **options: Any
    ) -> LateInteractionVectorStore:
        """As ``from_documents``, in a thread."""
        return await run_in_executor(None, partial(cls.from_documents, documents, embedding, **options))

    def as_retriever(self, **kwargs: Any) -> LateInteractionVectorStoreRetriever:
        """A retriever: ``search_type`` as in ``search``, ``search_kwargs`` the arguments of that search.

        Wrong ones are refused at once. For scores in the metadata, and other arguments in each call, there is
        LateInteractionRetriever.
        """
        tags = [*(kwargs.pop("tags", None) or []), *self._get_retriever_tags()]
        return LateInteractionVectorStoreRetriever(vectorstore=self, tags=tags, **kwargs)
