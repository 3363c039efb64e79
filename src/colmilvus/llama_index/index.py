"""An index over a collection, whose store embeds by itself and whose documents outlive the process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.indices import VectorStoreIndex
from llama_index.core.ingestion.pipeline import arun_transformations, run_transformations
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, Document, IndexNode, MetadataMode, TransformComponent
from llama_index.core.settings import Settings
from llama_index.core.storage.storage_context import StorageContext

from colmilvus.collection import Collection
from colmilvus.errors import InvalidInput, Unsupported, warn
from colmilvus.llama_index.embedding import EmbedInStore
from colmilvus.llama_index.pictures import has_picture
from colmilvus.llama_index.retriever import LateInteractionRetriever
from colmilvus.llama_index.searches import BEST_SEGMENTS, Found
from colmilvus.llama_index.transformations import KeepPages
from colmilvus.llama_index.vectorstore import QUERY_ARGUMENTS, LateInteractionVectorStore

__all__ = ["LateInteractionIndex", "as_index"]

TOP_K = 2
"""Nodes of a search, LlamaIndex's own default for an index."""
PASSED_ON = ("filters", "alpha", "doc_ids", "node_ids", "verbose", "per_document", "mmr_threshold", "mmr_prefetch_k")


def as_index(
    collection: Collection | LateInteractionVectorStore,
    *,
    group_by: Literal["ref_doc_id"] | None = None,
    found: Found = "documents",
    best_segments: int | None = BEST_SEGMENTS,
    transformations: Sequence[TransformComponent] | None = None,
    objects: Sequence[IndexNode] | None = None,
    show_progress: bool = False,
) -> LateInteractionIndex:
    """An index over a collection, or over a store of one, that asks for no ``embed_model``.

    ``group_by``, ``found`` and ``best_segments`` are those of LateInteractionVectorStore, ``transformations`` what
    ``insert`` makes nodes of documents with: those of LlamaIndex's Settings if none are given, and pages stay whole.

    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> with Collection("shelf", StaticEmbedder(), uri="kb.db") as shelf:
    ...     index = as_index(shelf)
    ...     index.insert(Document(text="The red boat lies at the quay.", metadata={"year": 2025}))
    ...     [found.text for found in index.as_retriever(similarity_top_k=1).retrieve("boat")]
    ['The red boat lies at the quay.']
    """
    if isinstance(collection, LateInteractionVectorStore):
        if (group_by, found, best_segments) != (None, "documents", BEST_SEGMENTS):
            raise InvalidInput("group_by, found and best_segments are said where the store is made; leave them out")
        store = collection
    else:
        store = LateInteractionVectorStore(collection, group_by=group_by, found=found, best_segments=best_segments)
    return LateInteractionIndex(
        nodes=[],
        objects=objects,
        storage_context=StorageContext.from_defaults(vector_store=store),
        transformations=None if transformations is None else list(transformations),
        show_progress=show_progress,
    )


