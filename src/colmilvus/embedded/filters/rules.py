"""What a server takes of a filter expression, and the condition that it makes of it.

Source: Milvus 2.6.21, ``internal/parser/planparserv2/parser_visitor.go`` and ``utils.go``; the words of the refusals
are theirs where they have any.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colmilvus.embedded.filters import values
from colmilvus.embedded.filters.arithmetic import KERNELS, after_arithmetic
from colmilvus.embedded.filters.conditions import Condition, Every, Exists, Joined, OfColumn, OfValues
from colmilvus.embedded.filters.operands import INTEGERS, NUMBERS, Arithmetic, Column, Length, Literal, Operand
from colmilvus.embedded.filters.tokens import InvalidExpression

__all__ = ["between", "compare", "compare_literals", "contain", "exist", "length_of", "match", "one_of", "present"]

REVERSED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
WIDE = {"Bool": pa.int8(), "VarChar": pa.string(), "Float": pa.float32(), "Double": pa.float64()}


def compare(sign: str, left: Operand, right: Operand) -> Condition:
    """The condition that two operands are equal, one less than the other, ... Raises InvalidExpression."""
    if not _comparable(left, right):
        raise InvalidExpression(f"comparisons between {_shown(left)} and {_shown(right)} are not supported")
    if isinstance(left, Literal):
        sign, left, right = REVERSED[sign], right, left
    if isinstance(right, Literal):
        return _with_literal(sign, left, right)
    return _two_columns(sign, left, right)


def compare_literals(sign: str, left: Literal, right: Literal) -> Literal:
    """Whether two literals are equal, one less than the other, ... Raises InvalidExpression."""
    if isinstance(left.value, list) or not _comparable(left, right):
        raise InvalidExpression("comparison operations cannot be applied to two incompatible operands")
    return Literal(values.COMPARED[sign](left.value, right.value))


def _shown(operand: Operand) -> str:
    if isinstance(operand, Column):
        return operand.shown
    return operand.type if isinstance(operand, Literal | Arithmetic) else "Int64"


def _kind(operand: Operand) -> str:
    if isinstance(operand, Column):
        return operand.element if operand.type == "Array" else operand.type
    if isinstance(operand, Literal) and isinstance(operand.value, list):
        kinds = {Literal(value).type for value in operand.value}
        return kinds.pop() if len(kinds) == 1 else "None"
    return operand.type if isinstance(operand, Literal | Arithmetic) else "Int64"


def _comparable(left: Operand, right: Operand) -> bool:
    one, other = _kind(left), _kind(right)
    if "JSON" in (one, other):
        return True
    empty = any(isinstance(operand, Literal) and operand.value == [] for operand in (left, right))
    return one == other or (one in NUMBERS and other in NUMBERS) or empty


def _with_literal(sign: str, left: Operand, right: Literal) -> Condition:
    if isinstance(left, Length):
        return _of_values(left.column, values.length(sign, right.of("Int64")))
    if isinstance(left, Arithmetic):
        return after_arithmetic(sign, left, right)
    if not isinstance(left, Column):
        raise InvalidExpression("not supported to combine multiple fields")
    if sign not in ("==", "!="):
        left.check_not_whole_array()
    if left.type in ("JSON", "Array"):
        return _of_values(left, values.compared(sign, _held(left, right)))
    if left.type not in WIDE and left.type not in INTEGERS:
        raise InvalidExpression(f"comparisons between {left.type} and {right.type} are not supported")
    wide, kernel = WIDE.get(left.type, pa.int64()), KERNELS[sign]
    limit = pa.array([_held(left, right)]).cast(wide)[0]
    return OfColumn((left.name,), lambda column: kernel(pc.cast(column, wide), limit))


def _held(column: Column, literal: Literal) -> Any:
    """The literal's value, as precise as the column holds its own."""
    value = literal.of(column.compared)
    return _single(value) if "Float" in (column.type, column.element) else value


def _single(value: Any) -> Any:
    if isinstance(value, list):
        return [_single(element) for element in value]
    with np.errstate(over="ignore"):
        return float(np.float32(value)) if type(value) in (int, float) else value


