"""The one schema that a collection has in Milvus, and its indexes."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, Function, FunctionType, MilvusClient

from colmilvus.layouts.checks import ID_BYTES, VARCHAR_BYTES
from colmilvus.layouts.inserting import EMBEDDING, STRUCTS
from colmilvus.layouts.rows import SEGMENT_IDS
from colmilvus.layouts.spec import CAPACITY_LIMIT, CollectionSpec
from colmilvus.layouts.tenants import TENANT_BYTES

__all__ = ["BM25", "KEY_BYTES", "VECTOR", "add_tenant", "index_parameters", "milvus_schema"]

VECTOR = f"{STRUCTS}[{EMBEDDING}]"
BM25 = "bm25"
VECTORS = {"float32": DataType.FLOAT_VECTOR, "float16": DataType.FLOAT16_VECTOR}
KEY_BYTES = 3 * (ID_BYTES + TENANT_BYTES) + 256
"""Of a primary key: three for each byte of an id and of a tenant that has to be encoded."""
TYPES = {bool: DataType.BOOL, int: DataType.INT64, float: DataType.DOUBLE, str: DataType.VARCHAR}


def milvus_schema(spec: CollectionSpec) -> Any:
    """The columns of a collection with arrays of structs, and the function that makes BM25 vectors of the text."""
    schema = MilvusClient.create_schema(auto_id=False, description=spec.to_description())
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=KEY_BYTES)
    add_tenant(schema, spec)
    schema.add_field("id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("document", DataType.VARCHAR, max_length=ID_BYTES, nullable=True)
    schema.add_field("part", DataType.INT16)
    schema.add_field(
        "text", DataType.VARCHAR, max_length=VARCHAR_BYTES, enable_analyzer=True, analyzer_params=dict(spec.analyzer)
    )
    schema.add_field(BM25, DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, input_field_names=["text"], output_field_names=[BM25]))
    schema.add_field("image", DataType.VARCHAR, max_length=1_024)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("internal", DataType.JSON)
    if spec.segments:
        schema.add_field(
            SEGMENT_IDS,
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_capacity=CAPACITY_LIMIT,
            max_length=ID_BYTES,
        )
    for name, kind in spec.fields.items():
        length = {"max_length": VARCHAR_BYTES} if kind is str else {}
        schema.add_field(name, TYPES[kind], nullable=True, **length)
    schema.add_field(
        STRUCTS,
        DataType.ARRAY,
        element_type=DataType.STRUCT,
        struct_schema=_element(spec),
        max_capacity=spec.capacity,
    )
    return schema


def add_tenant(schema: Any, spec: CollectionSpec, *, is_partition_key: bool = True) -> None:
    """Add the column that says whose a row is, if there is one: as partition key it keeps tenants apart on disk."""
    if spec.tenant_field is not None:
        schema.add_field(
            spec.tenant_field, DataType.VARCHAR, max_length=TENANT_BYTES, is_partition_key=is_partition_key
        )


def _element(spec: CollectionSpec) -> Any:
    element = MilvusClient.create_struct_field_schema()
    element.add_field(EMBEDDING, VECTORS[spec.dtype], dim=spec.dim)
    if spec.segments:
        element.add_field("segment", DataType.INT32)
        element.add_field("text", DataType.VARCHAR, max_length=VARCHAR_BYTES)
        element.add_field("info", DataType.VARCHAR, max_length=VARCHAR_BYTES)
    return element


def index_parameters(spec: CollectionSpec) -> dict[str, dict[str, Any]]:
    """What each indexed field is indexed with."""
    bm25 = {"bm25_k1": 1.2, "bm25_b": 0.75}
    return {
        VECTOR: {"index_type": "HNSW", **spec.index, "metric_type": f"MAX_SIM_{spec.metric}"},
        BM25: {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "BM25", "params": bm25},
        **{name: {"index_type": "INVERTED"} for name in ("id", "document", *spec.fields)},
    }
