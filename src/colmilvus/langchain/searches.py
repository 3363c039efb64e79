"""The searches of a vector store, of every kind that LangChain's interface has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore

from colmilvus.collection import Collection
from colmilvus.embedder import Query, SearchMode
from colmilvus.entity import Hit, ImageLike, MultiVector
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.langchain.documents import hit_document
from colmilvus.langchain.filters import to_filter
from colmilvus.search import check_number, check_similarity

__all__ = ["ARGUMENTS", "StoreSearches"]

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "similarity": ("k", "filter", "expr", "per_document", "min_similarity", "exact"),
    "similarity_score_threshold": ("k", "score_threshold", "filter", "expr", "per_document", "min_similarity", "exact"),
    "mmr": ("k", "fetch_k", "lambda_mult", "filter", "expr", "per_document"),
    "hybrid": ("k", "filter", "expr", "per_document", "fusion"),
    "text": ("k", "filter", "expr", "per_document"),
}
"""The search types of a store, each with the arguments that it takes."""
MODES: Mapping[str, SearchMode] = {"similarity": "late_interaction", "hybrid": "hybrid", "text": "text"}
OF_STORES = frozenset({"filter", "expr", "score_threshold", "fetch_k", "lambda_mult"})
"""Arguments that the core does not have, or has in another form."""
FETCHED = 20
"""Candidates of a search for diversity, LangChain's own default."""


