"""The rules for searches and queries: what a server takes, and the form that Milvus Lite's decoder lets through.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/task_search.go`` and ``internal/core/src/query/Plan.cpp``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from pymilvus.grpc_gen import common_pb2, schema_pb2

from colmilvus.embedded.filters import filled
from colmilvus.embedded.lite import ANN_RATIO, EngineCollection, pack_query
from colmilvus.embedded.refusal import NO_INDEX, NO_PARTITION, Refused
from colmilvus.embedded.schema import Vector

__all__ = ["check_filter", "check_partitions", "check_query", "prepare_hybrid", "prepare_search"]

MOST = 16384
EMBEDDING_LISTS = {schema_pb2.FloatVector: 301, schema_pb2.Float16Vector: 302}
LISTS = range(300, 400)
TEXT = 21
QUOTED = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1""", re.DOTALL)
WORD = re.compile(r"\b[^\W\d]\w*")
# What pymilvus sends with a query: this much the engine heeds, or has no need to.
QUERY_PARAMETERS = {
    *("limit", "offset", "timezone", "time_fields", "iterator", "query_iter_last_pk", "query_iter_last_element_offset"),
    *("collection_id", "cluster_id", "ignore_growing", "reduce_stop_for_best"),
}


def check_query(request: Any, collection: EngineCollection) -> dict[str, str]:
    """Check a QueryRequest and return its parameters. Raises Refused."""
    params = {pair.key: pair.value for pair in request.query_params}
    for name in params.keys() - QUERY_PARAMETERS:
        raise Refused(f"query parameter {name} is not supported by the embedded engine")
    check_partitions(request.partition_names, collection)
    request.expr = filled(request.expr, request.expr_template_values)
    check_filter(request.expr, collection)
    if "count(*)" in request.output_fields:
        return params
    if "limit" in params:
        check_window(int(params["limit"]), int(params.get("offset", 0)))
    elif not request.expr.strip():
        raise Refused("empty expression should be used with limit")
    return params


def check_partitions(names: Iterable[str], collection: EngineCollection) -> None:
    """Refuse the name of a partition that the collection does not have."""
    for name in names:
        if not collection.has_partition(name):
            raise Refused(f"partition not found[partition={name}]", NO_PARTITION)


def check_filter(expr: str, collection: EngineCollection) -> None:
    """Refuse a filter that a server would not take, and one on a struct."""
    for word in WORD.findall(QUOTED.sub('""', expr)) if collection.structs else ():
        if word in collection.structs:
            raise Refused(
                f"cannot filter on {word}: the embedded engine has no filters on arrays of structs; filter on a field "
                f"beside it, or on its items after the search. The filter was: {expr}"
            )
    collection.check_filter(expr)


def prepare_search(request: Any, collection: EngineCollection) -> None:
    """Check a SearchRequest and put its embedding lists into Lite's form. Raises Refused."""
    params = _parameters(request.search_params)
    _check_limits(params)
    check_partitions(request.partition_names, collection)
    request.dsl = filled(request.dsl, request.expr_template_values)
    check_filter(request.dsl, collection)
    vector = _vector(collection, params)
    if vector is None:
        _check_plain(request, params)
        return
    _check_by_name(request, params, vector)
    _check_metric(collection, vector, params)
    _set_params(request, {"retrieval_ann_ratio": _tuning(collection, vector, params)})
    request.placeholder_group = _packed(request.placeholder_group, vector)


def prepare_hybrid(request: Any, collection: EngineCollection) -> None:
    """The same for every part of a HybridSearchRequest. Raises Refused."""
    rank = _parameters(request.rank_params)
    check_partitions(request.partition_names, collection)
    _check_limits({"topk": rank.get("limit", 10), "offset": rank.get("offset", 0)})
    for part in request.requests:
        vector = _vector(collection, _parameters(part.search_params))
        if vector is not None and rank.get("group_by_field"):
            raise Refused(f"group by is not supported for vector array (embedding list) fields: {vector.field}")
        prepare_search(part, collection)


def check_window(limit: int, offset: int) -> None:
    """Refuse a window of results that is wider than a server's."""
    if not 0 < limit <= MOST:
        raise Refused(f"topk [{limit}] is invalid, it should be in range [1, {MOST}]")
    if offset < 0 or limit + offset > MOST:
        raise Refused(
            f"invalid max query result window, (offset+limit) should be in range [1, {MOST}], but got {limit + offset}"
        )


