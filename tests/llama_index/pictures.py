"""Pictures and texts that a model is shown, and what compares pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from PIL import Image

from colmilvus.images import open_image

if TYPE_CHECKING:  # early versions of 0.14 have no such class
    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = ["is_same", "picture", "pictures_of", "texts_of"]


def picture(colour: str, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new("RGB", size, colour)


def is_same(left: Any, right: Any, most: float = 4) -> bool:
    """Whether two pictures differ by no more than JPEG makes them, and perhaps in size."""
    one, other = open_image(left), open_image(right)
    difference = np.asarray(one, dtype=int) - np.asarray(other.resize(one.size), dtype=int)
    return bool(np.abs(difference).mean() < most)


def texts_of(blocks: Iterable[BaseContentBlock]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, TextBlock)]


def pictures_of(blocks: Iterable[BaseContentBlock]) -> list[Image.Image]:
    return [open_image(block.resolve_image().read()) for block in blocks if isinstance(block, ImageBlock)]
