"""Documents as the content of a message to a model: text, pictures, and where each comes from."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, cast
from urllib.parse import urlsplit

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.content import Citation, create_citation

from colmilvus.errors import ColmilvusError, InvalidInput, warn
from colmilvus.images import image_key, jpeg
from colmilvus.langchain.documents import best_segments_of, picture_of

__all__ = ["pictures_from_user", "to_citations", "to_message_content"]

LEFT_OUT = "(its picture is left out)"
PICTURES = ("image", "image_url")
"""Types of blocks with a picture: LangChain's own, and OpenAI's."""


@dataclass(frozen=True)
class _Passage:
    """A document, or one of the segments that were found of it: what one number in an answer refers to."""

    text: str
    metadata: Mapping[str, Any]
    id: str | None

    @property
    def source(self) -> str:
        return str(self.metadata.get("source") or self.id or "a document")

    @property
    def page(self) -> int | str | None:
        page = self.metadata.get("page")
        if isinstance(page, float) and page.is_integer():
            return int(page)
        return page if isinstance(page, int | str) and not isinstance(page, bool) else None

    def title(self, names: Mapping[str, str]) -> str:
        name = names[self.source]
        return f"{name}, page {self.page}" if self.page is not None else name


def to_message_content(documents: Sequence[Document], *, pages: int = 4, pixels: int = 1_500_000) -> list[Any]:
    r"""The documents as standard content blocks for a message to a model that sees.

    Before each document stands its number and where it comes from, such as ``[1] report.pdf, page 3``, in one text
    block with its text; a document that was found by its segments has a number for each of them. Then comes its
    picture, an image block in base64, if it has one: ``pages`` different ones at most, each of at most ``pixels``
    pixels in area. A text says where a picture is left out, or was shown before. Put a text block with the question
    before or after them: ``HumanMessage([{"type": "text", "text": question}, *to_message_content(documents)])``.

    The blocks have no ids and no annotations, which some providers refuse in what they are asked; ``to_citations``
    has the sources under the same numbers in LangChain's form, for the answer. A picture that cannot be read is left
    out with a warning. Raises InvalidInput for a budget that is no number.

    >>> page = Document("The Danube is long.", metadata={"source": "rivers.pdf", "page": 2})
    >>> to_message_content([page])
    [{'type': 'text', 'text': '[1] rivers.pdf, page 2\nThe Danube is long.'}]
    """
    _check_budget("pages", pages, 0)
    _check_budget("pixels", pixels, 1)
    passages = _passages(documents)
    names = _names(passage.source for passage in passages)
    blocks: list[dict[str, Any]] = []
    shown: dict[str, int] = {}  # pictures, by what they show, with the number that they stand behind
    for number, passage in enumerate(passages, start=1):
        key, picture, about = _picture(passage, pixels, shown, len(shown) < pages)
        lines = (f"[{number}] {passage.title(names)}".rstrip(), passage.text.strip(), about)
        blocks.append({"type": "text", "text": "\n".join(line for line in lines if line)})
        if picture is not None:
            blocks.append({"type": "image", "base64": picture, "mime_type": "image/jpeg"})
            shown[key] = number
    return blocks


def to_citations(documents: Sequence[Document]) -> list[Citation]:
    """Where the documents come from, LangChain's Citation for each number that ``to_message_content`` gives.

    ``title`` is file and page, ``url`` the file with the page as its fragment, where the source is an absolute path or
    an address, ``cited_text`` the text, and ``extras`` has ``source`` and ``page`` as they stand in the metadata. They
    are made to annotate the text block of an answer.

    >>> to_citations([Document("Long.", metadata={"source": "rivers.pdf", "page": 2})])[0]["title"]
    'rivers.pdf, page 2'
    """
    passages = _passages(documents)
    names = _names(passage.source for passage in passages)
    return [
        create_citation(
            url=_url(passage),
            title=passage.title(names),
            cited_text=passage.text or None,
            source=passage.metadata.get("source"),
            page=passage.page,
        )
        for passage in passages
    ]


def pictures_from_user(messages: Iterable[BaseMessage]) -> list[AnyMessage]:
    """The messages, with the pictures that tools gave in a message of the user behind those of the tools.

    For providers that take pictures from users alone, such as OpenAI's chat completions; those that take them from
    tools need this not. Before each picture stands the first line of the text that came before it, its number and
    source. Messages without pictures stay as they are, and nothing is changed in place.

    In an agent: a function under ``wrap_model_call`` of ``langchain.agents.middleware``, an async one for ``ainvoke``,
    with ``handler(request.override(messages=pictures_from_user(request.messages)))``.

    >>> shown = [{"type": "text", "text": "[1] a.pdf, page 2"}, {"type": "image", "url": "https://x.org/2.png"}]
    >>> [(message.type, len(message.content)) for message in pictures_from_user([ToolMessage(shown, tool_call_id="1")])]
    [('tool', 1), ('human', 2)]
    """
    result: list[BaseMessage] = []
    pictures: list[str | dict[Any, Any]] = []
    shown: list[dict[Any, Any]] = []
    for message in messages:
        if pictures and not isinstance(message, ToolMessage):
            result.append(HumanMessage(pictures))
            pictures = []
        if isinstance(message, ToolMessage) and isinstance(message.content, list):
            kept, moved = _without_pictures(message.content, shown)
            pictures += moved
            message = message.model_copy(update={"content": kept}) if moved else message
        result.append(message)
    return cast("list[AnyMessage]", [*result, HumanMessage(pictures)] if pictures else result)


def _without_pictures(
    content: Sequence[str | dict[Any, Any]], shown: list[dict[Any, Any]]
) -> tuple[list[str | dict[Any, Any]], list[str | dict[Any, Any]]]:
    """What is no picture, and the pictures, each behind the first line of the text that it came behind.

    ``shown`` has the pictures that were moved before, which are only named.
    """
    kept: list[str | dict[Any, Any]] = []
    moved: list[str | dict[Any, Any]] = []
    title = ""
    for block in content:
        if isinstance(block, dict) and block.get("type") in PICTURES:
            is_new = block not in shown
            name = title or "A picture"
            moved.append({"type": "text", "text": name if is_new else f"{name} (shown before)"})
            if is_new:
                moved.append(block)
                shown.append(block)
            continue
        kept.append(block)
        text = block if isinstance(block, str) else str(block.get("text", ""))
        title = text.partition("\n")[0] or title
    return kept or ([{"type": "text", "text": "The pictures follow."}] if moved else []), moved


def _passages(documents: Iterable[Document]) -> list[_Passage]:
    return [passage for document in documents for passage in _passages_of(document)]


def _passages_of(document: Document) -> Iterator[_Passage]:
    segments = best_segments_of(document)
    if not segments:
        yield _Passage(document.page_content, document.metadata, document.id)
    origin = {key: document.metadata[key] for key in ("source", "page", "image") if key in document.metadata}
    for segment in segments:
        yield _Passage(segment["text"], {**origin, **segment["metadata"]}, segment["id"])


def _names(sources: Iterable[str]) -> dict[str, str]:
    """A short name for each source: that of the file, unless two files are called so."""
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for source in sources:
        by_name[_file_name(source)].add(source)
    return {source: name if len(same) == 1 and name else source for name, same in by_name.items() for source in same}


def _file_name(source: str) -> str:
    if "://" in source:
        with suppress(ValueError):  # no address after all
            return PurePosixPath(urlsplit(source).path).name
        return source
    is_windows = PureWindowsPath(source).is_absolute() and not PurePosixPath(source).is_absolute()
    return (PureWindowsPath if is_windows else PurePosixPath)(source).name


def _url(passage: _Passage) -> str | None:
    source = passage.metadata.get("source")
    if not isinstance(source, str):
        return None
    page = f"#page={passage.page}" if isinstance(passage.page, int) else ""
    if "://" in source:
        return source if "#" in source else source + page
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(source).is_absolute():
            return kind(source).as_uri() + page
    return None


def _picture(passage: _Passage, pixels: int, shown: Mapping[str, int], has_room: bool) -> tuple[str, str | None, str]:
    """What a passage's picture is known by, the picture in base64 if it is to be shown, and what to say if not."""
    try:
        image = picture_of(passage.metadata)
        if image is None:
            return "", None, ""
        key = image_key(image)
        if key in shown:
            return key, None, f"(its picture is shown with [{shown[key]}])"
        if not has_room:
            return key, None, LEFT_OUT
        return key, b64encode(jpeg(image, pixels)).decode("ascii"), ""
    except ColmilvusError as error:
        warn(f"a picture is left out: {error}")
        return "", None, LEFT_OUT


def _check_budget(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} is a number from {least}, not {value!r}")
