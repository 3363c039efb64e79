"""What was typed, as the core takes it; or an error that says what to type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from colmilvus.errors import InvalidFilter, InvalidInput, InvalidQuery

__all__ = ["explained", "one_of", "read_filter", "read_number", "read_question"]

JSON_FILTER = "'{\"page\": 1}'"
EXPRESSION = "'metadata[\"page\"] == 1'"

Choice = TypeVar("Choice", bound=str)


def read_question(typed: str, rest: Sequence[str]) -> str:
    """The question; ``rest`` are the words after it. Raises InvalidQuery where there are any."""
    if rest:
        raise InvalidQuery(f'put the question in quotes: colmilvus search "{" ".join([typed, *rest])}"')
    return typed


def read_number(option: str, typed: str) -> int:
    """A whole number from 1. Raises InvalidInput for anything else."""
    if not typed.strip().isdecimal() or not int(typed):
        raise InvalidInput(f"{option} takes a number from 1, such as {option} 5; got {typed!r}")
    return int(typed)


def one_of(option: str, typed: str, choices: Iterable[Choice]) -> Choice:
    """The choice that was typed. Raises InvalidInput for anything else."""
    named = {str.__str__(choice): choice for choice in choices}
    if typed not in named:
        raise InvalidInput(f"{option} takes one of: {', '.join(named)}; got {typed!r}")
    return named[typed]


def read_filter(typed: str | None) -> dict[str, Any] | str | None:
    """A filter as the core takes it: JSON is a dict filter, the rest a Milvus expression.

    Raises InvalidFilter for JSON that is cut or no object.
    """
    if typed is None:
        return None
    try:
        condition = json.loads(typed)
    except ValueError as error:
        if typed.strip().startswith("{"):
            raise InvalidFilter(f"the filter is not valid JSON: {error}; a sound one is {JSON_FILTER}") from None
        return typed.strip()
    if not isinstance(condition, dict):
        raise InvalidFilter(f"the filter {typed} is JSON, but no object; a sound one is {JSON_FILTER}")
    return condition


@contextmanager
def explained(condition: dict[str, Any] | str | None) -> Iterator[None]:
    """Add to the error for an expression that Milvus cannot read how one is written."""
    try:
        yield
    except InvalidFilter as error:
        if not isinstance(condition, str):
            raise
        reason = str(error).partition("\navailable fields")[0]  # columns of the layout, none of which is meant
        raise InvalidFilter(f"{reason}\nwrite it such as {EXPRESSION} or {JSON_FILTER}") from error
