"""Where the errors of pymilvus and gRPC become this package's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

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
SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
UNREACHABLE = ("fail connecting", "retry timeout", "server unavailable", "cannot invoke rpc on closed channel")
REFUSED_LOGIN = ("auth check failure", "unauthenticated", "token")
REFUSED_RIGHT = ("permission deny", "permissiondenied", "permission denied")

_translating: ContextVar[bool] = ContextVar("_translating", default=False)
# pymilvus logs every refusal with its traceback before it raises it; who reads the exception needs no second telling.
for _name in ("pymilvus.decorators", "pymilvus.client.grpc_handler", "pymilvus.client.connection_manager"):
    logging.getLogger(_name).addFilter(lambda _: not _translating.get())


@contextmanager
def request(what: str, expression: str = "", *, at: str = "", timeout: float | None = None) -> Iterator[None]:
    """Run one request: ``what`` it does, the filter that it carries, the address it goes to, its timeout in seconds.

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
        raise _translated(error.message, error.code, what, expression, at, timeout) from error
    except grpc.RpcError as error:
        told = error.details() if isinstance(error, grpc.Call) else str(error)
        code = error.code() if isinstance(error, grpc.Call) else None
        raise _translated(told or "", code, what, expression, at, timeout) from error
    finally:
        _translating.reset(token)


def _translated(told: str, code: Any, what: str, expression: str, at: str, timeout: float | None) -> ColmilvusError:
    lower = told.lower()
    where = f"{at}: " if at else ""
    if "should create connection first" in told or "closed channel" in lower:
        return DatabaseError(f"{where}could not {what}: it was closed; open the collection again")
    if code == NOT_FOUND:
        return CollectionNotFound(f"{where}could not {what}: there is no such collection any more ({told})")
    if code == DAMAGED:
        return DatabaseDamaged(f"{where}could not {what}: {told}")
    if code == grpc.StatusCode.UNAUTHENTICATED or any(word in lower for word in REFUSED_LOGIN):
        return ServerError(
            f"{where}could not {what}: the server was reached, but refused the login; check the token, or user and "
            f"password ({told})"
        )
    if code == grpc.StatusCode.PERMISSION_DENIED or any(word in lower for word in REFUSED_RIGHT):
        return ServerError(
            f"{where}could not {what}: the user lacks the right to; whoever administers the server can grant it "
            f"({told})"
        )
    if code in SILENT or any(word in lower for word in UNREACHABLE):
        return ServerError(
            f"{where}could not {what}: the server did not answer{f' within {timeout:g} s' if timeout else ''}; is it "
            f"running, and is this its address? timeout= gives it longer ({told})"
        )
    if expression and (code == INVALID or any(word in lower for word in FILTER_FAULTS)):
        return InvalidFilter(f"Milvus cannot read the filter {expression!r}: {told}")
    return ServerError(f"{where}could not {what}: {told} (code {code})")
