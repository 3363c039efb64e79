"""Where LlamaIndex would embed and the store does: a model that leaves it to it, and what is embedded of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode

from colmilvus.embedder import Unreadable, WrappedEmbedder
from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidQuery
from colmilvus.llama_index.nodes import node_of, segment_node

__all__ = ["EmbedInStore", "NodeEmbedder", "embedded_text"]


class EmbedInStore(BaseEmbedding):
    """Leaves embedding to the vector store: the last transformation of an IngestionPipeline, or an ``embed_model``.

    A LlamaIndex node has room for one vector, and a late-interaction store makes many: it embeds what it is given. This
    gives nodes an empty embedding, so that LlamaIndex hands them on and asks no model of its own.

    >>> from llama_index.core.schema import TextNode
    >>> [node.embedding for node in EmbedInStore()([TextNode(text="a boat")])]
    [[]]
    """

    model_name: str = "embedded by the vector store"

    @classmethod
    def class_name(cls) -> str:
        return "EmbedInStore"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:  # noqa: ARG002
        """The nodes, each with an empty embedding."""
        for node in nodes:
            node.embedding = []
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """The nodes, each with an empty embedding."""
        return self(nodes, **kwargs)

    def _get_text_embedding(self, text: str) -> list[float]:  # noqa: ARG002
        return []

    def _get_query_embedding(self, query: str) -> list[float]:
        raise InvalidQuery(f"{query[:40]!r} has no single vector: LateInteractionVectorStore embeds questions itself")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class NodeEmbedder(WrappedEmbedder):
    """An embedder that is given the text of nodes as LlamaIndex gives it to a model, with their metadata."""

    def embed_entities(self, entities: Sequence[Entity]) -> Sequence[MultiVector | Unreadable]:
        """One multi-vector for each entity, in order."""
        return self.embedder.embed_entities([_as_embedded(entity) for entity in entities])


def _as_embedded(entity: Entity) -> Entity:
    if not entity.segments:
        return replace(entity, text=embedded_text(node_of(replace(entity, image=None)), entity.text))
    parts = [replace(part, text=_segment_text(part, entity)) for part in entity.segments]
    return replace(entity, segments=tuple(parts))


def _segment_text(segment: Segment, parent: Entity) -> str:
    return embedded_text(segment_node(segment, parent), segment.text)


def embedded_text(node: BaseNode, text: str) -> str:
    """The text with the metadata that are not excluded from embedding, in the node's template; blank if it is blank.

    Metadata alone do not stand in for a text, or a picture, that cannot be read.
    """
    return node.get_content(metadata_mode=MetadataMode.EMBED) if text.strip() else text
