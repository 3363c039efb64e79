"""MaxSim over the nodes of any retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from colmilvus.embedder import Embedder, Query, Unreadable, reads_images
from colmilvus.embedders.segments import as_embedder
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, InvalidQuery, UnreadableFile, warn
from colmilvus.llama_index.pictures import picture_of
from colmilvus.pdf import named_picture
from colmilvus.reranking import Reranker

__all__ = ["LateInteractionReranker"]

dispatcher = get_dispatcher(__name__)


class LateInteractionReranker(BaseNodePostprocessor):
    """Orders the nodes of any retriever by late interaction, MaxSim, and keeps the ``top_n`` best.

    ``embedder`` is any multi-vector embedder, or LlamaIndex's BaseEmbedding (one vector a node). One that looks at
    pictures sees those of nodes: in the node, in a file, at an address, or the page that PageReader names. Others read
    the text as LlamaIndex embeds it, with the metadata that are not excluded. What was embedded is remembered, up to
    256 MiB, so that a node is embedded once for all questions.

    The nodes come back as they are, each with a score of its own: MaxSim by query vector, larger is better; the plain
    MaxSim for the metric L2, where smaller is better. What the embedder cannot read comes last, in the order in which
    it came and without a score, with a warning.

    Raises InvalidInput for a ``top_n`` that is no number from 1 or None, and InvalidQuery for a blank question.

    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> from llama_index.core.schema import TextNode
    >>> reranker = LateInteractionReranker(StaticEmbedder(), top_n=1)
    >>> found = [NodeWithScore(node=TextNode(text=text)) for text in ("a tree", "a boat")]
    >>> [best.text for best in reranker.postprocess_nodes(found, query_str="boat")]
    ['a boat']
    """

    top_n: int | None = Field(default=4, description="Nodes that are kept; None for all.")

    _reranker: Reranker = PrivateAttr()

    def __init__(self, embedder: Embedder | Any, top_n: int | None = 4, **kwargs: Any) -> None:
        if unknown := sorted(kwargs.keys() - {"callback_manager"}):
            raise InvalidInput(f"no argument {', '.join(unknown)}; there are embedder, top_n, callback_manager")
        if top_n is not None and (isinstance(top_n, bool) or not isinstance(top_n, int) or top_n < 1):
            raise InvalidInput(f"top_n is a number from 1, or None for all, not {top_n!r}")
        super().__init__(**{**kwargs, "top_n": top_n})
        self._reranker = Reranker(as_embedder(embedder))

    @classmethod
    def class_name(cls) -> str:
        return "LateInteractionReranker"

    @property
    def embedder(self) -> Embedder:
        return self._reranker.embedder

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InvalidQuery("reranking needs the question: pass query_str= or query_bundle=")
        started = ReRankStartEvent(
            query=query_bundle, nodes=nodes, top_n=self.top_n or len(nodes), model_name=self.embedder.name
        )
        dispatcher.event(started)
        ranked = self._reranker.rank(_query(query_bundle), [self._entity(each.node) for each in nodes])
        for item in ranked:
            if item.score is None:
                warn(f"node {nodes[item.index].node_id!r} is not ranked and comes last: {item.reason}")
        best = [NodeWithScore(node=nodes[item.index].node, score=item.score) for item in ranked][: self.top_n]
        dispatcher.event(ReRankEndEvent(nodes=best))
        return best

    def _entity(self, node: BaseNode) -> Entity | Unreadable:
        try:
            image = picture_of(node, fetched=True) if reads_images(self.embedder) else None
        except UnreadableFile as error:
            return Unreadable(str(error))
        text = node.get_content(metadata_mode=MetadataMode.EMBED) if node.get_content().strip() else ""
        return Entity("node", text, image)


def _query(bundle: QueryBundle) -> Query:
    if bundle.image_path:
        return named_picture(bundle.image_path) or Path(bundle.image_path)
    return bundle.query_str
