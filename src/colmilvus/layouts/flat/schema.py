"""The columns of flat rows, and their indexes; no server has to know nulls for them."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, MilvusClient

from colmilvus.filters.dialects import HAS_DOCUMENT, KINDS
from colmilvus.layouts.checks import ID_BYTES, VARCHAR_BYTES
from colmilvus.layouts.schema import TYPES, add_tenant
from colmilvus.layouts.spec import CollectionSpec

__all__ = ["VECTOR", "flat_indexes", "flat_schema"]

VECTOR = "emb"
ALL_LISTS = 1024
PROBES = 192
"""Lists that a search looks into at first.

Right after they were stored 0.970 of the ten best of 1,000 patch-like pages were found with 128 lists, 0.988 with 256,
which takes a quarter longer; 192 take a tenth longer. Once the server has indexed them it is 0.990 with 128.
"""
LISTS = {"index_type": "IVF_FLAT", "params": {"nlist": ALL_LISTS}}
"""An inverted file: where thousands of rows are asked for it finds them several times as fast as a graph does.

Of 103,000 vectors of text, 4,000 for each of 20: 32 ms of a core, 184 in a graph (M 16, ef 4,000), 75 comparing all;
it is made in 2 s in place of 24 (faiss).
"""


def flat_schema(spec: CollectionSpec, *, has_partition_keys: bool) -> Any:
    schema = MilvusClient.create_schema(auto_id=False, description=spec.to_description())
    schema.add_field("key", DataType.INT64, is_primary=True)
    add_tenant(schema, spec, is_partition_key=has_partition_keys)
    schema.add_field("id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("document", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field(HAS_DOCUMENT, DataType.BOOL)
    schema.add_field("part", DataType.INT32)
    schema.add_field("writing", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=VARCHAR_BYTES)
    schema.add_field("image", DataType.VARCHAR, max_length=1_024)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field(KINDS, DataType.JSON)
    schema.add_field("internal", DataType.JSON)
    for name, kind in spec.fields.items():
        schema.add_field(name, TYPES[kind], **({"max_length": VARCHAR_BYTES} if kind is str else {}))
    if spec.segments:
        schema.add_field("segment", DataType.INT32)
        schema.add_field("segment_id", DataType.VARCHAR, max_length=ID_BYTES)
        schema.add_field("segment_text", DataType.VARCHAR, max_length=VARCHAR_BYTES)
        schema.add_field("segment_info", DataType.VARCHAR, max_length=VARCHAR_BYTES)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=spec.dim)
    return schema


def flat_indexes(spec: CollectionSpec) -> dict[str, dict[str, Any]]:
    """An index of the vectors, and whatever the server has for the columns that filters ask for most."""
    scalars = ["id", "document", "writing", *(name for name, kind in spec.fields.items() if kind is not bool)]
    named = {name: {"index_type": ""} for name in (*scalars, *(["segment_id"] * spec.segments))}
    return {VECTOR: {**LISTS, **spec.index, "metric_type": spec.metric}, **named}


def flat_search(spec: CollectionSpec, depth: int, probes: int) -> dict[str, int]:
    """What a search for so many rows tells the index: how many lists to look into, or how far to walk a graph."""
    kind = str(spec.index.get("index_type", LISTS["index_type"]))
    return {"nprobe": probes} if kind.startswith("IVF") else {"ef": depth}