def _of_values(column: Column, test: values.Test) -> Condition:
    return OfValues(column.name, column.path, test)


def _two_columns(sign: str, left: Operand, right: Operand) -> Condition:
    if not isinstance(left, Column) or not isinstance(right, Column):
        raise InvalidExpression("only comparison between two fields is supported")
    if "Array" in (left.type, right.type):
        raise InvalidExpression("field-to-field comparison involving ARRAY fields is not supported")
    if "JSON" in (left.type, right.type):
        raise InvalidExpression("two column comparison with JSON type is not supported")
    kernel = KERNELS[sign]
    if left.type == "Bool":
        return OfColumn((left.name, right.name), lambda a, b: kernel(pc.cast(a, pa.int8()), pc.cast(b, pa.int8())))
    return OfColumn((left.name, right.name), kernel)


def between(column: Column, lower: Operand, upper: Operand, *, with_lower: bool, with_upper: bool) -> Condition:
    """The condition that a column's value lies in a range. Raises InvalidExpression."""
    column.check_not_whole_array()
    if not isinstance(lower, Literal):
        raise InvalidExpression("lowerbound cannot be a non-const expression")
    if not isinstance(upper, Literal):
        raise InvalidExpression("upperbound cannot be a non-const expression")
    if column.compared == "Bool" or any(isinstance(bound.value, bool | list) for bound in (lower, upper)):
        raise InvalidExpression("invalid range operations on boolean expr")
    if column.compared != "JSON" and not _fits(column, lower, upper):
        raise InvalidExpression("invalid range operations")
    _check_order(lower.value, upper.value, closed=with_lower and with_upper)
    if column.type == "JSON" and float in (type(lower.value), type(upper.value)):
        lower, upper = Literal(float(lower.value)), Literal(float(upper.value))  # type: ignore[arg-type]
    return Joined(True, (
        _with_literal(">=" if with_lower else ">", column, lower),
        _with_literal("<=" if with_upper else "<", column, upper),
    ))  # fmt: skip


def _fits(column: Column, *bounds: Literal) -> bool:
    if column.compared == "VarChar":
        return all(isinstance(bound.value, str) for bound in bounds)
    return all(isinstance(bound.value, int if column.compared in INTEGERS else int | float) for bound in bounds)


def _check_order(lower: Any, upper: Any, *, closed: bool) -> None:
    if isinstance(lower, str) != isinstance(upper, str):
        raise InvalidExpression("invalid range: bounds are not comparable")
    if lower > upper or (lower == upper and not closed):
        raise InvalidExpression("invalid range: lowerbound is greater than upperbound")


def one_of(column: Operand, listed: Operand) -> Condition:
    """The condition that a column's value is in a list. Raises InvalidExpression."""
    if isinstance(column, Literal):
        raise InvalidExpression(f"'term' can only be used on non-const expression, but got: {column.value!r}")
    if not isinstance(column, Column):
        raise InvalidExpression("'term' can only be used on single field")
    if not isinstance(listed, Literal) or not isinstance(listed.value, list):
        raise InvalidExpression("the right-hand side of 'in' must be a list")
    if column.compared not in WIDE and column.compared not in INTEGERS | {"JSON", "Array"}:
        raise InvalidExpression(f"term expression is not supported for data type {column.compared}")
    wanted = [_cast(column, value) for value in listed.value]
    if column.type in ("JSON", "Array"):
        return _of_values(column, values.any_of(wanted)) if wanted else Every(False)
    wide = WIDE.get(column.type, pa.int64())
    chosen = pa.array(wanted).cast(wide)
    return OfColumn((column.name,), lambda found: _is_in(pc.cast(found, wide), chosen))


def _cast(column: Column, value: Any) -> Any:
    try:
        return _held(column, Literal(value))
    except InvalidExpression:
        raise InvalidExpression(f"value '{value!r}' in list cannot be casted to {column.compared}") from None


