"""How the engine says no: a status with a code and words, in the way of a Milvus server."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import common_pb2

__all__ = ["DAMAGED", "INVALID", "NO_INDEX", "UNEXPECTED", "Refused", "status"]

INVALID = 1100
NO_INDEX = 700
UNEXPECTED = 65535
DAMAGED = 65534
LEGACY = {INVALID: "IllegalArgument", NO_INDEX: "IndexNotExist", 100: "CollectionNotExists"}


class Refused(Exception):
    """A request that a server would turn down; ``code`` as a Milvus server numbers it, ``reason`` in plain words."""

    def __init__(self, reason: str, code: int = INVALID) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


def status(reason: str = "", code: int = 0) -> Any:
    """A Status message; with no argument the one of success."""
    legacy = LEGACY.get(code, "UnexpectedError" if code else "Success")
    return common_pb2.Status(code=code, error_code=common_pb2.ErrorCode.Value(legacy), reason=reason)
