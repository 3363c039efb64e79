"""MaxSim over the documents of any retriever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from threading import Lock
from typing import Annotated, Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from colmilvus.digest import digest_of
from colmilvus.embedder import Embedder, Unreadable, reads_images
from colmilvus.embedders.segments import as_embedder
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidQuery, InvalidVectors, UnreadableFile, warn
from colmilvus.images import open_image
from colmilvus.langchain.documents import picture_of
from colmilvus.maxsim import maxsim
from colmilvus.ranking import similarity_of

__all__ = ["LateInteractionReranker"]

REMEMBERED_BYTES = 256 << 20
"""Bytes of multi-vectors that a reranker keeps."""


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

    _remembered: OrderedDict[str, MultiVector | Unreadable] = PrivateAttr(default_factory=OrderedDict)
    _bytes: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=Lock)

    @field_validator("embedder")
    @classmethod
    def _is_embedder(cls, embedder: Any) -> Embedder:
        return as_embedder(embedder)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - the interface has it
    ) -> list[Document]:
        """The best documents, best first."""
        if not query.strip():
            raise InvalidQuery("the query is blank; ask with at least one word")
        if not documents:
            return []
        (asked,) = self.embedder.embed_queries([query])
        vectors = self._multi_vectors(documents)
        scored = [
            (self._score(MultiVector.of(asked), found), document)
            for document, found in zip(documents, vectors, strict=True)
            if not isinstance(found, Unreadable)
        ]
        scored.sort(key=lambda pair: pair[0], reverse=self.embedder.metric != "L2")
        best = [_with_score(document, score) for score, document in scored]
        unread = [
            (document, found)
            for document, found in zip(documents, vectors, strict=True)
            if isinstance(found, Unreadable)
        ]
        for document, found in unread:
            warn(f"document {document.id or document.page_content[:40]!r} is not ranked and comes last: {found.reason}")
        return [*best, *(_with_score(document, None) for document, _ in unread)][: self.top_n]

    def _score(self, query: MultiVector, vectors: MultiVector) -> float:
        score = maxsim(query, vectors, self.embedder.metric)
        similarity = similarity_of(score, query, self.embedder.metric)
        return score if similarity is None else similarity

    def _multi_vectors(self, documents: Sequence[Document]) -> list[MultiVector | Unreadable]:
        named = [self._named(document) for document in documents]
        with self._lock:
            known = {key: self._remembered[key] for key, _ in named if key in self._remembered}
        found = {key: value for key, value in named if isinstance(value, Unreadable)}
        new: dict[str, Entity] = {}
        for key, entity in named:
            if isinstance(entity, Entity) and key not in known and key not in found:
                seen = _drawn(entity)
                if isinstance(seen, Unreadable):
                    found[key] = seen
                else:
                    new[key] = seen
        known |= dict(zip(new, self._embedded(list(new.values())), strict=True))
        self._remember(known)
        return [known[key] if key in known else found[key] for key, _ in named]

    def _named(self, document: Document) -> tuple[str, Entity | Unreadable]:
        """A document as the embedder takes it, under what it is known by."""
        try:
            image = picture_of(document.metadata) if reads_images(self.embedder) else None
            entity = Entity("document", document.page_content, image)
            return digest_of(entity), entity
        except UnreadableFile as error:
            return f"unreadable: {error}", Unreadable(str(error))

    def _embedded(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        answers = self.embedder.embed_entities(entities) if entities else []
        if len(answers) != len(entities):
            raise InvalidVectors(f"the embedder gave {len(answers)} multi-vectors for {len(entities)} documents")
        return [answer if isinstance(answer, Unreadable) else MultiVector.of(answer) for answer in answers]

    def _remember(self, used: dict[str, MultiVector | Unreadable]) -> None:
        with self._lock:
            for key, value in used.items():
                if key not in self._remembered:
                    self._bytes += _bytes(value)
                self._remembered[key] = value
                self._remembered.move_to_end(key)
            while self._bytes > REMEMBERED_BYTES and self._remembered:
                self._bytes -= _bytes(self._remembered.popitem(last=False)[1])


def _drawn(entity: Entity) -> Entity | Unreadable:
    """The entity with its picture drawn, so that one that cannot be does not spoil the others."""
    try:
        return entity if entity.image is None else replace(entity, image=open_image(entity.image))
    except UnreadableFile as error:
        return Unreadable(str(error))


def _bytes(value: MultiVector | Unreadable) -> int:
    return len(value.reason) if isinstance(value, Unreadable) else value.vectors.nbytes


def _with_score(document: Document, score: float | None) -> Document:
    metadata = deepcopy(document.metadata)
    metadata.pop("relevance_score", None)
    if score is not None:
        metadata["relevance_score"] = score
    return document.model_copy(update={"metadata": metadata})
