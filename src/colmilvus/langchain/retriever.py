"""A retriever over a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.documents import Document
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field, model_validator

from colmilvus.collection import Collection
from colmilvus.embedder import Embedder, SearchMode
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.langchain.documents import BEST_SEGMENTS, check_segments, scored_document
from colmilvus.langchain.filters import to_filter
from colmilvus.langchain.turns import RetrieverInTurns

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from typing_extensions import Self

__all__ = ["LateInteractionRetriever", "tracing"]

_SEARCH_FIELDS = ("k", "filter", "mode", "min_similarity", "per_document")
_CALL_FIELDS = (*_SEARCH_FIELDS, "expr", "images", "best_segments")


class LateInteractionRetriever(RetrieverInTurns):
    """Finds the pages of a collection that match a question best, as LangChain Documents, best first.

    ``k``, ``mode``, ``min_similarity`` and ``per_document`` mean what they mean in ``Collection.search``; ``mode=None``
    is the mode that suits the embedder. ``filter`` is a dict filter, a Milvus expression or a StructuredQuery, as in
    ``LateInteractionVectorStore``. Each can be given anew in a call, ``invoke("...", k=2)``, the filter also as
    ``expr``. ``ainvoke`` searches in a thread and leaves the event loop free.

    A Document's ``id`` is the entity's. Its metadata is a copy of the entity's with keys added, each only where there
    is such a value and the entity has no key of that name, which stays as it is: ``score``, what the mode ranks by;
    ``similarity``, which compares across queries; and, unless ``images=False``, ``image``, the path of the page's
    picture, a string. A hit with segments has the text of the ``best_segments`` best, all its text with None, and lists
    them under ``segments``: id, text, similarity and metadata.

    Raises pydantic's ValidationError, at construction, for ``k=0``, an unknown mode, field or operator and for what a
    mode cannot give; in a call, InvalidQuery for these and a blank question, and InvalidInput for unknown arguments.

    Setup:
        ``pip install 'colmilvus[embedded,langchain,pdf,static]'``

    Instantiate:
        >>> from colmilvus import Collection, Entity
        >>> from colmilvus.embedders.static import StaticEmbedder
        >>> pages = Collection("quays", StaticEmbedder(), uri="kb.db")
        >>> retriever = LateInteractionRetriever(pages, k=1)

    Add and search:
        >>> _ = pages.add([Entity("a", "a red boat"), Entity("b", "a green tree")])
        >>> [page.id for page in retriever.invoke("boat")]
        ['a']

    Use in a chain:
        >>> from langchain_core.runnables import RunnableLambda
        >>> chain = retriever | RunnableLambda(lambda found: found[0].page_content)
        >>> chain.invoke("Where is the boat?")
        'a red boat'
        >>> pages.close()
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    collection: Collection
    k: Annotated[int, Field(ge=1, strict=True)] = 4
    filter: Any = None
    mode: SearchMode | None = None
    min_similarity: float | None = None
    per_document: Annotated[int, Field(ge=1, strict=True)] | None = None
    images: bool = True
    best_segments: Annotated[int, Field(ge=1, strict=True)] | None = BEST_SEGMENTS

    def __init__(self, collection: Collection, **fields: Any) -> None:
        fields["collection"] = collection
        super().__init__(**fields)

    @model_validator(mode="after")
    def _check_search(self) -> Self:
        chosen, _ = to_filter(self.filter, None, self.collection.spec.fields)
        self.collection.check_search(
            self.k,
            filter=chosen,
            mode=self.mode,
            min_similarity=self.min_similarity,
            per_document=self.per_document,
        )
        return self

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
        if not isinstance(query, str):
            raise InvalidQuery(f"a question is a text, not {type(query).__name__}; for several there is batch()")
        unknown = changes.keys() - {*_CALL_FIELDS, "verbose"}  # invoke() itself reads verbose, and passes it on
        if unknown:
            raise InvalidInput(f"no search argument {', '.join(sorted(unknown))}; there are {', '.join(_CALL_FIELDS)}")
        arguments = {name: changes.get(name, getattr(self, name)) for name in _SEARCH_FIELDS}
        given = changes.get("filter") if "expr" in changes else arguments["filter"]
        arguments["filter"], most = to_filter(given, changes.get("expr"), self.collection.spec.fields)
        if most is not None:
            arguments["k"] = min(arguments["k"], most)
        images = changes.get("images", self.images)
        segments = changes.get("best_segments", self.best_segments)
        check_segments(segments)
        return [scored_document(hit, segments, images=images) for hit in self.collection.search(query, **arguments)]

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        tracing(params, self.collection.embedder)
        return params


def tracing(params: LangSmithRetrieverParams, embedder: Embedder | None) -> None:
    """Fill in what LangSmith shows of a run: the database, and the embedder with its model."""
    params["ls_vector_store_provider"] = "milvus"
    if embedder is not None:
        params["ls_embedding_provider"] = type(embedder).__name__
        params["ls_embedding_model"] = embedder.name
