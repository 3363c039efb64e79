"""Hits as JSON objects, for other programs."""

from __future__ import annotations

from typing import Any

from colmilvus.cli.paths import absolute
from colmilvus.cli.table import source_of
from colmilvus.entity import Hit, ImageLike
from colmilvus.image_store import StoredImage

__all__ = ["hit_record"]


def hit_record(hit: Hit) -> dict[str, Any]:
    """One hit; the keys are always these. ``image`` is a path or an address, null where there is none."""
    entity = hit.entity
    return {
        "id": entity.id,
        "score": hit.score,
        "similarity": hit.similarity,
        "source": source_of(entity),
        "page": entity.metadata.get("page"),
        "text": entity.text,
        "image": None if entity.image is None else _place(entity.image),
    }


def _place(image: ImageLike) -> str:
    return image.url if isinstance(image, StoredImage) else absolute(str(image))
