"""LangChain's view of a collection: a retriever of page Documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from colmilvus.collection import Collection
from colmilvus.embedder import SearchMode
from colmilvus.entity import Hit
from colmilvus.errors import InvalidInput, MissingExtra
from colmilvus.filters import Filter

try:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
    from langchain_core.runnables.config import run_in_executor
    from pydantic import ConfigDict, Field
except ImportError as error:
    raise MissingExtra("colmilvus.langchain", "langchain") from error

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

__all__ = ["LateInteractionRetriever"]

_SEARCH_FIELDS = ("k", "filter", "mode", "min_similarity", "per_document")


class LateInteractionRetriever(BaseRetriever):
    """Finds the pages of a collection that match a question best, as LangChain Documents, best first.

    ``k``, ``filter``, ``mode``, ``min_similarity`` and ``per_document`` mean what they mean in ``Collection.search``;
    ``mode=None`` is the mode that suits the embedder. Each can be given anew in a call: ``invoke("...", k=2)``.
    ``ainvoke`` searches in a thread and leaves the event loop free.

    A Document's ``id`` is the entity's. Its metadata is a copy of the entity's with three keys added, each only where
    there is such a value and the entity has no key of that name, which stays as it is: ``score``, what the mode ranks
    by; ``similarity``, which compares across queries; and ``image``, the path of the page's picture, a string.

    Raises pydantic's ValidationError, at construction, for ``k=0``, an unknown mode or an unknown field; in a call,
    InvalidQuery for a blank question and for what a mode cannot give, and InvalidInput for an unknown argument.

    >>> from colmilvus import Collection, Entity
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> with Collection("quays", StaticEmbedder(), uri="kb.db") as pages:
    ...     _ = pages.add([Entity("a", "a red boat"), Entity("b", "a green tree")])
    ...     [page.id for page in LateInteractionRetriever(pages, k=1).invoke("boat")]
    ['a']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    collection: Collection
    k: Annotated[int, Field(ge=1, strict=True)] = 4
    filter: Filter | None = None
    mode: SearchMode | None = None
    min_similarity: float | None = None
    per_document: Annotated[int, Field(ge=1, strict=True)] | None = None

    def __init__(self, collection: Collection, **fields: Any) -> None:
        fields["collection"] = collection
        super().__init__(**fields)

    # The base class passes run_manager by its name, and a call's arguments only to a method that takes some itself.
    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        **changes: Any,
    ) -> list[Document]:
        return self._search(query, changes)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        **changes: Any,
    ) -> list[Document]:
        return await run_in_executor(None, self._search, query, changes)

    def _search(self, query: str, changes: dict[str, Any]) -> list[Document]:
        unknown = changes.keys() - {*_SEARCH_FIELDS, "verbose"}  # invoke() itself reads verbose, and passes it on
        if unknown:
            raise InvalidInput(
                f"no search argument {', '.join(sorted(unknown))}; there are {', '.join(_SEARCH_FIELDS)}"
            )
        arguments = {name: changes.get(name, getattr(self, name)) for name in _SEARCH_FIELDS}
        return [_to_document(hit) for hit in self.collection.search(query, **arguments)]

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "milvus"
        if self.collection.embedder is not None:
            params["ls_embedding_provider"] = type(self.collection.embedder).__name__
            params["ls_embedding_model"] = self.collection.embedder.name
        return params


def _to_document(hit: Hit) -> Document:
    entity = hit.entity
    image = None if entity.image is None else str(entity.image)
    metadata = dict(entity.metadata)
    for name, value in (("score", hit.score), ("similarity", hit.similarity), ("image", image)):
        if value is not None:
            metadata.setdefault(name, value)
    return Document(id=entity.id, page_content=entity.full_text, metadata=metadata)
