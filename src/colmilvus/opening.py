"""What a caller says of a collection when it is opened, checked and put into the words of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colmilvus.embedder import Embedder
from colmilvus.entity import DType, Metric
from colmilvus.errors import CollectionMismatch, CollectionNotFound, ColmilvusError, InvalidInput
from colmilvus.languages import analyzer_for
from colmilvus.layouts.choosing import LayoutName, create_layout, open_layout
from colmilvus.layouts.foreign import ForeignLayout, Names
from colmilvus.layouts.layout import Layout
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import Table

__all__ = ["asked", "check_embedder", "check_name", "open_foreign", "open_or_create"]


def open_or_create(table: Table, told: Mapping[str, Any], wanted: LayoutName | None) -> Layout:
    """The collection as it is, made as it was told where there is none.

    Raises CollectionMismatch where it was made otherwise, CollectionNotFound where it would have to be made and nothing
    says how, and what ``create_layout`` raises.
    """
    if wanted not in (None, "struct_array", "flat"):
        raise InvalidInput(f"layout is 'struct_array', 'flat', or None for what the server can do, not {wanted!r}")
    layout = open_layout(table) or _create(table, told, wanted)
    layout.spec.check_same(table.name, told)
    if wanted not in (None, layout.name):
        raise CollectionMismatch(
            f"collection {table.name!r} was made with layout={layout.name!r}, not {wanted!r}; "
            "open it with the same, or take another name"
        )
    return layout


def _create(table: Table, told: Mapping[str, Any], wanted: LayoutName | None) -> Layout:
    if "dim" not in told:
        raise CollectionNotFound(
            f"there is no collection {table.name!r} in {table.shown}; pass an embedder, or dim=, to make it"
        )
    try:
        return create_layout(table, CollectionSpec(**told), wanted)
    except ColmilvusError:
        made_meanwhile = open_layout(table)
        if made_meanwhile is None:
            raise
        return made_meanwhile


def open_foreign(table: Table, names: Names) -> Layout:
    """A collection that another program made. Raises CollectionNotFound, and what ``ForeignLayout.open`` raises."""
    if not table.exists():
        raise CollectionNotFound(f"there is no collection {table.name!r} in {table.shown}")
    return ForeignLayout.open(table, names)


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
    index: Mapping[str, Any] | None = None,
    tenant_field: str | None = None,
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
        "index": index,
        "tenant_field": tenant_field,
    }
    if embedder is not None:
        if dim not in (None, embedder.dim) or metric not in (None, embedder.metric):
            raise InvalidInput(f"embedder {embedder.name!r} has dim and metric of its own; leave dim= and metric= out")
        own = {"dim": embedder.dim, "metric": embedder.metric, "embedder": embedder.name}
        told |= {**own, "settings": dict(embedder.settings)}
    return {name: value for name, value in told.items() if value is not None}
