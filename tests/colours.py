"""An embedder that sees: a picture is its colour, a text the colour that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from colmilvus import Entity, MultiVector
from colmilvus.embedder import Query, Setting
from colmilvus.entity import Metric
from colmilvus.images import open_image

__all__ = ["ColourEmbedder", "png"]


def png(colour: str) -> bytes:
    """A small picture of one colour."""
    buffer = BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


class ColourEmbedder:
    """One vector: the mean colour of the picture, for a text without one that of the last of its words."""

    name, dim, reads_images = "colours", 3, True
    metric: Metric = "COSINE"

    def __init__(self) -> None:
        self.settings: Mapping[str, Setting] = {}
        self.embedded = 0

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector]:
        self.embedded += len(entities)
        return [self._colour(entity.image or entity.text.split()[-1]) for entity in entities]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        return [self._colour(query) for query in queries]

    def _colour(self, told: Any) -> MultiVector:
        image = Image.new("RGB", (1, 1), told) if isinstance(told, str) else open_image(told)
        return MultiVector(np.asarray(image, np.float32).reshape(-1, 3).mean(axis=0, keepdims=True) + 1)
