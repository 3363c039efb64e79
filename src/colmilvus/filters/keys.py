"""Milvus expressions that name keys of the metadata as if they were columns."""

from __future__ import annotations

import re
from collections.abc import Container

from colmilvus.filters.literals import STRING, path

__all__ = ["with_metadata_keys"]

NEVER = "id in []"
WORDS = frozenset({"and", "exists", "false", "in", "is", "like", "not", "null", "or", "true"})
VALUE = rf"(?:{STRING}|[-+\w.]+)"
VALUES = rf"\[\s*(?P<values>(?:{VALUE}(?:\s*,\s*{VALUE})*\s*,?\s*)?)\]"
TOKEN = re.compile(
    rf"(?P<string>{STRING})|(?P<template>\{{\s*\w+\s*\}})|(?P<number>\d[\w.]*)"
    rf"|(?P<name>\$meta\b|[^\W\d]\w*)(?:(?P<call>\s*\()|(?P<path>(?:\s*\[\s*(?:{STRING}|\d+)\s*\])*)"
    rf"(?:(?P<not>\s+not)?\s+in\s*{VALUES})?)",
    re.IGNORECASE,
)


def with_metadata_keys(expression: str, columns: Container[str]) -> str:
    """The Milvus expression with each name that is no column written as that key of the JSON column ``metadata``.

    So ``year > 2020 and tag like "a%"``, and ``$meta["year"] > 2020``, read as in a collection with dynamic fields.
    Strings, numbers, templates, functions, and the words of Milvus's language (in any case) stay as they are. A list
    after ``in`` is written as equal to one of its values: Milvus Lite knows no ``in`` on the keys of a JSON column.

    >>> with_metadata_keys('source == "news" and id != "a"', {"id", "metadata"})
    'metadata["source"] == "news" and id != "a"'
    """

    def written(token: re.Match[str]) -> str:
        name, within = token["name"], token["path"] or ""
        if not name or token["call"] or name.lower() in WORDS:
            return token.group()
        if name == "$meta":
            key = f"metadata{within}"
        elif name in columns:
            if name != "metadata" or not within:
                return token.group()
            key = f"{name}{within}"
        else:
            key = f"metadata{path(name)}{within}"
        if token["values"] is None:
            return key
        same = " or ".join(f"{key} == {value}" for value in re.findall(VALUE, token["values"]))
        return f"{'not ' if token['not'] else ''}({same or NEVER})"

    return TOKEN.sub(written, expression)
