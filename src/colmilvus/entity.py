"""The value types: what is stored (Entity, Segment, MultiVector) and what is found (Hit)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, Union, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colmilvus.errors import InvalidVectors

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DType", "Entity", "Hit", "ImageLike", "LazyImage", "Metric", "MultiVector", "Segment"]

Metric: TypeAlias = Literal["COSINE", "IP", "L2"]
DType: TypeAlias = Literal["float32", "float16"]
"""What the numbers of stored vectors are; a MultiVector's own are float32."""


@runtime_checkable
class LazyImage(Protocol):
    """A picture that is drawn only when somebody looks at it, such as the page of a PDF."""

    @property
    def key(self) -> str:
        """Two pictures with the same key look the same; known without drawing."""

    def open(self) -> Image.Image:
        """Draw the picture, RGB."""


ImageLike: TypeAlias = Union["Image.Image", bytes, str, "PathLike[str]", LazyImage]
"""A picture: open, encoded in bytes, in a file, or drawn on demand. A collection gives back a file's path, or
from an object store a LazyImage whose ``str`` is its address."""


@dataclass(frozen=True, eq=False)
class MultiVector:
    """The vectors of one entity or of one query, float32 ``(n, dim)``.

    ``segments``, int32 ``(n,)``, says which segment of the entity each row belongs to (an index into
    ``Entity.segments``), and is None where there are none. Raises InvalidVectors for another shape, for no vectors, and
    for values that are not finite.

    >>> MultiVector([[1, 0], [0, 1], [1, 1]])
    MultiVector(3 x 2)
    """

    vectors: NDArray[np.float32]
    segments: NDArray[np.int32] | None = None

    def __init__(self, vectors: ArrayLike, segments: ArrayLike | None = None) -> None:
        rows = _float32(vectors)
        if rows.ndim != 2 or 0 in rows.shape:
            raise InvalidVectors(f"a multi-vector has the shape (vectors, dimensions), neither 0; got {rows.shape}")
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise InvalidVectors(f"vector {bad} of {len(rows)} holds a NaN or an infinite value")
        object.__setattr__(self, "vectors", rows)
        object.__setattr__(self, "segments", None if segments is None else _owners(segments, len(rows)))

    @classmethod
    def of(cls, value: MultiVector | ArrayLike) -> MultiVector:
        """The value itself, if it is a MultiVector; otherwise one made of an array, nested lists or a torch tensor."""
        return value if isinstance(value, MultiVector) else cls(value)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"MultiVector({len(self)} x {self.dim})"


def _float32(values: Any) -> NDArray[np.float32]:
    if hasattr(values, "detach"):  # a torch tensor, of any device and dtype; numpy knows neither bfloat16 nor gradients
        values = values.detach().float().cpu().numpy()
    try:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and infinite is refused
            return np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidVectors(f"a multi-vector is a matrix of numbers: {error}") from error


def _owners(segments: ArrayLike, rows: int) -> NDArray[np.int32]:
    owners = np.ascontiguousarray(segments, dtype=np.int32)
    if owners.shape != (rows,) or owners.min(initial=0) < 0:
        raise InvalidVectors(f"segments has one index, 0 or more, for each of {rows} vectors; got {owners.shape}")
    return owners


@dataclass(frozen=True)
class Segment:
    """A piece of an entity's text with vectors of its own; ``internal`` is as an Entity's."""

    id: str
    text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    internal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entity:
    """What a collection stores under one id: a page, a text, or a text in segments.

    ``document`` names the file or work that the entity is part of. ``version`` says which state of that document it
    comes from: storing a document's entities with a new version removes those of the old one. ``metadata`` is the
    user's, comes back as it went in, and can be filtered on; its values are what JSON can hold. ``internal`` is what an
    adapter must get back besides, also what JSON can hold: it is never shown as metadata and no filter sees it.
    """

    id: str
    text: str = ""
    image: ImageLike | None = None
    document: str | None = None
    version: str | None = None
    segments: tuple[Segment, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    internal: Mapping[str, Any] = field(default_factory=dict)

    @property
    def full_text(self) -> str:
        """The text, or that of the segments, a blank line between them, where the entity has none of its own."""
        return self.text or "\n\n".join(segment.text for segment in self.segments if segment.text)


@dataclass(frozen=True)
class Hit:
    """An entity that was found, and how well it matches.

    ``score`` is what the search mode ranks by. ``similarity`` compares across queries: MaxSim by the number of query
    vectors (COSINE) or by the sum of their norms (IP), so at most 1 for normalised vectors; None for L2, text and
    hybrid. ``segments`` lists the entity's segments with their own similarity, best first; for
    text with the share of the query's words that they have.
    """

    entity: Entity
    score: float
    similarity: float | None = None
    segments: tuple[tuple[Segment, float], ...] = ()
