"""Pictures as Cohere's API takes them: JPEG in a data URI."""

from __future__ import annotations

from base64 import b64encode

from colmilvus.entity import ImageLike
from colmilvus.images import jpeg, open_image

__all__ = ["data_uri"]

PIXELS = 1568 * 1568
"""Cohere scales larger pictures down to this area itself: more pixels would only take longer on the way."""
CHARACTERS = 4_900_000
"""Of a data URI. A picture may have 5 MB; Cohere does not say whether before or after it is encoded in base64."""


def data_uri(image: ImageLike) -> str:
    """The picture as a reader sees it, at most 1568 x 1568 pixels in area. Raises UnreadableFile."""
    picture = open_image(image)
    uri = _written(jpeg(picture, PIXELS))
    # With half the colour resolution even noise of this area stays below the limit.
    return uri if len(uri) <= CHARACTERS else _written(jpeg(picture, PIXELS, subsampling=2))


def _written(content: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(content).decode('ascii')}"
