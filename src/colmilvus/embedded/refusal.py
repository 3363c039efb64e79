"""How the engine says no: a status with a code and words, in the way of a Milvus server."""

from __future__ import annotations

import re
from typing import Any

from pymilvus.grpc_gen import common_pb2

__all__ = [
    "ALIAS_EXISTS",
    "ALIAS_IS_COLLECTION",
    "DAMAGED",
    "INVALID",
    "INVALID_DATABASE_NAME",
    "INVALID_FIELD_NAME",
    "INVALID_SCHEMA",
    "LOADED",
    "MISSING",
    "NOT_LOADED_PARTITION",
    "NO_ALIAS",
    "NO_COLLECTION",
    "NO_DATABASE",
    "NO_INDEX",
    "NO_PARTITION",
    "SEARCH_CORE",
    "UNEXPECTED",
    "UNSUPPORTED",
    "Refused",
    "status",
]

# As pkg/util/merr/errors.go of Milvus 3.0 numbers them.
NO_COLLECTION = 100
LOADED = 104
INVALID_SCHEMA = 105
NO_PARTITION = 200
NOT_LOADED_PARTITION = 201
NO_INDEX = 700
NO_DATABASE = 800
INVALID_DATABASE_NAME = 802
INVALID = 1100
MISSING = 1101
NO_ALIAS = 1600
ALIAS_IS_COLLECTION = 1601
ALIAS_EXISTS = 1602
INVALID_FIELD_NAME = 1701
SEARCH_CORE = 2000
UNSUPPORTED = 3000
UNEXPECTED = 65535
DAMAGED = 65534
LEGACY = {
    NO_COLLECTION: "CollectionNotExists",
    NO_INDEX: "IndexNotExist",
    INVALID: "IllegalArgument",
    MISSING: "IllegalArgument",
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