def _parameters(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        try:
            found[pair.key] = json.loads(pair.value)
        except ValueError:
            found[pair.key] = pair.value
    inner = found.get("params")
    return {**inner, **found} if isinstance(inner, dict) else found


def _check_limits(params: dict[str, Any]) -> None:
    try:
        check_window(int(params.get("topk", 1)), int(params.get("offset", 0)))
    except (TypeError, ValueError):
        raise Refused(f"topk [{params.get('topk')}] or offset [{params.get('offset')}] is no integer") from None


def _vector(collection: EngineCollection, params: dict[str, Any]) -> Vector | None:
    field = params.get("anns_field")
    if not collection.structs:
        return None
    vector = collection.vector(field if isinstance(field, str) else None)
    if vector is None and isinstance(field, str) and field not in {f.name for f in collection.proto.fields}:
        raise Refused(f"failed to get field schema by name: fieldName({field}) not found")
    return vector


def _check_plain(request: Any, params: dict[str, Any]) -> None:
    group = common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
    if any(len(holder.values) > MOST for holder in group.placeholders):
        raise Refused(f"nq [{len(group.placeholders[0].values)}] is invalid, it should be in range [1, {MOST}]")
    if any(holder.type in LISTS for holder in group.placeholders):
        field = params.get("anns_field") or "the vector field"
        raise Refused(f"search type mismatch: {field} holds no embedding lists, search it with plain vectors")


def _check_by_name(request: Any, params: dict[str, Any], vector: Vector) -> None:
    of = f"for vector array (embedding list) fields: {vector.field}"
    if params.get("radius") is not None or params.get("range_filter") is not None:
        raise Refused(f"range search is not supported {of}")
    if params.get("iterator") or params.get("search_iter_v2"):
        raise Refused(f"search iterator is not supported {of}")
    if params.get("group_by_field"):
        raise Refused(f"group by is not supported {of}")
    if "ids" in request.DESCRIPTOR.fields_by_name and request.WhichOneof("search_input") == "ids":
        raise Refused(f"array of vector is not supported for search by IDs: {vector.field}")
    if request.HasField("function_score") if "function_score" in request.DESCRIPTOR.fields_by_name else False:
        raise Refused(f"function score is not supported by the embedded engine {of}")


def _check_metric(collection: EngineCollection, vector: Vector, params: dict[str, Any]) -> None:
    expected, asked = collection.metric(vector.field), params.get("metric_type")
    if expected is None:
        raise Refused(f"index not found[field={vector.field}]: create an index with a MAX_SIM metric first", NO_INDEX)
    if asked and str(asked).upper() != expected:
        raise Refused(f"metric type not match: invalid parameter[expected={expected}][actual={asked}]")


def _set_params(request: Any, params: dict[str, float]) -> None:
    """Leave ``params`` where Milvus Lite's decoder takes those that tune the search."""
    kept = [(pair.key, pair.value) for pair in request.search_params if pair.key != "params"]
    del request.search_params[:]
    for key, value in (*kept, ("params", json.dumps(params))):
        request.search_params.add(key=key, value=value)


def _tuning(collection: EngineCollection, vector: Vector, params: dict[str, Any]) -> float:
    """Check what tunes an approximate search, and return its ``retrieval_ann_ratio``."""
    ratio = _number(params.get("retrieval_ann_ratio", ANN_RATIO), "retrieval_ann_ratio")
    if not 0 < ratio < float("inf"):
        raise Refused(f"retrieval_ann_ratio should be larger than 0, not {params['retrieval_ann_ratio']}")
    if str(params.get("emb_list_rerank", True)).lower() not in ("true", "false"):
        raise Refused(f"emb_list_rerank should be true or false, not {params['emb_list_rerank']}")
    limit = int(params.get("topk", 1)) + int(params.get("offset", 0))
    graph = str(collection.notes(vector.field)["params"]["index_type"]).startswith("HNSW")
    if graph and "ef" in params and _number(params["ef"], "ef") < limit:
        raise Refused(f"ef({params['ef']}) should be larger than k({limit})")
    return ratio


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise Refused(f"{name} should be a number, not {value!r}") from None


def _packed(serialized: bytes, vector: Vector) -> bytes:
    group = common_pb2.PlaceholderGroup.FromString(serialized)
    if len(group.placeholders) != 1 or not group.placeholders[0].values:
        raise Refused(f"the search on {vector.field} has no queries")
    holder = group.placeholders[0]
    if len(holder.values) > MOST:
        raise Refused(f"nq [{len(holder.values)}] is invalid, it should be in range [1, {MOST}]")
    _check_type(holder.type, vector)
    for value in holder.values:
        _check_query(value, vector)
    values = [pack_query(value) for value in holder.values]
    del holder.values[:]
    holder.values.extend(values)
    holder.type = TEXT
    return bytes(group.SerializeToString())


def _check_type(given: int, vector: Vector) -> None:
    expected = EMBEDDING_LISTS[vector.element]
    if given != expected:
        names = common_pb2.PlaceholderType
        shown = names.Name(given) if given in names.values() else str(given)
        raise Refused(
            f"search type mismatch for VECTOR_ARRAY field {vector.field}: a MAX_SIM metric needs an embedding list "
            f"({names.Name(expected)}), got {shown}; pass pymilvus's EmbeddingList"
        )


def _check_query(value: bytes, vector: Vector) -> None:
    width = vector.dim * vector.dtype.itemsize
    if not value:
        raise Refused(f"an embedding list for {vector.field} is empty")
    if len(value) % width:
        raise Refused(
            f"vector dimension mismatch, expected vector size(byte) a multiple of {width}, actual {len(value)}: "
            f"{vector.field} has dim {vector.dim}"
        )
    if not np.isfinite(np.frombuffer(value, vector.dtype)).all():
        raise Refused(f"a query vector for {vector.field} is not a number or infinity")
