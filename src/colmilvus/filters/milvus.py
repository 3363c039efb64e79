"""A tree of tests as a Milvus expression."""

# How this is written for Milvus. Negations are pushed down to the tests, because Lite's `not` of an unknown (a missing
# key, a comparison of two kinds) is unknown again: each test has two forms, and an unknown left over counts as false.
# Run on Milvus Lite 3.2.2, in memory, flushed and indexed: no `in` on JSON keys, True == 1, json_contains takes a
# string of JSON for a list, `like` forgives a newline at the end and has no escapes. Read in the source of Milvus 2.6:
# a bool is no number, [1.0] does not contain 1, a JSON key is not unescaped, an empty list or dict does not exist.
# So two answers differ there: `$exists` is False for these, and `$empty` and a negated range are true for a dict.

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from colmilvus.filters.language import RANGES, Group, Node, Not, Test, comparable, is_true
from colmilvus.filters.literals import LARGEST, Float, Scalar, literal, quoted

COMPLEMENT = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


# Each function gives the expression that is true where the test is (wanted) or is not; a bool is always so.


def write(node: Node, wanted: bool) -> str | bool:
    if isinstance(node, Not):
        return write(node.part, not wanted)
    if isinstance(node, Group):
        parts = (write(part, wanted) for part in node.parts)
        return _and(parts) if node.every == wanted else _or(parts)
    write_test = _write_json if node.column.kind is None else _write_column
    return write_test(node, wanted)


def _and(parts: Iterable[str | bool]) -> str | bool:
    return _join(parts, " and ", neutral=True)


def _or(parts: Iterable[str | bool]) -> str | bool:
    return _join(parts, " or ", neutral=False)


def _join(parts: Iterable[str | bool], word: str, neutral: bool) -> str | bool:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif part is not neutral:
            return part
    if not texts:
        return neutral
    return texts[0] if len(texts) == 1 else f"({word.join(texts)})"


def _write_json(node: Test, wanted: bool) -> str | bool:
    key = node.column.name
    if node.test == "missing":
        return f"not exists {key}" if wanted else f"exists {key}"
    if node.test == "empty":
        return _json_empty(key, wanted)
    if node.test in RANGES:
        return _json_range(key, node.test, node.value, wanted)
    if not node.value:
        return not wanted
    if node.test == "like":
        return _or(_unlike(key, node.value, f"not exists {key}")) if not wanted else _like(key, node.value)
    values = [literal(value) for value in _spellings(node.value, floats=node.test == "any")]
    if node.test == "in":
        tests = [f"{key} {'==' if wanted else '!='} {value}" for value in values]
        return _or(tests) if wanted else _or([f"not exists {key}", _and(tests)])
    contains = f"json_contains_any({key}, [{', '.join(values)}])"
    if wanted:
        return _and([contains, f'not ({key} like "%")'])
    return _or([f"not exists {key}", f"not {contains}", f'{key} like "%"'])


def _spellings(values: Iterable[Scalar], floats: bool) -> Iterator[Scalar]:
    """Every literal that one of the values has in Milvus: 1 is also true, and in lists also 1.0."""
    for value in values:
        yield value
        if not isinstance(value, str):
            if value in (0, 1):
                yield int(value) if isinstance(value, bool) else bool(value)
            if floats and float(value) == value:
                yield Float(value)


def _json_range(key: str, sign: str, limit: Scalar, wanted: bool) -> str | bool:
    needed = sign if wanted else COMPLEMENT[sign]
    tests: list[str | bool] = [f"{key} {needed} {literal(limit)}"]
    bools = [b for b in (False, True) if (comparable(b, limit) and RANGES[sign](b, limit)) == wanted]
    tests += [f"{key} == {literal(b)}" for b in bools]
    if not wanted:
        other = f"{key} * 0 == 0" if isinstance(limit, str) else f'{key} >= ""'
        tests += [f"not exists {key}", other, _json_list(key)]
    return _or(tests)


