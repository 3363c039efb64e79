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
NOT_LOADED = 101
DAMAGED = 65_534
"""The code with which the embedded engine says that what lies on disk is not what was written."""
REFUSED_LOGIN = {grpc.StatusCode.UNAUTHENTICATED, 1_800}
FILTER_FAULTS = ("cannot parse expression", "predicate is not a boolean expression", "failed to create expr plan")
"""How Milvus begins to tell what is wrong with an expression; it has no code for that alone."""
CONNECTING = "fail connecting"
UNREACHABLE = (CONNECTING, "server unavailable")
LATE = "retry timeout"
UNTRUSTED = ("certificate_verify_failed", "ssl_error_ssl")
OTHER_NAME = "hostname verification"
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
        # Whatever went wrong, pymilvus says of a connection that is not made: "Fail connecting".
        reason = error.__context__ if CONNECTING in error.message.lower() else None
        told, code = _of_grpc(reason) if isinstance(reason, grpc.RpcError) else (error.message, error.code)
        raise _translated(told, code, what, expression, at, timeout) from error
    except grpc.RpcError as error:
        raise _translated(*_of_grpc(error), what, expression, at, timeout) from error
    finally:
        _translating.reset(token)


def _of_grpc(error: Any) -> tuple[str, Any]:
    return (error.details() or "", error.code()) if isinstance(error, grpc.Call) else (str(error), None)


def _translated(told: str, code: Any, what: str, expression: str, at: str, timeout: float | None) -> ColmilvusError:
    lower = told.lower()
    # first, because what it complains of stands in it, whatever that says
    if expression and any(words in lower for words in FILTER_FAULTS):
        return InvalidFilter(f"Milvus cannot read the filter {expression!r}: {told}")
    failed = f"{f'{at}: ' if at else ''}could not {what}"
    if "should create connection first" in told or "closed channel" in lower:
        return DatabaseError(f"{failed}: it was closed; open the collection again")
    if code == NOT_FOUND:
        return CollectionNotFound(f"{failed}: there is no such collection any more ({told})")
    if code == DAMAGED:
        return DatabaseDamaged(f"{failed}: {told}")
    reason = _reason(lower, code, timeout)
    return ServerError(f"{failed}: {reason} ({told})" if reason else f"{failed}: {told} (code {code})")


def _reason(lower: str, code: Any, timeout: float | None) -> str:
    """What an answer comes from and what to do about it, where that is known; "" where it is not."""
    if code in REFUSED_LOGIN:
        return "the server was reached, but refused the login; check the token, or user and password"
    if code == grpc.StatusCode.PERMISSION_DENIED or any(word in lower for word in REFUSED_RIGHT):
        return "the user lacks the right to; whoever administers the server can grant it"
    if code == NOT_LOADED:
        return (
            "the server has not loaded the collection; some time after its start it does so by itself, and where "
            "somebody released it, when it is opened again"
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED or LATE in lower:
        given = f"timeout={f' ({timeout:g} s)' if timeout else ''}"
        return f"the server did not answer in time; is it running, and is this its address? {given} gives it longer"
    if code == grpc.StatusCode.UNAVAILABLE and OTHER_NAME in lower:
        return "its certificate is for another name; server_name= of a Server(...) is that name"
    if code == grpc.StatusCode.UNAVAILABLE and any(word in lower for word in UNTRUSTED):
        return "its certificate is not trusted; ca= of a Server(...) names the file with the one that it is signed by"
    if code == grpc.StatusCode.UNAVAILABLE or any(word in lower for word in UNREACHABLE):
        return "the server cannot be reached; is it running, and is this its address?"
    return ""
