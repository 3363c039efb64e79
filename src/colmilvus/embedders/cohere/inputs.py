"""What is embedded of an entity or of a query: texts and pictures, each of which gets one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from colmilvus.embedder import Query
from colmilvus.embedders.splitting import Splitter, splitting
from colmilvus.entity import Entity, ImageLike
from colmilvus.errors import InvalidInput, InvalidQuery, UnreadableFile
from colmilvus.images import open_image

__all__ = ["Content", "Input", "Picture", "QueryForm", "Reading", "Text"]

Content: TypeAlias = Literal["both", "text", "images"]
QueryForm: TypeAlias = Literal["whole", "words"]


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
        self._split = splitting(split_text) if split_text is not None else _whole

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
        return [Text(piece, name) for piece in self._split(entity.text) if piece.strip()]

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


def _whole(text: str) -> list[str]:
    return [text]


def _check(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"{option} is one of {', '.join(map(repr, choices))}; got {value!r}")
