"""The calls of the Milvus protocol by their names, from bytes to bytes, for callers that do not come over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf import message_factory  # type: ignore[import-untyped]  # its stubs are a package apart
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]

from colmilvus.embedded.interceptors import SERVICE, guarded

__all__ = [
    "ANSWER_BYTES",
    "FIRST_ID",
    "NOT_TWICE",
    "REQUEST_BYTES",
    "Context",
    "Dispatch",
    "Metadata",
    "Reply",
    "failed",
    "too_large",
    "with_reason",
]

REQUEST_BYTES = 64 << 20  # proxy.grpc.serverMaxRecvSize of a server
ANSWER_BYTES = 256 << 20  # proxy.grpc.serverMaxSendSize
NOT_TWICE = frozenset(
    (
        *("AlterAlias", "CreateAlias", "CreateCollection", "CreateDatabase", "CreatePartition"),
        *("DropAlias", "DropDatabase", "DropPartition", "RenameCollection"),
    )
)
"""Calls that are refused where they were carried out before."""
FIRST_ID = "colmilvus-first-id"
"""Under which a call that is made again says from which number its rows were counted."""
Metadata = Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """What a call came to: a number of ``grpc.StatusCode``, its details, and the answer's bytes where it is OK."""

    code: int
    details: str
    payload: bytes | bytearray


def failed(code: grpc.StatusCode, details: str) -> Reply:
    """The reply to a call that came to nothing."""
    return Reply(code.value[0], details, b"")


def too_large(what: str, message: bytes, limit: int) -> Reply:
    """The reply to a message of too many bytes, in gRPC's words."""
    return failed(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{what} message larger than max ({len(message)} vs. {limit})")


def with_reason(method: str, reply: Reply, more: str) -> Reply:
    """The reply with ``more`` to read after the reason of a refusal; as it is where there was none."""
    if reply.code:
        return reply._replace(details=reply.details + more)
    answer = message_factory.GetMessageClass(SERVICE.methods_by_name[method].output_type).FromString(
        bytes(reply.payload)
    )
    status = answer if answer.DESCRIPTOR.name == "Status" else answer.status
    if status.code or status.error_code:
        status.reason += more
    return reply._replace(payload=answer.SerializeToString())


class _Aborted(Exception):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details
        super().__init__(details)


class Context:
    """What a handler may ask of gRPC's context, and ``announce``, which tells the caller the first id of its rows."""

    def __init__(self, metadata: Metadata, announce: Callable[[int], None]) -> None:
        self._metadata = metadata
        self.announce = announce

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise _Aborted(code, details)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Nothing: an error that a handler raises says more."""

    def set_details(self, details: str) -> None:
        """Nothing: an error that a handler raises says more."""


class Dispatch:
    """The handlers of a servicer, guarded as those behind gRPC are."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer

    def run(self, method: str, metadata: Metadata, payload: Any, announce: Callable[[int], None]) -> Reply:
        """Answer one call; nothing is raised."""
        if len(payload) > REQUEST_BYTES:
            return too_large("Received", payload, REQUEST_BYTES)
        described = SERVICE.methods_by_name.get(method)
        behaviour = getattr(self._servicer, method, None)
        if described is None or described.client_streaming or described.server_streaming or behaviour is None:
            return failed(grpc.StatusCode.UNIMPLEMENTED, f"the embedded engine does not support {method}")
        try:
            request = message_factory.GetMessageClass(described.input_type).FromString(bytes(payload))
            answer = guarded(behaviour, method, request, Context(metadata, announce)).SerializeToString()
        except _Aborted as aborted:
            return failed(aborted.code, aborted.details)
        except DecodeError as error:
            return failed(grpc.StatusCode.INTERNAL, f"cannot read the request {method}: {error}")
        except (EncodeError, ValueError) as error:  # an answer of more than 2 GB
            return failed(grpc.StatusCode.RESOURCE_EXHAUSTED, f"cannot write the answer of {method}: {error}")
        if len(answer) > ANSWER_BYTES:
            return too_large("Sent", answer, ANSWER_BYTES)
        return Reply(0, "", answer)
