"""The rules for indexes on vector sub-fields of structs, and the notes that keep what Milvus Lite would lose.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/util/indexparamcheck``; Knowhere's table of index types for
embedding lists.
"""

from __future__ import annotations

import json
from typing import Any

from pymilvus.grpc_gen import common_pb2, schema_pb2

from colmilvus.embedded.lite import NOTES
from colmilvus.embedded.refusal import Refused
from colmilvus.embedded.schema import SCALARS, TOP_VECTORS, Vector

__all__ = ["METRICS", "altered", "described", "for_lite", "parameters", "plain_index", "struct_index"]

METRICS = ("MAX_SIM", "MAX_SIM_COSINE", "MAX_SIM_L2", "MAX_SIM_IP")
ELEMENT_METRICS = ("L2", "IP", "COSINE")
AUTOMATIC = "AUTOINDEX"
TYPES = ("HNSW", "HNSW_SQ", "HNSW_PQ", "HNSW_PRQ", "IVF_FLAT", "IVF_FLAT_CC", "DISKANN", "SCANN_DVR")
# Those that a server knows, and builds for other fields than lists of vectors.
OTHER_TYPES = {
    *("FLAT", "IVF_SQ8", "IVF_PQ", "IVF_RABITQ", "SCANN", "GPU_BRUTE_FORCE", "GPU_CAGRA", "GPU_IVF_FLAT", "GPU_IVF_PQ"),
    *("BIN_FLAT", "BIN_IVF_FLAT", "MINHASH_LSH", "SPARSE_INVERTED_INDEX", "SPARSE_WAND", "INVERTED", "STL_SORT"),
    *("Trie", "TRIE", "BITMAP", "NGRAM", "RTREE"),
}
RANGES = {
    "M": (2, 2048),
    "efConstruction": (1, 2**31 - 1),
    "nlist": (1, 65536),
    "muvera_num_projections": (1, 7),
    "muvera_num_repeats": (1, 32),
}
STRATEGIES = ("tokenann", "muvera", "lemur")
SPARSE_ALGORITHMS = ("TAAT_NAIVE", "DAAT_WAND", "DAAT_MAXSCORE", "BLOCK_MAX_MAXSCORE", "BLOCK_MAX_WAND")
# What Milvus Lite, which searches sparse vectors exactly, refuses although the answer would be the same.
WITHOUT_EFFECT = ("inverted_index_algo", "drop_ratio_build", "drop_ratio_search")
NUMBERS = {kind for kind in SCALARS if kind not in (schema_pb2.Bool, schema_pb2.VarChar)}
ALTERABLE = ("mmap.enabled", "warmup", "offset_cache.enabled")


def parameters(request: Any) -> dict[str, str]:
    """The parameters of a CreateIndex request, flat, as a server describes them."""
    flat: dict[str, str] = {}
    for pair in request.extra_params:
        inner = _decoded(pair.value) if pair.key in ("params", "search_params") else None
        if isinstance(inner, dict):
            flat |= {str(key): _text(value) for key, value in inner.items()}
        else:
            flat[pair.key] = pair.value
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def struct_index(vector: Vector, params: dict[str, str]) -> dict[str, str]:
    """The parameters of an index on a vector sub-field, complete. Raises Refused where a server would not build it."""
    kind = params.get("index_type") or AUTOMATIC
    if kind == AUTOMATIC:
        if set(params) - {"index_type", "metric_type"}:
            raise Refused("only metric type can be passed when use AutoIndex")
        params = {"metric_type": "MAX_SIM_COSINE", **params}
    elif kind not in TYPES:
        _refuse_type(kind)
    _check_metric(params.get("metric_type", ""))
    _check_ranges(params)
    _check_strategy(vector, params, kind)
    if (dim := params.get("dim", str(vector.dim))) != str(vector.dim):
        raise Refused(f"dimension mismatch, dimension in schema: {vector.dim}, dimension: {dim}")
    return {**params, "index_type": kind}


def _refuse_type(kind: str) -> None:
    if kind in OTHER_TYPES:
        raise Refused(f"data type ArrayOfVector can't build with this index {kind}; for lists of vectors use HNSW")
    raise Refused(f"invalid parameter[expected=valid index][actual=invalid index type: {kind}]")


def _check_metric(metric: str) -> None:
    if not metric:
        raise Refused("metric type not set for vector index")
    if metric in ELEMENT_METRICS:
        raise Refused(
            f"array of vector index does not support metric type: {metric}; the embedded engine has no element-level "
            f"search, use MAX_SIM_{metric}"
        )
    if metric not in METRICS:
        raise Refused(
            f"array of vector with float element type does not support metric type: {metric}, "
            f"supported: [{' '.join(METRICS)}]"
        )


