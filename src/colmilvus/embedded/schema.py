"""The rules for arrays of structs in a collection's schema, and what of a schema Milvus Lite gets to see.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/util.go``: ValidateFieldsInStruct and its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus.grpc_gen import schema_pb2

from colmilvus.embedded.naming import check_field_name, hidden_fields, row_field
from colmilvus.embedded.refusal import Refused

__all__ = [
    "Scalar",
    "Struct",
    "Vector",
    "check_schema",
    "completed",
    "hidden_fields",
    "read_structs",
    "row_field",
    "schema_for_lite",
]

MAX_CAPACITY = 4096
MAX_VARCHAR = 65535
MAX_FIELDS = 64
MAX_VECTOR_FIELDS = 10
FIRST_FIELD_ID = 100
DIMS = range(2, 32769)
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
TEXT_PARAMETERS = ("enable_analyzer", "enable_match", "analyzer_params", "multi_analyzer_params")


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
    """The array-of-structs fields of a schema message, by name."""
    return {message.name: _read_struct(message) for message in proto.struct_array_fields}


def _read_struct(message: Any) -> Struct:
    vectors: list[Vector] = []
    scalars: list[Scalar] = []
    capacities = set()
    for field in message.fields:
        params = _params(field)
        capacities.add(_integer(params, "max_capacity", f"{message.name}[{field.name}]"))
        full = f"{message.name}[{field.name}]"
        if field.data_type == Type.ArrayOfVector:
            vectors.append(Vector(field.name, full, _integer(params, "dim", full), field.element_type, len(vectors)))
        else:
            length = _integer(params, "max_length", full) if field.element_type == Type.VarChar else 0
            scalars.append(Scalar(field.name, full, field.element_type, len(scalars), length))
    if len(capacities) != 1:
        raise Refused(f"struct field {message.name}: its sub-fields have different max_capacity: {sorted(capacities)}")
    return Struct(message.name, capacities.pop(), tuple(vectors), tuple(scalars), message)


def _params(field: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in field.type_params}


def _integer(params: Mapping[str, str], key: str, name: str) -> int:
    try:
        return int(params[key].strip('"'))
    except KeyError:
        raise Refused(f"type param({key}) should be specified for field {name}") from None
    except ValueError:
        raise Refused(f"the value for {key} of field {name} must be an integer, not {params[key]!r}") from None


def check_schema(proto: Any) -> None:
    """Raise Refused where a server would not create a collection with this schema."""
    for message in proto.struct_array_fields:
        _check_struct_message(message)
    _check_names(proto)
    _check_numbers(proto)
    for field in proto.fields:
        _check_top_field(field)
    for struct in read_structs(proto).values():
        _check_struct(struct)


def _check_struct_message(message: Any) -> None:
    # The messages of pymilvus 2.6 have no nullable structs.
    if getattr(message, "nullable", False) or any(field.nullable for field in message.fields):
        raise Refused(f"nullable struct array field is not supported by the embedded engine: {message.name}")
    if not message.fields:
        raise Refused(f"struct array field {message.name} has no sub-fields")
    for field in message.fields:
        name = f"{message.name}[{field.name}]"
        if field.data_type not in (Type.Array, Type.ArrayOfVector):
            raise Refused(f"Fields in StructArrayField can only be array or array of vector, but field {name} is not")
        _check_element(field, name)
        _check_role(field, name)
        for key, value in _params(field).items():
            if key in TEXT_PARAMETERS and value.lower() != "false":
                raise Refused(f"{key} of field {name} is not supported: the texts in a struct are not searched")


def _check_element(field: Any, name: str) -> None:
    allowed: Iterable[int] = VECTORS if field.data_type == Type.ArrayOfVector else SCALARS
    if field.element_type in allowed:
        return
    kind = Type.Name(field.element_type) if field.element_type in Type.values() else str(field.element_type)
    raise Refused(f"element type {kind} of field {name} is not supported by the embedded engine")


def _check_role(field: Any, name: str) -> None:
    roles = {
        "primary key": field.is_primary_key,
        "partition key": field.is_partition_key,
        "clustering key": field.is_clustering_key,
        "auto id": field.autoID,
        "default value": field.default_value.WhichOneof("data") is not None,
        "function output": field.is_function_output,
    }
    for role, taken in roles.items():
        if taken:
            raise Refused(f"field {name} in a struct cannot have the role: {role}")


def _check_names(proto: Any) -> None:
    names = [field.name for field in proto.fields] + [message.name for message in proto.struct_array_fields]
    for name in names:
        check_field_name(name)
    for message in proto.struct_array_fields:
        _check_duplicates([field.name for field in message.fields], f" in struct {message.name}")
        names += [f"{message.name}[{field.name}]" for field in message.fields]
        for field in message.fields:
            check_field_name(field.name)
    _check_duplicates(names, "")


def _check_duplicates(names: list[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"duplicated field name {name}{where}")


def _check_numbers(proto: Any) -> None:
    inner = [field for message in proto.struct_array_fields for field in message.fields]
    if len(proto.fields) + len(inner) > MAX_FIELDS:
        raise Refused(f"maximum field's number should be limited to {MAX_FIELDS}")
    vectors = sum(field.data_type in TOP_VECTORS for field in proto.fields)
    vectors += sum(field.data_type == Type.ArrayOfVector for field in inner)
    if vectors > MAX_VECTOR_FIELDS:
        raise Refused(f"maximum vector field's number should be limited to {MAX_VECTOR_FIELDS}")


def _check_top_field(field: Any) -> None:
    params = _params(field)
    if field.data_type == Type.FloatVector and "dim" in params:
        _check_dim(_integer(params, "dim", field.name), field.name)
    if field.data_type == Type.VarChar and "max_length" in params:
        _check_length(_integer(params, "max_length", field.name), field.name)


def _check_struct(struct: Struct) -> None:
    if not 0 < struct.capacity <= MAX_CAPACITY:
        raise Refused(f"the maximum capacity specified for a Array should be in (0, {MAX_CAPACITY}]: {struct.name}")
    for vector in struct.vectors:
        _check_dim(vector.dim, vector.field)
    for scalar in struct.scalars:
        if scalar.element == Type.VarChar:
            _check_length(scalar.max_length, scalar.field)


def _check_dim(dim: int, name: str) -> None:
    if dim not in DIMS:
        raise Refused(f"invalid dimension: {dim} of field {name}. it should be in range {DIMS[0]} to {DIMS[-1]}")


def _check_length(length: int, name: str) -> None:
    if not 0 < length <= MAX_VARCHAR:
        raise Refused(f"the maximum length specified for the field({name}) should be in (0, {MAX_VARCHAR}]")


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
