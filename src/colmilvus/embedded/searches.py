"""The rules for searches: what a server takes, and the form that Milvus Lite's decoder lets through.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/task_search.go`` and ``internal/core/src/query/Plan.cpp``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pymilvus.grpc_gen import common_pb2, schema_pb2

from colmilvus.embedded.limits import (
    MOST,
    check_decimals,
    check_limits,
    check_timezone,
    check_window,
    parameters,
    whole,
)
from colmilvus.embedded.lite import ANN_RATIO, EngineCollection, decode_hybrid_function_score, pack_query
from colmilvus.embedded.queries import AGGREGATE, fill_filter, set_partitions
from colmilvus.embedded.ranking import check_ranking
from colmilvus.embedded.refusal import NO_INDEX, SEARCH_CORE, Refused
from colmilvus.embedded.schema import TOP_VECTORS, Vector

__all__ = ["prepare_hybrid", "prepare_search"]

EMBEDDING_LISTS = {schema_pb2.FloatVector: 301, schema_pb2.Float16Vector: 302}
LISTS = range(300, 400)
TEXT = 21
# Parts of a request that Milvus Lite, and with it the engine, would pass over in silence.
UNSUPPORTED = {"highlighter", "search_aggregation", "namespace"}


def prepare_search(request: Any, collection: EngineCollection) -> None:
    """Check a SearchRequest and put its embedding lists into Lite's form. Raises Refused."""
    _check_parts(request)
    set_partitions(request, collection)
    if any(AGGREGATE.fullmatch(name) for name in request.output_fields):
        raise Refused("aggregates are not supported in search request")
    _prepare(request, collection, hybrid=False)


def prepare_hybrid(request: Any, collection: EngineCollection) -> None:
    """The same for every part of a HybridSearchRequest, and check how it ranks. Raises Refused."""
    rank = parameters(request.rank_params)
    set_partitions(request, collection)
    check_timezone(rank)
    check_window(whole(rank, "limit", 10), whole(rank, "offset"))
    check_decimals(rank)
    if rank.get("order_by_fields"):
        raise Refused("order_by is not supported for hybrid search")
    check_ranking(request, rank)
    counts = [_queries(part) for part in request.requests]
    for count in counts:
        if count != counts[0]:
            raise Refused(
                f"sub search request nq should be the same: invalid parameter[expected={counts[0]}][actual={count}]"
            )
    for part in request.requests:
        vector = _vector(collection, parameters(part.search_params))
        if vector is not None and (rank.get("group_by_field") or rank.get("group_by_fields")):
            raise Refused(
                "group by search is not supported for vector array (embedding-list) fields in hybrid search, "
                f"fieldName:{vector.field}"
            )
        if vector is not None:
            _check_boost(request, vector)
        _check_parts(part)
        _prepare(part, collection, hybrid=True)


def _check_parts(request: Any) -> None:
    """Refuse the newer parts of a request that Milvus Lite, and with it the engine, would pass over in silence."""
    given = {field.name for field, _ in request.ListFields()}
    for name in UNSUPPORTED & given:
        raise Refused(f"{name} is not supported by the embedded engine")


def _by_ids(request: Any) -> bool:
    # The messages of pymilvus 2.6 have no ids in the place of vectors.
    return "search_input" in request.DESCRIPTOR.oneofs_by_name and request.WhichOneof("search_input") == "ids"


def _queries(part: Any) -> int:
    group = common_pb2.PlaceholderGroup.FromString(part.placeholder_group)
    count = sum(len(holder.values) for holder in group.placeholders)
    if not 0 < count <= MOST:
        raise Refused(
            f"nq [{count}] is invalid, nq (number of search vector per search request) should be in range "
            f"[1, {MOST}], but got {count}"
        )
    return count


def _prepare(request: Any, collection: EngineCollection, *, hybrid: bool) -> None:
    params = parameters(request.search_params)
    if not _by_ids(request):
        _queries(request)
    check_limits(params)
    check_decimals(params)
    check_timezone(params)
    for name in ("order_by_fields", "group_by_fields"):
        if params.get(name):
            raise Refused(f"{name} is not supported by the embedded engine")
    fill_filter(request, "dsl", collection)
    vector = _vector(collection, params)
    if params.get("range_filter") is not None and params.get("radius") is None:
        raise Refused(
            "range_filter requires radius to be set; range_filter alone is not a valid range search parameter"
        )
    if vector is None:
        _check_plain(request, params)
        return
    _check_by_name(request, params, vector, hybrid=hybrid)
    metric = _check_metric(collection, vector, params)
    _set_params(request, {"retrieval_ann_ratio": _tuning(collection, vector, params)})
    request.placeholder_group = _packed(request.placeholder_group, vector, metric)


