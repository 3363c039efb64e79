"""Filters on metadata: a dict language with one stated meaning, and the one place where a Milvus expression is written.

    {"year": 2025}                                   equal
    {"year": [2024, 2025]}                           any of these
    {"year": {"$gte": 2020, "$lt": 2025}}            every one of these
    {"$or": [{"lang": "de"}, {"$not": {"draft": True}}]}

``$eq $ne`` compare with a value, ``$in $nin`` with a list of them; ``$gt $gte $lt $lte`` with a number or a string.
``$like`` takes a pattern for the whole string (``%`` any characters, ``_`` one), ``$text`` a part of the string, as it
is.
``$contains`` takes a value that a list holds, ``$any`` and ``$all`` a list of such values. ``$exists`` and ``$empty``
take True or False, ``$not`` takes more operators. Beside keys stand ``$and``, ``$or``, ``$not``; ``$id``,
``$document`` and ``$image`` (the entity's own; ``{"$image": {"$empty": False}}`` is what has a picture); and ``$key``,
whose keys are taken as they are: ``{"$key": {"$id": 7}}``. Several keys or operators in one dict mean and.

What a test says, by the value that an entity has under the key. It is LlamaIndex's meaning, except where marked (*):

    value         == != in nin           < <= > >=       like text      contains any all  $exists  $empty
    nothing (1)   equals only None (*)   false           false          false             False    True
    bool          is the number 0 or 1   as 0 or 1       false          false             True     False
    int, float    by value, 1 == 1.0     by value        false          false             True     False
    str           same characters        by code point   case matters   false (*)         True     only ""
    list          equals nothing         false           false          elements, by ==   True     False
    dict          neither (2)            neither (2)     neither (2)    neither (2)       True     neither (2)

Values of different kinds are not equal, and a range over another kind is false (*). A negation is true exactly where
the test is false, so ``$ne`` and ``$nin`` match entities that lack the key. NaN, infinity and integers beyond 64 bits
are refused. (1) A missing key, None, and lists and dicts that hold nothing else: Milvus cannot tell these apart.
(2) Neither the test nor its negation matches: Milvus cannot tell that a value is an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from colmilvus.errors import InvalidFilter, Unsupported
from colmilvus.filters.dialects import SERVER, Dialect
from colmilvus.filters.keys import with_metadata_keys
from colmilvus.filters.language import MAX_DEPTH, Column, holds, parse
from colmilvus.filters.literals import Scalar, check_brackets, column_name, literal, path, scalar
from colmilvus.filters.milvus import write
from colmilvus.filters.renaming import renamed

__all__ = [
    "MAX_DEPTH",
    "Column",
    "Filter",
    "all_of",
    "check_brackets",
    "contains_any",
    "equal",
    "matches",
    "none_of",
    "one_of",
    "path",
    "to_expression",
    "with_metadata_keys",
]

Filter: TypeAlias = Mapping[str, Any] | str
"""A dict in the language above, or a Milvus expression."""

_NEVER = "id in []"


def to_expression(
    filter: Filter | None,
    fields: Mapping[str, type] = {},
    dialect: Dialect = SERVER,
    rename: Callable[[Column], Column] | None = None,
) -> str:
    """The filter as a Milvus expression; "" where it restricts nothing.

    ``fields`` names the metadata keys that have a column of their own, which is null where the key is missing: int
    (INT64), float (DOUBLE), str (VARCHAR) or bool. All others are looked up in the JSON column ``metadata``.
    ``dialect`` says how the rows tell what a value is, ``rename`` where it lies if not in these columns. A string is a
    Milvus expression already and comes back as it is.
    Raises InvalidFilter for what the language does not have and Unsupported for what Milvus cannot say.
    """
    if filter is None or isinstance(filter, str):
        return filter if filter and filter.strip() else ""
    node = parse(filter, fields)
    written = write(node if rename is None else renamed(node, rename), True, dialect)
    if isinstance(written, bool):
        return "" if written else _NEVER
    return written


def matches(
    filter: Filter | None,
    metadata: Mapping[str, Any],
    fields: Mapping[str, type] = {},
    *,
    id: str | None = None,
    document: str | None = None,
    image: str | None = None,
) -> bool:
    """Whether an entity with this metadata, id, document and picture passes the filter: the meaning, in plain Python.

    ``image`` is what the picture is kept under.

    Raises what ``to_expression`` raises, and Unsupported for a filter that is a Milvus expression.
    """
    if isinstance(filter, str) and filter.strip():
        raise Unsupported("a Milvus expression can only be evaluated by Milvus; pass the filter as a dict")
    if not filter or isinstance(filter, str):
        return True
    own = {"$id": id, "$document": document, "$image": image}
    return holds(parse(filter, fields), metadata, own, True)


def all_of(*expressions: str) -> str:
    """One Milvus expression that is true where all of these are; empty ones do not count.

    Raises InvalidFilter for an expression with an open string or bracket, which could otherwise undo its neighbours.
    """
    parts = [expression for expression in expressions if expression.strip()]
    for part in parts:
        check_brackets(part)
    return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)


def one_of(field: str, values: Iterable[str | int]) -> str:
    """The Milvus expression that a VARCHAR or integer column holds one of the values; never true for none."""
    literals = [literal(_identifier(value)) for value in values]
    return f"{column_name(field)} in [{', '.join(literals)}]"


def none_of(field: str, values: Iterable[str | int]) -> str:
    """The Milvus expression that a VARCHAR or integer column holds none of the values; always true for none."""
    listed = list(values)
    return f"not ({one_of(field, listed)})" if listed else ""


def equal(field: str, value: str | int) -> str:
    """The Milvus expression that a VARCHAR or integer column holds the value."""
    return f"{column_name(field)} == {literal(_identifier(value))}"


def contains_any(field: str, values: Iterable[str]) -> str:
    """The Milvus expression that an array of strings holds one of the values."""
    return f"array_contains_any({column_name(field)}, [{', '.join(literal(_identifier(value)) for value in values)}])"


def _identifier(value: Any) -> Scalar:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidFilter(f"a column of strings or integers is compared with these, got {value!r}")
    return scalar(value, "a value of")
