"""Numbers of a filter expression, added, multiplied and so on.

Source: Milvus 2.6.21, ``internal/parser/planparserv2/parser_visitor.go``, ``utils.go`` and ``operators.go``.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from colmilvus.embedded.filters import values
from colmilvus.embedded.filters.conditions import Condition, OfColumn, OfValues
from colmilvus.embedded.filters.operands import INTEGERS, NUMBERS, Arithmetic, Column, Literal, Operand
from colmilvus.embedded.filters.tokens import InvalidExpression

__all__ = ["KERNELS", "after_arithmetic", "calculate"]

KERNELS = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
NAMES = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}


def calculate(sign: str, left: Operand, right: Operand) -> Operand:
    """The operand that arithmetic makes of two. Raises InvalidExpression."""
    if isinstance(left, Literal) and isinstance(right, Literal):
        return _folded(sign, left, right)
    flipped = isinstance(left, Literal)
    column, number = (right, left) if flipped else (left, right)
    if isinstance(column, Column) and isinstance(number, Column):
        raise InvalidExpression("not supported to do arithmetic operations between multiple fields")
    if not isinstance(column, Column) or not isinstance(number, Literal):
        raise InvalidExpression("complicated arithmetic operations are not supported")
    column.check_not_whole_array()
    kind = _arithmetic_type(sign, column, number)
    if flipped and sign not in "+*":
        raise InvalidExpression("module field is not yet supported")
    if sign in "/%" and number.value == 0:
        raise InvalidExpression("division or modulus by zero")
    return Arithmetic(column, sign, number.value, kind)  # type: ignore[arg-type]  # a number, by its type


def _arithmetic_type(sign: str, column: Column, number: Literal) -> str:
    field, other = column.compared, number.type
    known = field in NUMBERS or field == "JSON"
    if not known or other not in ("Int64", "Double") or (field in INTEGERS and other == "Double"):
        raise InvalidExpression(f"'{NAMES[sign]}' cannot perform arithmetic between {field} field and {other}")
    if sign == "%" and (other == "Double" or field not in INTEGERS | {"JSON"}):
        raise InvalidExpression("modulo can only apply on integer types")
    return "Int64" if other == "Int64" and field in INTEGERS | {"JSON"} else "Double"


def _folded(sign: str, left: Literal, right: Literal) -> Literal:
    a, b = left.value, right.value
    if isinstance(a, bool | str | list) or isinstance(b, bool | str | list):
        raise InvalidExpression(f"{sign} cannot apply on {left.type} and {right.type}")
    if sign in "/%" and b == 0:
        raise InvalidExpression("cannot divide by zero" if sign == "/" else "cannot modulo by zero")
    if sign == "%" and not (isinstance(a, int) and isinstance(b, int)):
        raise InvalidExpression("modulo can only apply on integer")
    if sign == "**":
        return Literal(int(math.pow(a, b)) if isinstance(a, int) and isinstance(b, int) else math.pow(a, b))
    return Literal(values.calculate(sign, a, b))


def after_arithmetic(sign: str, left: Arithmetic, right: Literal) -> Condition:
    """The condition that a number, after arithmetic, is equal to, less than, ... a literal."""
    column, limit = left.column, right.of(left.type)
    by = float(left.by) if left.type == "Double" else left.by
    if column.type in ("JSON", "Array"):
        return OfValues(column.name, column.path, values.calculated(left.sign, by, sign, limit))
    compute = {"+": pc.add, "-": pc.subtract, "*": pc.multiply, "/": pc.divide, "%": _remainder}[left.sign]
    wide, kernel = pa.int64() if left.type == "Int64" else pa.float64(), KERNELS[sign]
    scalar = pa.scalar(by, wide)
    return OfColumn(
        (column.name,), lambda numbers: kernel(compute(pc.cast(numbers, wide), scalar), pa.scalar(limit, wide))
    )


def _remainder(numbers: Any, by: Any) -> Any:
    return pc.subtract(numbers, pc.multiply(pc.divide(numbers, by), by))
