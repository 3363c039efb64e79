"""How the engine says no: a status with a code and words, in the way of a Milvus server."""

from __future__ import annotations

import re
from typing import Any

from pymilvus.grpc_gen import common_pb2

__all__ = ["DAMAGED", "INVALID", "NO_INDEX", "NO_PARTITION", "UNEXPECTED", "Refused", "status"]

INVALID = 1100
NO_INDEX = 700
NO_PARTITION = 200
UNEXPECTED = 65535
DAMAGED = 65534
LEGACY = {
    INVALID: "IllegalArgument",
    NO_INDEX: "IndexNotExist",
    100: "CollectionNotExists",
}
# Only the columns that nobody declared have brackets in their names.
GUESS = re.compile(r"\n?did you mean '[^'\n]*\[[^'\n]*'\?")
LISTED = re.compile(r"(?<=available fields: \[).*(?=\])")


class Refused(Exception):
    """A request that a server would turn down; ``code`` as a Milvus server numbers it, ``reason`` in plain words."""

    def __init__(self, reason: str, code: int = INVALID) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


def status(reason: str = "", code: int = 0) -> Any:
    """A Status message without the names of hidden columns; with no argument the one of success."""
    reason = LISTED.sub(_declared, GUESS.sub("", reason))
    legacy = LEGACY.get(code, "UnexpectedError" if code else "Success")
    return common_pb2.Status(code=code, error_code=common_pb2.ErrorCode.Value(legacy), reason=reason)


def _declared(listed: re.Match[str]) -> str:
    return ", ".join(name for name in listed[0].split(", ") if "[" not in name)
