"""One search: candidates from the rows, parts of one entity put together, lists fused, the best kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from colmilvus.embedder import Embedder, SearchMode
from colmilvus.entity import Hit, MultiVector
from colmilvus.errors import InvalidQuery, InvalidVectors
from colmilvus.layouts.struct_array import Found, StructArrayLayout
from colmilvus.maxsim import maxsim
from colmilvus.ranking import Fusion, at_most_per_document, fuse, segment_similarities, similarity_of

__all__ = ["Search"]

LIMIT = 16_384
"""Most rows that Milvus gives for one query (``quotaAndLimits.limits.topK``)."""
FUSED_DEPTH = 100
"""Rows of each list that are fused, at least: min-max needs to see beyond the few that are shown."""


@dataclass(frozen=True)
class Search:
    """What is asked of a collection, but for the query and the mode."""

    layout: StructArrayLayout
    embedder: Embedder | None
    k: int
    expression: str
    min_similarity: float | None
    per_document: int | None
    exact: bool
    fusion: Fusion

    def run(self, queries: Sequence[Any], mode: SearchMode) -> list[list[Hit]]:
        """The hits for each query. Raises InvalidQuery where the mode, or its arguments, do not suit."""
        self._check(mode)
        for query in queries:
            _check_query(query, mode)
        if mode == "text":
            return [self._text(query) for query in queries]
        vectors = self._vectors(queries)
        if mode == "hybrid":
            return [self._hybrid(query, vector) for query, vector in zip(queries, vectors, strict=True)]
        return [self._late_interaction(vector) for vector in vectors]

    def _check(self, mode: SearchMode) -> None:
        if mode not in ("late_interaction", "text", "hybrid"):
            raise InvalidQuery(f"mode is 'late_interaction', 'text' or 'hybrid', not {mode!r}")
        if isinstance(self.k, bool) or not isinstance(self.k, int) or not 1 <= self.k <= LIMIT:
            raise InvalidQuery(f"k is a number from 1 to {LIMIT}, not {self.k!r}")
        if self.per_document is not None and self.per_document < 1:
            raise InvalidQuery(f"per_document is a number from 1, not {self.per_document!r}")
        if self.fusion not in ("min_max", "rrf"):
            raise InvalidQuery(f"fusion is 'min_max' or 'rrf', not {self.fusion!r}")
        if self.min_similarity is not None and (mode != "late_interaction" or self.layout.spec.metric == "L2"):
            what = f"mode={mode!r}" if mode != "late_interaction" else "the metric L2"
            raise InvalidQuery(f"{what} has no similarity that compares across queries; leave min_similarity out")

    def _vectors(self, queries: Sequence[Any]) -> list[MultiVector]:
        given = {index: MultiVector.of(query) for index, query in enumerate(queries) if _is_vectors(query)}
        asked = [query for query in queries if not _is_vectors(query)]
        if asked and self.embedder is None:
            raise InvalidQuery("this collection was opened without an embedder: pass a multi-vector as query")
        embedded = iter(self.embedder.embed_queries(asked) if asked and self.embedder else ())
        vectors = [given[index] if index in given else MultiVector.of(next(embedded)) for index in range(len(queries))]
        for vector in vectors:
            if vector.dim != self.layout.spec.dim:
                raise InvalidVectors(
                    f"the query has vectors of {vector.dim} dimensions, the collection of {self.layout.spec.dim}"
                )
        return vectors

    def _late_interaction(self, query: MultiVector) -> list[Hit]:
        """Ask for more rows until enough entities are left after parts, documents and the threshold, or none remain."""
        limit = min(self.k if self.per_document is None and not self.exact else 4 * self.k, LIMIT)
        while True:
            found = self.layout.search(query, self._rows(limit), self.expression)
            hits = [self._hit(query, item) for item in self._whole(query, found)]
            kept = self._kept(hits)
            exhausted = len(found) < self._rows(limit) or limit == LIMIT
            if len(kept) >= self.k or exhausted or _below(hits, self.min_similarity):
                return self._with_segments(query, kept[: self.k])
            limit = min(4 * limit, LIMIT)

    def _rows(self, entities: int) -> int:
        """How many rows to ask for to get so many entities; only entities with segments have several rows."""
        return min(2 * entities + 10, LIMIT) if self.layout.spec.segments else entities

    def _whole(self, query: MultiVector, found: Sequence[Found]) -> list[Found]:
        """One item for each entity, scored over all its parts, best first."""
        best = {item.entity.id: item for item in reversed(found)}
        again = {name: item.parts for name, item in best.items() if self.exact or item.parts > 1}
        if again:
            for name, (vectors, _) in self.layout.multi_vectors(again).items():
                best[name] = replace(best[name], score=maxsim(query, vectors, self.layout.spec.metric))
        return sorted(best.values(), key=lambda item: item.score, reverse=self.layout.spec.metric != "L2")

    def _hit(self, query: MultiVector, item: Found) -> Hit:
        return Hit(item.entity, item.score, similarity_of(item.score, query, self.layout.spec.metric))

    def _kept(self, hits: Sequence[Hit]) -> list[Hit]:
        least = self.min_similarity
        kept = [hit for hit in hits if least is None or (hit.similarity is not None and hit.similarity >= least)]
        return kept if self.per_document is None else at_most_per_document(kept, self.per_document)

    def _text(self, query: str) -> list[Hit]:
        limit = self.k if self.per_document is None else 4 * self.k
        while True:
            found = self.layout.search_text(query, min(limit, LIMIT), self.expression)
            kept = self._kept([Hit(item.entity, item.score) for item in found])
            if len(kept) >= self.k or len(found) < limit or limit >= LIMIT:
                return kept[: self.k]
            limit *= 4

    def _hybrid(self, query: str, vectors: MultiVector) -> list[Hit]:
        depth = min(max(FUSED_DEPTH, 10 * self.k), LIMIT)
        by_vectors = self._whole(vectors, self.layout.search(vectors, self._rows(depth), self.expression))
        by_text = self.layout.search_text(query, depth, self.expression)
        sign = -1.0 if self.layout.spec.metric == "L2" else 1.0
        scores = fuse(
            [{i.entity.id: sign * i.score for i in by_vectors}, {i.entity.id: i.score for i in by_text}], self.fusion
        )
        found = {item.entity.id: item for item in [*by_text, *by_vectors]}
        kept = self._kept([Hit(found[name].entity, score) for name, score in scores.items()])
        return self._with_segments(vectors, kept[: self.k])

    def _with_segments(self, query: MultiVector, hits: list[Hit]) -> list[Hit]:
        if not hits or not self.layout.spec.segments:
            return hits
        ids = [hit.entity.id for hit in hits]
        parts = {name: stored.parts for name, stored in self.layout.stored(ids).items()}
        details = self.layout.multi_vectors(parts)
        complete = []
        for hit in hits:
            vectors, segments = details[hit.entity.id]
            scored = segment_similarities(query, vectors, segments, self.layout.spec.metric)
            complete.append(replace(hit, entity=replace(hit.entity, segments=segments), segments=scored))
        return complete


def _is_vectors(query: Any) -> bool:
    return isinstance(query, MultiVector) or hasattr(query, "ndim")


def _check_query(query: Any, mode: SearchMode) -> None:
    if isinstance(query, str) and not query.strip():
        raise InvalidQuery("the query is blank; ask with at least one word")
    if query is None or isinstance(query, int | float | dict):
        raise InvalidQuery(f"a query is a text, a picture or a multi-vector, not {query!r}")
    if mode != "late_interaction" and not isinstance(query, str):
        raise InvalidQuery(f"mode={mode!r} searches the text and needs a text as query; use mode='late_interaction'")


def _below(hits: Sequence[Hit], least: float | None) -> bool:
    """Whether the weakest hit is already below the threshold, so that asking for more brings nothing."""
    return bool(hits) and least is not None and hits[-1].similarity is not None and hits[-1].similarity < least
