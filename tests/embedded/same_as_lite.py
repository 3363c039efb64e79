"""The same calls on plain Milvus Lite and on the engine, and what of the answers can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import numpy as np
from pymilvus import MilvusClient, MilvusException

from colmilvus.embedded import connect

Call: TypeAlias = Callable[[MilvusClient], Any]
Script: TypeAlias = Mapping[str, Call]

# Kept by neither, or true of one moment only.
VOLATILE = {"collection_id", "created_timestamp", "update_timestamp", "cost", "db_name", "timestamp", "session_ts"}


def plain(value: Any) -> Any:
    """An answer of pymilvus in Python's own types, floats to five digits, without what changes from run to run."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(each) for key, each in value.items() if key not in VOLATILE}
    if isinstance(value, str | bytes | bool | int) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(f"{float(value):.5g}")
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__iter__"):
        return [plain(each) for each in value]
    return str(value)


def in_order(found: Iterable[Iterable[Mapping[str, Any]]], key: str = "id") -> list[list[dict[str, Any]]]:
    """The hits of every query; those of equal scores come in no order that either promises."""
    return [sorted(({**hit} for hit in hits), key=lambda hit: (round(hit["distance"], 4), hit[key])) for hits in found]


def drained(iterator: Any) -> list[Any]:
    """All that an iterator of pymilvus gives."""
    found: list[Any] = []
    while batch := iterator.next():
        found.extend(batch)
    iterator.close()
    return found


def _answer(call: Call, client: MilvusClient) -> Any:
    try:
        return plain(call(client))
    except (MilvusException, grpc.RpcError):
        return "refused"


def _answers(open_client: Callable[[Path], MilvusClient], path: Path, scripts: Iterable[Script]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for calls in scripts:
        client = open_client(path)
        found |= {name: _answer(call, client) for name, call in calls.items()}
        client.close()
    return found


def compare(folder: Path, *scripts: Script, different: Mapping[str, str], refused: tuple[str, ...]) -> None:
    """Assert that both answer alike but for the calls in ``different``, and that the engine refuses ``refused`` alone.

    The database is closed and opened between two scripts. ``refused`` holds the beginnings of the calls' names, before
    which ``flushed: `` may stand.
    """
    of_lite = _answers(lambda path: MilvusClient(str(path)), folder / "lite.db", scripts)
    of_engine = _answers(connect, folder / "engine.db", scripts)
    differing = {name for name in of_lite if of_lite[name] != of_engine[name]}
    listed = {name for name in of_lite if name.removeprefix("flushed: ") in different}
    unlisted = {name: (of_lite[name], of_engine[name]) for name in differing - listed}
    assert not unlisted, unlisted
    assert listed == differing, f"the same after all: {listed - differing}"
    found = {name for name, answered in of_engine.items() if answered == "refused"}
    wanted = {name for name in of_engine if name.removeprefix("flushed: ").startswith(refused)}
    assert found == wanted, found ^ wanted
