"""The rules for arrays of structs in a collection's schema, and for names and sizes in any.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/util.go``: ValidateFieldsInStruct and its neighbours, and
``internal/proxy/task.go``: createCollectionTask.
"""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import schema_pb2

from colmilvus.embedded.naming import check_field_name
from colmilvus.embedded.refusal import INVALID_SCHEMA, MISSING, Refused
from colmilvus.embedded.schema import SCALARS, TOP_VECTORS, VECTORS, type_params, whole

__all__ = ["check_schema"]

Type = schema_pb2.DataType
MAX_CAPACITY = 4096
MAX_VARCHAR = 65535
MAX_FIELDS = 64
MAX_VECTOR_FIELDS = 10
DIMS = range(2, 32769)
DENSE = tuple(kind for kind in TOP_VECTORS if kind != Type.SparseFloatVector)
TEXT_PARAMETERS = ("enable_analyzer", "enable_match", "analyzer_params", "multi_analyzer_params")


def check_schema(proto: Any, collection: str) -> None:
    """Raise Refused where a server would not create a ``collection`` with this schema."""
    _check_numbers(proto)
    for message in proto.struct_array_fields:
        for field in message.fields:
            _check_role(field, field.name, collection)
    for field in proto.fields:
        _check_top_field(field, collection)
    for message in proto.struct_array_fields:
        _check_struct(message, collection)
    _check_duplicates(proto)


def _check_numbers(proto: Any) -> None:
    inner = [field for message in proto.struct_array_fields for field in message.fields]
    if len(proto.fields) + len(proto.struct_array_fields) + len(inner) > MAX_FIELDS:
        raise Refused(f"maximum field's number should be limited to {MAX_FIELDS}")
    vectors = sum(field.data_type in TOP_VECTORS for field in proto.fields)
    vectors += sum(field.data_type == Type.ArrayOfVector for field in inner)
    if vectors > MAX_VECTOR_FIELDS:
        raise Refused(f"maximum vector field's number should be limited to {MAX_VECTOR_FIELDS}")
    if not vectors:
        raise Refused("schema does not contain vector field")


def _check_role(field: Any, name: str, collection: str) -> None:
    illegal = f"illegal collection schema[collection={collection}]"
    if field.is_primary_key:
        raise Refused(f"primary key is not supported for struct field, field name = {name}")
    if field.autoID:
        raise Refused(f"autoID is not supported for struct field, field name = {name}")
    if field.is_partition_key:
        raise Refused(
            f"partition key is not supported for struct field, field name = {name}: {illegal}", INVALID_SCHEMA
        )
    if field.is_clustering_key:
        raise Refused(
            f"clustering key is not supported for struct field, field name = {name}: {illegal}", INVALID_SCHEMA
        )
    if field.default_value.WhichOneof("data") is not None:
        raise Refused(
            f"fields in struct array field not support default_value, data type:{Type.Name(field.data_type)}, "
            f"element type:{Type.Name(field.element_type)}, name:{name}"
        )
    if field.is_function_output:
        raise Refused(f"function output is not supported for struct field, field name = {name}")


def _check_top_field(field: Any, collection: str) -> None:
    check_field_name(field.name)
    if field.data_type == Type.ArrayOfVector:
        raise Refused(f"array of vector can only be in the struct array field, field name: {field.name}")
    if field.data_type in DENSE:
        _check_dim(field)
    if field.data_type == Type.VarChar:
        _check_length(field, collection)


def _check_struct(message: Any, collection: str) -> None:
    check_field_name(message.name)
    if not message.fields:
        raise Refused(f"struct array field {message.name} has no sub-fields")
    # The messages of pymilvus 2.6 have no nullable structs.
    if getattr(message, "nullable", False):
        raise Refused(f"nullable struct array field is not supported by the embedded engine: {message.name}")
    for field in message.fields:
        _check_sub_field(field, message.name, collection)
    capacities = [_capacity(field, collection) for field in message.fields]
    for field, capacity in zip(message.fields, capacities, strict=True):
        if capacity != capacities[0]:
            raise Refused(
                f"all sub-fields in struct array field must have the same max_capacity: structName={message.name}, "
                f"subFieldName={field.name}, max_capacity={capacity}, expected={capacities[0]}"
            )
        if field.nullable:
            raise Refused(
                "sub-field in non-nullable struct cannot be nullable individually, set nullable on the struct instead: "
                f"structName={message.name}, subFieldName={field.name}"
            )


