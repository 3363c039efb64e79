"""The retriever that a vector store gives out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import model_validator

from colmilvus.errors import InvalidInput
from colmilvus.langchain.retriever import tracing
from colmilvus.langchain.searches import ARGUMENTS, StoreSearches
from colmilvus.langchain.turns import RetrieverInTurns

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from typing_extensions import Self

__all__ = ["LateInteractionVectorStoreRetriever"]


class LateInteractionVectorStoreRetriever(RetrieverInTurns, VectorStoreRetriever):
    """LangChain's own retriever of a vector store, with the search types "hybrid" and "text" added.

    ``search_kwargs`` are checked when it is made. A call may give them anew, as in
    ``invoke("...", k=2, expr="year > 2020")``.
    """

    allowed_search_types = tuple(ARGUMENTS)

    @model_validator(mode="after")
    def _check_search_kwargs(self) -> Self:
        if not isinstance(self.vectorstore, StoreSearches):
            raise InvalidInput(f"this is for a LateInteractionVectorStore, not {type(self.vectorstore).__name__}")
        self.vectorstore.check_search(self.search_type, self.search_kwargs)
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