def _vector(collection: EngineCollection, params: dict[str, Any]) -> Vector | None:
    field = params.get("anns_field")
    if not collection.structs:
        return None
    if not field:
        vectors = [v for struct in collection.structs.values() for v in struct.vectors]
        if len(vectors) + sum(f.data_type in TOP_VECTORS for f in collection.proto.fields) > 1:
            raise Refused("multiple anns_fields exist, please specify a anns_field in search_params")
    vector = collection.vector(field if isinstance(field, str) else None)
    if vector is None and isinstance(field, str) and field not in {f.name for f in collection.proto.fields}:
        raise Refused(f"failed to get field schema by name: fieldName({field}) not found")
    return vector


def _check_plain(request: Any, params: dict[str, Any]) -> None:
    group = common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
    if any(holder.type in LISTS for holder in group.placeholders):
        field = params.get("anns_field") or "the vector field"
        raise Refused(f"search type mismatch: {field} holds no embedding lists, search it with plain vectors")
    if params.get("group_by_field") and whole(params, "group_size", 1) <= 0:
        raise Refused(f"input group size:{params['group_size']} is negative, failed to do search_groupby")


def _check_by_name(request: Any, params: dict[str, Any], vector: Vector, *, hybrid: bool) -> None:
    refused = {
        "range search": params.get("radius") is not None,
        "search iterator": params.get("iterator") or params.get("search_iter_v2"),
        "group by": params.get("group_by_field"),
    }
    for what, given in refused.items():
        if given:
            raise Refused(
                f"{what} is not supported for vector array (embedding-list) fields in hybrid search, "
                f"fieldName:{vector.field}"
                if hybrid
                else f"{what} is not supported for multi-search-multi on embedding list fields"
            )
    if _by_ids(request):
        raise Refused(f"array of vector is not supported for search by IDs: {vector.field}")
    if list(getattr(request, "function_chains", [])):
        raise Refused(f"function chains are not supported by the embedded engine for embedding lists: {vector.field}")
    _check_boost(request, vector)


def _check_boost(request: Any, vector: Vector) -> None:
    if decode_hybrid_function_score(getattr(request, "function_score", None)).get("boost") is not None:
        raise Refused(f"the boost ranker is not supported by the embedded engine for embedding lists: {vector.field}")


def _check_metric(collection: EngineCollection, vector: Vector, params: dict[str, Any]) -> str:
    expected, asked = collection.metric(vector.field), params.get("metric_type")
    if expected is None:
        collection.require_loaded()
        raise Refused(f"index not found[field={vector.field}]: create an index with a MAX_SIM metric first", NO_INDEX)
    if asked and str(asked).upper() != expected:
        raise Refused(f"metric type not match: invalid parameter[expected={expected}][actual={asked}]")
    return expected


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


def _packed(serialized: bytes, vector: Vector, metric: str) -> bytes:
    group = common_pb2.PlaceholderGroup.FromString(serialized)
    if len(group.placeholders) != 1:
        raise Refused(f"the search on {vector.field} has {len(group.placeholders)} placeholders, not one")
    holder = group.placeholders[0]
    _check_type(holder.type, vector, metric)
    for value in holder.values:
        _check_query(value, vector)
    values = [pack_query(value) for value in holder.values]
    del holder.values[:]
    holder.values.extend(values)
    holder.type = TEXT
    return bytes(group.SerializeToString())


def _check_type(given: int, vector: Vector, metric: str) -> None:
    expected = EMBEDDING_LISTS[vector.element]
    if given == expected:
        return
    if given not in LISTS:
        raise Refused(
            f"search type mismatch for VECTOR_ARRAY field {vector.field}: metric_type {metric} requires embedding list "
            "search, but search data is plain vector; pass pymilvus's EmbeddingList",
            SEARCH_CORE,
        )
    names = common_pb2.PlaceholderType
    raise Refused(
        f"vector type must be the same, field {vector.field} - type {names.Name(expected)}, search ph type "
        f"{names.Name(given) if given in names.values() else given}",
        SEARCH_CORE,
    )


def _check_query(value: bytes, vector: Vector) -> None:
    width = vector.dim * vector.dtype.itemsize
    if not value:
        raise Refused(f"an embedding list for {vector.field} is empty")
    if len(value) % width:
        raise Refused(
            "line.size() % bytes_per_vec == 0 assert failed, "
            f"line.size() = {len(value)}, dim = {vector.dim}, bytes_per_vec = {width}: the vectors of {vector.field} "
            f"have dim {vector.dim}",
            SEARCH_CORE,
        )
    if not np.isfinite(np.frombuffer(value, vector.dtype)).all():
        raise Refused(f"a query vector for {vector.field} is not a number or infinity")
