"""Rows under keys that are new, sent once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pymilvus import MilvusClient

__all__ = ["insert"]


def insert(client: MilvusClient, collection: str, rows: Sequence[dict[str, Any]], *, timeout: float) -> None:
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
    inspect.unwrap(send)(handler, collection, list(rows), timeout=timeout, context=context)
