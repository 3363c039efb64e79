"""Which layout a collection has, or gets: by what the server can do, which is seen and not read from its version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from pymilvus import DataType

from colmilvus.errors import CollectionMismatch, ServerError, Unsupported, warn
from colmilvus.layouts.flat import VECTOR, FlatLayout
from colmilvus.layouts.inserting import EMBEDDING, STRUCTS
from colmilvus.layouts.layout import Layout
from colmilvus.layouts.schema import VECTORS
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import StructArrayLayout
from colmilvus.layouts.table import Table

__all__ = ["LayoutName", "create_layout", "open_layout"]

LayoutName: TypeAlias = Literal["struct_array", "flat"]

MERGES_WRONG = ((2, 6, 4), (2, 6, 7))
"""The first and the last release that merges MAX_SIM results of several segments the wrong way round."""

NONE = "the server has no arrays of structs"

_without: set[tuple[str, tuple[int, ...]]] = set()
"""Servers, by address and release, that have none."""


def open_layout(table: Table) -> Layout | None:
    """The collection as it is, None if there is none.

    Raises CollectionMismatch where something else made it, Unsupported where the installed pymilvus cannot use it.
    """
    if not table.exists():
        return None
    description = table.description()
    spec = CollectionSpec.from_description(table.name, description["description"])
    if _fault(description, spec) is None:
        return StructArrayLayout.open(table, spec)
    if not any(field["name"] == VECTOR for field in description["fields"]):
        raise CollectionMismatch(
            f"collection {table.name!r} has neither arrays of structs nor flat rows: another process may be making it "
            "just now; open it again, or take another name"
        )
    return FlatLayout.open(table, spec)


def create_layout(table: Table, spec: CollectionSpec, wanted: LayoutName | None) -> Layout:
    """Make the collection with arrays of structs, or where the server has none with flat rows.

    Raises Unsupported where ``wanted`` is what the server cannot do, and ServerError where it cannot be made.
    """
    if wanted == "flat":
        return FlatLayout.create(table, spec)
    merges_wrong = None if table.is_embedded else _merges_wrong(table)
    fault = merges_wrong or (None if table.is_embedded else _lacks(table, spec))
    if fault is None:
        StructArrayLayout.make(table, spec)
        return StructArrayLayout.open(table, spec)
    if wanted == "struct_array":
        raise Unsupported(f"layout='struct_array' cannot be had: {fault}; leave layout= out, or take layout='flat'")
    if merges_wrong:
        warn(f"collection {table.name!r} gets flat rows: {fault}; use Milvus 2.6.8 or later")
    return FlatLayout.create(table, spec)


def _lacks(table: Table, spec: CollectionSpec) -> str | None:
    """What speaks against arrays of structs on this server; where it has none, it is not asked again."""
    server = (table.shown, table.version)
    if server not in _without:
        fault = _tried(table, spec)
        if fault is None or not fault.startswith(NONE):
            return fault
        _without.add(server)
    return NONE


def _tried(table: Table, spec: CollectionSpec) -> str | None:
    """What speaks against arrays of structs on this server.

    A collection is made, described and dropped under a name of its own: under the right one, what is dropped could be
    what another process made meanwhile.
    """
    trial = table.named(f"colmilvus_trial_{uuid4().hex[:16]}")
    try:
        StructArrayLayout.make(trial, spec)
    except ServerError as error:
        if table.version >= MERGES_WRONG[0]:
            raise
        return f"{NONE} ({error})"
    try:
        return _fault(trial.description(), spec)
    finally:
        trial.drop()


def _fault(description: Mapping[str, Any], spec: CollectionSpec) -> str | None:
    """What the collection lacks of an array of structs as its spec has it, None where it lacks nothing."""
    struct = next((field for field in description["fields"] if field["name"] == STRUCTS), None)
    if struct is None or struct.get("element_type") != DataType.STRUCT:
        return NONE
    fields = {field["name"]: field for field in struct["struct_fields"]}
    if EMBEDDING not in fields:
        return "the server has no vectors in arrays of structs"
    emb = fields[EMBEDDING]
    made = (emb["type"], int(emb["params"]["dim"]), int(struct["params"]["max_capacity"]))
    asked = (VECTORS[spec.dtype], spec.dim, spec.capacity)
    return None if made == asked else f"the server made it of (type, dim, capacity) {made}, not {asked}"


def _merges_wrong(table: Table) -> str | None:
    first, last = MERGES_WRONG
    if not first <= table.version <= last:
        return None
    return f"Milvus {'.'.join(map(str, table.version))} merges MAX_SIM results of several segments the wrong way round"
