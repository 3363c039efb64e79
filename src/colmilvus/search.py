"""One search: candidates from the rows, parts of one entity put together, lists fused, the best kept and completed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from colmilvus.embedder import Embedder, SearchMode, check_query
from colmilvus.entity import Entity, Hit, Metric, MultiVector, Segment
from colmilvus.errors import InvalidQuery, InvalidVectors
from colmilvus.layouts.layout import Found, Layout
from colmilvus.layouts.precision import rounded
from colmilvus.maxsim import maxsim
from colmilvus.ranking import (
    Fusion,
    at_most_per_document,
    fuse,
    segment_similarities,
    segments_by_words,
    similarity_of,
)

__all__ = ["Search", "check_number", "check_relevance", "check_similarity", "is_vectors"]

LIMIT = 16_384
"""Most rows that Milvus gives for one query (``quotaAndLimits.limits.topK``)."""
FUSED_DEPTH = 100
"""Rows of each list that are fused, at least: min-max needs to see beyond the few that are shown."""
SPLIT_DEPTH = 100
"""Further parts that are looked at, so that an entity is found although each of its parts alone ranks low."""


@dataclass(frozen=True)
class Search:
    """What is asked of a collection, but for the queries and the mode."""

    layout: Layout
    embedder: Embedder | None
    k: int
    expression: str
    min_similarity: float | None
    per_document: int | None
    exact: bool
    fusion: Fusion | None
    weight: float | None

    def run(self, queries: Sequence[Any], mode: SearchMode) -> list[list[Hit]]:
        """The hits for each query.

        Raises InvalidQuery where the mode, or its arguments, do not suit, and InvalidVectors for wrong query vectors.
        """
        self.check(mode)
        for query in queries:
            _check_query(query, mode)
        if mode == "text":
            return [self._hits(None, self._text(query), words=query) for query in queries]
        vectors = self._vectors(queries)
        if mode == "hybrid":
            pairs = zip(queries, vectors, strict=True)
            return [self._hits(vector, self._hybrid(query, vector)) for query, vector in pairs]
        return [
            self._hits(vector, found) for vector, found in zip(vectors, self._late_interaction(vectors), strict=True)
        ]

    def check(self, mode: SearchMode) -> None:
        """Raise InvalidQuery where the arguments do not suit the mode, or one another."""
        if mode not in ("late_interaction", "text", "hybrid"):
            raise InvalidQuery(f"mode is 'late_interaction', 'text' or 'hybrid', not {mode!r}")
        check_number("k", self.k)
        if self.per_document is not None:
            check_number("per_document", self.per_document)
        if self.fusion not in (None, "min_max", "rrf"):
            raise InvalidQuery(f"fusion is 'min_max' or 'rrf', not {self.fusion!r}")
        if self.fusion is not None and mode != "hybrid":
            raise InvalidQuery(f"fusion is for mode='hybrid'; leave it out with mode={mode!r}")
        if self.weight is not None:
            _check_weight(self.weight, mode)
        if self.exact and mode != "late_interaction":
            raise InvalidQuery(f"exact is for mode='late_interaction'; leave it out with mode={mode!r}")
        if self.min_similarity is not None:
            self._check_threshold(mode)
        if mode != "late_interaction":
            self.layout.check_text()

    def _check_threshold(self, mode: SearchMode) -> None:
        check_similarity("min_similarity", mode, self.layout.spec.metric)
        least: Any = self.min_similarity
        if isinstance(least, bool) or not isinstance(least, Real) or not math.isfinite(least):
            raise InvalidQuery(f"min_similarity is a number, such as 0.5, not {least!r}")

    def _vectors(self, queries: Sequence[Any]) -> list[MultiVector]:
        asked = [query for query in queries if not is_vectors(query)]
        if asked:
            self.check_embedder()
        answers = self.embedder.embed_queries(asked) if asked and self.embedder else ()
        if len(answers) != len(asked):
            raise InvalidVectors(f"the embedder gave {len(answers)} multi-vectors for {len(asked)} queries")
        embedded = iter(answers)
        vectors = [MultiVector.of(query if is_vectors(query) else next(embedded)) for query in queries]
        for vector in vectors:
            if vector.dim != self.layout.spec.dim:
                raise InvalidVectors(
                    f"the query has vectors of {vector.dim} dimensions, the collection of {self.layout.spec.dim}"
                )
        return [rounded(vector, self.layout.spec.dtype, "the query") for vector in vectors]

    def check_embedder(self) -> None:
        """Raise InvalidQuery where there is no embedder for a query that is no multi-vector."""
        if self.embedder is None:
            raise InvalidQuery(
                "this collection was opened without an embedder: open it with the one that it was made with "
                f"({self.layout.spec.made_with}), pass a multi-vector as query, or search with mode='text'"
            )

    # How many entities to ask for at first, and then four times as many until enough are left or there are no more

    def _enough(self, first: int, look: Callable[[int], tuple[list[Found], bool]]) -> list[Found]:
        limit = min(first, LIMIT)
        while True:
            kept, exhausted = look(limit)
            if len(kept) >= self.k or exhausted or limit == LIMIT:
                return kept[: self.k]
            limit = min(4 * limit, LIMIT)

    def _first(self) -> int:
        return self.k if self.per_document is None and not self._rescores else 4 * self.k

    @property
    def _rescores(self) -> bool:
        """Whether candidates are to be scored again here."""
        return self.exact and not self.layout.is_exact

    def _late_interaction(self, queries: Sequence[MultiVector]) -> list[list[Found]]:
        if not queries:
            return []
        limit = min(self._first(), LIMIT)
        begun = self.layout.search(queries, self._rows(limit), self.expression, whole=self._shows(limit))

        def looked(query: MultiVector, first: list[Found]) -> list[Found]:
            def look(now: int) -> tuple[list[Found], bool]:
                found = first if now == limit else self._search(query, now)
                ranked = self._one_for_each(query, found)
                return self._kept(query, ranked), len(found) < self._rows(now) or self._is_below(query, ranked)

            return self._enough(limit, look)

        return [looked(query, first) for query, first in zip(queries, begun, strict=True)]

    def _search(self, query: MultiVector, entities: int) -> list[Found]:
        (found,) = self.layout.search([query], self._rows(entities), self.expression, whole=self._shows(entities))
        return found

    def _shows(self, entities: int) -> bool:
        """Whether what is found will be shown as it is, so that the rows are best read at once."""
        return entities <= self.k and not self.layout.spec.segments

    def _rows(self, entities: int) -> int:
        """How many rows to ask for to get so many entities."""
        return min(2 * entities + 10, LIMIT) if self.layout.splits else entities

    def _one_for_each(self, query: MultiVector, found: Sequence[Found]) -> list[Found]:
        """One item for each entity, best first; what lies in several parts is scored over all of them."""
        if self.layout.splits:
            found = [*found, *self.layout.search_parts(query, SPLIT_DEPTH, self.expression)]
        best: dict[str, Found] = {}
        for item in found:
            best.setdefault(item.id, item)
        again = {item.id: item.sizes for item in best.values() if self._rescores or len(item.sizes) > 1}
        contents = self.layout.contents(again) if again else {}
        for name in again:
            item = best.pop(name)
            if name in contents:  # otherwise it was removed meanwhile
                entity, vectors = contents[name]
                score = maxsim(query, vectors, self.layout.spec.metric)
                best[name] = replace(item, score=score, entity=entity, vectors=vectors)
        return sorted(best.values(), key=lambda item: item.score, reverse=self.layout.spec.metric != "L2")

    def _kept(self, query: MultiVector | None, ranked: Sequence[Found]) -> list[Found]:
        kept = list(ranked)
        if query is not None and self.min_similarity is not None:
            kept = [item for item in kept if (self._similarity(query, item) or 0.0) >= self.min_similarity]
        return kept if self.per_document is None else at_most_per_document(kept, self.per_document)

    def _similarity(self, query: MultiVector, item: Found) -> float | None:
        return similarity_of(item.score, query, self.layout.spec.metric)

    def _is_below(self, query: MultiVector, ranked: Sequence[Found]) -> bool:
        """Whether the weakest is already below the threshold, so that asking for more brings nothing."""
        if not ranked or self.min_similarity is None:
            return False
        return (self._similarity(query, ranked[-1]) or 0.0) < self.min_similarity

    def _text(self, query: str) -> list[Found]:
        def look(limit: int) -> tuple[list[Found], bool]:
            rows = self._rows(limit)
            found = self.layout.search_text(query, rows, self.expression, whole=self._shows(limit))
            return self._kept(None, _best_parts(found)), len(found) < rows

        return self._enough(self._first(), look)

    def _hybrid(self, query: str, vectors: MultiVector) -> list[Found]:
        def look(depth: int) -> tuple[list[Found], bool]:
            by_vectors = self._search(vectors, depth)
            by_text = self.layout.search_text(query, self._rows(depth), self.expression, whole=False)
            fused = self._fused(self._one_for_each(vectors, by_vectors), _best_parts(by_text))
            return self._kept(None, fused), max(len(by_vectors), len(by_text)) < self._rows(depth)

        return self._enough(max(FUSED_DEPTH, 10 * self.k), look)

    def _fused(self, by_vectors: Sequence[Found], by_text: Sequence[Found]) -> list[Found]:
        sign = -1.0 if self.layout.spec.metric == "L2" else 1.0
        rankings = [{item.id: sign * item.score for item in by_vectors}, {item.id: item.score for item in by_text}]
        items = {item.id: item for item in (*by_text, *by_vectors)}
        weight = 0.5 if self.weight is None else self.weight
        scores = fuse(rankings, self.fusion or "min_max", (weight, 1 - weight))
        return [replace(items[name], score=score, fused=True) for name, score in scores.items()]

    def _hits(self, query: MultiVector | None, found: Iterable[Found], words: str = "") -> list[Hit]:
        """The hits with all that their entities hold; an entity that was removed meanwhile is left out."""
        chosen = self._completed(query, found)
        return [
            Hit(
                item.entity,
                item.score,
                self._similarity(query, item) if query and not item.fused else None,
                self._segments(query, item.entity, item.vectors, words),
            )
            for item in chosen
            if item.entity is not None
        ]

    def _completed(self, query: MultiVector | None, found: Iterable[Found]) -> list[Found]:
        """What was found with its entities and, where segments are to be compared, its vectors: in one request."""
        chosen = list(found)
        if query is None or not self.layout.spec.segments:
            missing = [item.id for item in chosen if item.entity is None]
            entities = {entity.id: entity for entity in self.layout.entities(missing)} if missing else {}
            return [item if item.entity else replace(item, entity=entities.get(item.id)) for item in chosen]
        sizes = {item.id: item.sizes for item in chosen if item.vectors is None}
        contents = self.layout.contents(sizes) if sizes else {}
        return [
            replace(item, entity=contents[item.id][0], vectors=contents[item.id][1]) if item.id in contents else item
            for item in chosen
        ]

    def _segments(
        self, query: MultiVector | None, entity: Entity, vectors: MultiVector | None, words: str
    ) -> tuple[tuple[Segment, float], ...]:
        if words and entity.segments:
            return segments_by_words(words, entity.segments)
        if query is None or vectors is None or not entity.segments:
            return ()
        return segment_similarities(query, vectors, entity.segments, self.layout.spec.metric)


def _best_parts(found: Sequence[Found]) -> list[Found]:
    """Of what was found, best first, the best part of each entity."""
    best: dict[str, Found] = {}
    for item in found:
        best.setdefault(item.id, item)
    return list(best.values())


def is_vectors(query: Any) -> bool:
    """Whether a query is a multi-vector already: one, an array, a tensor, or nested lists of numbers."""
    if isinstance(query, MultiVector) or hasattr(query, "ndim"):
        return True
    nested = isinstance(query, list | tuple) and bool(query) and isinstance(query[0], list | tuple)
    return nested and bool(query[0]) and isinstance(query[0][0], int | float)


def check_similarity(what: str, mode: SearchMode, metric: Metric) -> None:
    """Raise InvalidQuery where hits have no similarity that compares across queries, which ``what`` needs."""
    if mode != "late_interaction" or metric == "L2":
        lacking = f"mode={mode!r}" if mode != "late_interaction" else "the metric L2"
        instead = "search with mode='late_interaction'" if metric != "L2" else "use COSINE or IP"
        raise InvalidQuery(f"{lacking} has no similarity that compares across queries; for {what} {instead}")


def check_relevance(value: Any) -> None:
    """Raise InvalidQuery for anything but a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidQuery(f"relevance is a number from 0 (all for diversity) to 1 (none), not {value!r}")


def check_number(name: str, value: Any) -> None:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= LIMIT:
        raise InvalidQuery(f"{name} is a number from 1 to {LIMIT}, not {value!r}")


def _check_weight(weight: Any, mode: SearchMode) -> None:
    if mode != "hybrid":
        raise InvalidQuery(f"weight is for mode='hybrid'; leave it out with mode={mode!r}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise InvalidQuery(f"weight is a number from 0 (text alone) to 1 (late interaction alone), not {weight!r}")


def _check_query(query: Any, mode: SearchMode) -> None:
    check_query(query)
    if mode != "late_interaction" and not isinstance(query, str):
        raise InvalidQuery(f"mode={mode!r} searches the text and needs a text as query; use mode='late_interaction'")
