"""The rules for the rankers of a hybrid search.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/util/function/chain/rerank_builder.go``.
"""

from __future__ import annotations

import json
from typing import Any

from colmilvus.embedded.refusal import Refused

__all__ = ["check_ranking"]

MOST_REQUESTS = 1024
LARGEST_K = 16384
FLAGS = {"true", "false", "1", "0", "t", "f"}


def check_ranking(request: Any, rank: dict[str, Any]) -> None:
    """Refuse a HybridSearchRequest whose ranker, as ``rank_params`` or a function, a server would not run."""
    parts = len(request.requests)
    if not parts:
        raise Refused(
            "nq [0] is invalid, nq (number of search vector per search request) should be in range [1, 16384], "
            "but got 0"
        )
    if parts > MOST_REQUESTS:
        raise Refused(f"maximum of ann search requests is {MOST_REQUESTS}")
    for function in request.function_score.functions:
        params = {pair.key.lower(): pair.value for pair in function.params}
        _check(params.get("reranker", ""), params, parts)
    if not request.function_score.functions:
        _check(rank.get("strategy", "rrf"), rank.get("params") or {}, parts)


def _check(kind: Any, params: Any, parts: int) -> None:
    kind = str(kind).lower()
    if kind not in ("rrf", "weighted", "decay", "model", "boost"):
        raise Refused(f"rerank_builder: unsupported rank type {kind}")
    if kind == "rrf" and "k" in params:
        _check_k(params["k"])
    if kind == "weighted":
        _check_weights(params, parts)


def _check_k(k: Any) -> None:
    try:
        value = float(k)
    except (TypeError, ValueError):
        raise Refused(f"rerank_builder: {k} is not a number") from None
    if not 0 < value < LARGEST_K:
        raise Refused(f"The rank params k should be in range (0, {LARGEST_K})")


def _check_weights(params: Any, parts: int) -> None:
    weights = _decoded(params.get("weights") or [])
    if not isinstance(weights, list) or not all(_is_number(weight) for weight in weights):
        raise Refused(f"rerank_builder: failed to parse weights: {weights}")
    if not weights:
        raise Refused("rerank_builder: weighted reranker requires weights parameter")
    if any(not 0 <= weight <= 1 for weight in weights):
        raise Refused("rank param weight should be in range [0, 1]")
    if len(weights) != parts:
        raise Refused(
            "the length of weights param mismatch with ann search requests: "
            f"invalid parameter[expected={parts}][actual={len(weights)}]"
        )
    if str(params.get("norm_score", False)).lower() not in FLAGS:
        raise Refused("the type of rank param norm_score should be bool")


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
