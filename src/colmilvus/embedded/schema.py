"""Arrays of structs in a collection's schema, and what of a schema Milvus Lite gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus.grpc_gen import schema_pb2

from colmilvus.embedded.naming import hidden_fields, row_field
from colmilvus.embedded.refusal import Refused

__all__ = [
    "SCALARS",
    "TOP_VECTORS",
    "VECTORS",
    "Scalar",
    "Struct",
    "Vector",
    "completed",
    "hidden_fields",
    "read_structs",
    "row_field",
    "schema_for_lite",
    "type_params",
    "whole",
]

FIRST_FIELD_ID = 100
Type = schema_pb2.DataType
SCALARS = (Type.Bool, Type.Int8, Type.Int16, Type.Int32, Type.Int64, Type.Float, Type.Double, Type.VarChar)
VECTORS: dict[int, str] = {Type.FloatVector: "<f4", Type.Float16Vector: "<f2"}
TOP_VECTORS = (
    Type.BinaryVector,
    Type.FloatVector,
    Type.Float16Vector,
    Type.BFloat16Vector,
    Type.SparseFloatVector,
    Type.Int8Vector,
)


@dataclass(frozen=True)
class Vector:
    """A vector sub-field: ``column`` is its place among the struct's vector sub-fields."""

    name: str
    field: str
    dim: int
    element: int
    column: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(VECTORS[self.element])


@dataclass(frozen=True)
class Scalar:
    """A scalar sub-field: ``column`` is its place among the struct's scalar sub-fields; ``max_length`` in bytes."""

    name: str
    field: str
    element: int
    column: int
    max_length: int


@dataclass(frozen=True)
class Struct:
    """An array-of-structs field: at most ``capacity`` structs in an entity."""

    name: str
    capacity: int
    vectors: tuple[Vector, ...]
    scalars: tuple[Scalar, ...]
    proto: Any

    @property
    def fields(self) -> tuple[Vector | Scalar, ...]:
        return (*self.vectors, *self.scalars)

    def vector(self, field: str) -> Vector | None:
        """The vector sub-field whose full name, such as ``patches[emb]``, is ``field``."""
        return next((vector for vector in self.vectors if vector.field == field), None)


def read_structs(proto: Any) -> dict[str, Struct]:
    """The array-of-structs fields of a schema message, which was checked, by name."""
    return {message.name: _read_struct(message) for message in proto.struct_array_fields}


def _read_struct(message: Any) -> Struct:
    vectors: list[Vector] = []
    scalars: list[Scalar] = []
    capacities = set()
    for field in message.fields:
        params = type_params(field)
        capacities.add(whole(params, "max_capacity", f"{message.name}[{field.name}]"))
        full = f"{message.name}[{field.name}]"
        if field.data_type == Type.ArrayOfVector:
            vectors.append(Vector(field.name, full, whole(params, "dim", full), field.element_type, len(vectors)))
        else:
            length = whole(params, "max_length", full) if field.element_type == Type.VarChar else 0
            scalars.append(Scalar(field.name, full, field.element_type, len(scalars), length))
    return Struct(message.name, capacities.pop(), tuple(vectors), tuple(scalars), message)


def type_params(field: Any) -> dict[str, str]:
    """The parameters of a field message, such as its ``dim``."""
    return {pair.key: pair.value for pair in field.type_params}


def whole(params: Mapping[str, str], key: str, name: str) -> int:
    """The whole number that the parameter ``key`` of the field ``name`` holds. Raises Refused where it holds none."""
    try:
        return int(params[key].strip('"'))
    except ValueError:
        raise Refused(f"the value for {key} of field {name} must be an integer, not {params[key]!r}") from None


def schema_for_lite(proto: Any) -> Any:
    """The schema that Milvus Lite keeps: hidden columns in the place of structs, no analyzers.

    A struct becomes one integer column, the number of its record. Each of its vector sub-fields becomes an empty
    sparse column, for Lite's notes about the index. Analyzers are the engine's own and put in when a collection opens.
    """
    rest = schema_pb2.CollectionSchema()
    rest.CopyFrom(proto)
    del rest.struct_array_fields[:]
    for field in rest.fields:
        kept = [pair for pair in field.type_params if pair.key != "analyzer_params"]
        del field.type_params[:]
        field.type_params.extend(kept)
    for struct in read_structs(proto).values():
        rest.fields.add(name=row_field(struct.name), data_type=Type.Int64)
        for vector in struct.vectors:
            rest.fields.add(name=vector.field, data_type=Type.SparseFloatVector, nullable=True)
    return rest


def completed(proto: Any) -> Any:
    """The schema with the numbers and marks that a server gives its fields."""
    outputs = {name for function in proto.functions for name in function.output_field_names}
    number = FIRST_FIELD_ID
    for field in proto.fields:
        field.fieldID, number = number, number + 1
        field.is_function_output = field.is_function_output or field.name in outputs
        field.autoID = field.autoID or (proto.autoID and field.is_primary_key)
    for struct in proto.struct_array_fields:
        struct.fieldID, number = number, number + 1
        for field in struct.fields:
            field.fieldID, number = number, number + 1
    proto.autoID = any(field.autoID for field in proto.fields)
    return proto
