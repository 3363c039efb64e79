"""Pictures as Cohere's API takes them: JPEG in a data URI."""

from __future__ import annotations

import math
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

from colmilvus.entity import ImageLike
from colmilvus.images import open_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["data_uri"]

PIXELS = 1568 * 1568
"""Cohere scales larger pictures down to this area itself: more pixels would only take longer on the way."""
CHARACTERS = 4_900_000
"""Of a data URI. A picture may have 5 MB; Cohere does not say whether before or after it is encoded in base64."""
QUALITY = 90


def data_uri(image: ImageLike) -> str:
    """The picture as a reader sees it, at most 1568 x 1568 pixels in area. Raises UnreadableFile."""
    picture = _scaled(open_image(image))
    uri = _encoded(picture, subsampling=0)  # small print stays sharp
    # With half the colour resolution even noise of this area stays below the limit.
    return uri if len(uri) <= CHARACTERS else _encoded(picture, subsampling=2)


def _scaled(picture: Image.Image) -> Image.Image:
    scale = math.sqrt(PIXELS / (picture.width * picture.height))
    if scale >= 1:
        return picture
    return picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))), reducing_gap=2)


def _encoded(picture: Image.Image, subsampling: int) -> str:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=subsampling)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
