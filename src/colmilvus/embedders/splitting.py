"""What cuts a text into pieces: a function, a text splitter of LangChain, a node parser of LlamaIndex."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from colmilvus.errors import InvalidInput

__all__ = ["Splitter", "splitting"]


class TextSplitter(Protocol):
    """An object such as a text splitter of LangChain or a sentence splitter of LlamaIndex."""

    def split_text(self, text: str) -> Iterable[Any]: ...


class NodeParser(Protocol):
    """An object such as the parsers of LlamaIndex that split no text, but documents."""

    def get_nodes_from_documents(self, documents: Any) -> Any: ...


Splitter: TypeAlias = "Callable[[str], Iterable[str]] | TextSplitter | NodeParser"


def splitting(given: Splitter) -> Callable[[str], list[str]]:
    """The function that cuts a text, out of itself or of a splitter of LangChain or LlamaIndex as they are.

    Pieces may be texts, or documents of LangChain. Raises InvalidInput for what splits no text, and the function does
    for what is no list of texts.
    """
    if not hasattr(given, "split_text") and hasattr(given, "get_nodes_from_documents"):
        return _parsing(given)
    split = getattr(given, "split_text", given)
    if not callable(split):
        raise InvalidInput(f"split_text is a function of a text, or an object with such a method; got {given!r}")
    return lambda text: _listed(split(text), text)


def _parsing(parser: Any) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        from llama_index.core import Document

        return [node.get_content() for node in parser.get_nodes_from_documents([Document(text=text)])]

    return split


def _listed(pieces: object, text: str) -> list[str]:
    """What a splitter gave; one text alone would be taken apart into its letters."""
    given = [*pieces] if isinstance(pieces, Iterable) and not isinstance(pieces, str) else [None]
    texts = [getattr(piece, "page_content", piece) for piece in given]
    found = [piece for piece in texts if isinstance(piece, str)]
    if len(found) != len(given):
        what = reprlib.repr(pieces)
        raise InvalidInput(f"split_text gives a list of texts for a text; for {text[:80]!r} it gave {what}")
    return found
