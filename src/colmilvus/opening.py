"""What a caller says of a collection when it is opened, checked and put into the words of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colmilvus.embedder import Embedder
from colmilvus.entity import DType, Metric
from colmilvus.errors import InvalidInput
from colmilvus.languages import analyzer_for

__all__ = ["asked", "check_embedder", "check_name"]


def check_embedder(embedder: Embedder | None) -> None:
    if embedder is not None and (isinstance(embedder, type) or not isinstance(embedder, Embedder)):
        raise InvalidInput(
            f"an embedder is an object with name, dim, metric, settings, embed_entities and embed_queries, "
            f"such as StaticEmbedder(); got {embedder!r}"
        )


def check_name(name: str) -> None:
    if not (isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= 255):
        raise InvalidInput(
            f"a collection's name has letters, digits and underscores, does not start with a digit and has at most "
            f"255 characters; {name!r} does not fit"
        )


def asked(
    embedder: Embedder | None,
    dim: int | None = None,
    metric: Metric | None = None,
    capacity: int | None = None,
    segments: bool | None = None,
    fields: Mapping[str, type] | None = None,
    analyzer: str | Mapping[str, Any] | None = None,
    dtype: DType | None = None,
) -> dict[str, Any]:
    """What the caller said about the collection; what was left open is left out."""
    told: dict[str, Any] = {
        "dim": dim,
        "metric": metric,
        "capacity": capacity,
        "segments": segments,
        "fields": fields,
        "analyzer": analyzer_for(analyzer) if isinstance(analyzer, str) else analyzer,
        "dtype": dtype,
    }
    if embedder is not None:
        if dim not in (None, embedder.dim) or metric not in (None, embedder.metric):
            raise InvalidInput(f"embedder {embedder.name!r} has dim and metric of its own; leave dim= and metric= out")
        own = {"dim": embedder.dim, "metric": embedder.metric, "embedder": embedder.name}
        told |= {**own, "settings": dict(embedder.settings)}
    return {name: value for name, value in told.items() if value is not None}
