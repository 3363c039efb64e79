"""LangChain's filters in the language of the core: dicts as they are, expressions of Milvus, structured queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.structured_query import (
    Comparator,
    Comparison,
    FilterDirective,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

from colmilvus.errors import InvalidFilter, InvalidInput
from colmilvus.filters import Filter, check_brackets, with_metadata_keys

__all__ = ["COLUMNS", "LateInteractionTranslator", "to_filter"]

COLUMNS = frozenset({"id", "document", "text", "metadata"})
"""Names that mean a column of the collection in an expression; typed fields do too, all others are metadata keys."""

_COMPARATORS: Mapping[Comparator, str] = {
    **{Comparator(name): f"${name}" for name in ("eq", "ne", "gt", "gte", "lt", "lte", "like", "in", "nin")},
    Comparator("contain"): "$contains",
}
_OPERATORS: Mapping[Operator, str] = {Operator(name): f"${name}" for name in ("and", "or", "not")}
_DATES = ("date", "datetime")


class LateInteractionTranslator(Visitor):
    """Writes a StructuredQuery as a dict filter of ``colmilvus.filters``, for self-query retrievers.

    "contain" holds for a list with the value and for a text with it as a part, "like" without a wildcard for the
    latter. A date is compared as the text that it is written as, such as "2025-03-01": dates in the metadata are best
    kept in that form, whose order is that of time.

    Raises InvalidFilter for a comparator or an operator that it does not know.

    >>> year = Comparison(comparator=Comparator.GTE, attribute="year", value=2024)
    >>> LateInteractionTranslator().visit_structured_query(StructuredQuery(query="sales", filter=year))
    ('sales', {'filter': {'$key': {'year': {'$gte': 2024}}}})
    """

    allowed_comparators: Sequence[Comparator] = tuple(_COMPARATORS)
    allowed_operators: Sequence[Operator] = tuple(_OPERATORS)

    def visit_operation(self, operation: Operation) -> dict[str, Any]:
        parts = [part.accept(self) for part in operation.arguments]
        if _OPERATORS.get(operation.operator) == "$not":
            return {"$not": parts[0] if len(parts) == 1 else {"$or": parts}}
        if operation.operator not in _OPERATORS:
            raise InvalidFilter(f"no operator {operation.operator!r}; there are and, or, not")
        return {_OPERATORS[operation.operator]: parts}

    def visit_comparison(self, comparison: Comparison) -> dict[str, Any]:
        if comparison.comparator not in _COMPARATORS:
            known = ", ".join(name.removeprefix("$") for name in _COMPARATORS.values())
            raise InvalidFilter(f"no comparator {comparison.comparator!r} on {comparison.attribute!r}, but {known}")
        value = _value(comparison.value)
        return _either(comparison.attribute, [_COMPARATORS[comparison.comparator], *_also(comparison, value)], value)

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """The query, and the keyword arguments of a search: its filter, if it has one, and its limit as ``k``."""
        arguments: dict[str, Any] = {}
        if structured_query.filter is not None:
            arguments["filter"] = structured_query.filter.accept(self)
        if structured_query.limit is not None:
            arguments["k"] = structured_query.limit
        return structured_query.query, arguments


def _also(comparison: Comparison, value: Any) -> list[str]:
    """What a model means too that writes "contain" of a text, or "like" without a wildcard: a part of the text."""
    if not isinstance(value, str) or any(sign in value for sign in "%_\\"):
        return []
    return ["$text"] if _COMPARATORS[comparison.comparator] in ("$contains", "$like") else []


def _either(attribute: str, operators: Sequence[str], value: Any) -> dict[str, Any]:
    tests = [{"$key": {attribute: {name: value}}} for name in operators]
    return tests[0] if len(tests) == 1 else {"$or": tests}


def _value(value: Any) -> Any:
    """A value as a query constructor writes it: dates come as a dict of their type and their text."""
    if isinstance(value, Mapping) and value.get("type") in _DATES:
        return value.get(value["type"])
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return value


def to_filter(filter: Any, expr: str | None, fields: Mapping[str, type]) -> tuple[Filter | None, int | None]:
    """The filter of a search as the core takes it, and the most hits that a StructuredQuery asks for, if it does.

    ``expr`` is another name for ``filter``. In an expression, a name that is neither one of COLUMNS nor a typed field
    is a key of the metadata. Raises InvalidInput for both at once, and InvalidFilter for something else.
    """
    if filter is not None and expr is not None:
        raise InvalidInput("filter= and expr= are two names of one argument; pass one of them")
    given = expr if filter is None else filter
    if given is None:
        return None, None
    if isinstance(given, str):
        check_brackets(given)
        return with_metadata_keys(given, COLUMNS | fields.keys()), None
    if isinstance(given, Mapping):
        return given, None
    if isinstance(given, FilterDirective):
        return given.accept(LateInteractionTranslator()), None
    if isinstance(given, StructuredQuery):
        _, arguments = LateInteractionTranslator().visit_structured_query(given)
        return arguments.get("filter"), arguments.get("k")
    raise InvalidFilter(
        f"a filter is a dict, a Milvus expression or a StructuredQuery, not {type(given).__name__}; "
        'such as {"year": {"$gte": 2024}}'
    )
