"""The ids of rows whose collection numbers them itself."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import schema_pb2

from colmilvus.embedded.dispatch import FIRST_ID
from colmilvus.embedded.lite import EngineCollection

__all__ = ["number_rows"]


def number_rows(request: Any, collection: EngineCollection, context: Any) -> None:
    """Add the ids to a request for rows without any, and tell the caller, before they are written, where they begin.

    A caller that loses the engine before it hears of the rows sends them again from the same id, so that none is there
    twice.
    """
    key = next((field.name for field in collection.proto.fields if field.is_primary_key and field.autoID), None)
    if key is None or any(data.field_name == key for data in request.fields_data):
        return
    told = next((int(value) for name, value in context.invocation_metadata() or () if name == FIRST_ID), None)
    first = collection.new_ids(request.num_rows) if told is None else told
    announce = getattr(context, "announce", None)
    if announce is not None:
        announce(first)
    data = request.fields_data.add(field_name=key, type=schema_pb2.Int64)
    data.scalars.long_data.data.extend(range(first, first + request.num_rows))
