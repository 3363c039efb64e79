"""MaxSim over the documents of any retriever."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from colmilvus.embedder import Embedder, Unreadable, reads_images
from colmilvus.embedders.segments import as_embedder
from colmilvus.entity import Entity
from colmilvus.errors import UnreadableFile, warn
from colmilvus.langchain.documents import picture_of
from colmilvus.reranking import Reranker

__all__ = ["LateInteractionReranker"]


class LateInteractionReranker(BaseDocumentCompressor):
    """Orders the documents of any retriever by late interaction, MaxSim, and keeps the ``top_n`` best.

    ``embedder`` is any multi-vector embedder, or LangChain's Embeddings (one vector a document). One that looks at
    pictures sees the picture that a document's metadata names under ``image``: the page of a file as PageLoader writes
    it, a path, or a data URI. What was embedded is remembered, up to 256 MiB, so that a document is embedded once for
    all questions; ``colmilvus.embedders.cache`` keeps it on disk.

    Documents come back as copies, with ``relevance_score`` in their metadata: MaxSim by query vector, larger is better,
    the plain MaxSim for the metric L2, where smaller is better. What the embedder cannot read comes last, in the order
    in which it came and without a score, with a warning.

    Raises pydantic's ValidationError for ``top_n=0``, and InvalidQuery for a blank question.

    Setup:
        ``pip install 'colmilvus[langchain,static]'``, or the extra of another embedder

    Instantiate:
        >>> from colmilvus.embedders.static import StaticEmbedder
        >>> reranker = LateInteractionReranker(embedder=StaticEmbedder(), top_n=1)

    Rerank:
        >>> found = [Document("a tree"), Document("a boat")]
        >>> [best.page_content for best in reranker.compress_documents(found, "boat")]
        ['a boat']

    Use in a chain:
        >>> from langchain_core.runnables import RunnableLambda
        >>> chain = RunnableLambda(lambda question: reranker.compress_documents(found, question))
        >>> chain.invoke("tree")[0].page_content
        'a tree'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    embedder: Any
    top_n: Annotated[int, Field(ge=1, strict=True)] | None = 4

    _reranker: Reranker = PrivateAttr()

    @field_validator("embedder")
    @classmethod
    def _is_embedder(cls, embedder: Any) -> Embedder:
        return as_embedder(embedder)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic has it
        self._reranker = Reranker(self.embedder)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - the interface has it
    ) -> list[Document]:
        """The best documents, best first."""
        if self._reranker.embedder is not self.embedder:  # another was put in its place
            self._reranker = Reranker(self.embedder)
        ranked = self._reranker.rank(query, [self._entity(document) for document in documents])
        for item in ranked:
            if item.score is None:
                told = documents[item.index].id or documents[item.index].page_content[:40]
                warn(f"document {told!r} is not ranked and comes last: {item.reason}")
        return [_with_score(documents[item.index], item.score) for item in ranked[: self.top_n]]

    def _entity(self, document: Document) -> Entity | Unreadable:
        """A document as the embedder takes it."""
        try:
            image = picture_of(document.metadata) if reads_images(self.embedder) else None
        except UnreadableFile as error:
            return Unreadable(str(error))
        return Entity("document", document.page_content, image)


def _with_score(document: Document, score: float | None) -> Document:
    metadata = deepcopy(document.metadata)
    metadata.pop("relevance_score", None)
    if score is not None:
        metadata["relevance_score"] = score
    return document.model_copy(update={"metadata": metadata})
