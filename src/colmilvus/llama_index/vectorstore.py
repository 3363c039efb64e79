"""A vector store over a collection, with LlamaIndex's interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, Literal

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from colmilvus.chunks import Chunks
from colmilvus.collection import Collection
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidInput, InvalidQuery, Unsupported
from colmilvus.filters import Filter, matches
from colmilvus.llama_index.filters import to_filter
from colmilvus.llama_index.nodes import node_of, segment_node, source_hashes
from colmilvus.llama_index.searches import (
    BEST_SEGMENTS,
    Found,
    NodeSearch,
    check_found,
    document_node,
    documents_filter,
    passes,
)
from colmilvus.llama_index.writes import NodeWriter

__all__ = ["LateInteractionVectorStore"]

QUERY_ARGUMENTS = ("per_document", "mmr_threshold", "mmr_prefetch_factor", "mmr_prefetch_k")
DOCUMENTS = 100
"""Documents whose nodes are read together."""
NOT_ASKED = ("output_fields", "embedding_field", "sparse_top_k")
"""Fields of a VectorStoreQuery that this store cannot do anything with."""


class LateInteractionVectorStore(BasePydanticVectorStore):
    """LlamaIndex's vector store over a collection: nodes and pages, found by late interaction.

    It embeds what it is given, in MetadataMode.EMBED, and questions too, so that no ``embed_model`` is needed:
    ``as_index(collection)`` is an index over it, and an IngestionPipeline ends with ``EmbedInStore()``.

    >>> from colmilvus import Collection
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> from llama_index.core.schema import TextNode
    >>> store = LateInteractionVectorStore(Collection("notes", StaticEmbedder(), uri="kb.db"))
    >>> store.add([TextNode(id_="a", text="a red boat"), TextNode(id_="b", text="a green tree")])
    ['a', 'b']
    >>> store.query(VectorStoreQuery(query_str="boat", similarity_top_k=1)).ids
    ['a']
    >>> store.collection.close()

    **Nodes** of every class come back as they were: ids, metadata, relationships, excluded keys, templates, resources.
    A picture that the collection keeps comes back as the path of the kept one, in JPEG; embeddings are not kept. A page
    of PageReader comes back as a PageNode, a node of another class as the class of LlamaIndex that it extends.

    **Modes** of a query: DEFAULT (the one that suits the embedder), HYBRID (``alpha`` is the part of late interaction),
    TEXT_SEARCH and SPARSE (BM25), MMR (``mmr_threshold``, ``mmr_prefetch_k`` or ``mmr_prefetch_factor``). Others raise
    InvalidQuery. ``per_document`` gives at most so many of one document. Scores are what the mode ranks by.

    **Filters** are MetadataFilters, with the meaning of LlamaIndex's ``build_metadata_filter_fn``.

    **Chunks of one document as one entity**: with ``group_by="ref_doc_id"``, in a collection made with
    ``segments=True``, nodes with the same source document are one entity with many segments, whatever batches they come
    in. ``found="documents"`` gives DocumentNodes with the text of their ``best_segments`` best, ``found="segments"``
    these nodes themselves. A query's filters see the metadata that all chunks of a document share; ``get_nodes`` and
    ``delete_nodes`` see each chunk's own. By id, chunks are got and deleted one by one. Nodes with a picture, and those
    of no document, are entities of their own.

    ``collection`` is the core object. Raises InvalidInput for anything else, and for ``group_by`` in a collection
    without segments.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    stores_node: bool = True
    group_by: Literal["ref_doc_id"] | None = None
    found: Found = "documents"
    best_segments: int | None = BEST_SEGMENTS

    _collection: Collection = PrivateAttr()
    _chunks: Chunks = PrivateAttr()

    def __init__(
        self,
        collection: Collection,
        *,
        group_by: Literal["ref_doc_id"] | None = None,
        found: Found = "documents",
        best_segments: int | None = BEST_SEGMENTS,
    ) -> None:
        if not isinstance(collection, Collection):
            raise InvalidInput(
                "this takes a Collection, such as Collection('notes', StaticEmbedder()), not "
                f"{type(collection).__name__}"
            )
        if group_by not in (None, "ref_doc_id"):
            raise InvalidInput(f"group_by is 'ref_doc_id' or None, not {group_by!r}")
        if group_by is not None and not collection.spec.segments:
            raise InvalidInput(
                f"group_by={group_by!r} makes segments, and collection {collection.name!r} was made without; "
                "make it with segments=True"
            )
        check_found(found, best_segments)
        fields: dict[str, Any] = {"group_by": group_by, "found": found, "best_segments": best_segments}
        super().__init__(**fields)
        self._collection = collection
        self._chunks = Chunks(collection)

    @classmethod
    def class_name(cls) -> str:
        return "LateInteractionVectorStore"

    def __getstate__(self) -> dict[str, Any]:
        raise Unsupported("a store holds a connection and cannot be pickled; open the collection where it is needed")

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LateInteractionVectorStore:
        return self  # the nodes are in the database, and there is one of that

    @property
    def client(self) -> Collection:
        """The collection, which is what speaks to the database."""
        return self._collection

    @property
    def collection(self) -> Collection:
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add nodes, or replace those under the same ids, and return the ids of all that are stored, in order.

        What is stored already as it is, is left alone and not embedded again; the nodes' own embeddings are not used.
        ``show_progress=True`` shows a bar. What cannot be read, such as a picture that is not there, or a blank text,
        is left out with a warning. Before anything is stored, raises InvalidInput for an id that comes twice and an
        unknown argument, and InvalidEntity for what a Milvus server would not take.
        """
        if unknown := sorted(kwargs.keys() - {"show_progress"}):
            raise InvalidInput(f"no argument {', '.join(unknown)} of add; there is show_progress")
        writer = NodeWriter(self._collection, self._chunks, is_grouped=self.group_by is not None)
        return writer.add(nodes, progress=bool(kwargs.get("show_progress", False)))

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As ``add``, in a thread."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove all nodes of a document, or the document itself where it was stored whole; none is no error."""
        _check_no(delete_kwargs, "delete")
        self._collection.delete(filter=documents_filter(self._collection, [ref_doc_id]))

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As ``delete``, in a thread."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    def delete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove the nodes under these ids, or those that match the filters, or both; ids not held are no error.

        Raises InvalidInput where neither is given; ``clear`` removes everything.
        """
        _check_no(delete_kwargs, "delete_nodes")
        is_filtered = filters is not None and bool(filters.filters)
        if node_ids is None and not is_filtered:
            raise InvalidInput("delete_nodes takes node_ids or filters; to remove everything use clear()")
        if node_ids is None and not self._collection.spec.segments:
            self._collection.delete(filter=self._filter(filters))
            return
        if is_filtered:
            node_ids = [node.node_id for node in self.get_nodes(node_ids, filters)]
        whole, chunks = self._told_apart(node_ids or [])
        self._collection.delete(whole)
        if chunks:
            self._collection.delete(segments=chunks)

    async def adelete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """As ``delete_nodes``, in a thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    def get_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The nodes under these ids, in their order, or those that match the filters, or both; all where neither is.

        Where chunks are grouped, what has no id asked for comes as its chunks, and filters see each of these.
        """
        chosen = self._filter(filters) or {}
        if node_ids is None:
            entities = self._collection.get(filter={} if self._collection.spec.segments else chosen)
            return [node for entity in entities for node in self._passing(entity, chosen)]
        whole, parents = self._chunks.get(node_ids, is_grouped=self.group_by is not None)
        found = {part.node_id: part for parent in parents for part in self._passing(parent, chosen)}
        for entity in whole:
            if self._is_passing(entity, chosen):
                found[entity.id] = document_node(entity) if entity.segments else node_of(entity)
        return [found[name] for name in node_ids if name in found]

    async def aget_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As ``get_nodes``, in a thread."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    def clear(self) -> None:
        """Remove all nodes with their pictures; the collection stays as it was made, and open."""
        self._collection.clear()

    async def aclear(self) -> None:
        """As ``clear``, in a thread."""
        await asyncio.to_thread(self.clear)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes that match a query best, with their scores.

        ``query_str`` is embedded here; ``query_embedding``, one vector, is asked with only where there is no text.
        Keyword arguments: ``per_document``, ``mmr_threshold``, ``mmr_prefetch_k``, ``mmr_prefetch_factor``.

        Raises InvalidQuery for a mode that this store has not, a query with neither text nor embedding and arguments
        that do not suit the mode, Unsupported for fields of the query that this store cannot serve, and InvalidInput
        for other arguments.
        """
        if unknown := sorted(kwargs.keys() - set(QUERY_ARGUMENTS)):
            raise InvalidInput(f"no argument {', '.join(unknown)} of query; there are {', '.join(QUERY_ARGUMENTS)}")
        for name in NOT_ASKED:
            if getattr(query, name) is not None:
                raise Unsupported(f"{name}={getattr(query, name)!r}: this store has no such thing; leave it out")
        found = self._search(query, kwargs).run(_asked(query))
        return VectorStoreQueryResult(
            nodes=[each.node for each in found],
            similarities=[each.score or 0.0 for each in found],
            ids=[each.node_id for each in found],
        )

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As ``query``, in a thread."""
        return await asyncio.to_thread(self.query, query, **kwargs)

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Nothing: whatever is added is stored already."""

    def node_ids(self, ref_doc_ids: str | Sequence[str]) -> list[str]:
        """The ids of all nodes of a document, or of several; of those themselves that were stored whole."""
        names = [ref_doc_ids] if isinstance(ref_doc_ids, str) else list(ref_doc_ids)
        return [node.node_id for entity in self._of_documents(names) for node in _nodes(entity)]

    def source_hashes(self, ref_doc_ids: Sequence[str]) -> dict[str, str]:
        """The hash that each document had when its nodes were made.

        Left out are those of which nothing is held, or not all that was stored together, or also nodes of another hash.
        """
        return source_hashes(self._of_documents(ref_doc_ids), set(ref_doc_ids))

    @property
    def lock(self) -> RLock:
        """Held by whoever replaces several nodes that belong together."""
        return self._chunks.lock

    def _of_documents(self, names: Sequence[str]) -> Iterator[Entity]:
        for start in range(0, len(names), DOCUMENTS):
            some = names[start : start + DOCUMENTS]
            yield from self._collection.get(filter=documents_filter(self._collection, some))

    def _search(self, query: VectorStoreQuery, kwargs: Mapping[str, Any]) -> NodeSearch:
        is_hybrid = query.mode == "hybrid" and query.hybrid_top_k is not None
        top_k: Any = query.hybrid_top_k if is_hybrid else query.similarity_top_k
        threshold = kwargs.get("mmr_threshold", query.mmr_threshold)
        factor = kwargs.get("mmr_prefetch_factor")
        return NodeSearch(
            self._collection,
            top_k,
            query.filters,
            query.mode,
            kwargs.get("per_document"),
            query.node_ids or None,  # LlamaIndex's own index asks with an empty list where it means all
            query.doc_ids or None,
            query.alpha,
            0.5 if threshold is None else threshold,
            kwargs.get("mmr_prefetch_k") or (None if factor is None else int(factor * top_k)),
            self.found,
            self.best_segments,
        )

    def _passing(self, entity: Entity, filter: Filter) -> list[BaseNode]:
        """The chunks of an entity that pass a filter, or the node that it is."""
        if entity.segments:
            passing = [part for part in entity.segments if passes(filter, part, entity, self._collection)]
            return [segment_node(part, entity) for part in passing]
        return [node_of(entity)] if self._is_passing(entity, filter) else []

    def _is_passing(self, entity: Entity, filter: Filter) -> bool:
        fields = self._collection.spec.fields
        return matches(filter, entity.metadata, fields, id=entity.id, document=entity.document)

    def _filter(self, filters: MetadataFilters | None) -> Filter | None:
        return to_filter(filters, self._collection.spec.fields)

    def _told_apart(self, ids: Sequence[str]) -> tuple[list[str], list[str]]:
        return self._chunks.told_apart(ids, is_grouped=self.group_by is not None)


def _nodes(entity: Entity) -> list[BaseNode]:
    return [segment_node(part, entity) for part in entity.segments] or [node_of(entity)]


def _asked(query: VectorStoreQuery) -> str | MultiVector:
    if query.query_str is not None and query.query_str.strip():
        return query.query_str
    if query.query_embedding:
        return MultiVector([query.query_embedding])
    raise InvalidQuery("the query has neither text nor embedding; ask with query_str")


def _check_no(kwargs: Mapping[str, Any], method: str) -> None:
    if kwargs:
        raise InvalidInput(f"no argument {', '.join(sorted(kwargs))} of {method}")