class StoreSearches(VectorStore):
    """What a vector store over a collection is asked; those searches that are not here call these, in a thread."""

    collection: Collection
    best_segments: int | None

    def search(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """Documents by "similarity", "similarity_score_threshold", "mmr", "hybrid" or "text".

        The first three are always by late interaction; hybrid is that and BM25, text BM25 alone.
        """
        return self._searching(search_type)(query, **kwargs)

    async def asearch(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """As ``search``, in a thread."""
        return await run_in_executor(None, self.search, query, search_type, **kwargs)

    def _searching(self, search_type: str) -> Callable[..., list[Document]]:
        if search_type == "mmr":
            return self.max_marginal_relevance_search
        if search_type == "similarity_score_threshold":
            return self._above_threshold
        if search_type not in MODES:
            raise InvalidQuery(f"no search_type {search_type!r}; there are {', '.join(ARGUMENTS)}")

        def searching(query: str, k: int = 4, **kwargs: Any) -> list[Document]:
            return self._documents(self._hits(_question(query), k, search_type, **kwargs))

        return searching

    def _above_threshold(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        found = self.similarity_search_with_relevance_scores(query, k, **kwargs)
        return [document for document, _ in found]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents that match best.

        Keyword arguments: ``filter`` or ``expr``; ``per_document``, at most so many of one source; ``min_similarity``
        and ``exact`` as in ``Collection.search``. Raises InvalidInput for others.
        """
        return self._documents(self._hits(_question(query), k, "similarity", **kwargs))

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The ``k`` documents that match best, each with its MaxSim."""
        return self._scored(self._hits(_question(query), k, "similarity", **kwargs))

    def similarity_search_by_vector(
        self, embedding: Sequence[float] | Sequence[Sequence[float]], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents that match a vector ``(dim,)`` or a multi-vector ``(n, dim)`` best."""
        return self._documents(self._hits(_multi_vector(embedding), k, "similarity", **kwargs))

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float] | Sequence[Sequence[float]], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As ``similarity_search_by_vector``, each with its MaxSim."""
        return self._scored(self._hits(_multi_vector(embedding), k, "similarity", **kwargs))

    def similarity_search_by_image(self, image: ImageLike, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents that match a picture best: one of PIL, its bytes, or a path; for embedders that see."""
        return self._documents(self._hits(_picture(image), k, "similarity", **kwargs))

    async def asimilarity_search_by_image(self, image: ImageLike, k: int = 4, **kwargs: Any) -> list[Document]:
        """As ``similarity_search_by_image``, in a thread."""
        return await run_in_executor(None, self.similarity_search_by_image, image, k, **kwargs)

    def similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The ``k`` documents that match best, each with its relevance, from 0 to 1.

        ``score_threshold``, from 0 to 1, drops those below it. Raises InvalidQuery for another threshold, and for the
        metric L2, which has no similarity that compares across questions.
        """
        threshold = kwargs.pop("score_threshold", None)
        _check_threshold(threshold)
        found = self._similarity_search_with_relevance_scores(query, k, **kwargs)
        return [(document, score) for document, score in found if threshold is None or score >= threshold]

    async def asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As ``similarity_search_with_relevance_scores``, in a thread."""
        return await run_in_executor(None, self.similarity_search_with_relevance_scores, query, k, **kwargs)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        self._check_relevance_scores()
        hits = self._hits(_question(query), k, "similarity", **kwargs)
        return [(document, _relevance(hit)) for document, hit in zip(self._documents(hits), hits, strict=True)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await run_in_executor(None, self._similarity_search_with_relevance_scores, query, k, **kwargs)

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = FETCHED, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """``k`` of the ``fetch_k`` best documents that match and do not repeat each other.

        ``lambda_mult`` is from 0, most diverse, to 1, as ``similarity_search``. Two documents repeat each other by the
        cosine of the means of their vectors. Keyword arguments: ``filter`` or ``expr``, and ``per_document``.
        """
        return self._diverse(_question(query), k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float] | Sequence[Sequence[float]],
        k: int = 4,
        fetch_k: int = FETCHED,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As ``max_marginal_relevance_search``, for a vector ``(dim,)`` or a multi-vector ``(n, dim)``."""
        return self._diverse(_multi_vector(embedding), k, fetch_k, lambda_mult, **kwargs)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float] | Sequence[Sequence[float]],
        k: int = 4,
        fetch_k: int = FETCHED,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As ``max_marginal_relevance_search_by_vector``, in a thread."""
        return await run_in_executor(
            None, self.max_marginal_relevance_search_by_vector, embedding, k, fetch_k, lambda_mult, **kwargs
        )

    def check_search(self, search_type: str, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidInput or InvalidFilter where a search of this type could not have these arguments."""
        _check_known(arguments, search_type)
        core = {name: value for name, value in arguments.items() if name not in OF_STORES}
        if search_type == "similarity_score_threshold":
            _check_threshold(arguments.get("score_threshold"))
            self._check_relevance_scores()
        if search_type == "mmr":
            _check_diversity(arguments.get("fetch_k", FETCHED), arguments.get("lambda_mult", 0.5))
            check_similarity("search_type='mmr'", "late_interaction", self.collection.metric)
        core["filter"], _ = to_filter(arguments.get("filter"), arguments.get("expr"), self.collection.spec.fields)
        self.collection.check_search(mode=MODES.get(search_type, "late_interaction"), **core)

    def _check_relevance_scores(self) -> None:
        if self.collection.metric == "L2":
            raise InvalidQuery("the metric L2 has no relevance from 0 to 1; use an embedder with COSINE or IP")

    def _hits(
        self,
        query: Query | MultiVector,
        k: int,
        search_type: str,
        *,
        filter: Any = None,
        expr: str | None = None,
        **arguments: Any,
    ) -> list[Hit]:
        _check_known(arguments, search_type)
        chosen, most = to_filter(filter, expr, self.collection.spec.fields)
        k = k if most is None else min(k, most)
        return self.collection.search(query, k, filter=chosen, mode=MODES[search_type], **arguments)

    def _diverse(
        self,
        query: str | MultiVector,
        k: int,
        fetch_k: int,
        lambda_mult: float,
        *,
        filter: Any = None,
        expr: str | None = None,
        **arguments: Any,
    ) -> list[Document]:
        _check_known(arguments, "mmr")
        _check_diversity(fetch_k, lambda_mult)
        chosen, most = to_filter(filter, expr, self.collection.spec.fields)
        k = k if most is None else min(k, most)
        hits = self.collection.search_diverse(
            query, k, candidates=fetch_k, relevance=lambda_mult, filter=chosen, **arguments
        )
        return self._documents(hits)

    def _documents(self, hits: Iterable[Hit]) -> list[Document]:
        return [hit_document(hit, self.best_segments) for hit in hits]

    def _scored(self, hits: Sequence[Hit]) -> list[tuple[Document, float]]:
        return [(document, hit.score) for document, hit in zip(self._documents(hits), hits, strict=True)]


def _check_known(arguments: Mapping[str, Any], search_type: str) -> None:
    if unknown := sorted(arguments.keys() - set(ARGUMENTS[search_type])):
        told = f"no search argument {', '.join(unknown)} of search_type={search_type!r}"
        raise InvalidInput(f"{told}; there are {', '.join(ARGUMENTS[search_type])}")


def _check_threshold(threshold: Any) -> None:
    if threshold is None:
        return
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise InvalidQuery(f"score_threshold is a number from 0 to 1, not {threshold!r}")


def _check_diversity(fetch_k: Any, lambda_mult: Any) -> None:
    check_number("fetch_k", fetch_k)
    if isinstance(lambda_mult, bool) or not isinstance(lambda_mult, int | float) or not 0 <= lambda_mult <= 1:
        raise InvalidQuery(f"lambda_mult is a number from 0 (most diverse) to 1, not {lambda_mult!r}")


def _question(query: Any) -> str:
    if not isinstance(query, str):
        raise InvalidQuery(f"a question is a text, not {type(query).__name__}; others are asked by image or vector")
    return query


def _relevance(hit: Hit) -> float:
    """Similarity, from -1 to 1, as LangChain's relevance, from 0 to 1."""
    return min(1.0, max(0.0, ((hit.similarity or 0.0) + 1) / 2))


def _multi_vector(embedding: Sequence[float] | Sequence[Sequence[float]]) -> MultiVector:
    is_one = len(embedding) > 0 and not hasattr(embedding[0], "__len__")
    return MultiVector([embedding] if is_one else embedding)


def _picture(image: ImageLike) -> ImageLike:
    """The picture as a query; a text would be taken for words."""
    return Path(os.fspath(image)) if isinstance(image, str) else image
