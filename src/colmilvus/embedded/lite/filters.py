"""Milvus Lite's reads with the engine's filters: what an expression means is said in ``colmilvus.embedded.filters``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from colmilvus.embedded.filters import Column, Condition, Filter, InvalidExpression, OfColumn, read_filter
from colmilvus.embedded.lite import names

__all__ = ["Chosen", "install", "read"]


class Analyzer(Protocol):
    """What makes terms of texts."""

    def tokenize(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        ...


@dataclass(frozen=True)
class Chosen(Filter):
    """A filter whose matching rows are known by their keys, for where Milvus Lite evaluates row by row."""

    field: str
    keys: frozenset[Any]

    @property
    def ast(self) -> Chosen:
        return self


_evaluate_of_lite, _matches_of_lite = names.filters.evaluate, names.collections._row_matches_filter
_evaluate_row_of_lite = names.python_backend._eval_row


def install() -> None:
    """Have Milvus Lite evaluate the engine's filters where it meets them; its own it evaluates as before."""
    names.filters.evaluate = _evaluate
    names.collections._row_matches_filter = _matches
    names.python_backend._eval_row = _evaluate_row


def _evaluate(compiled: Any, data: Any) -> Any:
    return pa.array(compiled.matches(data)) if isinstance(compiled, Filter) else _evaluate_of_lite(compiled, data)


def _evaluate_row(node: Any, row: dict[str, Any]) -> Any:
    return row[node.field] in node.keys if isinstance(node, Chosen) else _evaluate_row_of_lite(node, row)


def _matches(record: dict[str, Any], compiled: Any) -> bool:
    if not isinstance(compiled, Filter):
        return bool(_matches_of_lite(record, compiled))
    return bool(compiled.matches(pa.Table.from_pylist([record]))[0])


def read(expression: str, schema: Any, timezone: str | None, analyzer_of: Callable[[str], Analyzer]) -> Filter:
    """The filter that an expression states of rows of Milvus Lite's schema. Raises Refused.

    ``analyzer_of`` gives the analyzer of a field of texts by its name.
    """

    def of_lite(part: str, column: str) -> Condition:
        compiled = names.filters.compile_filter(part, schema, default_timezone=timezone)

        def compute(values: Any) -> Any:
            return pc.if_else(pc.is_valid(values), _evaluate_of_lite(compiled, pa.table({column: values})), None)

        return OfColumn((column,), compute)

    def text_match(column: Column, name: str, query: str, number: int) -> Condition:
        if column.type != "VarChar":
            raise InvalidExpression(f"{name.replace('_', ' ')} operation on non-string is unsupported")
        if not next(field.enable_match for field in schema.fields if field.name == column.name):
            raise InvalidExpression(f'field "{column.name}" does not enable match')
        return _text_match(column.name, analyzer_of(column.name), name, query, number)

    return read_filter(expression, schema, of_lite, text_match)


def _text_match(column: str, analyzer: Analyzer, name: str, query: str, number: int) -> Condition:
    if name == "phrase_match" and number:
        raise InvalidExpression(f"phrase_match with a slop of {number} is not supported by the embedded engine, only 0")
    wanted = analyzer.tokenize(query)

    def test(text: str) -> bool:
        found = analyzer.tokenize(text)
        if name == "text_match":
            return len(set(wanted).intersection(found)) >= number
        starts = range(len(found) - len(wanted) + 1)
        return bool(wanted) and any(found[i : i + len(wanted)] == wanted for i in starts)

    def compute(texts: Any) -> Any:
        return pa.array([None if text is None else test(text) for text in texts.to_pylist()], pa.bool_())

    return OfColumn((column,), compute)
