"""A tool with which an agent searches a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool, StructuredTool

from colmilvus.collection import Collection
from colmilvus.embedder import SearchMode
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.langchain.content import to_message_content
from colmilvus.langchain.documents import BEST_SEGMENTS, check_segments, scored_document
from colmilvus.langchain.filters import to_filter
from colmilvus.passages import PAGES, PIXELS, check_budget
from colmilvus.tool_arguments import SearchArguments, nothing_found, tool_description

__all__ = ["create_search_tool"]

RESERVED = frozenset({"args", "callbacks", "config", "kwargs", "run_manager", "runtime", "self"})
"""Names that LangChain gives arguments of its own to."""


def create_search_tool(
    collection: Collection,
    *,
    name: str = "search_documents",
    description: str | None = None,
    k: int = 4,
    filter: Any = None,
    filters: Mapping[str, type] | None = None,
    mode: SearchMode | None = None,
    per_document: int | None = None,
    best_segments: int | None = BEST_SEGMENTS,
    pages: int = PAGES,
    pixels: int = PIXELS,
) -> BaseTool:
    r"""A tool that searches a collection and shows an agent what it finds: text, pictures of pages, file and page.

    Its answer is the content blocks of ``to_message_content``, with the pictures of at most ``pages`` pages of at most
    ``pixels`` pixels each, and its artifact the Documents, as LateInteractionRetriever gives them. ``k``, ``filter``,
    ``mode`` and ``per_document`` hold for every search; the model cannot change them. What cannot be searched for,
    such as a blank question, is answered with the reason, so that the model can ask again.

    ``filters`` names keys of the metadata that the model may filter by, with the type of their values: bool, int, float
    or str. Each is an argument of the tool that may be left out, and takes a value or a list of values, any of which
    fits; for numbers there are ``min_...`` and ``max_...`` too. Of ``source`` the file's name, as it is shown, will do.

    Raises InvalidInput, or what ``Collection.search`` raises, at once, for arguments that fit nothing.

    >>> from colmilvus import Entity
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> quays = Collection("quays", StaticEmbedder(), uri="kb.db")
    >>> _ = quays.add([Entity("a", "a red boat", metadata={"source": "boats.txt", "year": 2024})])
    >>> tool = create_search_tool(quays, filters={"year": int})
    >>> list(tool.args), tool.invoke({"query": "boat", "min_year": 2020})
    (['query', 'year', 'min_year', 'max_year'], [{'type': 'text', 'text': '[1] boats.txt\na red boat'}])
    >>> quays.close()
    """
    if not isinstance(collection, Collection):
        raise InvalidInput(f"this takes a Collection, such as store.collection, not {type(collection).__name__}")
    check_segments(best_segments)
    check_budget(pages, pixels)
    fixed, most = to_filter(filter, None, collection.spec.fields)
    arguments = SearchArguments(filters, fixed=fixed, reserved=RESERVED)
    number = k if most is None else min(k, most)
    collection.check_search(number, filter=fixed, mode=mode, per_document=per_document)
    if isinstance(fixed, str):
        collection.count(fixed)  # which Milvus alone can read

    def find(query: str, chosen: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Document]]:
        joined = arguments.filter(chosen)
        try:
            hits = collection.search(query, number, filter=joined, mode=mode, per_document=per_document)
        except InvalidQuery as error:  # of the model's making: it can ask again
            return [{"type": "text", "text": f"{error}."}], []
        documents = [scored_document(hit, best_segments) for hit in hits]
        content = to_message_content(documents, pages=pages, pixels=pixels)
        return content or [{"type": "text", "text": nothing_found(chosen)}], documents

    def search(query: str, **chosen: Any) -> tuple[list[dict[str, Any]], list[Document]]:
        return find(query, chosen)

    async def asearch(query: str, **chosen: Any) -> tuple[list[dict[str, Any]], list[Document]]:
        return await run_in_executor(None, find, query, chosen)

    return StructuredTool.from_function(
        func=search,
        coroutine=asearch,
        name=name,
        description=description or tool_description(collection.name),
        args_schema=arguments.schema,
        response_format="content_and_artifact",
    )
