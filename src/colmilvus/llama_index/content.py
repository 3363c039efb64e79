"""Nodes as the content of a message to a model: text, pictures, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import CitationBlock, ContentBlock, ImageBlock, TextBlock
from llama_index.core.schema import BaseNode, NodeWithScore

from colmilvus.llama_index.pictures import picture_of
from colmilvus.passages import PAGES, PIXELS, Passage, cite, show

__all__ = ["to_citations", "to_content_blocks"]

SOURCES = ("source", "file_path", "file_name")
"""Keys of the metadata that name where a node comes from: this package's, and those of SimpleDirectoryReader."""
PAGE_KEYS = ("page", "page_label")


def to_content_blocks(
    nodes: Sequence[NodeWithScore], *, pages: int = PAGES, pixels: int = PIXELS
) -> list[ContentBlock]:
    r"""The nodes as content blocks for a message to a model that sees.

    Before each node stands its number and where it comes from, such as ``[1] report.pdf, page 3``, in one text block
    with its text; a document that was found by its segments has a number for each of them. Then comes its picture, an
    image block, if it has one: ``pages`` different ones at most, each of at most ``pixels`` pixels in area. A text says
    where a picture is left out, or was shown before; one that cannot be read is left out with a warning. All texts but
    the last end with a line break, as some LLMs of LlamaIndex join them without as much as a space. ``to_citations``
    has the sources under the same numbers. Raises InvalidInput for a budget that is no number.

    >>> from llama_index.core.schema import TextNode
    >>> page = TextNode(text="The Danube is long.", metadata={"source": "rivers.pdf", "page": 2})
    >>> to_content_blocks([NodeWithScore(node=page)])[0].text
    '[1] rivers.pdf, page 2\nThe Danube is long.'
    """
    blocks: list[ContentBlock] = []
    passages = show(_passages(nodes), pages=pages, pixels=pixels)
    for shown in passages:
        blocks.append(TextBlock(text=shown.text if shown is passages[-1] else f"{shown.text}\n"))
        if shown.picture is not None:
            blocks.append(ImageBlock(image=shown.picture, image_mimetype="image/jpeg"))
    return blocks


def to_citations(nodes: Sequence[NodeWithScore]) -> list[CitationBlock]:
    """Where the nodes come from, LlamaIndex's CitationBlock for each number that ``to_content_blocks`` gives.

    ``title`` is file and page, ``source`` the file's address with the page as its fragment, where the source is an
    absolute path or an address, else what the metadata say, ``cited_content`` the text.

    >>> from llama_index.core.schema import TextNode
    >>> page = TextNode(text="The Danube is long.", metadata={"source": "rivers.pdf", "page": 2})
    >>> to_citations([NodeWithScore(node=page)])[0].title
    'rivers.pdf, page 2'
    """
    return [
        CitationBlock(
            cited_content=TextBlock(text=cited.passage.text),
            source=cited.url or cited.passage.source,
            title=cited.title,
            additional_location_info={"page": cited.passage.page} if isinstance(cited.passage.page, int) else {},
        )
        for cited in cite(_passages(nodes))
    ]


def _passages(nodes: Iterable[NodeWithScore]) -> list[Passage]:
    return [passage for each in nodes for passage in _passages_of(each.node)]


def _passages_of(node: BaseNode) -> Iterator[Passage]:
    segments: Sequence[NodeWithScore] = getattr(node, "segments", ())
    for part in [each.node for each in segments] or [node]:
        metadata = {**_origin(node.metadata), **_origin(part.metadata)}
        yield Passage(part.get_content(), metadata, part.node_id, lambda: picture_of(node, fetched=True))


def _origin(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Source and page, under whatever keys they stand."""
    source = next((metadata[key] for key in SOURCES if metadata.get(key)), None)
    page = next((metadata[key] for key in PAGE_KEYS if metadata.get(key) is not None), None)
    return {name: value for name, value in (("source", source), ("page", page)) if value is not None}
