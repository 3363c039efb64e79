"""Documents as the content of a message to a model: text, pictures, and where each comes from."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.content import Citation, create_citation

from colmilvus.langchain.documents import best_segments_of, picture_of
from colmilvus.passages import PAGES, PIXELS, Passage, cite, show

__all__ = ["pictures_from_user", "to_citations", "to_message_content"]

PICTURES = ("image", "image_url")
"""Types of blocks with a picture: LangChain's own, and OpenAI's."""


def to_message_content(documents: Sequence[Document], *, pages: int = PAGES, pixels: int = PIXELS) -> list[Any]:
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
    blocks: list[dict[str, Any]] = []
    for shown in show(_passages(documents), pages=pages, pixels=pixels):
        blocks.append({"type": "text", "text": shown.text})
        if shown.picture is not None:
            picture = b64encode(shown.picture).decode("ascii")
            blocks.append({"type": "image", "base64": picture, "mime_type": "image/jpeg"})
    return blocks


def to_citations(documents: Sequence[Document]) -> list[Citation]:
    """Where the documents come from, LangChain's Citation for each number that ``to_message_content`` gives.

    ``title`` is file and page, ``url`` the file with the page as its fragment, where the source is an absolute path or
    an address, ``cited_text`` the text, and ``extras`` has ``source`` and ``page`` as they stand in the metadata. They
    are made to annotate the text block of an answer.

    >>> to_citations([Document("Long.", metadata={"source": "rivers.pdf", "page": 2})])[0]["title"]
    'rivers.pdf, page 2'
    """
    return [
        create_citation(
            url=cited.url,
            title=cited.title,
            cited_text=cited.passage.text or None,
            source=cited.passage.metadata.get("source"),
            page=cited.passage.page,
        )
        for cited in cite(_passages(documents))
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


def _passages(documents: Iterable[Document]) -> list[Passage]:
    return [passage for document in documents for passage in _passages_of(document)]


def _passages_of(document: Document) -> Iterator[Passage]:
    segments = best_segments_of(document)
    if not segments:
        yield _passage(document.page_content, document.metadata, document.id)
    origin = {key: document.metadata[key] for key in ("source", "page", "image") if key in document.metadata}
    for segment in segments:
        yield _passage(segment["text"], {**origin, **segment["metadata"]}, segment["id"])


def _passage(text: str, metadata: Mapping[str, Any], id: str | None) -> Passage:
    return Passage(text, metadata, id, lambda: picture_of(metadata))
