"""The parameters of a request, and how far a server lets them go.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/search_util.go`` and ``internal/proxy/util.go``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import available_timezones

from colmilvus.embedded.refusal import Refused

__all__ = [
    "MOST",
    "RESULT_BYTES",
    "check_bytes",
    "check_decimals",
    "check_limits",
    "check_timezone",
    "check_window",
    "parameters",
    "whole",
]

MOST = 16384
RESULT_BYTES = 100 << 20  # quotaAndLimits.limits.maxOutputSize
LIST_HEAD = 16  # tags, lengths and the dim of one embedding list in an answer, about


def check_window(limit: int, offset: int) -> None:
    """Refuse a window of a query's, or a hybrid search's, results that is wider than a server's."""
    wrong = None
    if offset < 0:
        wrong = f"offset [{offset}] is invalid, should be gte than 0"
    elif limit <= 0:
        wrong = f"limit [{limit}] is invalid, should be greater than 0"
    elif limit + offset > MOST:
        wrong = f"(offset+limit) should be in range [1, {MOST}], but got {limit + offset}"
    if wrong:
        raise Refused(f"invalid max query result window, {wrong}")


def check_limits(params: dict[str, Any]) -> None:
    """Refuse a window of a search's results that is wider than a server's."""
    limit, offset = whole(params, "topk", 1), whole(params, "offset")
    for name, value in (("topk", limit), ("offset", offset), ("offset+topk", limit + offset)):
        if not 0 < value <= MOST and not (name == "offset" and value == 0):
            raise Refused(f"{name} [{value}] is invalid, it should be in range [1, {MOST}], but got {value}")


def check_bytes(what: str, columns: Iterable[Any]) -> None:
    """Refuse results, a query's or a search's, whose fields take more bytes than a server gives."""
    size = sum(map(_bytes_of, columns))
    if size > RESULT_BYTES:
        raise Refused(
            f"{what} results exceed the maxOutputSize Limit {RESULT_BYTES}: these take {size} bytes; ask for fewer "
            "rows at a time, or for fewer fields"
        )


def _bytes_of(column: Any) -> int:
    """The bytes of a column of an answer; of embedding lists without writing them, which takes as long as answering."""
    if column.HasField("struct_arrays"):
        return sum(map(_bytes_of, column.struct_arrays.fields))
    if column.HasField("vectors") and column.vectors.WhichOneof("data") == "vector_array":
        lists = column.vectors.vector_array.data
        return sum(LIST_HEAD + 4 * len(one.float_vector.data) + len(one.float16_vector) for one in lists)
    return int(column.ByteSize())


def check_decimals(params: dict[str, Any]) -> None:
    decimals = params.get("round_decimal", -1)
    if decimals not in range(-1, 7):
        raise Refused(f"round_decimal [{decimals}] is invalid, should be -1 or an integer in range [0, 6]")


def check_timezone(params: dict[str, Any]) -> None:
    name = params.get("timezone")
    if name and name not in available_timezones():
        raise Refused(f"unknown or invalid IANA Time Zone ID: {name}")


def whole(params: Mapping[str, Any], name: str, default: int = 0) -> int:
    try:
        return int(params.get(name, default))
    except (TypeError, ValueError):
        raise Refused(f"{name} [{params[name]}] is invalid") from None


def parameters(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        try:
            found[pair.key] = json.loads(pair.value)
        except ValueError:
            found[pair.key] = pair.value
    inner = found.get("params")
    return {**inner, **found} if isinstance(inner, dict) else found
