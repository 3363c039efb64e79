"""Requests that pymilvus would not send, sent over its own connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from tests.embedded.pages import FIELD, query


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


def searched(**given: Any) -> Any:
    """A SearchRequest as pymilvus makes them, with other parts, and vectors of another ``type``."""
    values = given.pop("values", [query(1).tobytes()])
    holder = common_pb2.PlaceholderValue(tag="$0", type=given.pop("type", 301), values=values)
    group = common_pb2.PlaceholderGroup(placeholders=[holder]).SerializeToString()
    pairs = {"anns_field": FIELD, "topk": "3", "round_decimal": "-1", **given.pop("params", {})}
    request = milvus_pb2.SearchRequest(placeholder_group=group, **{"collection_name": "pages", **given})
    for key, value in pairs.items():
        request.search_params.add(key=key, value=value)
    return request
