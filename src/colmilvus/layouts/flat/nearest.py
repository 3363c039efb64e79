"""The rows nearest to single vectors: keys and scores as they come in an answer, without an object for each hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymilvus import MilvusClient

from colmilvus.layouts.flat.estimates import Hits

__all__ = ["nearest"]


def nearest(client: MilvusClient, collection: str, limit: int, **asked: Any) -> list[Hits]:
    """What ``client.search`` finds with these arguments, for each vector the keys and scores, nearest first.

    pymilvus makes an object of each hit, which takes longer than to find it where tens of thousands are asked for.
    """
    handler = client._get_connection() if hasattr(client, "_get_connection") else None
    search = getattr(type(handler), "search", None)
    if search is None or not hasattr(handler, "_execute_search") or not hasattr(client, "_generate_call_context"):
        return _of_objects(client.search(collection, limit=limit, **asked))
    kept = _Keeping(handler)
    named = {
        "param": asked["search_params"],
        "expression": asked["filter"],
        "context": client._generate_call_context(),
        **{name: value for name, value in asked.items() if name not in ("search_params", "filter")},
    }
    answered = search(kept, collection, limit=limit, **named)
    return _of_answer(kept.results) if kept.results is not None else _of_objects(answered)


def _of_objects(answers: Sequence[Any]) -> list[Hits]:
    return [Hits(np.array(hits.ids, np.int64), np.array(hits.distances, np.float64)) for hits in answers]


def _of_answer(results: Any) -> list[Hits]:
    keys, scores = np.array(results.ids.int_id.data, np.int64), np.array(results.scores, np.float64)
    ends = np.cumsum(list(results.topks)).tolist()
    starts = [0, *ends[:-1]]
    return [Hits(keys[start:end], scores[start:end]) for start, end in zip(starts, ends, strict=True)]


class _Keeping:
    """A connection of pymilvus that keeps what a search was answered with, and hands on an empty answer."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._stub = _Stub(handler._stub, self)
        self.results: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def _execute_search(self, *args: Any, **kwargs: Any) -> Any:
        return type(self._handler)._execute_search(self, *args, **kwargs)


class _Stub:
    def __init__(self, stub: Any, keeping: _Keeping) -> None:
        self._stub = stub
        self._keeping = keeping

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)

    def Search(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - gRPC's name of the call
        answer = self._stub.Search(*args, **kwargs)
        self._keeping.results = answer.results if answer.status.code == 0 else None
        if self._keeping.results is None:
            return answer
        return type(answer)(status=answer.status, collection_name=answer.collection_name)