def _is_in(found: Any, chosen: Any) -> Any:
    answers = pc.is_in(found, value_set=chosen)
    return pc.if_else(pc.is_valid(found), answers, None) if found.null_count else answers


def contain(column: Operand, wanted: Operand, how: str) -> Condition:
    """The condition that an array contains a literal (``how`` is ``one``), or any, or all of a list of them."""
    if not isinstance(column, Column) or column.type not in ("JSON", "Array"):
        raise InvalidExpression("contains operation are only supported on json or array fields now")
    if not isinstance(wanted, Literal):
        raise InvalidExpression("contains operation are only supported explicitly specified element")
    if how != "one" and not isinstance(wanted.value, list):
        raise InvalidExpression(f"Contains{how.title()} operation element must be an array")
    elements: list[Any] = [wanted.value] if how == "one" else wanted.value  # type: ignore[assignment]  # a list
    if column.type == "Array":
        elements = [_element(column, element, how) for element in elements]
    if not elements and column.type == "Array" and column.nullable:
        return OfColumn((column.name,), lambda arrays: pc.if_else(pc.is_valid(arrays), how == "all", None))
    if not elements:
        return Every(how == "all")
    return _of_values(column, values.contains(elements, every=how == "all"))


def _element(column: Column, value: Any, how: str) -> Any:
    literal = Literal(value)
    if not (literal.type == column.element or {literal.type, column.element} <= NUMBERS):
        name = {"one": "Contains", "any": "ContainsAny", "all": "ContainsAll"}[how]
        raise InvalidExpression(
            f"{name} operation can't compare between array element type: {column.element} and {literal.type}"
        )
    if column.element in NUMBERS - INTEGERS:
        return _single(float(value)) if column.element == "Float" else float(value)
    return literal.of(column.element) if how == "one" else value


def length_of(column: Operand) -> Length:
    """How long the arrays of a column are. Raises InvalidExpression."""
    if not isinstance(column, Column) or column.type not in ("JSON", "Array") or column.compared == column.element:
        raise InvalidExpression("array_length operation are only supported on json or array fields now")
    return Length(column)


def exist(column: Operand) -> Condition:
    """The condition that a key of a JSON column is there. Raises InvalidExpression."""
    if not isinstance(column, Column):
        raise InvalidExpression("exists operations are only supported on single fields now")
    if column.type != "JSON":
        raise InvalidExpression(f"exists operations are only supportted on json field, got:{column.type}")
    if not column.path:
        raise InvalidExpression("exists operations are only supportted on json key")
    return Exists(column.name, column.path)


def present(column: Column) -> Condition:
    """The condition that a column's value, or a key of a JSON column, is not null. Raises InvalidExpression."""
    if column.type in ("FloatVector", "SparseFloatVector"):
        raise InvalidExpression("IsNull/IsNotNull operations are not supported on vector fields")
    if column.path and column.type == "Array":
        raise InvalidExpression(
            f"IsNull/IsNotNull operations are not supported on array element access, got: {column.text}"
        )
    return exist(column) if column.path else OfColumn((column.name,), pc.is_valid)


def match(column: Operand, pattern: Operand) -> Condition:
    """The condition that a string matches a pattern of ``like``. Raises InvalidExpression."""
    if not isinstance(column, Column):
        raise InvalidExpression("like operation on complicated expr is unsupported")
    column.check_not_whole_array()
    if column.compared not in ("VarChar", "JSON"):
        raise InvalidExpression("like operation on non-string or no-json field is unsupported")
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        raise InvalidExpression("like pattern should be a string literal or template variable")
    test = values.like(pattern.value)
    if column.type != "VarChar":
        return _of_values(column, test)
    literal = values.like_literal(pattern.value)
    if literal is None:
        return OfColumn((column.name,), lambda texts: pa.array(map(test, texts.to_pylist()), pa.bool_()))
    before, text, after = literal
    kernel = {(True, True): pc.match_substring, (True, False): pc.ends_with, (False, True): pc.starts_with}
    compute = kernel.get((before, after), pc.equal)
    return OfColumn((column.name,), lambda texts: compute(texts, text))
