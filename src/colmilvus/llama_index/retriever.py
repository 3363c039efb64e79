"""A retriever over a collection, for questions in words and in pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.image_retriever import BaseImageRetriever
from llama_index.core.schema import IndexNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index_instrumentation import get_dispatcher

from colmilvus.collection import Collection
from colmilvus.embedder import Query
from colmilvus.entity import MultiVector
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.filters import Filter
from colmilvus.llama_index.searches import BEST_SEGMENTS, Found, Mode, NodeSearch
from colmilvus.pdf import named_picture

__all__ = ["LateInteractionRetriever"]

dispatcher = get_dispatcher(__name__)


class LateInteractionRetriever(BaseRetriever, BaseImageRetriever):
    """Finds the pages of a collection that match a question best, as LlamaIndex nodes with scores, best first.

    ``filters`` is LlamaIndex's MetadataFilters, or a filter of ``Collection.search``. ``mode`` is one of
    ``Collection.search``, of VectorStoreQueryMode (default, hybrid, text_search, sparse, mmr), or None for the one that
    suits the embedder. ``per_document`` gives at most so many of one document; ``node_ids`` and ``doc_ids`` search
    among these alone, an empty list among none. ``alpha``, from 0 to 1, is the part of late interaction in "hybrid",
    one half if not given; ``mmr_threshold``, from 0, most diverse, to 1, and ``mmr_prefetch_k``, the number of
    candidates, are for "mmr". ``callback_manager``, ``objects``, ``object_map`` and ``verbose`` are LlamaIndex's own.

    A QueryBundle with an ``image_path`` asks with that picture; one with ``custom_embedding_strs``, as HyDE makes, by
    these texts together, in late interaction. The methods ``text_to_image_retrieve`` and ``image_to_image_retrieve``
    find only what has a picture. Asynchronous methods search in a thread and leave the event loop free.

    A page with a picture is a PageNode, one without a TextNode; ``node_id`` is the entity's id, ``ref_doc_id`` its
    document, ``metadata`` a copy of its metadata, ``score`` what the mode ranks by. A node that
    LateInteractionVectorStore has stored comes back as it was. An entity with segments is a DocumentNode with the text
    of its ``best_segments`` best, all of it with None, or with ``found="segments"`` the segments are nodes of their
    own, with the score of the document: of the documents in their order each gives its ``best_segments`` best,
    ``similarity_top_k`` in all.

    Raises InvalidQuery for ``similarity_top_k=0``, an unknown mode, a blank question and what a mode or an embedder
    cannot give, and Unsupported for the operator TEXT_MATCH_INSENSITIVE, which Milvus lacks: at construction what can
    be known then.

    >>> from colmilvus import Collection, Entity
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> with Collection("quays", StaticEmbedder(), uri="kb.db") as pages:
    ...     _ = pages.add([Entity("a", "a red boat"), Entity("b", "a green tree")])
    ...     [found.node_id for found in LateInteractionRetriever(pages, similarity_top_k=1).retrieve("boat")]
    ['a']
    """

    def __init__(
        self,
        collection: Collection,
        similarity_top_k: int = 4,
        *,
        filters: MetadataFilters | Filter | None = None,
        mode: Mode | None = None,
        per_document: int | None = None,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
        alpha: float | None = None,
        mmr_threshold: float = 0.5,
        mmr_prefetch_k: int | None = None,
        found: Found = "documents",
        best_segments: int | None = BEST_SEGMENTS,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
    ) -> None:
        if not isinstance(collection, Collection):
            raise InvalidInput(f"this takes a Collection, such as store.collection, not {type(collection).__name__}")
        self.collection = collection
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self.mode = mode
        self.per_document = per_document
        self.node_ids = node_ids
        self.doc_ids = doc_ids
        self.alpha = alpha
        self.mmr_threshold = mmr_threshold
        self.mmr_prefetch_k = mmr_prefetch_k
        self.found = found
        self.best_segments = best_segments
        self._asked().check()
        super().__init__(callback_manager, object_map, objects, verbose)

    def _asked(self, *, with_picture: bool = False) -> NodeSearch:
        return NodeSearch(
            self.collection,
            self.similarity_top_k,
            self.filters,
            self.mode,
            self.per_document,
            self.node_ids,
            self.doc_ids,
            self.alpha,
            self.mmr_threshold,
            self.mmr_prefetch_k,
            self.found,
            self.best_segments,
            with_picture,
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._search(query_bundle)

    @dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._search, query_bundle)

    def _text_to_image_retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._search(QueryBundle(query_bundle.query_str), with_picture=True)

    def _image_to_image_retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if not query_bundle.image_path:
            raise InvalidQuery("this asks with a picture: pass its path, or QueryBundle('', image_path=...)")
        return self._search(query_bundle, with_picture=True)

    async def _atext_to_image_retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._text_to_image_retrieve, query_bundle)

    async def _aimage_to_image_retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._image_to_image_retrieve, query_bundle)

    def _search(self, bundle: QueryBundle, *, with_picture: bool = False) -> list[NodeWithScore]:
        asked = self._asked(with_picture=with_picture)
        return asked.run(self._query(bundle, asked))

    def _query(self, bundle: QueryBundle, asked: NodeSearch) -> Query | MultiVector:
        if bundle.image_path and bundle.image_path.startswith(("http://", "https://")):
            raise InvalidQuery(f"{bundle.image_path}: an address is not fetched for a question; pass a file's path")
        if bundle.image_path:
            return named_picture(bundle.image_path) or Path(bundle.image_path)
        if bundle.custom_embedding_strs and not asked.is_of_words:
            return self._together(bundle.custom_embedding_strs)
        if not bundle.query_str.strip() and bundle.embedding:
            return MultiVector([bundle.embedding])
        return bundle.query_str

    def _together(self, texts: Sequence[str]) -> MultiVector:
        """The vectors of all texts: MaxSim with them is the sum of that with each."""
        if self.collection.embedder is None:
            raise InvalidQuery("custom_embedding_strs need an embedder: open the collection with its own")
        embedded = self.collection.embedder.embed_queries(list(texts))
        return MultiVector(np.concatenate([MultiVector.of(each).vectors for each in embedded]))
