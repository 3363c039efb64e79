"""An embedder out of any model that gives one vector a text: one vector for each segment of an entity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colmilvus.embedder import Embedder, Query, Setting, Unreadable
from colmilvus.embedders.single_vector import load_encoder, single_vector_model
from colmilvus.embedders.splitting import Splitter, splitting
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidInput, InvalidQuery, InvalidVectors

__all__ = ["SegmentEmbedder", "as_embedder"]


class SegmentEmbedder:
    """Embeds each segment of an entity with a model that gives one vector a text, float32 ``(segments, dim)``.

    ``model`` is LangChain's Embeddings, LlamaIndex's BaseEmbedding, a SentenceTransformer, the folder or the name on
    the hub of one, or a function that takes a list of texts and gives ``(texts, dim)``; a function needs a ``name``.

    The segments are the entity's own; else the pieces that ``split_text`` makes of its text, a function of a text or
    an object with such a method (LangChain's text splitters, LlamaIndex's node parsers); else windows of 128 tokens,
    where the model's tokenizer is known, or the whole text. A segment that is longer than a model of
    sentence-transformers reads has several vectors. Blank ones get none. A query is one vector, by ``embed_query`` if
    it is given, a function of the same form.

    ``model`` is kept as an attribute, None where it was loaded here. ``revision`` is a branch, tag or commit of a model
    on the hub. At most ``batch_size`` texts are embedded at a time.
    Without ``dim`` the model is asked once, at construction. Raises InvalidVectors where the model gives another number
    of vectors than there are texts, or vectors of another length, InvalidInput for what is no model, and UnusableModel
    for one that cannot be had.

    >>> lengths = SegmentEmbedder(lambda texts: [[len(t), 1] for t in texts], name="lengths", split_text=str.split)
    >>> lengths.embed_entities([Entity("a", "three little words")])
    [MultiVector(3 x 2)]
    """

    def __init__(
        self,
        model: Any,
        *,
        name: str | None = None,
        dim: int | None = None,
        metric: Metric = "COSINE",
        split_text: Splitter | None = None,
        embed_query: Callable[[list[str]], ArrayLike] | None = None,
        settings: Mapping[str, Setting] | None = None,
        batch_size: int = 64,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        if isinstance(model, str | Path):
            offered = load_encoder(model, revision=revision, local_files_only=local_files_only)
        elif revision is not None:
            raise InvalidInput("revision= is for a model that is loaded here, by its name on the hub; leave it out")
        else:
            offered = single_vector_model(model)
        self.model = None if isinstance(model, str | Path) else model
        if not (name or offered.name):
            raise InvalidInput("a function has no name of its own, and a collection remembers it: pass name=")
        self.name = name or str(offered.name)
        self.dim = dim or len(_matrix(offered.embed(["dimensions"]), 1)[0])
        self.metric: Metric = metric
        self.settings: Mapping[str, Setting] = {**offered.settings, **(settings or {})}
        self._embed = offered.embed
        self._embed_query = embed_query or offered.embed_query
        self._split_text = offered.split if split_text is None else splitting(split_text)
        self._fit = offered.fit
        self._batch_size = batch_size

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """One vector a segment for each entity, more for a long one; Unreadable for one without text."""
        pieces = [self.texts_of(entity) for entity in entities]
        vectors = self._vectors(self._embed, [text for owned in pieces for _, text in owned])
        bounds = pairwise(accumulate(map(len, pieces), initial=0))
        return [
            _multi_vector(entity, [owner for owner, _ in owned], vectors[start:end])
            for entity, owned, (start, end) in zip(entities, pieces, bounds, strict=True)
        ]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector for each query. Raises InvalidQuery for a picture and for a blank text."""
        vectors = self._vectors(self._embed_query, [_text(query) for query in queries])
        return [MultiVector(vector[None, :]) for vector in vectors]

    def texts_of(self, entity: Entity) -> list[tuple[int, str]]:
        """The texts that are embedded of an entity, each with the position of the segment that it is of."""
        if entity.segments:
            texts: Iterable[str] = (segment.text for segment in entity.segments)
        else:
            texts = self._split_text(entity.text) if entity.text.strip() else ()
        return [(owner, piece) for owner, text in enumerate(texts) if text.strip() for piece in self._fit(text)]

    def _vectors(self, embed: Callable[[list[str]], ArrayLike], texts: list[str]) -> NDArray[np.float32]:
        batches = [texts[start : start + self._batch_size] for start in range(0, len(texts), self._batch_size)]
        vectors = [_matrix(embed(batch), len(batch), self.dim) for batch in batches]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dim), dtype=np.float32)


def as_embedder(model: Any) -> Embedder:
    """The value itself if it is an embedder, otherwise a SegmentEmbedder of the single-vector model that it is.

    Raises InvalidInput for what is neither.
    """
    if isinstance(model, Embedder) and not isinstance(model, type):
        return model
    return SegmentEmbedder(model)


def _multi_vector(entity: Entity, positions: list[int], vectors: NDArray[np.float32]) -> MultiVector | Unreadable:
    if not positions:
        return Unreadable("no text")
    return MultiVector(vectors, positions if entity.segments else None)


def _matrix(values: ArrayLike, texts: int, dim: int | None = None) -> NDArray[np.float32]:
    vectors = MultiVector(values).vectors
    if len(vectors) != texts:
        raise InvalidVectors(f"the model gave {len(vectors)} vectors for {texts} texts")
    if dim is not None and vectors.shape[1] != dim:
        raise InvalidVectors(f"the model gave vectors of {vectors.shape[1]} dimensions, expected {dim}")
    return vectors


def _text(query: Query) -> str:
    if not isinstance(query, str):
        raise InvalidQuery("this embedder reads text; a picture needs a visual model such as ColPali")
    if not query.strip():
        raise InvalidQuery("the query is blank")
    return query