class LateInteractionIndex(VectorStoreIndex):
    """LlamaIndex's VectorStoreIndex over a LateInteractionVectorStore, which embeds by itself.

    All that nodes hold lies in the store: nothing is kept in the process beside it, nodes with a picture and no text
    are stored too, and ``refresh_ref_docs`` knows what an earlier process has stored. ``update_ref_doc`` removes a
    document's old nodes once the new ones are stored. ``as_retriever`` gives a LateInteractionRetriever.

    Raises InvalidInput where the storage context has another store.
    """

    def __init__(
        self,
        nodes: Sequence[BaseNode] | None = None,
        *,
        storage_context: StorageContext | None = None,
        transformations: list[TransformComponent] | None = None,
        **kwargs: Any,
    ) -> None:
        store = None if storage_context is None else storage_context.vector_store
        if not isinstance(store, LateInteractionVectorStore):
            raise InvalidInput(
                "this index is over a LateInteractionVectorStore: as_index(collection), or "
                f"storage_context=StorageContext.from_defaults(vector_store=store), not {type(store).__name__}"
            )
        self._store = store
        kwargs["embed_model"] = EmbedInStore()
        super().__init__(nodes, storage_context=storage_context, transformations=_keeping(transformations), **kwargs)

    @classmethod
    def from_documents(  # type: ignore[override]  # LlamaIndex's is generic
        cls,
        documents: Sequence[Document],
        storage_context: StorageContext | None = None,
        transformations: list[TransformComponent] | None = None,
        **kwargs: Any,
    ) -> LateInteractionIndex:
        """An index with these documents in it; ``as_index(...).refresh_ref_docs`` stores only what is new."""
        return super().from_documents(
            documents, storage_context=storage_context, transformations=_keeping(transformations), **kwargs
        )

    @property
    def collection(self) -> Collection:
        """The collection that the index is over."""
        return self._store.collection

    def as_retriever(self, **kwargs: Any) -> LateInteractionRetriever:
        """A retriever, with LlamaIndex's own arguments for one, and those of LateInteractionRetriever.

        These are ``similarity_top_k``, ``vector_store_query_mode`` or ``mode``, ``filters``, ``alpha``, ``doc_ids``,
        ``node_ids``, ``hybrid_top_k``, and, also within ``vector_store_kwargs``, ``per_document``, ``mmr_threshold``,
        ``mmr_prefetch_k`` and ``mmr_prefetch_factor``. Others are not looked at, as those of engines come here too, but
        within ``vector_store_kwargs`` they raise InvalidInput, and ``sparse_top_k`` raises Unsupported.
        """
        if kwargs.get("sparse_top_k") is not None:
            raise Unsupported(f"sparse_top_k={kwargs['sparse_top_k']!r}: this store has no such thing; leave it out")
        of_store = kwargs.get("vector_store_kwargs") or {}
        if unknown := sorted(of_store.keys() - set(QUERY_ARGUMENTS)):
            raise InvalidInput(
                f"no {', '.join(unknown)} in vector_store_kwargs; there are {', '.join(QUERY_ARGUMENTS)}"
            )
        given = {**kwargs, **of_store}
        mode = given.get("mode", given.get("vector_store_query_mode"))
        fused = given.get("hybrid_top_k") if mode == "hybrid" else None
        top_k = given.get("similarity_top_k", TOP_K) if fused is None else fused
        if given.get("mmr_prefetch_factor") is not None:
            given.setdefault("mmr_prefetch_k", int(given["mmr_prefetch_factor"] * top_k))
        return LateInteractionRetriever(
            self._store.collection,
            top_k,
            mode=mode,
            found=given.get("found", self._store.found),
            best_segments=given.get("best_segments", self._store.best_segments),
            callback_manager=given.get("callback_manager", self._callback_manager),
            object_map=self._object_map,
            **{name: given[name] for name in PASSED_ON if name in given},
        )

    def build_index_from_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> IndexDict:
        """Store the nodes but for those that hold nothing, neither text nor picture, of which it warns."""
        held = [node for node in nodes if has_picture(node) or node.get_content(metadata_mode=MetadataMode.EMBED)]
        if len(held) < len(nodes):
            warn(f"{len(nodes) - len(held)} of {len(nodes)} nodes have neither text nor picture and are left out")
        return self._build_index_from_nodes(held, **insert_kwargs)

    def _add_nodes_to_index(
        self,
        index_struct: IndexDict,  # noqa: ARG002 - LlamaIndex's signature
        nodes: Sequence[BaseNode],
        show_progress: bool = False,
        **insert_kwargs: Any,
    ) -> None:
        # not into the index's own structure and docstore: as_retriever would then hide all other nodes
        if nodes:
            self._store.add(nodes, **({"show_progress": True} if show_progress else {}), **insert_kwargs)

    async def _async_add_nodes_to_index(
        self, index_struct: IndexDict, nodes: Sequence[BaseNode], show_progress: bool = False, **insert_kwargs: Any
    ) -> None:
        await asyncio.to_thread(self._add_nodes_to_index, index_struct, nodes, show_progress, **insert_kwargs)

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Store a document's new nodes, then remove those that it had and has no more."""
        with self._callback_manager.as_trace("update_ref_doc"):
            self._replace([document], self._parsed([document]), update_kwargs)

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """As ``update_ref_doc``, in a thread but for the transformations."""
        with self._callback_manager.as_trace("aupdate_ref_doc"):
            nodes = await self._aparsed([document])
            await asyncio.to_thread(self._replace, [document], nodes, update_kwargs)

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Store the documents that are new or have changed, and say of each whether it was one of these.

        What an earlier process has stored counts. All nodes are embedded together, and old ones are removed last.
        """
        with self._callback_manager.as_trace("refresh_ref_docs"):
            changed = self._changed(documents)
            self._replace(changed, self._parsed(changed), update_kwargs)
            return _each_in(documents, changed)

    async def arefresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """As ``refresh_ref_docs``, in a thread but for the transformations."""
        with self._callback_manager.as_trace("arefresh_ref_docs"):
            changed = await asyncio.to_thread(self._changed, documents)
            nodes = await self._aparsed(changed)
            await asyncio.to_thread(self._replace, changed, nodes, update_kwargs)
            return _each_in(documents, changed)

    def _parsed(self, documents: Sequence[Document]) -> Sequence[BaseNode]:
        return run_transformations(list(documents), self._transformations, show_progress=self._show_progress)

    async def _aparsed(self, documents: Sequence[Document]) -> Sequence[BaseNode]:
        return await arun_transformations(list(documents), self._transformations, show_progress=self._show_progress)

    def _changed(self, documents: Sequence[Document]) -> list[Document]:
        """Those of which the store holds nothing, or what was made of another state; of several by one id the last."""
        held = self._store.source_hashes([document.id_ for document in documents])
        last = {document.id_: document for document in documents}
        return [document for document in last.values() if held.get(document.id_) != document.hash]

    def _replace(self, documents: Sequence[Document], nodes: Sequence[BaseNode], kwargs: Mapping[str, Any]) -> None:
        if not documents:
            return
        with self._store.lock:
            before = set(self._store.node_ids([document.id_ for document in documents]))
            self.insert_nodes(nodes, **kwargs.get("insert_kwargs", {}))
            self._store.delete_nodes(sorted(before - {node.node_id for node in nodes}))
        for document in documents:
            self._docstore.set_document_hash(document.id_, document.hash)


def _keeping(transformations: Sequence[TransformComponent] | None) -> list[TransformComponent]:
    """The transformations, LlamaIndex's own without any, with pages handed round those that parse."""
    chosen = transformations or Settings.transformations
    return [KeepPages(each) if isinstance(each, NodeParser) else each for each in chosen]


def _each_in(documents: Sequence[Document], chosen: Sequence[Document]) -> list[bool]:
    names = {document.id_ for document in chosen}
    return [document.id_ in names for document in documents]
