"""The conditions that a filter expression is made of, evaluated over the rows of a table by three-valued logic."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from colmilvus.embedded.filters.values import MISSING, Test, fetch, is_there

__all__ = ["Condition", "Every", "Exists", "Joined", "Negated", "OfColumn", "OfValues", "Rows"]

Booleans: TypeAlias = Any  # a pyarrow.BooleanArray, in which null means unknown; pyarrow has no types


class Rows:
    """A table as conditions read it: each column in one piece, and each document parsed once."""

    def __init__(self, table: Any) -> None:
        self.count = table.num_rows
        self._table = table
        self._values: dict[str, list[Any]] = {}

    def column(self, name: str) -> Any:
        column = self._table.column(name)
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def values(self, name: str) -> list[Any]:
        """The values of a column of arrays, or the documents of one of JSON; MISSING where a row has none."""
        if name not in self._values:
            column = self.column(name)
            read = _parsed if pa.types.is_string(column.type) else _given
            self._values[name] = [read(value) for value in column.to_pylist()]
        return self._values[name]


def _given(value: Any) -> Any:
    return MISSING if value is None else value


def _parsed(text: str | None) -> Any:
    if text is None:
        return MISSING
    try:
        return orjson.loads(text)
    except ValueError:  # what Python's own parser takes beyond JSON, such as NaN
        return json.loads(text)


class Condition(Protocol):
    """What is true of a row, or false, or unknown."""

    def evaluate(self, rows: Rows) -> Booleans:
        """For each row true, false, or null where it is unknown."""
        ...


@dataclass(frozen=True)
class Every:
    """The same for every row."""

    answer: bool

    def evaluate(self, rows: Rows) -> Booleans:
        return pa.array([self.answer] * rows.count, pa.bool_())


@dataclass(frozen=True)
class Joined:
    """True of a row if all of the parts are, or one of them."""

    every: bool
    parts: tuple[Condition, ...]

    def evaluate(self, rows: Rows) -> Booleans:
        join = pc.and_kleene if self.every else pc.or_kleene
        return functools.reduce(join, (part.evaluate(rows) for part in self.parts))


@dataclass(frozen=True)
class Negated:
    """True where the part is false, and unknown where it is."""

    part: Condition

    def evaluate(self, rows: Rows) -> Booleans:
        return pc.invert(self.part.evaluate(rows))


@dataclass(frozen=True)
class OfColumn:
    """What Arrow computes from whole columns."""

    columns: tuple[str, ...]
    compute: Callable[..., Booleans]

    def evaluate(self, rows: Rows) -> Booleans:
        return self.compute(*(rows.column(name) for name in self.columns))


@dataclass(frozen=True)
class OfValues:
    """A test of what lies at a path in each row's document or array, unknown for a row without one."""

    column: str
    path: tuple[str, ...]
    test: Test

    def evaluate(self, rows: Rows) -> Booleans:
        test, path = self.test, self.path
        found = (fetch(value, path) for value in rows.values(self.column))
        return pa.array([None if value is MISSING else test(value) for value in found], pa.bool_())


@dataclass(frozen=True)
class Exists:
    """Whether anything lies at a path in each row's document; never unknown."""

    column: str
    path: tuple[str, ...]

    def evaluate(self, rows: Rows) -> Booleans:
        return pa.array([is_there(fetch(value, self.path)) for value in rows.values(self.column)], pa.bool_())
