"""Where the errors of pymilvus and gRPC become this package's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import grpc
from pymilvus.exceptions import MilvusException

from colmilvus.errors import (
    CollectionNotFound,
    ColmilvusError,
    DatabaseDamaged,
    DatabaseError,
    InvalidFilter,
    ServerError,
)

__all__ = ["request"]

NOT_FOUND = 100
INVALID = 1_100
"""Milvus's code for a request that it does not take; whatever else could be invalid is checked before it is sent."""
DAMAGED = 65_534
"""The code with which the embedded engine says that what lies on disk is not what was written."""
FILTER_FAULTS = ("cannot parse expression", "filter", "expression", "expr")

_translating: ContextVar[bool] = ContextVar("_translating", default=False)
# pymilvus logs every refusal with its traceback before it raises it; who reads the exception needs no second telling.
for _name in ("pymilvus.decorators", "pymilvus.client.grpc_handler"):
    logging.getLogger(_name).addFilter(lambda _: not _translating.get())


@contextmanager
def request(what: str, expression: str = "") -> Iterator[None]:
    """Run one request: ``what`` it does, and the filter that it carries.

    Raises InvalidFilter where the server could not read the filter, CollectionNotFound where the collection is gone,
    DatabaseDamaged where the embedded engine found damage, DatabaseError after ``close``, otherwise ServerError; the
    original is the cause.
    """
    token = _translating.set(True)
    try:
        yield
    except ColmilvusError:
        raise  # the embedded engine's own: it can be neither reached nor started
    except MilvusException as error:
        raise _translated(error, what, expression) from error
    except grpc.RpcError as error:
        raise ServerError(f"could not {what}: {error}") from error
    finally:
        _translating.reset(token)


def _translated(error: MilvusException, what: str, expression: str) -> ColmilvusError:
    if "should create connection first" in error.message:
        return DatabaseError(f"could not {what}: it was closed; open the collection again")
    if error.code == NOT_FOUND:
        return CollectionNotFound(f"could not {what}: there is no such collection any more ({error.message})")
    if error.code == DAMAGED:
        return DatabaseDamaged(f"could not {what}: {error.message}")
    if expression and (error.code == INVALID or any(word in error.message.lower() for word in FILTER_FAULTS)):
        return InvalidFilter(f"Milvus cannot read the filter {expression!r}: {error.message}")
    return ServerError(f"could not {what}: {error.message} (code {error.code})")
