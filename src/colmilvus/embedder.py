"""What turns entities and queries into multi-vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from colmilvus.entity import Entity, ImageLike, Metric, MultiVector
from colmilvus.errors import InvalidQuery

__all__ = [
    "Embedder",
    "Query",
    "SearchMode",
    "Setting",
    "Unreadable",
    "WrappedEmbedder",
    "check_query",
    "identity",
    "preferred_mode",
    "reads_images",
]

SearchMode: TypeAlias = Literal["late_interaction", "text", "hybrid"]
PLACES = frozenset({"checkpoint", "revision", "base", "base_revision"})
Setting: TypeAlias = str | int | float | bool | None
Query: TypeAlias = str | ImageLike


@dataclass(frozen=True)
class Unreadable:
    """What an embedder gives in place of vectors for an entity that it cannot read, as a picture for a text model."""

    reason: str


@runtime_checkable
class Embedder(Protocol):
    """Anything that has these is an embedder; there is nothing to inherit from and nowhere to register.

    ``name``, ``dim``, ``metric`` and ``settings`` (a flat mapping: checkpoint, revision, pooling ...) are stored with
    the collection, and a collection is only opened with an embedder that has the same. An embedder may also have
    ``mode``, the search mode that suits it best, late interaction if it says nothing; and ``reads_images``, whether it
    looks at pictures, which are then drawn ahead of it and come as a LazyImage.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def settings(self) -> Mapping[str, Setting]: ...

    def embed_entities(self, entities: Sequence[Entity]) -> Sequence[MultiVector | Unreadable]:
        """One multi-vector for each entity, in order; Unreadable where it holds nothing that this model reads."""
        ...

    def embed_queries(self, queries: Sequence[Query]) -> Sequence[MultiVector]:
        """One multi-vector for each query, in order. Raises InvalidQuery for one that cannot be embedded."""
        ...


def check_query(query: Any) -> None:
    """Raise InvalidQuery for a blank text, and for what is no text, picture or multi-vector at first sight.

    Whether it takes a picture, an embedder says itself.
    """
    if isinstance(query, str) and not query.strip():
        raise InvalidQuery("the query is blank; ask with at least one word")
    if query is None or isinstance(query, int | float | dict):
        raise InvalidQuery(f"a query is a text, a picture or a multi-vector, not {query!r}")


def identity(settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """What the settings say of an embedder's vectors: without where its model lies, if its ``content`` is known."""
    if "content" not in settings:
        return settings
    return {name: value for name, value in settings.items() if name not in PLACES}


def preferred_mode(embedder: Embedder | None) -> SearchMode:
    """The search mode that suits the embedder: what it says itself, otherwise late interaction."""
    mode: SearchMode = getattr(embedder, "mode", "late_interaction")
    return mode


def reads_images(embedder: Embedder | None) -> bool:
    """Whether the embedder says that it looks at pictures."""
    return bool(getattr(embedder, "reads_images", False))


class WrappedEmbedder:
    """An embedder that is like the one inside it, its ``embedder``, in all that a collection remembers."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.name: str = embedder.name
        self.dim: int = embedder.dim
        self.metric: Metric = embedder.metric
        self.settings: Mapping[str, Setting] = embedder.settings
        self.mode: SearchMode = preferred_mode(embedder)
        self.reads_images = reads_images(embedder)

    def embed_entities(self, entities: Sequence[Entity]) -> Sequence[MultiVector | Unreadable]:
        """One multi-vector for each entity, in order; Unreadable where it holds nothing that this model reads."""
        return self.embedder.embed_entities(entities)

    def embed_queries(self, queries: Sequence[Query]) -> Sequence[MultiVector]:
        """One multi-vector for each query, in order."""
        return self.embedder.embed_queries(queries)
