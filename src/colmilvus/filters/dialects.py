"""How rows tell whether there is a value and of which kind, and what a server's language can ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colmilvus.errors import Unsupported
from colmilvus.filters.language import Column, is_there
from colmilvus.filters.literals import Scalar, path

__all__ = ["HAS_DOCUMENT", "KINDS", "SERVER", "Dialect", "kinds_of"]

KINDS = "kinds"
"""The column that says of which kind the value under each key of the metadata is, where there is one."""
HAS_DOCUMENT = "has_document"
"""The column that says whether there is a document."""
EXACT = 2**53
"""Whole numbers up to here are floats too."""


def kinds_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What lies in the column ``kinds``: a word for each key under which there is a value."""
    return {key: _kind(value) for key, value in metadata.items() if is_there(value)}


def _kind(value: Any) -> str:
    kinds: dict[str, type | tuple[type, ...]] = {
        "bool": bool,
        "number": (int, float),
        "text": str,
        "list": (list, tuple),
    }
    return next((kind for kind, types in kinds.items() if isinstance(value, types)), "object")


@dataclass(frozen=True)
class Dialect:
    """What may be asked of rows.

    With ``kinds`` they tell by a column of that name what a value is, by ``has_document`` whether there is a document,
    and something stands in columns that have no value; without it the server can tell, and columns can be null. Without
    ``patterns`` the server finds nothing but what texts begin with, and compares numbers of JSON as floats.
    """

    kinds: bool
    patterns: bool = True

    def exists(self, column: Column) -> str:
        """There is a value under a key of the metadata."""
        return f"(exists {self._kinds(column)})" if self.kinds else f"exists {column.name}"

    def missing(self, column: Column) -> str:
        """There is none."""
        return f"(not exists {self._kinds(column)})" if self.kinds else f"not exists {column.name}"

    def number(self, column: Column) -> str:
        return self._is(column, "number") if self.kinds else f"{column.name} * 0 == 0"

    def text(self, column: Column) -> str:
        return self._is(column, "text") if self.kinds else f'{column.name} >= ""'

    def list(self, column: Column) -> str:
        return self._is(column, "list") if self.kinds else f"array_length({column.name}) >= 0"

    def _is(self, column: Column, kind: str) -> str:
        return f'{self._kinds(column)} == "{kind}"'

    def _kinds(self, column: Column) -> str:
        return f"{KINDS}{path(column.key)}"

    def pattern(self, pattern: str) -> str:
        """The pattern as the server takes it. Raises Unsupported for one that it would take for another, or not."""
        if self.patterns:
            return pattern
        beginning = pattern.rstrip("%")
        if any(sign in beginning for sign in "%_\\"):
            raise Unsupported(
                f"the pattern {pattern!r}: this Milvus server finds only what texts begin with, such as 'abc%'; "
                "later ones, and the embedded engine, find any"
            )
        return beginning + "%" * (beginning != pattern)

    def check_key(self, column: Column) -> None:
        """Raise Unsupported for a key of the metadata under which the server finds nothing."""
        if not self.patterns and '"' in column.key:
            raise Unsupported(
                f"the metadata key {column.key!r}: this Milvus server finds nothing under keys with a double quote; "
                "use another key"
            )

    def check_number(self, value: Scalar) -> None:
        """Raise Unsupported for a number that the server would take for another."""
        if not self.patterns and isinstance(value, int) and abs(value) > EXACT:
            raise Unsupported(
                f"{value}: this Milvus server compares numbers in the metadata as floats, which are exact up to 2**53; "
                "declare the key with fields=, or use a string"
            )


SERVER = Dialect(kinds=False)
"""A server that has nulls and tells what lies in JSON, as those with arrays of structs do."""
