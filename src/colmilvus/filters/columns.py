"""Tests of columns as Milvus expressions, also where something stands in for a value that is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from colmilvus.filters.dialects import HAS_DOCUMENT, Dialect
from colmilvus.filters.joining import all_true, any_true
from colmilvus.filters.language import Column, Test, is_true
from colmilvus.filters.literals import LARGEST, Float, Scalar, literal, quoted

__all__ = ["COMPLEMENT", "write_column"]

COMPLEMENT = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


@dataclass(frozen=True)
class _Presence:
    """What is true where a column has a value, and where it has none."""

    present: str | bool
    missing: str | bool
    stand_in: bool = False
    """Whether something stands there in its place, so that every test has to ask."""


def write_column(node: Test, wanted: bool, dialect: Dialect) -> str | bool:
    """The expression that is true where the test of a column is, or is not."""
    presence = _presence(node.column, dialect)
    if node.test == "like":
        node = replace(node, value=dialect.pattern(node.value))
    if node.test == "missing":
        return presence.missing if wanted else presence.present
    if node.test == "empty" and node.column.kind is not str:
        return presence.missing if wanted else presence.present
    if node.test == "empty":
        name = node.column.name
        return any_true([presence.missing, f'{name} == ""']) if wanted else f'{name} != ""'
    test = _test(node, presence, wanted)
    if test is True or (wanted and test is False):
        return test
    if not wanted:
        return any_true([test, presence.missing])
    return all_true([presence.present, test]) if presence.stand_in else test


def _presence(column: Column, dialect: Dialect) -> _Presence:
    if column.key == "$id" and column.own:
        return _Presence(present=True, missing=False)
    if column.key == "$image" and column.own:
        return _Presence('image != ""', 'image == ""', stand_in=True)
    if not dialect.kinds:
        return _Presence(f"{column.name} is not null", f"{column.name} is null")
    if column.own:
        return _Presence(f"{HAS_DOCUMENT} == true", f"{HAS_DOCUMENT} == false", stand_in=True)
    return _Presence(dialect.exists(column), dialect.missing(column), stand_in=True)


def _test(node: Test, presence: _Presence, wanted: bool) -> str | bool:
    """What is true of values that pass, or do not; a bool is so of everything, whether it has a value or not."""
    column = node.column
    if column.kind is bool and node.test != "like":
        return _bools(column, node, wanted)
    if node.test == "in":
        return _among(column, node.value, wanted)
    if node.test == "any" or (column.kind is str) != isinstance(node.value, str):
        return not wanted
    if node.test == "like":
        test = f"{column.name} like {quoted(node.value)}"
        return test if wanted else f"not ({test})"
    return _range(column, presence, node.test, node.value, wanted)


def _bools(column: Column, node: Test, wanted: bool) -> str | bool:
    fitting = [b for b in (False, True) if is_true(node.test, b, node.value) == wanted]
    if len(fitting) == (0 if wanted else 2):
        return not wanted
    return any_true([f"{column.name} == {literal(b)}" for b in fitting])


def _among(column: Column, values: Iterable[Scalar], wanted: bool) -> str | bool:
    literals = [literal(v) for value in values for v in _converted(value, column.kind)]
    if not literals:
        return not wanted
    return f"{column.name} {'in' if wanted else 'not in'} [{', '.join(literals)}]"


def _converted(value: Scalar, kind: type | None) -> list[Scalar]:
    """The value as the column's type writes it; nothing where the column cannot hold it."""
    if isinstance(value, str) or kind is str:
        return [value] if isinstance(value, str) and kind is str else []
    if kind is float:
        return [Float(value)] if float(value) == value else []
    return [int(value)] if int(value) == value and abs(value) <= LARGEST else []


def _range(column: Column, presence: _Presence, sign: str, limit: Any, wanted: bool) -> str | bool:
    if column.kind is int:
        sign, limit = _whole(sign, limit)
        if abs(limit) > LARGEST:
            always = (limit < 0) == (sign == ">=")
            if always:
                return presence.present if wanted else presence.missing
            return not wanted
    elif column.kind is float:
        sign, limit = _nearest(sign, limit)
    return f"{column.name} {sign if wanted else COMPLEMENT[sign]} {literal(limit)}"


def _whole(sign: str, limit: int | float) -> tuple[str, int]:
    """The same range over whole numbers, as >= or <=."""
    if sign in (">", ">="):
        return ">=", math.floor(limit) + 1 if sign == ">" else math.ceil(limit)
    return "<=", math.ceil(limit) - 1 if sign == "<" else math.floor(limit)


def _nearest(sign: str, limit: int | float) -> tuple[str, float]:
    """The same range over floats, when no float is as exact as the limit."""
    near = Float(limit)
    if near == limit:
        return sign, near
    outside = near > limit if sign in (">", ">=") else near < limit
    return sign[0] + "=" * outside, near
