"""What was found as it is shown to a model: numbered, with its source, its text and a bounded number of pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from colmilvus.entity import ImageLike
from colmilvus.errors import ColmilvusError, InvalidInput, warn
from colmilvus.images import image_key, jpeg

__all__ = ["PAGES", "PIXELS", "Cited", "Passage", "Shown", "check_budget", "cite", "show"]

PAGES = 4
"""Different pictures that are shown at most, unless another number is asked for."""
PIXELS = 1_500_000
"""The area of each of them at most, unless another one is asked for."""
LEFT_OUT = "(its picture is left out)"


@dataclass(frozen=True)
class Passage:
    """What one number in an answer refers to: all that was found under an id, or a piece of it.

    ``picture`` is its picture, or a function that gives it, or None for none; it may raise UnreadableFile.
    """

    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    picture: ImageLike | Callable[[], ImageLike | None] | None = None

    @property
    def source(self) -> str:
        """What ``source`` in the metadata says, or the id."""
        return str(self.metadata.get("source") or self.id or "a document")

    @property
    def page(self) -> int | str | None:
        """What ``page`` in the metadata says, if it is a number or a text."""
        page = self.metadata.get("page")
        if isinstance(page, float) and page.is_integer():
            return int(page)
        return page if isinstance(page, int | str) and not isinstance(page, bool) else None

    @property
    def url(self) -> str | None:
        """The address of the source with the page as its fragment, where it is an absolute path or an address."""
        source = self.metadata.get("source")
        if not isinstance(source, str):
            return None
        page = f"#page={self.page}" if isinstance(self.page, int) else ""
        if "://" in source:
            return source if "#" in source else source + page
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(source).is_absolute():
                return kind(source).as_uri() + page
        return None


@dataclass(frozen=True)
class Shown:
    """A passage as it is shown: ``text`` begins with number and title, ``picture`` is JPEG, or None."""

    number: int
    title: str
    text: str
    picture: bytes | None


@dataclass(frozen=True)
class Cited:
    """A passage as it is cited: its title, such as ``report.pdf, page 3``, and its address, if it has one."""

    title: str
    url: str | None
    passage: Passage


def check_budget(pages: Any, pixels: Any) -> None:
    """Raise InvalidInput for a number of pictures below 0, an area below 1, and for what is no number."""
    for name, value, least in (("pages", pages, 0), ("pixels", pixels, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidInput(f"{name} is a number from {least}, not {value!r}")


def show(passages: Iterable[Passage], *, pages: int = PAGES, pixels: int = PIXELS) -> list[Shown]:
    r"""The passages in their order, numbered from 1, with ``pages`` different pictures of ``pixels`` pixels at most.

    A text says where a picture is left out, or was shown before; one that cannot be read is left out with a warning.
    Raises InvalidInput for a budget that is no number.

    >>> show([Passage("The Danube is long.", {"source": "/books/rivers.pdf", "page": 2})])[0].text
    '[1] rivers.pdf, page 2\nThe Danube is long.'
    """
    check_budget(pages, pixels)
    listed = list(passages)
    before: dict[str, int] = {}  # pictures, by what they show, with the number that they stand behind
    result: list[Shown] = []
    for number, (passage, title) in enumerate(zip(listed, _titles(listed), strict=True), start=1):
        key, picture, about = _picture(passage, pixels, before, len(before) < pages)
        if picture is not None:
            before[key] = number
        lines = (f"[{number}] {title}".rstrip(), passage.text.strip(), about)
        result.append(Shown(number, title, "\n".join(line for line in lines if line), picture))
    return result


def cite(passages: Iterable[Passage]) -> list[Cited]:
    """Where the passages come from, in their order: what ``show`` gives a number."""
    listed = list(passages)
    return [Cited(title, passage.url, passage) for passage, title in zip(listed, _titles(listed), strict=True)]


def _titles(passages: Sequence[Passage]) -> list[str]:
    names = _names(passage.source for passage in passages)
    return [
        names[passage.source] + (f", page {passage.page}" if passage.page is not None else "") for passage in passages
    ]


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


def _picture(passage: Passage, pixels: int, before: Mapping[str, int], has_room: bool) -> tuple[str, bytes | None, str]:
    """What a passage's picture is known by, the picture if it is to be shown, and what to say if not."""
    try:
        image = passage.picture() if callable(passage.picture) else passage.picture
        if image is None:
            return "", None, ""
        key = image_key(image)
        if key in before:
            return key, None, f"(its picture is shown with [{before[key]}])"
        return (key, jpeg(image, pixels), "") if has_room else (key, None, LEFT_OUT)
    except ColmilvusError as error:
        warn(f"a picture is left out: {error}")
        return "", None, LEFT_OUT