def _check_ranges(params: dict[str, str]) -> None:
    for name, (low, high) in RANGES.items():
        value = _decoded(params.get(name, str(low)))
        if isinstance(value, str):
            value = _decoded(value)
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(f"{name} should be an integer in range [{low}, {high}], not {params[name]}")


def _check_strategy(vector: Vector, params: dict[str, str], kind: str) -> None:
    strategy = params.get("emb_list_strategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise Refused(f"invalid emb_list_strategy: {strategy}, expected one of {', '.join(STRATEGIES)}")
    if strategy == STRATEGIES[0]:
        return
    if kind == "DISKANN":
        raise Refused("DiskANN only supports TokenANN strategy")
    if vector.element != schema_pb2.FloatVector:
        raise Refused(f"emb_list_strategy {strategy} takes FloatVector alone, not the vectors of {vector.field}")


def plain_index(field: Any, params: dict[str, str]) -> dict[str, str]:
    """The parameters of an index on a field that is no struct's, complete."""
    if field.data_type not in TOP_VECTORS:
        return {**params, "index_type": params.get("index_type") or AUTOMATIC}
    return {**params, "metric_type": params["metric_type"].upper()} if "metric_type" in params else params


def _scalar_index(field: Any, params: dict[str, str]) -> str:
    """Milvus Lite's type for the index that a server would build on a plain ``field``. Raises Refused.

    Lite has one type for scalars, whose answers are the same.
    """
    kind = params.get("index_type") or AUTOMATIC
    number = field.data_type in NUMBERS
    if kind in ("Trie", "TRIE") and field.data_type != schema_pb2.VarChar:
        raise Refused("TRIE are only supported on varchar field")
    if kind == "STL_SORT" and not number and field.data_type != schema_pb2.VarChar:
        raise Refused(
            "STL_SORT are only supported on numeric, varchar or timestamptz field, got "
            f"{schema_pb2.DataType.Name(field.data_type)}"
        )
    if kind == "BITMAP":
        if field.is_primary_key:
            raise Refused("create bitmap index on primary key not supported")
        if field.data_type in (schema_pb2.Float, schema_pb2.Double, schema_pb2.JSON):
            raise Refused("bitmap index are only supported on bool, int, string and array field")
    return "INVERTED" if kind in (AUTOMATIC, "Trie", "TRIE", "STL_SORT", "BITMAP") else kind


def altered(params: dict[str, str], request: Any) -> dict[str, str]:
    """The parameters of an index after an AlterIndexRequest. Raises Refused where a server would not alter it."""
    changed = {pair.key: pair.value for pair in request.extra_params}
    if changed and request.delete_keys:
        raise Refused("cannot provide both DeleteKeys and ExtraParams")
    for name in (*changed, *request.delete_keys):
        if name not in ALTERABLE:
            raise Refused(f"{name} is not a configable index property")
    kept = {name: value for name, value in params.items() if name not in request.delete_keys}
    return {**kept, **changed}


def for_lite(request: Any, params: dict[str, str], name: str, field: Any) -> None:
    """Write the parameters into the request so that Milvus Lite keeps every one; ``field`` None for a sub-field's."""
    build: dict[str, Any] = {NOTES: {"name": name, "params": params}}
    head = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"}
    if field is not None:
        head = {key: params[key] for key in ("index_type", "metric_type") if key in params}
        build |= {key: _decoded(value) for key, value in params.items() if key not in head}
        if field.data_type == schema_pb2.SparseFloatVector:
            head = _sparse(params, build)
        elif field.data_type not in TOP_VECTORS:
            head["index_type"] = _scalar_index(field, params)
    del request.extra_params[:]
    for key, value in {**head, "params": json.dumps(build)}.items():
        request.extra_params.add(key=key, value=value)


def _sparse(params: dict[str, str], build: dict[str, Any]) -> dict[str, str]:
    algorithm = params.get("inverted_index_algo", SPARSE_ALGORITHMS[0])
    if algorithm not in SPARSE_ALGORITHMS:
        raise Refused(
            f"sparse inverted index algo {algorithm} not found or not supported, "
            f"supported: [{' '.join(SPARSE_ALGORITHMS)}]"
        )
    for name in WITHOUT_EFFECT:
        build.pop(name, None)
    kind = params.get("index_type", "").upper()
    head = {"index_type": "SPARSE_INVERTED_INDEX" if kind in ("", AUTOMATIC, "SPARSE_WAND") else kind}
    return {**head, "metric_type": params["metric_type"]} if "metric_type" in params else head


def described(notes: dict[str, Any], field: str, rows: int, pending: int) -> dict[str, Any]:
    """The fields of an IndexDescription message."""
    return {
        "index_name": notes["name"],
        "field_name": field,
        "params": [common_pb2.KeyValuePair(key=key, value=value) for key, value in notes["params"].items()],
        "state": common_pb2.IndexState.Finished,
        "indexed_rows": rows - pending,
        "total_rows": rows,
        "pending_index_rows": pending,
    }
