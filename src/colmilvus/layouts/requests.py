"""Where the errors of pymilvus and gRPC become this package's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pymilvus.exceptions import MilvusException

from colmilvus.errors import DatabaseDamaged, InvalidFilter, ServerError

__all__ = ["request"]

DAMAGED = 65_534
"""The code with which the embedded engine says that what lies on disk is not what was written."""
INVALID = 1_100
"""Milvus's code for a request that it does not take; whatever else could be invalid is checked before it is sent."""
FILTER_FAULTS = ("cannot parse expression", "filter", "expression", "expr")


@contextmanager
def request(what: str, expression: str = "") -> Iterator[None]:
    """Run one request: ``what`` it does, and the filter that it carries.

    Raises InvalidFilter where the server could not read the filter, DatabaseDamaged where the embedded engine found
    damage, otherwise ServerError; the original is the cause.
    """
    try:
        yield
    except MilvusException as error:
        if expression and (error.code == INVALID or any(word in error.message.lower() for word in FILTER_FAULTS)):
            raise InvalidFilter(f"Milvus cannot read the filter {expression!r}: {error.message}") from error
        if error.code == DAMAGED:
            raise DatabaseDamaged(f"could not {what}: {error.message}") from error
        raise ServerError(f"could not {what}: {error.message} (code {error.code})") from error
    except grpc.RpcError as error:
        raise ServerError(f"could not {what}: {error}") from error
