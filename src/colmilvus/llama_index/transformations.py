"""A transformation that leaves pages whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import BaseNode, TransformComponent
from pydantic import SerializeAsAny

from colmilvus.llama_index.pictures import has_picture

__all__ = ["KeepPages"]


class KeepPages(TransformComponent):
    """Has a node parser split texts, and hands on what has a picture as it is: a page is no sum of its words.

    LlamaIndex's own parsers drop the picture of a node, or give the same one to each piece of its text.

    >>> from llama_index.core.node_parser import SentenceSplitter
    >>> from llama_index.core.schema import TextNode
    >>> from colmilvus.llama_index import PageNode
    >>> pages = [TextNode(text="a text"), PageNode(id_="page", text="a page", image_path="page.jpg")]
    >>> [type(node).__name__ for node in KeepPages(SentenceSplitter())(pages)]
    ['TextNode', 'PageNode']
    """

    parser: SerializeAsAny[TransformComponent]

    def __init__(self, parser: TransformComponent, **fields: Any) -> None:
        super().__init__(**{**fields, "parser": parser})

    @classmethod
    def class_name(cls) -> str:
        return "KeepPages"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """The nodes that the parser makes of texts, then those with a picture."""
        texts, pages = _apart(nodes)
        return [*(self.parser(texts, **kwargs) if texts else ()), *pages]

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """As a call, with the parser's asynchronous one."""
        texts, pages = _apart(nodes)
        return [*(await self.parser.acall(texts, **kwargs) if texts else ()), *pages]


def _apart(nodes: Sequence[BaseNode]) -> tuple[list[BaseNode], list[BaseNode]]:
    pages = [node for node in nodes if has_picture(node)]
    return [node for node in nodes if not has_picture(node)], pages
