"""LlamaIndex's MetadataFilters in the dict language of the core, with LlamaIndex's own meaning.

That meaning is ``build_metadata_filter_fn`` of llama_index.core.vector_stores.utils: a missing key, or None under it,
is unequal to everything and passes no other test; "contains", "any" and "all" look for elements of a list and for parts
of a text. It raises TypeError where two kinds of values are compared; here these do not match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from colmilvus.errors import InvalidFilter, Unsupported
from colmilvus.filters import Filter

__all__ = ["of_documents", "to_filter", "within"]

ALWAYS: Mapping[str, Any] = {"$id": {"$nin": []}}
NEVER: Mapping[str, Any] = {"$id": {"$in": []}}
TYPES: Mapping[type, tuple[type, ...]] = {str: (str,), int: (int, float), float: (int, float), bool: (int, float)}
"""The values that are compared with a typed field of each kind."""


def to_filter(filters: MetadataFilters | Filter | None, fields: Mapping[str, type]) -> Filter | None:
    """The filter for a collection with these typed fields; what is a filter of the core already is left as it is.

    Raises Unsupported for the operator TEXT_MATCH_INSENSITIVE, which Milvus lacks, and for equality with a list, and
    InvalidFilter for a value that is not of the operator's kind, or not of the typed field's.
    """
    if filters is None or isinstance(filters, str | Mapping):
        return filters
    if not isinstance(filters, MetadataFilters):
        raise InvalidFilter(f"filters is MetadataFilters, a dict or a Milvus expression, not {type(filters).__name__}")
    return _joined(filters, fields) if filters.filters else None


def _joined(filters: MetadataFilters, fields: Mapping[str, type]) -> Mapping[str, Any]:
    if not filters.filters:
        return ALWAYS
    parts = [
        _joined(part, fields) if isinstance(part, MetadataFilters) else _tested(part, fields)
        for part in filters.filters
    ]
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    return {"$not": {"$or": parts}} if filters.condition == FilterCondition.NOT else {"$and": parts}


def _tested(test: MetadataFilter, fields: Mapping[str, type]) -> Mapping[str, Any]:
    if test.operator not in _WRITERS:
        raise Unsupported(
            f"the operator {test.operator.name} on {test.key!r}: Milvus has no such test; use TEXT_MATCH, or keep the "
            "text in lower case under a key of its own"
        )
    if test.key in fields:
        _check_typed(test, fields[test.key])
    return _WRITERS[test.operator](test.key, test.value)


def _check_typed(test: MetadataFilter, kind: type) -> None:
    values = test.value if isinstance(test.value, list) else [test.value]
    for value in values:
        if value is not None and not isinstance(value, TYPES.get(kind, (object,))):
            raise InvalidFilter(f"the field {test.key!r} holds {kind.__name__} values, and is never {value!r}")


def _on(key: str, operator: str, value: Any) -> Mapping[str, Any]:
    return {"$key": {key: {operator: value}}}


def _plain(operator: str) -> Callable[[str, Any], Mapping[str, Any]]:
    return lambda key, value: _on(key, operator, value)


def _equal(key: str, value: Any) -> Mapping[str, Any]:
    return NEVER if value is None else _on(key, "$eq", value)


def _unequal(key: str, value: Any) -> Mapping[str, Any]:
    return ALWAYS if value is None else _on(key, "$ne", value)


def _contains(key: str, value: Any) -> Mapping[str, Any]:
    element = _on(key, "$contains", value)
    return {"$or": [element, _on(key, "$text", value)]} if isinstance(value, str) else element


def _any(key: str, value: Any) -> Mapping[str, Any]:
    elements = _on(key, "$any", value)
    texts = [_on(key, "$text", part) for part in value if isinstance(part, str)] if isinstance(value, list) else []
    return {"$or": [elements, *texts]} if texts else elements


def _all(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, list):
        return _on(key, "$all", value)
    return {"$and": [_contains(key, part) for part in value]} if value else _on(key, "$exists", True)


def _empty(key: str, value: Any) -> Mapping[str, Any]:  # noqa: ARG001 - LlamaIndex asks for one and does not read it
    return _on(key, "$empty", True)


_WRITERS: Mapping[FilterOperator, Callable[[str, Any], Mapping[str, Any]]] = {
    FilterOperator.EQ: _equal,
    FilterOperator.NE: _unequal,
    FilterOperator.GT: _plain("$gt"),
    FilterOperator.GTE: _plain("$gte"),
    FilterOperator.LT: _plain("$lt"),
    FilterOperator.LTE: _plain("$lte"),
    FilterOperator.IN: _plain("$in"),
    FilterOperator.NIN: _plain("$nin"),
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.TEXT_MATCH: _plain("$text"),
    FilterOperator.IS_EMPTY: _empty,
}


def within(filter: Filter | None, bounds: Sequence[Mapping[str, Any]]) -> Filter | None:
    """What passes the filter and lies within all bounds.

    Raises InvalidFilter for a Milvus expression with bounds, which cannot be joined.
    """
    if not bounds:
        return filter
    if isinstance(filter, str) and filter.strip():
        told = "a Milvus expression cannot be joined with node_ids, doc_ids or a search for pictures"
        raise InvalidFilter(f"{told}; write the filter as a dict")
    return {"$and": [*([filter] if filter else []), *bounds]}


def of_documents(documents: Sequence[str], whole: Sequence[str]) -> Mapping[str, Any]:
    """What comes from these documents, and the entities that are such a document, or page, as a whole."""
    nodes = {"$document": {"$in": list(documents)}}
    return {"$or": [nodes, {"$id": {"$in": list(whole)}}]} if whole else nodes
