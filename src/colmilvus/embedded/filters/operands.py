"""What a filter expression compares: literals, and columns of a collection or values within them.

Source: Milvus 2.6.21, ``internal/parser/planparserv2/utils.go`` and ``parser_visitor.go``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from colmilvus.embedded.filters.tokens import InvalidExpression, Token

__all__ = ["INTEGERS", "NUMBERS", "Arithmetic", "Column", "Length", "Literal", "Operand", "Value", "find_column"]

INTEGERS = frozenset({"Int8", "Int16", "Int32", "Int64"})
FLOATS = frozenset({"Float", "Double"})
NUMBERS = INTEGERS | FLOATS
# A server's names of what Milvus Lite calls INT64 and so on.
NAMES = {"BOOL": "Bool", "VARCHAR": "VarChar", "JSON": "JSON", "ARRAY": "Array", "GEOMETRY": "Geometry"}
NAMES |= {"INT8": "Int8", "INT16": "Int16", "INT32": "Int32", "INT64": "Int64", "FLOAT": "Float", "DOUBLE": "Double"}
NAMES |= {"TIMESTAMPTZ": "Timestamptz", "FLOAT_VECTOR": "FloatVector", "SPARSE_FLOAT_VECTOR": "SparseFloatVector"}
DYNAMIC = "$meta"
LARGEST = 2**63 - 1

Value: TypeAlias = "bool | int | float | str | list[Any]"


@dataclass(frozen=True)
class Literal:
    """A constant; of a list the values are literals' values."""

    value: Value

    @property
    def type(self) -> str:
        kinds = {bool: "Bool", int: "Int64", float: "Double", str: "VarChar", list: "Array"}
        return kinds[type(self.value)]

    def of(self, kind: str) -> Any:
        """The value as a column of this type holds it. Raises InvalidExpression where it cannot."""
        value = self.value
        if kind in ("JSON", self.type) or (kind in INTEGERS and type(value) is int):
            return value
        if kind in FLOATS and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise InvalidExpression(f"cannot cast value to {kind}, value: {value!r}")


@dataclass(frozen=True)
class Column:
    """A column, or with a ``path`` what lies there in the JSON or array of each row."""

    name: str
    type: str
    text: str
    element: str = ""
    nullable: bool = False
    path: tuple[str, ...] = ()

    @property
    def compared(self) -> str:
        """The type that literals take to be compared with this."""
        return self.element if self.type == "Array" and self.path else self.type

    @property
    def shown(self) -> str:
        return f"Array[{self.element}]" if self.type == "Array" else self.type

    def check_not_whole_array(self) -> None:
        if self.type == "Array" and not self.path:
            raise InvalidExpression("can not comparisons array fields directly")


@dataclass(frozen=True)
class Arithmetic:
    """A number in each row, and what is added to it, subtracted, ..."""

    column: Column
    sign: str
    by: int | float
    type: str


@dataclass(frozen=True)
class Length:
    """How long the array in each row is."""

    column: Column


Operand: TypeAlias = "Literal | Column | Arithmetic | Length"


def find_column(token: Token, schema: Any) -> Column:
    """The column that a name or path means in Milvus Lite's schema. Raises InvalidExpression."""
    name, parts = token.value if token.kind == "path" else (token.text, ())
    fields = {field.name: field for field in schema.fields}
    if name not in fields and name.lower() == "null":
        raise InvalidExpression(
            "NULL literal is not supported in expressions; use '<field> is null' or '<field> is not null' instead"
        )
    path = tuple(key for key, _ in parts)
    if name not in fields:
        if not schema.enable_dynamic_field:
            raise InvalidExpression(f"field {name} not exist")
        return Column(DYNAMIC, "JSON", token.text, nullable=True, path=path if name == DYNAMIC else (name, *path))
    column = _declared(fields[name], token.text)
    if path:
        _check_path(column, parts)
    return replace(column, path=path)


def _declared(field: Any, text: str) -> Column:
    element = NAMES.get(field.element_type.name, "") if field.element_type else ""
    return Column(field.name, NAMES[field.dtype.name], text, element, bool(field.nullable))


def _check_path(column: Column, parts: tuple[tuple[str, bool], ...]) -> None:
    if column.type not in ("JSON", "Array"):
        raise InvalidExpression(f"{column.type} data type not supported accessed with []")
    if column.type == "Array" and any(quoted for _, quoted in parts):
        raise InvalidExpression("can only access array field with integer index")
