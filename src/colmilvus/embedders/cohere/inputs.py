"""What is embedded of an entity or of a query: texts and pictures, each of which gets one vector."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from colmilvus.embedder import Query
from colmilvus.entity import Entity, ImageLike
from colmilvus.errors import InvalidInput, InvalidQuery, UnreadableFile
from colmilvus.images import open_image

__all__ = ["Content", "Input", "Picture", "QueryForm", "Reading", "Splitter", "Text"]

Content: TypeAlias = Literal["both", "text", "images"]
QueryForm: TypeAlias = Literal["whole", "words"]


class TextSplitter(Protocol):
    """An object such as a text splitter of LangChain or a sentence splitter of LlamaIndex."""

    def split_text(self, text: str) -> Iterable[str]: ...


Splitter: TypeAlias = "Callable[[str], Iterable[str]] | TextSplitter"


@dataclass(frozen=True)
class Text:
    """A text, what to call it when something is said of it, and which segment it is of an entity that has segments."""

    content: str
    name: str
    segment: int = 0


@dataclass(frozen=True)
class Picture:
    """The picture of an entity without segments, or of a query."""

    content: ImageLike


Input: TypeAlias = Text | Picture


class Reading:
    """Finds what is to be embedded. Raises InvalidInput for a choice that there is not."""

    def __init__(self, content: Content, query: QueryForm, split_text: Splitter | None) -> None:
        _check("content", content, ("both", "text", "images"))
        _check("query", query, ("whole", "words"))
        self.content = content
        self._query = query
        self._split = _splitting(split_text)

    def of_entity(self, entity: Entity) -> list[Input]:
        """The segments of an entity; else the pieces of its text, and its picture."""
        name = f"entity {entity.id[:80]!r}"
        texts: list[Text] = []
        if self.content != "images":
            texts = self._segments(entity, name) if entity.segments else self._pieces(entity, name)
        if entity.segments or entity.image is None or self.content == "text":
            return [*texts]
        return [*texts, Picture(entity.image)]

    def nothing_in(self, entity: Entity) -> str:
        """Why there is nothing to be embedded of an entity."""
        if self.content == "images":
            has = "its segments are texts" if entity.segments else "no picture"
            return f"{has}, and content='images' reads pictures only"
        if self.content == "text" and entity.image is not None:
            return "no text, and content='text' leaves its picture unread"
        return "no text" if entity.segments or self.content == "text" else "neither text nor picture"

    def of_query(self, query: Query) -> list[Input]:
        """A text as a whole or in words, or the picture. Raises InvalidQuery for what there is nothing to ask with."""
        if not isinstance(query, str):
            return [self._picture(query)]
        if not query.strip():
            raise InvalidQuery("the query is blank; ask with at least one word")
        name = f"query {query[:80]!r}"
        return [Text(part, name) for part in (query.split() if self._query == "words" else [query])]

    def _segments(self, entity: Entity, name: str) -> list[Text]:
        return [
            Text(segment.text, f"segment {segment.id[:80]!r} of {name}", index)
            for index, segment in enumerate(entity.segments)
            if segment.text.strip()
        ]

    def _pieces(self, entity: Entity, name: str) -> list[Text]:
        if not entity.text.strip():
            return []
        return [Text(piece, name) for piece in _listed(self._split(entity.text), name) if piece.strip()]

    def _picture(self, query: ImageLike) -> Picture:
        if self.content == "text":
            raise InvalidQuery(
                "this embedder reads text (content='text'); a picture needs content='both', "
                "or a visual model such as ColPali"
            )
        try:
            return Picture(open_image(query))
        except UnreadableFile as error:
            raise InvalidQuery(f"the picture to ask with cannot be read: {error}") from error
        except InvalidInput as error:
            raise InvalidQuery(f"a query is a text or a picture: {error}") from error


def _check(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"{option} is one of {', '.join(map(repr, choices))}; got {value!r}")


def _listed(pieces: object, name: str) -> list[str]:
    """What a splitter gave; one text alone would be taken apart into its letters."""
    given = [*pieces] if isinstance(pieces, Iterable) and not isinstance(pieces, str) else [None]
    texts = [piece for piece in given if isinstance(piece, str)]
    if len(texts) != len(given):
        raise InvalidInput(f"split_text gives a list of texts for a text; for {name} it gave {reprlib.repr(pieces)}")
    return texts


def _splitting(given: Splitter | None) -> Callable[[str], Iterable[str]]:
    if given is None:
        return lambda text: [text]
    # A node parser of LlamaIndex can be called too, but takes nodes then.
    split = getattr(given, "split_text", given)
    if not callable(split):
        raise InvalidInput(f"split_text is a function, or an object with a method of that name; got {given!r}")
    return split
