"""What can be read of a collection: searched, got by id or filter, counted."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

from numpy.typing import NDArray

from colmilvus.embedder import Embedder, Query, SearchMode, preferred_mode
from colmilvus.entity import Entity, Hit, Metric, MultiVector
from colmilvus.errors import InvalidInput
from colmilvus.filters import Filter
from colmilvus.layouts.checks import id_list
from colmilvus.layouts.layout import Layout
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.ranking import Fusion, diverse
from colmilvus.search import Search, check_number, check_relevance, check_similarity, is_vectors
from colmilvus.store import EntityStore

__all__ = ["Reading"]


class Reading:
    """The half of a collection that changes nothing."""

    embedder: Embedder | None
    _layout: Layout
    _store: EntityStore

    @property
    def dim(self) -> int:
        return self._layout.spec.dim

    @property
    def metric(self) -> Metric:
        return self._layout.spec.metric

    @property
    def spec(self) -> CollectionSpec:
        """What the collection was made with."""
        return self._layout.spec

    @overload
    def search(
        self,
        query: Query | MultiVector | NDArray[Any],
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[Any] | tuple[Any, ...],
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> list[list[Hit]]: ...

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The ``k`` entities that match best, best first; for a list of queries, one such list for each.

        A query is a text, a picture, or a multi-vector ``(n, dim)``. ``mode`` is "late_interaction" (MaxSim), "text"
        (BM25 over the entities' own text, or where they have none their segments'; in more than 64 KB of these a word
        counts once), or "hybrid" (both, scaled to [0, 1] and averaged; ``fusion="rrf"`` fuses by rank; ``weight``, from
        0 to 1, is the part of late interaction, one half if not given); the one that suits the embedder if not given.
        ``min_similarity`` drops weaker hits, ``per_document`` keeps at most so many of one document, and ``exact``
        scores the candidates of a server's index again from their stored vectors. An entity in several parts is scored
        over all of them.

        Raises InvalidQuery for a blank query and for what a mode cannot give, InvalidFilter for a filter that is not
        understood, and InvalidVectors for query vectors of another dimension.
        """
        several = isinstance(query, list | tuple) and not is_vectors(query)
        queries = list(query) if several else [query]
        search = self._search(k, filter, min_similarity, per_document, exact, fusion, weight)
        answers = search.run(queries, mode or self._mode_for(queries))
        shown = [[replace(hit, entity=self._store.hydrated(hit.entity)) for hit in hits] for hits in answers]
        return shown if several else shown[0]

    def check_search(
        self,
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> None:
        """Raise what ``search`` would raise for these arguments, whatever text is asked; nothing is asked."""
        search = self._search(k, filter, min_similarity, per_document, exact, fusion, weight)
        search.check(mode or preferred_mode(self.embedder))
        if mode != "text":
            search.check_embedder()

    def _search(
        self,
        k: int,
        filter: Filter | None,
        min_similarity: float | None,
        per_document: int | None,
        exact: bool,
        fusion: Fusion | None,
        weight: float | None,
    ) -> Search:
        expression = self._layout.expression(filter)
        k = operator.index(k) if hasattr(k, "__index__") and not isinstance(k, bool) else k
        return Search(self._layout, self.embedder, k, expression, min_similarity, per_document, exact, fusion, weight)

    def search_diverse(
        self,
        query: Query | MultiVector | NDArray[Any],
        k: int = 10,
        *,
        candidates: int = 50,
        relevance: float = 0.5,
        filter: Filter | None = None,
        per_document: int | None = None,
    ) -> list[Hit]:
        """``k`` of the ``candidates`` that match best by late interaction, so that they do not repeat each other.

        The next is the one with the largest ``relevance`` x similarity - (1 - ``relevance``) x likeness to one that is
        chosen already, where two are alike by the cosine of the means of their vectors. The first is the best match.
        ``relevance`` is from 0 to 1; with 1 this is ``search``. What was removed meanwhile is left out.

        Raises InvalidQuery for the metric L2, which has no similarity, and what ``search`` raises.

        Source: Carbonell and Goldstein, "The Use of MMR", SIGIR 1998.
        """
        check_similarity("a diverse search", "late_interaction", self.metric)
        check_relevance(relevance)
        check_number("k", k)
        check_number("candidates", candidates)
        hits = self.search(query, max(k, candidates), filter=filter, mode="late_interaction", per_document=per_document)
        vectors = self.multi_vectors([hit.entity.id for hit in hits])
        there = [hit for hit in hits if hit.entity.id in vectors]
        chosen = diverse(
            [hit.similarity or 0.0 for hit in there],
            [vectors[hit.entity.id] for hit in there],
            k,
            relevance,
        )
        return [there[index] for index in chosen]

    def _mode_for(self, queries: Sequence[Any]) -> SearchMode:
        textual = all(isinstance(query, str) for query in queries)
        return preferred_mode(self.embedder) if textual else "late_interaction"

    def get(self, ids: Sequence[str] | None = None, *, filter: Filter | None = None) -> list[Entity]:
        """The entities under these ids that are held, in that order, or those that match a filter, all with ``{}``."""
        if (ids is None) == (filter is None):
            raise InvalidInput("get takes ids or filter=; for everything get(filter={})")
        wanted = self.ids(filter) if ids is None else id_list(ids)
        found = {entity.id: self._store.hydrated(entity) for entity in self._layout.entities(wanted)}
        return [found[name] for name in wanted if name in found]

    def ids(self, filter: Filter | None = None) -> list[str]:
        """The ids of the entities that match the filter, of all without one; their order is not their age."""
        return self._layout.ids(self._layout.expression(filter))

    def with_vectors(self, ids: Sequence[str]) -> dict[str, tuple[Entity, MultiVector]]:
        """The entities under these ids, each with its vectors; ids that are not held are left out."""
        sizes = {name: stored.sizes for name, stored in self._layout.stored(id_list(ids)).items()}
        found = self._layout.contents(sizes) if sizes else {}
        return {name: (self._store.hydrated(entity), vectors) for name, (entity, vectors) in found.items()}

    def multi_vectors(self, ids: Sequence[str]) -> dict[str, MultiVector]:
        """The vectors of the entities under these ids; ids that are not held are left out."""
        return {name: vectors for name, (_, vectors) in self.with_vectors(ids).items()}

    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the entities that hold any of these segments, each with the ids of those that it holds."""
        return self._layout.parents(id_list(segments)) if self._layout.spec.segments else {}

    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of those of these entities that are held, each with the ids of its segments."""
        return self._layout.segment_ids(id_list(ids)) if self._layout.spec.segments else {}

    def count(self, filter: Filter | None = None) -> int:
        """How many entities there are, or how many match the filter."""
        return self._layout.count(self._layout.expression(filter))

    def documents(self) -> dict[str, int]:
        """The documents that entities are part of, with how many entities each has."""
        return self._layout.documents()
