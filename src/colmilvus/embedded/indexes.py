"""The rules for indexes on vector sub-fields of structs, and the notes that keep what Milvus Lite would lose.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/util/indexparamcheck``; Knowhere's table of index types for
embedding lists.
"""

from __future__ import annotations

import json
from typing import Any

from pymilvus.grpc_gen import common_pb2

from colmilvus.embedded.lite import NOTES
from colmilvus.embedded.refusal import Refused

__all__ = ["METRICS", "described", "for_lite", "parameters", "struct_index"]

METRICS = ("MAX_SIM", "MAX_SIM_COSINE", "MAX_SIM_IP", "MAX_SIM_L2")
PLAIN_METRICS = ("COSINE", "IP", "L2")
AUTOMATIC = ("", "AUTOINDEX")
TYPES = ("HNSW", "HNSW_SQ", "HNSW_PQ", "HNSW_PRQ", "IVF_FLAT", "IVF_FLAT_CC", "DISKANN", "SCANN_DVR")
RANGES = {"M": (2, 2048), "efConstruction": (1, 2**31 - 1), "nlist": (1, 65536)}
STRATEGIES = ("tokenann", "muvera", "lemur")
SPARSE_ALGORITHMS = ("DAAT_MAXSCORE", "DAAT_WAND", "TAAT_NAIVE", "BLOCK_MAX_MAXSCORE", "BLOCK_MAX_WAND")
# What Milvus Lite, which searches sparse vectors exactly, refuses although the answer would be the same.
WITHOUT_EFFECT = ("inverted_index_algo", "drop_ratio_build", "drop_ratio_search")


def parameters(request: Any) -> dict[str, str]:
    """The parameters of a CreateIndex request, flat, as a server describes them."""
    flat: dict[str, str] = {}
    for pair in request.extra_params:
        inner = _decoded(pair.value) if pair.key in ("params", "search_params") else None
        if isinstance(inner, dict):
            flat |= {str(key): _text(value) for key, value in inner.items()}
        else:
            flat[pair.key] = pair.value
    if "metric_type" in flat:
        flat["metric_type"] = flat["metric_type"].upper()
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def struct_index(field: str, params: dict[str, str]) -> dict[str, str]:
    """The parameters of an index on a vector sub-field, complete. Raises Refused where a server would not build it."""
    kind = params.get("index_type", "").upper()
    metric = params.get("metric_type", "")
    if kind in AUTOMATIC:
        _check_automatic(params)
        metric = metric or "MAX_SIM_COSINE"
    elif kind not in TYPES:
        raise Refused(f"index type {kind} does not support array of vector (embedding list) field {field}; use HNSW")
    _check_metric(field, metric)
    _check_ranges(params)
    if (strategy := params.get("emb_list_strategy", STRATEGIES[0])) not in STRATEGIES:
        raise Refused(f"invalid emb_list_strategy: {strategy}, expected one of {', '.join(STRATEGIES)}")
    return {**params, "index_type": kind or "AUTOINDEX", "metric_type": metric}


def _check_automatic(params: dict[str, str]) -> None:
    if set(params) - {"index_type", "metric_type", "mmap.enabled"}:
        raise Refused("only metric type can be passed when use AutoIndex")


def _check_metric(field: str, metric: str) -> None:
    if not metric:
        raise Refused(f"metric type not set for vector index on {field}")
    if metric in PLAIN_METRICS:
        raise Refused(
            f"array of vector index does not support metric type: {metric}; the embedded engine has no element-level "
            f"search, use MAX_SIM_{metric}"
        )
    if metric not in METRICS:
        raise Refused(f"array of vector index does not support metric type: {metric}")


def _check_ranges(params: dict[str, str]) -> None:
    for name, (low, high) in RANGES.items():
        value = _decoded(params.get(name, str(low)))
        if isinstance(value, str):
            value = _decoded(value)
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(f"{name} should be an integer in range [{low}, {high}], not {params[name]}")


def for_lite(request: Any, params: dict[str, str], name: str, *, sparse: bool, struct: bool) -> None:
    """Write the parameters into the request so that Milvus Lite keeps every one."""
    build: dict[str, Any] = {NOTES: {"name": name, "params": params}}
    head = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"}
    if not struct:
        head = {key: params[key] for key in ("index_type", "metric_type") if key in params}
        build |= {key: _decoded(value) for key, value in params.items() if key not in head}
    if sparse:
        head = _sparse(params, build)
    del request.extra_params[:]
    for key, value in {**head, "params": json.dumps(build)}.items():
        request.extra_params.add(key=key, value=value)


def _sparse(params: dict[str, str], build: dict[str, Any]) -> dict[str, str]:
    algorithm = params.get("inverted_index_algo", SPARSE_ALGORITHMS[0])
    if algorithm.upper() not in SPARSE_ALGORITHMS:
        raise Refused(f"sparse inverted index algo {algorithm} not found or not supported, use {SPARSE_ALGORITHMS[0]}")
    for name in WITHOUT_EFFECT:
        build.pop(name, None)
    kind = params.get("index_type", "").upper()
    head = {"index_type": "SPARSE_INVERTED_INDEX" if kind in (*AUTOMATIC, "SPARSE_WAND") else kind}
    return {**head, "metric_type": params["metric_type"]} if "metric_type" in params else head


def described(notes: dict[str, Any], field: str, rows: int) -> dict[str, Any]:
    """The fields of an IndexDescription message."""
    return {
        "index_name": notes["name"],
        "field_name": field,
        "params": [common_pb2.KeyValuePair(key=key, value=value) for key, value in notes["params"].items()],
        "state": common_pb2.IndexState.Finished,
        "indexed_rows": rows,
        "total_rows": rows,
    }
