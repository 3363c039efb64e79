"""What stands before every call: the token is checked, and no exception leaves the engine."""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import message_factory  # type: ignore[import-untyped]  # its stubs are a package apart
from pymilvus.grpc_gen import milvus_pb2

from colmilvus.embedded.lite import MilvusLiteError, to_status_kwargs
from colmilvus.embedded.refusal import DAMAGED, INVALID, UNEXPECTED, UNSUPPORTED, Refused, status
from colmilvus.errors import DatabaseDamaged

__all__ = ["SERVICE", "Guard", "Token", "guarded"]

logger = logging.getLogger(__name__)

SERVICE = milvus_pb2.DESCRIPTOR.services_by_name["MilvusService"]
# Milvus Lite numbers these as servers did before 2.3.
LITE_CODES = {1: UNEXPECTED, 6: INVALID, 26: UNEXPECTED, 35: INVALID}
UNAUTHENTICATED = 1800
REFUSAL = "this database answers only who has its token: give token=, as colmilvus.embedded.address(path) tells it"


def _answer(method: str, reason: str, code: int) -> Any:
    """The method's answer with nothing but a status."""
    kind = message_factory.GetMessageClass(SERVICE.methods_by_name[method].output_type)
    found = status(reason, code)
    if kind.DESCRIPTOR.name == "Status":
        return found
    # In some answers it is called otherwise.
    field = next(each.name for each in kind.DESCRIPTOR.fields if each.message_type is found.DESCRIPTOR)
    return kind(**{field: found})


def _lite_answer(method: str, error: Exception) -> Any:
    known = to_status_kwargs(error)
    return _answer(method, known["reason"], LITE_CODES.get(known["code"], known["code"]))


def _method(details: Any) -> str:
    return str(details.method).rsplit("/", 1)[-1]


class Token(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets through only the calls that carry the token."""

    def __init__(self, token: str) -> None:
        self._expected = base64.b64encode(token.encode())

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), "")
        if hmac.compare_digest(given.encode(), self._expected):
            return continuation(details)
        if _method(details) == "Connect":
            # pymilvus hides the text of a refused connection; in an answer it shows it.
            return _wrapped(continuation(details), lambda *_: _answer("Connect", REFUSAL, UNAUTHENTICATED))
        return _wrapped(
            continuation(details), lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)
        )


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Answers with a status where a handler raises: pymilvus repeats a call that fails in any other way."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None or _method(details) not in SERVICE.methods_by_name:
            return handler
        method = _method(details)
        return _wrapped(handler, lambda request, context: guarded(handler.unary_unary, method, request, context))


def _wrapped(handler: Any, behaviour: Callable[[Any, Any], Any]) -> Any:
    if handler is None or handler.unary_unary is None:
        return None
    return grpc.unary_unary_rpc_method_handler(behaviour, handler.request_deserializer, handler.response_serializer)


def guarded(behaviour: Callable[[Any, Any], Any], method: str, request: Any, context: Any) -> Any:
    """The handler's answer, a status where it raises."""
    try:
        answer = behaviour(request, context)
    except Refused as refused:
        return _answer(method, refused.reason, refused.code)
    except DatabaseDamaged as damaged:
        return _answer(method, f"database damaged: {damaged}", DAMAGED)
    except MilvusLiteError as error:
        return _lite_answer(method, error)
    except NotImplementedError:
        # No UNIMPLEMENTED of gRPC, of which pymilvus makes advice about addresses and versions.
        return _answer(method, f"the embedded engine does not support {method}", UNSUPPORTED)
    except Exception as error:
        logger.exception("%s failed", method)
        return _answer(method, f"{type(error).__name__}: {error}", UNEXPECTED)
    found = answer if answer.DESCRIPTOR.name == "Status" else getattr(answer, "status", None)
    if found is not None and found.code in LITE_CODES:
        found.CopyFrom(status(found.reason, LITE_CODES[found.code]))
    return answer
