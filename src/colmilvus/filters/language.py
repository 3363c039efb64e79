"""The dict of a filter as a tree of tests, and what the tree means in plain Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from colmilvus.errors import InvalidFilter, Unsupported
from colmilvus.filters.literals import column_name, path, scalar

MAX_DEPTH = 50  # of nested dicts; the embedded engine gives up at 200 brackets, a server at some number too

WILDCARD = re.compile(r"[%_]")
SIGN = re.compile(r"\\[%_]|.", re.DOTALL)
"""One sign of a pattern; a backslash before a wildcard takes its meaning from it."""

RANGES: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Column:
    """Where values lie: under a key of the metadata (of no kind), or in a column, maybe one of the entity's own."""

    key: str
    name: str
    kind: type | None = None
    own: bool = False


@dataclass(frozen=True)
class Test:
    """``test`` is "missing", "empty", "in", "any", "like" or a sign of RANGES; in and any have a tuple as value."""

    column: Column
    test: str
    value: Any = None


@dataclass(frozen=True)
class Group:
    parts: tuple[Node, ...]
    every: bool


@dataclass(frozen=True)
class Not:
    part: Node


Node: TypeAlias = Test | Group | Not


def parse(filter: Any, fields: Mapping[str, type], depth: int = 1) -> Node:
    if not isinstance(filter, Mapping):
        raise InvalidFilter(f"a filter is a dict of metadata keys, got {filter!r}")
    if not filter and depth > 1:
        raise InvalidFilter("an empty dict inside a filter says nothing; leave it out")
    _check_depth(depth)
    return Group(tuple(_parse_key(key, value, fields, depth) for key, value in filter.items()), every=True)


def _parse_key(key: Any, value: Any, fields: Mapping[str, type], depth: int) -> Node:
    if key in ("$and", "$or"):
        parts = tuple(parse(part, fields, depth + 1) for part in _list(key, value, may_be_empty=False))
        return Group(parts, every=key == "$and")
    if key == "$not":
        return Not(parse(value, fields, depth + 1))
    if key == "$key":
        if not isinstance(value, Mapping) or not value:
            raise InvalidFilter(f"$key takes a dict of metadata keys, got {value!r}")
        return Group(tuple(_conditions(_column(k, fields), v, depth + 1) for k, v in value.items()), every=True)
    if key in ("$id", "$document", "$image"):
        return _conditions(Column(key, key[1:], str, own=True), value, depth)
    if isinstance(key, str) and key.startswith("$"):
        raise InvalidFilter(
            f"unknown operator {key!r} beside metadata keys; known are $and, $or, $not, $id, $document, $image, "
            f'and $key: a key of that name is written {{"$key": {{{key!r}: ...}}}}'
        )
    return _conditions(_column(key, fields), value, depth)


def _column(key: Any, fields: Mapping[str, type]) -> Column:
    if not isinstance(key, str):
        raise InvalidFilter(f"metadata keys are strings, got {key!r}")
    kind = fields.get(key)
    if key in fields and kind not in (bool, int, float, str):
        raise InvalidFilter(f"the column {key!r} is of type {kind!r}; a filter knows bool, int, float and str")
    return Column(key, f"metadata{path(key)}" if kind is None else column_name(key), kind)


def _conditions(column: Column, value: Any, depth: int) -> Node:
    if isinstance(value, list | tuple):
        value = {"$in": value}
    if not isinstance(value, Mapping):
        value = {"$eq": value}
    if not value:
        raise InvalidFilter(f"an empty dict for the key {column.key!r} says nothing; leave it out")
    _check_depth(depth)
    parts: list[Node] = []
    for name, operand in value.items():
        if name == "$not":
            parts.append(Not(_conditions(column, _operators(operand), depth + 1)))
        elif name not in _OPERATORS:
            known = ", ".join([*_OPERATORS, "$not"])
            raise InvalidFilter(f"unknown operator {name!r} for the key {column.key!r}; known are {known}")
        else:
            parts.append(_OPERATORS[name](column, name, operand))
    return Group(tuple(parts), every=True)


def _operators(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise InvalidFilter(f"$not takes a dict of operators, got {value!r}")
    return value


def _parse_equal(column: Column, name: str, value: Any) -> Node:
    if isinstance(value, list | tuple):
        raise Unsupported(f"{name} with a list: whole lists are not compared; use $in, $any or $all")
    return _negate(_among(column, [value], name), name == "$ne")


def _parse_in(column: Column, name: str, value: Any) -> Node:
    return _negate(_among(column, _list(name, value), name), name == "$nin")


def _among(column: Column, values: Iterable[Any], name: str) -> Node:
    values = list(values)
    some = Test(column, "in", tuple(scalar(v, name) for v in values if v is not None))
    missing = Test(column, "missing")
    return Group((missing, some), every=False) if None in values else some


def _parse_range(column: Column, name: str, value: Any) -> Node:
    limit = scalar(value, name)
    if isinstance(limit, bool):
        raise InvalidFilter(f"{name} takes a number or a string, got {value!r}")
    sign = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}[name]
    return Test(column, sign, limit)


