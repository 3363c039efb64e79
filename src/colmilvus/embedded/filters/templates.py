"""Filter expressions with values to be filled in: ``year in {years}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from colmilvus.embedded.filters.tokens import STRING
from colmilvus.embedded.refusal import Refused

__all__ = ["filled"]

PLACE = re.compile(rf"(?:{STRING})|\{{[ \t\r\n]*(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t\r\n]*\}}", re.DOTALL)


def filled(expression: str, given: Mapping[str, Any]) -> str:
    """The expression with literals in the places of its template variables. Raises Refused for one without a value.

    ``given`` are TemplateValue messages, as pymilvus makes of ``filter_params``.
    """

    def literal(place: re.Match[str]) -> str:
        name = place["name"]
        if name is None:
            return place.group()
        if name not in given:
            raise Refused(
                f"failed to create query plan: the value of expression template variable name {{{name}}} is not found"
            )
        return _written(_value(given[name]))

    return PLACE.sub(literal, expression) if "{" in expression else expression


def _value(message: Any) -> Any:
    kind = message.WhichOneof("val")
    value = getattr(message, kind) if kind else None
    if kind == "bytes_val" or kind is None:
        raise Refused("failed to create query plan: a template value is a bool, a number, a string or a list of them")
    return _elements(value) if kind == "array_val" else value


def _elements(array: Any) -> list[Any]:
    kind = array.WhichOneof("data")
    if kind is None:
        return []
    data = getattr(array, kind).data
    if kind == "array_data":
        return [_elements(element) for element in data]
    return [json.loads(element) for element in data] if kind == "json_data" else list(data)


def _written(value: Any) -> str:
    """The literal as the grammar has it; a negative number in brackets, as nothing may stand before its sign."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\\/", "/")
    if isinstance(value, int | float):
        return f"({value!r})" if value < 0 else repr(value)
    raise Refused(f"failed to create query plan: {value!r} is no value of a template")
