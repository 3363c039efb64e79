"""Rows under keys that are new, sent once, column by column.

pymilvus makes a request of the first row, and sends the whole, with its own errors; what the columns of the others hold
is put in between. Where its inside is not as expected, it makes the whole request, which takes ten times as long.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pymilvus import MilvusClient

from colmilvus.layouts.inserting import makes, packed

__all__ = ["insert"]

Rows = Sequence[dict[str, Any]]


def insert(client: MilvusClient, collection: str, rows: Rows, *, timeout: float) -> None:
    """Do what ``client.insert`` does with these rows, but send them once. Raises what it raises, or grpc.RpcError.

    Where a connection breaks pymilvus sends them again, and nobody knows whether they had arrived. Of rows that are
    there twice under one key a server of 2.3.5 leaves out others when it is asked for them: it was seen.
    """
    handler = client._get_connection() if hasattr(client, "_get_connection") else None
    send = getattr(type(handler), "insert_rows", None)
    if send is None or not hasattr(client, "_generate_call_context"):
        client.upsert(collection, data=list(rows), timeout=timeout)  # which takes longer, and may be sent twice
        return
    context = client._generate_call_context()
    inspect.unwrap(send)(_Filling(handler), collection, list(rows), timeout=timeout, context=context)


class _Filling:
    """A connection of pymilvus that makes its requests for insertions of one row, and puts the others in."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def _prepare_row_insert_request(self, collection: str, rows: Rows, *args: Any, **kwargs: Any) -> Any:
        def prepared(given: Rows) -> Any:
            return self._handler._prepare_row_insert_request(collection, list(given), *args, **kwargs)

        return request_for(rows, prepared)


def request_for(rows: Rows, prepared: Callable[[Rows], Any]) -> Any:
    """The request that pymilvus prepares for the rows; where that of two differs, all are prepared its way."""
    sample = rows[:2]
    is_as_public = makes(lambda: _filled(sample, prepared), prepared(sample))
    return _filled(rows, prepared) if is_as_public else prepared(rows)


def _filled(rows: Rows, prepared: Callable[[Rows], Any]) -> Any:
    request = prepared(rows[:1])
    request.num_rows = len(rows)
    for column in request.fields_data:
        if column.WhichOneof("field") == "vectors":
            vectors = np.array([row[column.field_name] for row in rows], "<f4")
            column.vectors.float_vector.ParseFromString(packed(vectors))
        else:
            kind = column.scalars.WhichOneof("data")
            values = [row[column.field_name] for row in rows[1:]]
            getattr(column.scalars, kind).data.extend(_as_json(values) if kind == "json_data" else values)
    return request


def _as_json(values: Sequence[Any]) -> list[bytes]:
    """Each as pymilvus writes it; most rows of an entity share theirs."""
    from pymilvus.client.entity_helper import convert_to_json

    shared = {id(value): value for value in values}
    written = {place: convert_to_json(value) for place, value in shared.items()}
    return [written[id(value)] for value in values]
