"""An embedder that a reader can follow in the head: MaxSim counts the query's words that an entity has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from colmilvus import Entity, MultiVector, Unreadable
from colmilvus.embedder import Query
from colmilvus.entity import Metric
from colmilvus.errors import InvalidQuery

VOCABULARY = ["red", "green", "blue", "one", "two", "three", "sea", "sky", "tree", "dog", "cat", "bird"]


class WordEmbedder:
    """One unit vector a word of the vocabulary; words outside of it share the last dimension."""

    name = "words"
    dim = len(VOCABULARY) + 1

    def __init__(self, metric: Metric = "COSINE", **settings: str) -> None:
        self.metric = metric
        self.settings: Mapping[str, str] = settings
        self.embedded = 0

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.embedded += len(entities)
        return [self._multi_vector(entity) if self._texts(entity) else Unreadable("no words") for entity in entities]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        if not all(isinstance(query, str) for query in queries):
            raise InvalidQuery("this embedder reads words; it cannot look at pictures")
        return [MultiVector(self._rows(str(query))) for query in queries]

    def _texts(self, entity: Entity) -> list[str]:
        return [segment.text for segment in entity.segments] or ([entity.text] if entity.text.split() else [])

    def _multi_vector(self, entity: Entity) -> MultiVector:
        texts = self._texts(entity)
        rows = np.concatenate([self._rows(text) for text in texts])
        owners = [index for index, text in enumerate(texts) for _ in text.split()]
        return MultiVector(rows, owners if entity.segments else None)

    def _rows(self, text: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        words = text.lower().split()
        rows = np.zeros((len(words), self.dim), np.float32)
        for row, word in zip(rows, words, strict=True):
            row[VOCABULARY.index(word) if word in VOCABULARY else -1] = 1
        return rows
