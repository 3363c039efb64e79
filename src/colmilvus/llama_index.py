"""LlamaIndex's view of a collection: a retriever of page nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colmilvus.collection import Collection
from colmilvus.embedder import SearchMode
from colmilvus.entity import Hit
from colmilvus.errors import InvalidQuery, MissingExtra, Unsupported
from colmilvus.filters import Filter

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.llms.generic_utils import image_node_to_image_block
    from llama_index.core.base.llms.types import TextBlock
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.schema import (
        ImageNode,
        IndexNode,
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
except ImportError as error:
    raise MissingExtra("colmilvus.llama_index", "llama-index") from error

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = ["LateInteractionRetriever", "PageNode"]

_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.ANY: "$any",
    FilterOperator.ALL: "$all",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$text",
}


class PageNode(ImageNode):
    """A page with its text and, in the file at ``image_path``, its picture; both reach a model that sees.

    LlamaIndex's own ImageNode hands over its picture and drops its text. Wherever LlamaIndex asks for text alone, this
    is a TextNode; where it asks for pictures, an ImageNode, and its JSON reads as one.
    """

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """The metadata and the text, each unless it is blank (models refuse blank blocks), then the picture."""
        texts = (self.get_metadata_str(metadata_mode), self.text)
        picture = image_node_to_image_block(self)
        return [*(TextBlock(text=text) for text in texts if text.strip()), picture]


class LateInteractionRetriever(BaseRetriever):
    """Finds the pages of a collection that match a question best, as LlamaIndex nodes with scores, best first.

    ``filters`` is LlamaIndex's MetadataFilters, or a filter of ``Collection.search``; its tests mean what
    ``colmilvus.filters`` says. ``mode`` and ``per_document`` mean what they mean in ``Collection.search``;
    ``mode=None`` is the mode that suits the embedder. ``callback_manager``, ``objects``, ``object_map`` and
    ``verbose`` are LlamaIndex's own. A QueryBundle with an ``image_path`` asks with that picture. ``aretrieve``
    searches in a thread and leaves the event loop free.

    A page with a picture is a PageNode, one without a TextNode. ``node_id`` is the entity's id, ``ref_doc_id`` its
    document, ``metadata`` a copy of its metadata, and ``score`` what the mode ranks by.

    Raises InvalidQuery for ``similarity_top_k=0``, a blank question and what a mode or an embedder cannot give, and
    Unsupported for the operator TEXT_MATCH_INSENSITIVE, which Milvus lacks.

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
        mode: SearchMode | None = None,
        per_document: int | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
    ) -> None:
        _check_top_k(similarity_top_k)
        self.collection = collection
        self.similarity_top_k = similarity_top_k
        self.filters = _to_filter(filters) if isinstance(filters, MetadataFilters) else filters
        self.mode = mode
        self.per_document = per_document
        super().__init__(callback_manager, object_map, objects, verbose)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._search(query_bundle)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._search, query_bundle)

    def _search(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.collection.search(
            Path(query_bundle.image_path) if query_bundle.image_path else query_bundle.query_str,
            self.similarity_top_k,
            filter=self.filters,
            mode=self.mode,
            per_document=self.per_document,
        )
        return [_to_node(hit) for hit in hits]


def _check_top_k(similarity_top_k: object) -> None:
    if isinstance(similarity_top_k, bool) or not isinstance(similarity_top_k, int) or similarity_top_k < 1:
        raise InvalidQuery(f"similarity_top_k is a number from 1, not {similarity_top_k!r}")


def _to_filter(filters: MetadataFilters) -> dict[str, Any]:
    parts = [_to_filter(part) if isinstance(part, MetadataFilters) else _to_test(part) for part in filters.filters]
    if not parts:
        return {}
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    return {"$not": {"$or": parts}} if filters.condition == FilterCondition.NOT else {"$and": parts}


def _to_test(test: MetadataFilter) -> dict[str, Any]:
    if test.operator == FilterOperator.IS_EMPTY:
        return {"$key": {test.key: {"$empty": True}}}
    if test.operator not in _OPERATORS:
        raise Unsupported(f"the operator {test.operator.name} on {test.key!r}: Milvus has no such test; use TEXT_MATCH")
    return {"$key": {test.key: {_OPERATORS[test.operator]: test.value}}}


def _to_node(hit: Hit) -> NodeWithScore:
    entity = hit.entity
    fields: dict[str, Any] = {"id_": entity.id, "text": entity.full_text, "metadata": dict(entity.metadata)}
    if entity.document:
        fields["relationships"] = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=entity.document)}
    page = TextNode(**fields) if entity.image is None else PageNode(**fields, image_path=str(entity.image))
    return NodeWithScore(node=page, score=hit.score)
