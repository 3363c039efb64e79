"""Names and values as a Milvus expression spells them, and what it cannot spell."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Any, TypeAlias

from colmilvus.errors import InvalidFilter, Unsupported

Scalar: TypeAlias = bool | int | float | str

LARGEST = 2**63 - 1  # the smallest 64-bit integer has no literal in Milvus's grammar

STRING = r'"(?:[^"\\\r\n]|\\.)*"|' r"'(?:[^'\\\r\n]|\\.)*'"
"""A string as Milvus's language writes it, as a regular expression."""


def scalar(value: Any, name: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return checked_text(str.__str__(value))  # the text of a string that is a member of an Enum
    if isinstance(value, Integral):
        if abs(int(value)) > LARGEST:
            raise InvalidFilter(f"{name} {value}: an integer of Milvus has 64 bits, so at most {LARGEST}")
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise InvalidFilter(f"{name} {value}: Milvus has no literal for NaN and infinity")
        return float(value)
    raise InvalidFilter(f"{name} takes a string, a number or a bool, got {value!r}")


class Float(float):
    """A float that is written with a point although it is a whole number."""


def literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Float):
        return float.__repr__(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        return str(int(value))
    return repr(value)


def quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(sign, sign) for sign in checked_text(text)) + '"'


def checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidFilter(f"{text!r} is no text that UTF-8 can hold: {error.reason}") from error
    return text


def path(key: str) -> str:
    """The key in brackets; Milvus servers cut at ][ and do not unescape what stands between the quotes."""
    quote = "'" if '"' in key else '"'
    if not key or quote in key or "][" in key or any(sign in key for sign in "\\\r\n"):
        raise Unsupported(
            f"the metadata key {key!r} cannot be written for Milvus: a key is not empty, and has no backslash, no line "
            "break, no '][' and not both kinds of quotes; use another key or fields="
        )
    return f"[{quote}{checked_text(key)}{quote}]"


def column_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InvalidFilter(f"{name!r} is no name of a Milvus column: letters, digits and _, not a digit first")
    return name


def check_brackets(expression: str) -> None:
    rest = re.sub(STRING, "", expression)
    if '"' in rest or "'" in rest:
        raise InvalidFilter(f"a string is not closed in the filter {expression!r}")
    closing = {"(": ")", "[": "]", "{": "}"}
    awaited: list[str] = []
    for sign in rest:
        if sign in closing:
            awaited.append(closing[sign])
        elif sign in ")]}" and (not awaited or awaited.pop() != sign):
            raise InvalidFilter(f"a {sign!r} too many in the filter {expression!r}")
    if awaited:
        raise InvalidFilter(f"a {awaited[-1]!r} is missing in the filter {expression!r}")
