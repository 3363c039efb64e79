"""Requests that pymilvus would not send, sent over its own connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import milvus_pb2, schema_pb2


def send(client: MilvusClient, method: str, request: Any) -> Any:
    """The status that the engine answers, and nothing thrown."""
    answer = getattr(client._get_connection()._stub, method)(request)
    return answer if answer.DESCRIPTOR.name == "Status" else answer.status


def schema_message(made: Any) -> Any:
    """The message that pymilvus makes of a schema, without its checks."""
    from pymilvus.client.prepare import Prepare

    request = Prepare.create_collection_request("pages", made)
    return schema_pb2.CollectionSchema.FromString(request.schema)


def create_raw(client: MilvusClient, made: Any, change: Callable[[Any], None]) -> Any:
    """Ask for a collection of a schema that was changed after pymilvus had checked it."""
    message = schema_message(made)
    change(message)
    request = milvus_pb2.CreateCollectionRequest(collection_name="pages", schema=message.SerializeToString())
    return send(client, "CreateCollection", request)


def refused(call: Any, *args: Any, code: int = 1100, **options: Any) -> str:
    """What the engine says as it refuses the call with that code."""
    with pytest.raises(MilvusException) as caught:
        call(*args, **options)
    assert caught.value.code == code, caught.value
    return str(caught.value.message)
