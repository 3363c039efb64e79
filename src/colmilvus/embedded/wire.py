"""Between the messages of the Milvus protocol and records: vectors are copied as bytes, never number by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus.grpc_gen import schema_pb2

from colmilvus.embedded.refusal import Refused
from colmilvus.embedded.schema import Scalar, Struct, Vector
from colmilvus.embedded.vectors import Record, VectorStore

__all__ = ["check_columns", "numbers", "records", "struct_field"]

Type = schema_pb2.DataType
SLOTS: dict[int, str] = {
    Type.Bool: "bool_data",
    Type.Int8: "int_data",
    Type.Int16: "int_data",
    Type.Int32: "int_data",
    Type.Int64: "long_data",
    Type.Float: "float_data",
    Type.Double: "double_data",
    Type.VarChar: "string_data",
}
RANGES: dict[int, tuple[int, int]] = {Type.Int8: (-(2**7), 2**7), Type.Int16: (-(2**15), 2**15)}


def numbers(message: Any) -> NDArray[np.float32]:
    """The floats of a FloatArray message, from the bytes that it is sent as."""
    raw = message.SerializeToString()
    if not raw:
        return np.zeros(0, np.float32)
    at = 1
    while raw[at] & 0x80:
        at += 1
    return np.frombuffer(raw, np.dtype("<f4"), offset=at + 1)


def _packed(raw: bytes) -> bytes:
    size, head = len(raw), bytearray(b"\x0a")
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + raw


def records(data: Any, struct: Struct, rows: int) -> list[Record]:
    """The records of one struct column of an insert. Raises Refused where a server would not take it."""
    given = {field.field_name: field for field in data.struct_arrays.fields}
    wanted = struct.fields
    for name in given.keys() - {field.name for field in wanted}:
        raise Refused(f"sub-field '{name}' not found in struct schema '{struct.name}'")
    if len(data.struct_arrays.fields) != len(wanted):
        raise Refused(
            f"length of fields of struct field mismatch length of the fields in schema, fieldName: {struct.name}, "
            f"fieldData fields length:{len(data.struct_arrays.fields)}, schema fields length:{len(wanted)}"
        )
    vectors = [_vector_rows(given[vector.name], vector, rows) for vector in struct.vectors]
    scalars = [_scalar_rows(given[scalar.name], scalar, rows) for scalar in struct.scalars]
    return [_record(struct, row, [v[row] for v in vectors], [s[row] for s in scalars]) for row in range(rows)]


def _record(struct: Struct, row: int, vectors: list[NDArray[Any]], scalars: list[tuple[bytes, int]]) -> Record:
    lengths = [len(v) for v in vectors] + [size for _, size in scalars]
    if len(set(lengths)) > 1:
        raise _unequal(struct, row, dict(zip((field.name for field in struct.fields), lengths, strict=True)))
    if lengths[0] > struct.capacity:
        raise Refused(
            f"array length exceeds max capacity: the length({lengths[0]}) of row {row}, field {struct.name}, "
            f"exceeds max capacity ({struct.capacity})"
        )
    return Record(lengths[0], tuple(vectors), tuple(message for message, _ in scalars))


def _unequal(struct: Struct, row: int, counts: dict[str, int]) -> Refused:
    first, *others = [field.name for field in struct.proto.fields]
    other = next(name for name in others if counts[name] != counts[first])
    told = (
        f"inconsistent struct element count in struct '{struct.name}' at row {row}: "
        f"'{first}' has {counts[first]}, '{other}' has {counts[other]}"
    )
    structs = counts[struct.scalars[0].name] if struct.scalars else 0
    for vector in struct.vectors if structs else ():
        numbers = counts[vector.name] * vector.dim
        if counts[vector.name] != structs and numbers % structs == 0:
            told += f"; '{vector.name}' was given {numbers // structs} numbers a vector, and its dim is {vector.dim}"
    return Refused(told)


def _vector_rows(data: Any, vector: Vector, rows: int) -> list[NDArray[Any]]:
    array = data.vectors.vector_array
    if data.WhichOneof("field") != "vectors" or len(array.data) != rows:
        raise _wrong_number(vector.field, len(array.data), rows)
    if array.element_type and array.element_type != vector.element:
        raise Refused(f"field {vector.field} holds {Type.Name(vector.element)}, not {Type.Name(array.element_type)}")
    if array.dim and array.dim != vector.dim:
        raise Refused(f"the dim ({array.dim}) of field data({vector.field}) is not equal to schema dim ({vector.dim})")
    return [_vectors(item, vector, row) for row, item in enumerate(array.data)]


def _wrong_number(field: str, found: int, rows: int) -> Refused:
    return Refused(f"the num_rows ({found}) of field ({field}) is not equal to passed num_rows ({rows})")


def _vectors(item: Any, vector: Vector, row: int) -> NDArray[Any]:
    slot = "float_vector" if vector.element == Type.FloatVector else "float16_vector"
    kind = item.WhichOneof("data")
    if kind not in (slot, None):
        raise Refused(f"field {vector.field}, row {row}: expected {slot} data, got {kind}")
    if item.dim and item.dim != vector.dim:
        raise Refused(f"the dim ({item.dim}) of field data({vector.field}) is not equal to schema dim ({vector.dim})")
    flat = numbers(item.float_vector) if slot == "float_vector" else np.frombuffer(item.float16_vector, "<f2")
    if flat.size % vector.dim:
        raise Refused(
            f"array of vector field {vector.field}, row {row}, has invalid payload length {flat.size}, "
            f"should be divisible by vector width {vector.dim}"
        )
    _check_finite(flat, f"field {vector.field}, row {row}")
    return flat.reshape(-1, vector.dim)


def _check_finite(flat: NDArray[Any], where: str) -> None:
    finite = np.isfinite(flat)
    if not finite.all():
        raise Refused(f"value '{flat[int(finite.argmin())]}' is not a number or infinity: {where}")


def _scalar_rows(data: Any, scalar: Scalar, rows: int) -> list[tuple[bytes, int]]:
    array = data.scalars.array_data
    if data.WhichOneof("field") != "scalars" or len(array.data) != rows:
        raise _wrong_number(scalar.field, len(array.data), rows)
    return [(item.SerializeToString(), _scalar_count(item, scalar, row)) for row, item in enumerate(array.data)]


def _scalar_count(item: Any, scalar: Scalar, row: int) -> int:
    kind = item.WhichOneof("data")
    if kind is None:
        return 0
    if kind != SLOTS[scalar.element]:
        raise Refused(f"field {scalar.field}, row {row}: expected {SLOTS[scalar.element]}, got {kind}")
    values = getattr(item, kind).data
    if scalar.element == Type.VarChar:
        _check_lengths(values, scalar.field, scalar.max_length)
    elif scalar.element in RANGES:
        low, high = RANGES[scalar.element]
        for value in values:
            if not low <= value < high:
                raise Refused(
                    f"the element ({value}) of field {scalar.field}, row {row}, out of range: [{low}, {high - 1}]: "
                    "invalid parameter[expected=integer doesn't overflow][actual=out of range]"
                )
    elif scalar.element in (Type.Float, Type.Double):
        _check_finite(np.array(values, np.float64), f"field {scalar.field}, row {row}")
    return len(values)


def _check_lengths(values: Sequence[str], field: str, limit: int) -> None:
    for i, value in enumerate(values):
        if 4 * len(value) > limit and (size := len(value.encode())) > limit:
            raise Refused(
                f"length of varchar field {field} exceeds max length, row number: {i}, length: {size}, "
                f"max length: {limit}"
            )


def check_columns(fields_data: Any, fields: Any) -> None:
    """Refuse in plain columns what Milvus Lite takes: texts longer in bytes than declared, vectors not finite."""
    limits = {field.name: field.type_params for field in fields if field.data_type == Type.VarChar}
    for data in fields_data:
        if data.field_name in limits:
            limit = next((int(p.value.strip('"')) for p in limits[data.field_name] if p.key == "max_length"), 65535)
            _check_lengths(data.scalars.string_data.data, data.field_name, limit)
        if data.vectors.WhichOneof("data") == "float_vector":
            _check_finite(numbers(data.vectors.float_vector), f"field {data.field_name}")


def struct_field(struct: Struct, names: set[str], store: VectorStore, rows: Sequence[int]) -> Any:
    """The answer's column for the named sub-fields of the records in ``rows``."""
    data = schema_pb2.FieldData(field_name=struct.name, type=Type.ArrayOfStruct)
    scalars = [store.scalars(row) for row in rows] if struct.scalars else []
    by_name = {field.name: field for field in struct.fields}
    for message in struct.proto.fields:
        if message.name not in names:
            continue
        sub = data.struct_arrays.fields.add(field_name=message.name, type=message.data_type)
        field = by_name[message.name]
        if isinstance(field, Vector):
            _fill_vectors(sub, field, store, rows)
        else:
            _fill_scalars(sub, field, scalars)
    return data


def _fill_vectors(sub: Any, vector: Vector, store: VectorStore, rows: Sequence[int]) -> None:
    array = sub.vectors.vector_array
    array.element_type = vector.element
    array.dim = sub.vectors.dim = vector.dim
    for row in rows:
        raw = store.vectors(row, vector.column).tobytes()
        item = array.data.add(dim=vector.dim)
        if vector.element == Type.FloatVector:
            item.float_vector.ParseFromString(_packed(raw))
        else:
            item.float16_vector = raw


def _fill_scalars(sub: Any, scalar: Scalar, rows: Sequence[Sequence[bytes]]) -> None:
    array = sub.scalars.array_data
    array.element_type = scalar.element
    for row in rows:
        item = array.data.add()
        item.ParseFromString(row[scalar.column])
        if item.WhichOneof("data") is None:
            getattr(item, SLOTS[scalar.element]).SetInParent()
