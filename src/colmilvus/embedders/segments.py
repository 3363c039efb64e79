"""An embedder out of any function that gives one vector a text: one vector for each segment of an entity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colmilvus.embedder import Query, Setting, Unreadable
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidQuery, InvalidVectors

__all__ = ["SegmentEmbedder"]


class SegmentEmbedder:
    """Embeds each segment of an entity with a function that takes texts and gives one vector for each.

    The segments are the entity's own; else the pieces that ``split_text`` makes of its text; else the whole text.
    Blank ones get no vector. A query is one vector, by ``embed_query`` if it is given, a function of the same form as
    ``embed``: a list of texts in, ``(texts, dim)`` out, at most ``batch_size`` texts at a time. Without ``dim`` the
    function is asked once, at construction. Raises InvalidVectors where the function gives another number of vectors
    than there are texts, or vectors of another length.

    >>> lengths = SegmentEmbedder(lambda texts: [[len(t), 1] for t in texts], name="lengths", split_text=str.split)
    >>> lengths.embed_entities([Entity("a", "three little words")])
    [MultiVector(3 x 2)]
    """

    def __init__(
        self,
        embed: Callable[[list[str]], ArrayLike],
        *,
        name: str,
        dim: int | None = None,
        metric: Metric = "COSINE",
        split_text: Callable[[str], Iterable[str]] | None = None,
        embed_query: Callable[[list[str]], ArrayLike] | None = None,
        settings: Mapping[str, Setting] | None = None,
        batch_size: int = 64,
    ) -> None:
        self.name = name
        self.dim = dim or len(_matrix(embed(["dimensions"]), 1)[0])
        self.metric: Metric = metric
        self.settings: Mapping[str, Setting] = dict(settings or {})
        self._embed = embed
        self._embed_query = embed_query or embed
        self._split_text = split_text
        self._batch_size = batch_size

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """One vector a segment for each entity; Unreadable for one without text."""
        pieces = [self._pieces(entity) for entity in entities]
        vectors = self._vectors(self._embed, [text for piece in pieces for text in piece.values()])
        bounds = pairwise(accumulate(map(len, pieces), initial=0))
        return [
            _multi_vector(entity, list(piece), vectors[start:end])
            for entity, piece, (start, end) in zip(entities, pieces, bounds, strict=True)
        ]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector for each query. Raises InvalidQuery for a picture and for a blank text."""
        vectors = self._vectors(self._embed_query, [_text(query) for query in queries])
        return [MultiVector(vector[None, :]) for vector in vectors]

    def _pieces(self, entity: Entity) -> dict[int, str]:
        """The texts of an entity that are not blank, by their position."""
        if entity.segments:
            texts: Iterable[str] = (segment.text for segment in entity.segments)
        else:
            texts = self._split_text(entity.text) if self._split_text and entity.text.strip() else [entity.text]
        return {position: text for position, text in enumerate(texts) if text.strip()}

    def _vectors(self, embed: Callable[[list[str]], ArrayLike], texts: list[str]) -> NDArray[np.float32]:
        batches = [texts[start : start + self._batch_size] for start in range(0, len(texts), self._batch_size)]
        vectors = [_matrix(embed(batch), len(batch), self.dim) for batch in batches]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dim), dtype=np.float32)


def _multi_vector(entity: Entity, positions: list[int], vectors: NDArray[np.float32]) -> MultiVector | Unreadable:
    if not positions:
        return Unreadable("no text")
    return MultiVector(vectors, positions if entity.segments else None)


def _matrix(values: ArrayLike, texts: int, dim: int | None = None) -> NDArray[np.float32]:
    vectors = MultiVector(values).vectors
    if len(vectors) != texts:
        raise InvalidVectors(f"the embedding function gave {len(vectors)} vectors for {texts} texts")
    if dim is not None and vectors.shape[1] != dim:
        raise InvalidVectors(f"the embedding function gave vectors of {vectors.shape[1]} dimensions, expected {dim}")
    return vectors


def _text(query: Query) -> str:
    if not isinstance(query, str):
        raise InvalidQuery("this embedder reads text; a picture needs a visual model such as ColPali")
    if not query.strip():
        raise InvalidQuery("the query is blank")
    return query
