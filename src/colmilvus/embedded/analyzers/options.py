"""The parameters of tokenizers and filters, and how a wrong one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from colmilvus.errors import MissingExtra

try:
    from milvus_lite.exceptions import SchemaValidationError
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["SchemaValidationError", "named", "names", "only_these", "words"]


def named(spec: Any, what: str) -> tuple[str, dict[str, Any]]:
    """The name of a tokenizer or filter, and its options, its ``type`` among them."""
    options = spec if isinstance(spec, dict) else {"type": spec}
    name = options.get("type")
    if not isinstance(name, str):
        raise SchemaValidationError(f"{what} is given by its name or by a dict with its 'type', got {spec!r}")
    return name, options


def only_these(options: Mapping[str, Any], whose: str, *known: str) -> None:
    """Refuse an option that is none of the known ones."""
    if unknown := [key for key in options if key not in known]:
        raise SchemaValidationError(f"{whose} has no option {unknown[0]!r}; it has {names(known)}")


def words(value: Any, option: str, such_as: list[str]) -> list[str]:
    """The value of an option that is a list of strings."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise SchemaValidationError(f"{option!r} is a list of words, such as {such_as}, got {value!r}")
    return value


def names(of: Iterable[str]) -> str:
    """Names as a list for readers."""
    return ", ".join(repr(name) for name in sorted(of))