def _json_list(key: str) -> str | bool:
    """True for a list, and on a server also for a dict; Milvus Lite multiplies strings and lists as Python does."""
    return _and([f"{key} * 0 != 0", f'not ({key} like "%")', f"{key} != true", f"{key} != false"])


def _json_empty(key: str, wanted: bool) -> str | bool:
    if wanted:
        return _or([f"not exists {key}", f'{key} == ""', _and([_json_list(key), f"not exists {key}[0]"])])
    tests = [f"exists {key}[0]", f"{key} * 0 == 0", f'{key} > ""', f"{key} == true", f"{key} == false"]
    return _or(tests)


def _like(name: str, pattern: str) -> str | bool:
    text = f"{name} like {quoted(pattern)}"
    if pattern.endswith("%"):
        return text
    return _and([text, f"not ({name} like {quoted(pattern + chr(10))})"])


def _unlike(name: str, pattern: str, missing: str) -> list[str | bool]:
    tests: list[str | bool] = [missing, f"not ({name} like {quoted(pattern)})"]
    return tests if pattern.endswith("%") else [*tests, f"{name} like {quoted(pattern + chr(10))}"]


def _write_column(node: Test, wanted: bool) -> str | bool:
    name, kind = node.column.name, node.column.kind
    if node.test == "missing":
        return f"{name} is null" if wanted else f"{name} is not null"
    if node.test == "empty":
        return _column_empty(name, kind, wanted)
    if kind is bool and node.test != "like":
        return _column_bools(name, node, wanted)
    if node.test == "in":
        return _column_in(name, kind, node.value, wanted)
    if node.test == "any" or (kind is str) != isinstance(node.value, str):
        return not wanted
    if node.test == "like":
        return _like(name, node.value) if wanted else _or(_unlike(name, node.value, f"{name} is null"))
    return _column_range(name, kind, node.test, node.value, wanted)


def _column_empty(name: str, kind: type | None, wanted: bool) -> str | bool:
    if kind is not str:
        return f"{name} is null" if wanted else f"{name} is not null"
    return _or([f"{name} is null", f'{name} == ""']) if wanted else f'{name} != ""'


def _column_bools(name: str, node: Test, wanted: bool) -> str | bool:
    fitting = [b for b in (False, True) if is_true(node.test, b, node.value) == wanted]
    if len(fitting) == (0 if wanted else 2):
        return not wanted
    tests: list[str | bool] = [f"{name} == {literal(b)}" for b in fitting]
    return _or(tests if wanted else [*tests, f"{name} is null"])


def _column_in(name: str, kind: type | None, values: Iterable[Scalar], wanted: bool) -> str | bool:
    literals = [literal(v) for value in values for v in _converted(value, kind)]
    if not literals:
        return not wanted
    test = f"{name} {'in' if wanted else 'not in'} [{', '.join(literals)}]"
    return test if wanted else _or([test, f"{name} is null"])


def _converted(value: Scalar, kind: type | None) -> list[Scalar]:
    """The value as the column's type writes it; nothing where the column cannot hold it."""
    if isinstance(value, str) or kind is str:
        return [value] if isinstance(value, str) and kind is str else []
    if kind is float:
        return [Float(value)] if float(value) == value else []
    return [int(value)] if int(value) == value and abs(value) <= LARGEST else []


def _column_range(name: str, kind: type | None, sign: str, limit: Any, wanted: bool) -> str | bool:
    if kind is int:
        sign, limit = _whole(sign, limit)
        if abs(limit) > LARGEST:
            always = (limit < 0) == (sign == ">=")
            present = f"{name} is not null" if wanted else f"{name} is null"
            return present if always else not wanted
    elif kind is float:
        sign, limit = _nearest(sign, limit)
    test = f"{name} {sign if wanted else COMPLEMENT[sign]} {literal(limit)}"
    return test if wanted else _or([test, f"{name} is null"])


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
