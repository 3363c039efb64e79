"""A tool with which an agent searches a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ContentBlock, ImageBlock, TextBlock
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.tools.types import AsyncBaseTool, ToolMetadata, ToolOutput
from llama_index.core.vector_stores.types import MetadataFilters
from pydantic import ValidationError

from colmilvus.collection import Collection
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.filters import Filter
from colmilvus.llama_index.filters import to_filter
from colmilvus.llama_index.pictures import picture_of
from colmilvus.llama_index.searches import BEST_SEGMENTS, Mode, NodeSearch
from colmilvus.passages import PAGES, PIXELS, Passage, check_budget, show
from colmilvus.tool_arguments import SearchArguments, nothing_found, tool_description

__all__ = ["SearchTool", "create_search_tool", "to_content_blocks"]

SOURCES = ("source", "file_path", "file_name")
"""Keys of the metadata that name where a node comes from: this package's, and those of SimpleDirectoryReader."""
PAGE_KEYS = ("page", "page_label")
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
    question, is answered with the reason, so that the model can ask again.

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
    fixed = to_filter(filters, collection.spec.fields)
    search = NodeSearch(
        collection, similarity_top_k, fixed, mode, per_document=per_document, best_segments=best_segments
    )
    search.check()
    if isinstance(fixed, str):
        collection.count(fixed)  # which Milvus alone can read
    arguments = SearchArguments(model_filters, fixed=fixed, reserved=RESERVED)
    told = description or tool_description(collection.name)
    return SearchTool(search, arguments, ToolMetadata(told, name, arguments.schema), pages=pages, pixels=pixels)


class SearchTool(AsyncBaseTool):
    """What ``create_search_tool`` makes."""

    def __init__(
        self, search: NodeSearch, arguments: SearchArguments, metadata: ToolMetadata, *, pages: int, pixels: int
    ) -> None:
        self._search = search
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
        return self._search.among(self._arguments.filter(chosen)).run(query)

    def _answer(self, given: dict[str, Any], blocks: list[ContentBlock], found: list[NodeWithScore]) -> ToolOutput:
        return ToolOutput(tool_name=self._metadata.get_name(), blocks=blocks, raw_input=given, raw_output=found)


def to_content_blocks(
    nodes: Sequence[NodeWithScore], *, pages: int = PAGES, pixels: int = PIXELS
) -> list[ContentBlock]:
    r"""The nodes as content blocks for a message to a model that sees.

    Before each node stands its number and where it comes from, such as ``[1] report.pdf, page 3``, in one text block
    with its text; a document that was found by its segments has a number for each of them. Then comes its picture, an
    image block, if it has one: ``pages`` different ones at most, each of at most ``pixels`` pixels in area. A text says
    where a picture is left out, or was shown before; one that cannot be read is left out with a warning. Raises
    InvalidInput for a budget that is no number.

    >>> from llama_index.core.schema import TextNode
    >>> page = TextNode(text="The Danube is long.", metadata={"source": "rivers.pdf", "page": 2})
    >>> to_content_blocks([NodeWithScore(node=page)])[0].text
    '[1] rivers.pdf, page 2\nThe Danube is long.'
    """
    blocks: list[ContentBlock] = []
    for shown in show([p for each in nodes for p in _passages(each.node)], pages=pages, pixels=pixels):
        blocks.append(TextBlock(text=shown.text))
        if shown.picture is not None:
            blocks.append(ImageBlock(image=shown.picture, image_mimetype="image/jpeg"))
    return blocks


def _passages(node: BaseNode) -> Iterator[Passage]:
    segments: Sequence[NodeWithScore] = getattr(node, "segments", ())
    for part in [each.node for each in segments] or [node]:
        metadata = {**_origin(node.metadata), **_origin(part.metadata)}
        yield Passage(part.get_content(), metadata, part.node_id, lambda: picture_of(node, fetched=True))


def _origin(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Source and page, under whatever keys they stand."""
    source = next((metadata[key] for key in SOURCES if metadata.get(key)), None)
    page = next((metadata[key] for key in PAGE_KEYS if metadata.get(key) is not None), None)
    return {name: value for name, value in (("source", source), ("page", page)) if value is not None}


def _mistakes(error: ValidationError) -> str:
    told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"The arguments do not fit: {told}."
