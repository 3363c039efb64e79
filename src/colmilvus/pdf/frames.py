"""Image files as pages: the picture itself, or each frame of a TIFF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colmilvus.errors import UnreadableFile
from colmilvus.images import Encoded, count_frames, open_frame
from colmilvus.pdf.files import File

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["count", "draw", "read"]


def count(file: File) -> int:
    with _named(file):
        return count_frames(_content(file))


def read(file: File, number: int) -> tuple[str, str]:  # noqa: ARG001 - a picture has no text layer
    return "", str(number)


def draw(file: File, number: int, dpi: float) -> Image.Image:  # noqa: ARG001 - a picture has its own pixels
    with _named(file, number):
        return open_frame(_content(file), number - 1)


def _content(file: File) -> Encoded:
    return (file.data or b"") if file.path is None else file.path


@contextmanager
def _named(file: File, number: int | None = None) -> Iterator[None]:
    try:
        yield
    except UnreadableFile as error:
        raise file.unreadable(error.reason, number) from error
