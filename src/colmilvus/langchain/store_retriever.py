"""The retriever that a vector store gives out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import model_validator

from colmilvus.errors import InvalidInput
from colmilvus.filters import to_expression
from colmilvus.langchain.filters import to_filter
from colmilvus.langchain.retriever import tracing
from colmilvus.langchain.searches import SEARCH_ARGUMENTS, SEARCH_TYPES, StoreSearches, check_threshold
from colmilvus.langchain.turns import RetrieverInTurns
from colmilvus.search import check_number, check_relevance

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from typing_extensions import Self

__all__ = ["LateInteractionVectorStoreRetriever"]

_OF_TYPE = {
    "similarity": {"k", *SEARCH_ARGUMENTS} - {"fusion"},
    "similarity_score_threshold": {"k", "score_threshold", *SEARCH_ARGUMENTS} - {"fusion"},
    "mmr": {"k", "fetch_k", "lambda_mult", "filter", "expr", "per_document"},
    "hybrid": {"k", "filter", "expr", "per_document", "fusion"},
    "text": {"k", "filter", "expr", "per_document"},
}


class LateInteractionVectorStoreRetriever(RetrieverInTurns, VectorStoreRetriever):
    """LangChain's own retriever of a vector store, with the search types "hybrid" and "text" added.

    ``search_kwargs`` are checked when it is made. A call may give them anew, as in
    ``invoke("...", k=2, expr="year > 2020")``.
    """

    allowed_search_types = SEARCH_TYPES

    @model_validator(mode="after")
    def _check_search_kwargs(self) -> Self:
        arguments = self.search_kwargs
        if not isinstance(self.vectorstore, StoreSearches):
            raise InvalidInput(
                f"this retrieves from a LateInteractionVectorStore, not {type(self.vectorstore).__name__}"
            )
        known = _OF_TYPE[self.search_type]
        if unknown := sorted(arguments.keys() - known):
            raise InvalidInput(
                f"search_type={self.search_type!r} takes no {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        for name in ("k", "fetch_k", "per_document"):
            if arguments.get(name) is not None or name in arguments.keys() - {"per_document"}:
                check_number(name, arguments[name])
        if "lambda_mult" in arguments:
            check_relevance(arguments["lambda_mult"])
        if "score_threshold" in arguments:
            check_threshold(arguments["score_threshold"])
        fields = self.vectorstore.collection.spec.fields
        to_expression(to_filter(arguments.get("filter"), arguments.get("expr"), fields)[0], fields)
        return self

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        **kwargs: Any,
    ) -> list[Document]:
        return self.vectorstore.search(query, self.search_type, **self._arguments(kwargs))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        **kwargs: Any,
    ) -> list[Document]:
        return await self.vectorstore.asearch(query, self.search_type, **self._arguments(kwargs))

    def _arguments(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The search's arguments with what a call changes; a filter of the call replaces one under either name."""
        changes = {name: value for name, value in changes.items() if name != "verbose"}
        replaced = {"filter", "expr"} if changes.keys() & {"filter", "expr"} else set()
        return {name: value for name, value in self.search_kwargs.items() if name not in replaced} | changes

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        if isinstance(self.vectorstore, StoreSearches):
            tracing(params, self.vectorstore.collection.embedder)
        return params
