"""The rules for queries, and for the filters and partitions of every request.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/task_query.go`` and ``internal/proxy/search_util.go``.
"""

from __future__ import annotations

import re
from typing import Any

from colmilvus.embedded.filters import filled
from colmilvus.embedded.limits import check_timezone, check_window, whole
from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.refusal import NOT_LOADED_PARTITION, Refused

__all__ = ["AGGREGATE", "COUNT", "check_no_partition_key", "check_query", "fill_filter", "set_partitions"]

COUNT = "count(*)"
AGGREGATE = re.compile(r"\s*(count|sum|min|max|avg)\s*\(.*\)\s*", re.IGNORECASE)
QUOTED = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1""", re.DOTALL)
WORD = re.compile(r"\b[^\W\d]\w*")
# What pymilvus sends with a query: this much the engine heeds, or has no need to.
QUERY_PARAMETERS = {
    *("limit", "offset", "timezone", "time_fields", "iterator", "query_iter_last_pk", "query_iter_last_element_offset"),
    *("collection_id", "cluster_id", "ignore_growing", "reduce_stop_for_best"),
}


def check_query(request: Any, collection: EngineCollection) -> dict[str, str]:
    """Check a QueryRequest, fill its filter's template, and return its parameters. Raises Refused."""
    params = {pair.key: pair.value for pair in request.query_params}
    for name in params.keys() - QUERY_PARAMETERS:
        raise Refused(f"query parameter {name} is not supported by the embedded engine")
    set_partitions(request, collection)
    check_timezone(params)
    fill_filter(request, "expr", collection)
    _check_aggregates(request.output_fields, params)
    if "limit" in params:
        check_window(whole(params, "limit"), whole(params, "offset"))
    elif not request.expr.strip() and COUNT not in request.output_fields:
        raise Refused("empty expression should be used with limit")
    return params


def _check_aggregates(output_fields: Any, params: dict[str, str]) -> None:
    for name in output_fields:
        if name != COUNT and AGGREGATE.fullmatch(name):
            raise Refused(f"{name} is not supported by the embedded engine, which aggregates by {COUNT} alone")
    if COUNT in output_fields and len(output_fields) > 1:
        raise Refused(f"the embedded engine gives {COUNT} alone, not with {', '.join(output_fields)}")
    if COUNT in output_fields and "limit" in params:
        raise Refused("count entities with pagination is not allowed")


def set_partitions(request: Any, collection: EngineCollection) -> None:
    """Let the request name the partitions that it is to read, if that is not all.

    Raises Refused for one that the collection does not have, that its partition key chooses, or that is released.
    """
    for name in request.partition_names:
        check_no_partition_key(name, collection)
        if not collection.has_partition(name):
            raise Refused(f"partition name {name} not found")
        if name in collection.released:
            raise Refused(f"partition not loaded[partition={name}]", NOT_LOADED_PARTITION)
    if collection.released and not request.partition_names:
        request.partition_names.extend(set(collection.list_partitions()) - collection.released)


def check_no_partition_key(name: str, collection: EngineCollection) -> None:
    """Refuse the name of a partition where the partition key chooses it."""
    if name and any(field.is_partition_key for field in collection.proto.fields):
        raise Refused("not support manually specifying the partition names if partition key mode is used")


def fill_filter(request: Any, field: str, collection: EngineCollection) -> None:
    """Fill the template in the request's filter. Raises Refused where a server would not take it, and on a struct."""
    expr = filled(getattr(request, field), request.expr_template_values)
    setattr(request, field, expr)
    for word in WORD.findall(QUOTED.sub('""', expr)) if collection.structs else ():
        if word in collection.structs:
            raise Refused(
                f"cannot filter on {word}: the embedded engine has no filters on arrays of structs; filter on a field "
                f"beside it, or on its items after the search. The filter was: {expr}"
            )
    collection.check_filter(expr)
