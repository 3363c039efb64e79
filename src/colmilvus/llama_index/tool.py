"""A tool with which an agent searches a collection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from llama_index.core.base.llms.types import ContentBlock, TextBlock
from llama_index.core.schema import NodeWithScore
from llama_index.core.tools.types import AsyncBaseTool, ToolMetadata, ToolOutput
from llama_index.core.vector_stores.types import MetadataFilters
from pydantic import ValidationError

from colmilvus.collection import Collection
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.filters import Filter
from colmilvus.llama_index.content import to_content_blocks
from colmilvus.llama_index.filters import to_filter
from colmilvus.llama_index.retriever import LateInteractionRetriever
from colmilvus.llama_index.searches import BEST_SEGMENTS, Mode
from colmilvus.passages import PAGES, PIXELS, check_budget
from colmilvus.tool_arguments import SearchArguments, nothing_found, tool_description

__all__ = ["SearchTool", "create_search_tool"]

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
RESERVED = frozenset({"ctx", "context", "input", "kwargs", "self"})
"""Names that LlamaIndex gives arguments of its own to."""


def create_search_tool(
    collection: Collection,
    *,
    name: str = "search_documents",
    description: str | None = None,
    similarity_top_k: int = 4,
    filters: MetadataFilters | Filter | None = None,
    model_filters: Mapping[str, type] | None = None,
    mode: Mode | None = None,
    per_document: int | None = None,
    best_segments: int | None = BEST_SEGMENTS,
    pages: int = PAGES,
    pixels: int = PIXELS,
) -> SearchTool:
    r"""A tool that searches a collection and shows an agent what it finds: text, pictures of pages, file and page.

    Its output is a ToolOutput whose blocks are those of ``to_content_blocks``, with the pictures of at most ``pages``
    pages of at most ``pixels`` pixels each, and whose ``raw_output`` are the nodes with their scores. A FunctionAgent
    hands the blocks to its model, a ReActAgent their text. ``similarity_top_k``, ``filters``, ``mode`` and
    ``per_document`` hold for every search; the model cannot change them. What cannot be searched for, such as a blank
    question, is answered with the reason, so that the model can ask again. OpenAI's chat completions take no pictures
    from tools: there a PageAgent shows them.

    ``model_filters`` names keys of the metadata that the model may filter by, with the type of their values: bool, int,
    float or str. Each is an argument of the tool that may be left out, and takes a value or a list of values, any of
    which fits; for numbers there are ``min_...`` and ``max_...`` too. Of ``source`` the file's name will do.

    Raises InvalidInput, or what LateInteractionRetriever raises, at once, for arguments that fit nothing.

    >>> from colmilvus import Entity
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> quays = Collection("quays", StaticEmbedder(), uri="kb.db")
    >>> _ = quays.add([Entity("a", "a red boat", metadata={"source": "boats.txt", "year": 2024})])
    >>> tool = create_search_tool(quays, model_filters={"year": int})
    >>> list(tool.metadata.get_parameters_dict()["properties"]), tool(query="boat", min_year=2020).content
    (['query', 'year', 'min_year', 'max_year'], '[1] boats.txt\na red boat')
    >>> quays.close()
    """
    if not isinstance(collection, Collection):
        raise InvalidInput(f"this takes a Collection, such as store.collection, not {type(collection).__name__}")
    check_budget(pages, pixels)
    if not NAME.fullmatch(name):
        raise InvalidInput(f"a tool's name has 1 to 64 letters, digits, _ and -; {name!r} does not fit")
    fixed = to_filter(filters, collection.spec.fields)

    def retriever(chosen: Filter | None) -> LateInteractionRetriever:
        return LateInteractionRetriever(
            collection,
            similarity_top_k,
            filters=chosen,
            mode=mode,
            per_document=per_document,
            best_segments=best_segments,
        )

    retriever(fixed)  # which refuses what fits nothing
    if isinstance(fixed, str):
        collection.count(fixed)  # which Milvus alone can read
    arguments = SearchArguments(model_filters, fixed=fixed, reserved=RESERVED)
    told = description or tool_description(collection.name)
    return SearchTool(retriever, arguments, ToolMetadata(told, name, arguments.schema), pages=pages, pixels=pixels)


class SearchTool(AsyncBaseTool):
    """What ``create_search_tool`` makes."""

    def __init__(
        self,
        retriever: Callable[[Filter | None], LateInteractionRetriever],
        arguments: SearchArguments,
        metadata: ToolMetadata,
        *,
        pages: int,
        pixels: int,
    ) -> None:
        self._retriever = retriever
        self._arguments = arguments
        self._metadata = metadata
        self._pages = pages
        self._pixels = pixels

    @property
    def metadata(self) -> ToolMetadata:
        return self._metadata

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        """What was found for ``query``, and the filters that are arguments of this tool."""
        given = {**dict(zip(("query",), args, strict=False)), **kwargs}
        try:
            chosen = self._arguments.schema.model_validate(given).model_dump()
            found = self._found(chosen.pop("query"), chosen)
        except ValidationError as error:
            return self._answer(given, [TextBlock(text=_mistakes(error))], [])
        except InvalidQuery as error:  # of the model's making: it can ask again
            return self._answer(given, [TextBlock(text=f"{error}.")], [])
        blocks = to_content_blocks(found, pages=self._pages, pixels=self._pixels)
        return self._answer(given, blocks or [TextBlock(text=nothing_found(chosen))], found)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        """As ``call``, in a thread."""
        return await asyncio.to_thread(self.call, *args, **kwargs)

    def _found(self, query: str, chosen: Mapping[str, Any]) -> list[NodeWithScore]:
        return self._retriever(self._arguments.filter(chosen)).retrieve(query)

    def _answer(self, given: dict[str, Any], blocks: list[ContentBlock], found: list[NodeWithScore]) -> ToolOutput:
        return ToolOutput(tool_name=self._metadata.get_name(), blocks=blocks, raw_input=given, raw_output=found)


def _mistakes(error: ValidationError) -> str:
    told = dict.fromkeys(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
    return f"The arguments do not fit: {'; '.join(told)}."