def _parse_like(column: Column, name: str, value: Any) -> Node:
    if not isinstance(value, str):
        raise InvalidFilter(f"$like takes a pattern, got {value!r}")
    pattern = str(scalar(value, name))
    if "\\" in pattern:
        raise Unsupported(f"$like {value!r}: Milvus servers differ in how they read a backslash; leave it out")
    if "%" not in pattern and "_" not in pattern:
        return Test(column, "in", (pattern,))
    return Test(column, "like", pattern)


def _parse_text(column: Column, name: str, value: Any) -> Node:
    if not isinstance(value, str):
        raise InvalidFilter(f"$text takes a string, got {value!r}")
    if "\\" in value:
        raise Unsupported(f"$text {value!r}: Milvus servers differ in how a backslash is searched for; leave it out")
    return Test(column, "like", f"%{WILDCARD.sub(_escaped, str(scalar(value, name)))}%")


def _escaped(wildcard: re.Match[str]) -> str:
    return f"\\{wildcard.group()}"


def _parse_any(column: Column, name: str, value: Any) -> Node:
    values = [value] if name == "$contains" else _list(name, value, may_be_empty=name == "$any")
    elements = tuple(scalar(v, name) for v in values)
    if name == "$all":
        return Group(tuple(Test(column, "any", (element,)) for element in elements), every=True)
    return Test(column, "any", elements)


def _parse_presence(column: Column, name: str, value: Any) -> Node:
    if not isinstance(value, bool):
        raise InvalidFilter(f"{name} takes True or False, got {value!r}")
    if name == "$empty":
        return _negate(Test(column, "empty"), not value)
    return _negate(Test(column, "missing"), value)


def _negate(node: Node, really: bool) -> Node:
    return Not(node) if really else node


_OPERATORS: dict[str, Callable[[Column, str, Any], Node]] = {
    **dict.fromkeys(("$eq", "$ne"), _parse_equal),
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), _parse_range),
    **dict.fromkeys(("$in", "$nin"), _parse_in),
    "$like": _parse_like,
    "$text": _parse_text,
    **dict.fromkeys(("$contains", "$any", "$all"), _parse_any),
    **dict.fromkeys(("$exists", "$empty"), _parse_presence),
}


def _list(name: str, value: Any, may_be_empty: bool = True) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidFilter(f"{name} takes a list, got {value!r}")
    if not value and not may_be_empty:
        raise InvalidFilter(f"{name} takes a list that is not empty")
    return value


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidFilter(f"a filter has at most {MAX_DEPTH} dicts inside each other; join them with $and and $or")


def holds(node: Node, metadata: Mapping[str, Any], own: Mapping[str, Any], wanted: bool) -> bool:
    if isinstance(node, Not):
        return holds(node.part, metadata, own, not wanted)
    if isinstance(node, Group):
        results = (holds(part, metadata, own, wanted) for part in node.parts)
        return all(results) if node.every == wanted else any(results)
    if node.value == ():
        return not wanted  # no value is one of none, whatever Milvus can tell of it
    value = (own if node.column.own else metadata).get(node.column.key)
    if isinstance(value, Mapping) and node.test != "missing" and is_there(value):
        return False
    return is_true(node.test, value, node.value) == wanted


def is_true(test: str, value: Any, operand: Any) -> bool:
    is_list = isinstance(value, list | tuple)
    if test == "missing":
        return not is_there(value)
    if test == "empty":
        return value == "" or not is_there(value)
    if test == "in":
        return not is_list and value in operand
    if test == "any":
        return is_list and any(element in value for element in operand)
    if test == "like":
        return isinstance(value, str) and _pattern(operand).fullmatch(value) is not None
    return comparable(value, operand) and RANGES[test](value, operand)


def is_there(value: Any) -> bool:
    """Whether a value is more than None, and than lists and dicts of nothing but such."""
    if isinstance(value, Mapping):
        return any(map(is_there, value.values()))
    return any(map(is_there, value)) if isinstance(value, list | tuple) else value is not None


def comparable(left: Any, right: Any) -> bool:
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, (int, float)))


def _pattern(like: str) -> re.Pattern[str]:
    signs = {"%": ".*", "_": ".", "\\%": "%", "\\_": "_"}
    return re.compile("".join(signs.get(sign) or re.escape(sign) for sign in SIGN.findall(like)), re.DOTALL)