def _check_sub_field(field: Any, struct: str, collection: str) -> None:
    check_field_name(field.name)
    if field.data_type not in (Type.Array, Type.ArrayOfVector):
        raise Refused(
            f"fields in StructArrayField must be Array or ArrayOfVector, field name = {field.name}, "
            f"field type = {_type_name(field.data_type)}"
        )
    if field.element_type in (Type.Array, Type.ArrayOfVector, Type.ArrayOfStruct, Type.Struct):
        raise Refused(f"nested array is not supported {field.name}")
    _check_element(field, f"{struct}[{field.name}]")
    if field.data_type == Type.ArrayOfVector:
        _check_dim(field)
    if field.element_type == Type.VarChar:
        _check_length(field, collection)
    for key, value in type_params(field).items():
        if key in TEXT_PARAMETERS and value.lower() != "false":
            raise Refused(
                f"{key} of field {struct}[{field.name}] is not supported: the texts in a struct are not searched"
            )


def _type_name(number: int) -> str:
    return str(Type.Name(number)) if number in Type.values() else str(number)


def _check_element(field: Any, full: str) -> None:
    kind = _type_name(field.element_type)
    if field.data_type == Type.Array and field.element_type not in SCALARS:
        raise Refused(f"element type {kind} is not supported: {full}")
    if field.data_type != Type.ArrayOfVector or field.element_type in VECTORS:
        return
    if field.element_type in DENSE:
        raise Refused(
            f"element type {kind} of field {full} is not supported by the embedded engine, only FloatVector "
            "and Float16Vector"
        )
    raise Refused(
        f"Unsupported element type {kind} of ArrayOfVector field {field.name}, only fixed dimension vector types are "
        "supported"
    )


def _check_dim(field: Any) -> None:
    params = type_params(field)
    if "dim" not in params:
        raise Refused(
            f"dimension is not defined in field type params of field {field.name}, check type param `dim` for vector "
            "field"
        )
    dim = whole(params, "dim", field.name)
    if dim < DIMS[0]:
        raise Refused(f"invalid dimension: {dim}. should be in range {DIMS[0]} ~ {DIMS[-1]}")
    if dim > DIMS[-1] and Type.BinaryVector not in (field.data_type, field.element_type):
        raise Refused(
            f"invalid dimension: {dim} of field {field.name}. float vector dimension should be in range "
            f"{DIMS[0]} ~ {DIMS[-1]}"
        )


def _check_length(field: Any, collection: str) -> None:
    params = type_params(field)
    if "max_length" not in params:
        raise Refused(
            f"type param(max_length) should be specified for the field({field.name}) of collection {collection}",
            MISSING,
        )
    length = whole(params, "max_length", field.name)
    if not 0 < length <= MAX_VARCHAR:
        raise Refused(
            f"the maximum length specified for the field({field.name}) should be in (0, {MAX_VARCHAR}], "
            f"but got {length} instead"
        )


def _capacity(field: Any, collection: str) -> int:
    params = type_params(field)
    if "max_capacity" not in params:
        raise Refused(
            f"type param(max_capacity) should be specified for array field {field.name} of collection {collection}",
            MISSING,
        )
    capacity = whole(params, "max_capacity", field.name)
    if not 0 < capacity <= MAX_CAPACITY:
        raise Refused(f"the maximum capacity specified for a Array should be in (0, {MAX_CAPACITY}]")
    return capacity


def _check_duplicates(proto: Any) -> None:
    names: set[str] = set()
    for name in (
        *(field.name for field in proto.fields),
        *(message.name for message in proto.struct_array_fields),
        *(f"{message.name}[{field.name}]" for message in proto.struct_array_fields for field in message.fields),
    ):
        if name in names:
            raise Refused(f"duplicated field name {name} found")
        names.add(name)
