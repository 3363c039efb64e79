"""What reads one kind of file, and what every reader of PDFs does the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from colmilvus.images import fitting_scale
from colmilvus.pdf.files import File

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Reader", "blank", "clean_text", "drawing_scale", "password_reason"]

LARGEST_POINTS = 144_000  # 50 metres; Acrobat's own limit is a tenth of it


NOTHING = re.compile("[\x00\x02\ud800-\udfff\ufffe\uffff]")
CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")


class Reader(Protocol):
    """A module that reads the pages of one kind of file; each function raises UnreadableFile."""

    def count(self, file: File) -> int:
        """How many pages the file has."""

    def read(self, file: File, number: int) -> tuple[str, str]:
        """The text layer and the label of a page, counted from 1."""

    def draw(self, file: File, number: int, dpi: float) -> Image.Image:
        """The page as a picture, RGB, of at most the pixels that a picture may have."""


def drawing_scale(file: File, number: int, size: tuple[float, float], dpi: float = 72) -> float:
    """Pixels per point for a page of this size in points. Raises UnreadableFile for a page that is far too large."""
    width, height = size
    if not (0 < width <= LARGEST_POINTS and 0 < height <= LARGEST_POINTS):
        reason = f"is {width:,.0f} x {height:,.0f} points; pages of up to {LARGEST_POINTS:,} points a side are read"
        raise file.unreadable(reason, number)
    scale = dpi / 72
    return scale * fitting_scale(width * scale, height * scale)


def clean_text(text: str) -> str:
    """The text with plain line ends and no characters that are none; a word broken at a line's end is whole again.

    PDFium marks such a break with U+0002 or U+FFFE.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return CONTROL.sub(" ", NOTHING.sub("", text)).strip()


def password_reason(password: str | None) -> str:
    if password is None:
        return 'needs a password: read_pages(..., password="...")'
    return "the password is wrong"


def blank(image: Image.Image) -> bool:
    """Whether every pixel has the same colour."""
    return len(image.getcolors(1) or ()) == 1
