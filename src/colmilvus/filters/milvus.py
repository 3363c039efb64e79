"""A tree of tests as a Milvus expression."""

# How this is written for Milvus. A server's `not` of an unknown (a missing key, a value of another kind) is unknown
# again, and an unknown left over counts as false: so negations are pushed down to the tests, and each names the kinds
# of values of which it is true. Read in the source of Milvus 2.6.21, which the embedded engine follows: a bool is no
# number, [1.0] does not contain 1, a JSON key is not unescaped, what is made of nulls and empty lists and objects does
# not exist, and nothing tells that a value is an object. Each kind is asked for before it is negated, as older servers
# take the negation of an unknown for true.

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from colmilvus.filters.language import RANGES, Column, Group, Node, Not, Test, comparable, is_true
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
        test = f"{key} like {quoted(node.value)}"
        return test if wanted else _or([_and([_text(key), f"not ({test})"]), *_others(key, "text")])
    values = list(_spellings(node.value, floats=node.test == "any"))
    if node.test == "in":
        return _json_in(key, values, wanted)
    contains = f"json_contains_any({key}, [{', '.join(map(literal, values))}])"
    return contains if wanted else _or([_and([_list(key), f"not {contains}"]), *_others(key, "list")])


def _number(key: str) -> str:
    return f"{key} * 0 == 0"


def _text(key: str) -> str:
    return f'{key} >= ""'


def _list(key: str) -> str:
    return f"array_length({key}) >= 0"


def _others(key: str, but: str) -> list[str | bool]:
    """True of nothing, and of values of every kind but one that can be told; no two tests are true of one value."""
    tests = {"number": _number(key), "text": _text(key), "true": f"{key} == true", "false": f"{key} == false"}
    tests["list"] = _list(key)
    return [f"not exists {key}", *(test for kind, test in tests.items() if kind != but)]


def _spellings(values: Iterable[Scalar], floats: bool) -> Iterator[Scalar]:
    """Every literal that one of the values has in Milvus: 1 is also true, and in lists also 1.0."""
    for value in values:
        yield value
        if not isinstance(value, str):
            if value in (0, 1):
                yield int(value) if isinstance(value, bool) else bool(value)
            if floats and float(value) == value:
                yield Float(value)


def _json_in(key: str, values: list[Scalar], wanted: bool) -> str | bool:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str | bool)]
    if wanted:
        bools = [f"{key} == {literal(value)}" for value in values if isinstance(value, bool)]
        return _or([*_one_of(key, numbers), *bools, *_one_of(key, texts)])
    tests: list[str | bool] = [f"not exists {key}", _list(key)]
    tests += [f"{key} == {literal(value)}" for value in (True, False) if value not in values]
    for kind, unequal in ((_number(key), numbers), (_text(key), texts)):
        tests.append(_and([kind, *_one_of(key, unequal, "!=", "not in")]))
    return _or(tests)


def _one_of(key: str, values: Iterable[Scalar], one: str = "==", some: str = "in") -> Iterator[str]:
    """Tests of a JSON key by lists of literals of one kind each, which is all that older servers take."""
    literals = dict.fromkeys(literal(value) for value in values)
    texts = [each for each in literals if each[0] == '"']
    wholes = [each for each in literals if each.lstrip("-").isdecimal()]
    for same in (wholes, texts, [each for each in literals if each not in {*texts, *wholes}]):
        if same:
            yield f"{key} {one} {same[0]}" if len(same) == 1 else f"{key} {some} [{', '.join(same)}]"


def _json_range(key: str, sign: str, limit: Scalar, wanted: bool) -> str | bool:
    needed = sign if wanted else COMPLEMENT[sign]
    tests: list[str | bool] = [f"{key} {needed} {literal(limit)}"]
    bools = [b for b in (False, True) if (comparable(b, limit) and RANGES[sign](b, limit)) == wanted]
    tests += [f"{key} == {literal(b)}" for b in bools]
    if not wanted:
        tests += [f"not exists {key}", _number(key) if isinstance(limit, str) else _text(key), _list(key)]
    return _or(tests)


def _json_empty(key: str, wanted: bool) -> str | bool:
    if wanted:
        return _or([f"not exists {key}", f'{key} == ""'])
    tests = [_and([f"exists {key}", _list(key)]), _number(key), f'{key} > ""', f"{key} == true", f"{key} == false"]
    return _or(tests)


def _write_column(node: Test, wanted: bool) -> str | bool:
    column, name, kind = node.column, node.column.name, node.column.kind
    if node.test == "missing":
        return f"{name} is null" if wanted else f"{name} is not null"
    if node.test == "empty":
        return _column_empty(name, kind, wanted)
    if kind is bool and node.test != "like":
        return _column_bools(column, node, wanted)
    if node.test == "in":
        return _column_in(column, node.value, wanted)
    if node.test == "any" or (kind is str) != isinstance(node.value, str):
        return not wanted
    if node.test == "like":
        test = f"{name} like {quoted(node.value)}"
        return test if wanted else _or_null(column, f"not ({test})")
    return _column_range(column, node.test, node.value, wanted)


def _or_null(column: Column, *tests: str) -> str | bool:
    return _or([*tests, f"{column.name} is null"] if column.nullable else tests)


def _column_empty(name: str, kind: type | None, wanted: bool) -> str | bool:
    if kind is not str:
        return f"{name} is null" if wanted else f"{name} is not null"
    return _or([f"{name} is null", f'{name} == ""']) if wanted else f'{name} != ""'


def _column_bools(column: Column, node: Test, wanted: bool) -> str | bool:
    fitting = [b for b in (False, True) if is_true(node.test, b, node.value) == wanted]
    if len(fitting) == (0 if wanted else 2):
        return not wanted
    tests = [f"{column.name} == {literal(b)}" for b in fitting]
    return _or(tests) if wanted else _or_null(column, *tests)


def _column_in(column: Column, values: Iterable[Scalar], wanted: bool) -> str | bool:
    literals = [literal(v) for value in values for v in _converted(value, column.kind)]
    if not literals:
        return not wanted
    test = f"{column.name} {'in' if wanted else 'not in'} [{', '.join(literals)}]"
    return test if wanted else _or_null(column, test)


def _converted(value: Scalar, kind: type | None) -> list[Scalar]:
    """The value as the column's type writes it; nothing where the column cannot hold it."""
    if isinstance(value, str) or kind is str:
        return [value] if isinstance(value, str) and kind is str else []
    if kind is float:
        return [Float(value)] if float(value) == value else []
    return [int(value)] if int(value) == value and abs(value) <= LARGEST else []


def _column_range(column: Column, sign: str, limit: Any, wanted: bool) -> str | bool:
    name, kind = column.name, column.kind
    if kind is int:
        sign, limit = _whole(sign, limit)
        if abs(limit) > LARGEST:
            always = (limit < 0) == (sign == ">=")
            present = f"{name} is not null" if wanted else f"{name} is null"
            return present if always else not wanted
    elif kind is float:
        sign, limit = _nearest(sign, limit)
    test = f"{name} {sign if wanted else COMPLEMENT[sign]} {literal(limit)}"
    return test if wanted else _or_null(column, test)


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
