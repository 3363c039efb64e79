"""The words of a filter expression, cut and read as the grammar of a Milvus server has them.

Source: Milvus 2.6.21, ``internal/parser/planparserv2/Plan.g4`` and ``utils.go`` (convertEscapeSingle, decodeUnicode).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["STRING", "InvalidExpression", "Token", "tokenize", "unquoted"]

STRING = r"\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*'"
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\r\n]+)
  | (?P<path>(?:{NAME}|\$meta)(?:\[(?:{STRING}|0|[1-9][0-9]*)\])+)
  | (?P<null>(?:is[ ]null|IS[ ]NULL|is[ ]not[ ]null|IS[ ]NOT[ ]NULL)\b)
  | (?P<name>{NAME}|\$meta)
  | (?P<string>{STRING})
  | (?P<float>(?:[0-9]*\.[0-9]+|[0-9]+\.)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
  | (?P<integer>0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]+|[1-9][0-9]*|0)
  | (?P<sign>\*\*|==|!=|<=|>=|<<|>>|&&|\|\||=~|!~|[-+*/%<>!~&|^(){{}}\[\],=])
    """,
    re.VERBOSE | re.DOTALL,
)
PART = re.compile(rf"\[({STRING}|[0-9]+)\]")
WORDS = {"&&": "and", "||": "or", "!": "not"}
for word in ("and", "or", "not", "in", "like", "exists", "iso", "interval"):
    WORDS |= {word: word, word.upper(): word}
BOOLEANS = {
    spelled(word): word == "true" for word in ("true", "false") for spelled in (str.lower, str.title, str.upper)
}
ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.S
)
SIMPLE = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))
KEY_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class InvalidExpression(ValueError):
    """An expression that a server would turn down; says why, not yet of which expression."""


@dataclass(frozen=True)
class Token:
    """``kind`` is the group that matched, or the word or sign itself where the grammar has a name for it."""

    kind: str
    text: str
    start: int
    value: Any = None

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokenize(expression: str) -> list[Token]:
    """The tokens of an expression, and one of the kind ``end``. Raises InvalidExpression."""
    tokens: list[Token] = []
    at = 0
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None:
            raise InvalidExpression(f"unexpected {expression[at]!r} at position {at}")
        at = match.end()
        if match.lastgroup != "space":
            tokens.append(_token(match))
    return [*tokens, Token("end", "", len(expression))]


def _token(match: re.Match[str]) -> Token:
    kind, text, start = str(match.lastgroup), match.group(), match.start()
    if kind == "name" and text in BOOLEANS:
        return Token("literal", text, start, BOOLEANS[text])
    if kind in ("name", "sign"):
        return Token(WORDS.get(text, kind if kind == "name" else text), text, start)
    if kind == "string":
        return Token("literal", text, start, unquoted(text))
    if kind == "integer":
        octal = text.isdigit() and text[0] == "0" and len(text) > 1
        return Token("literal", text, start, int(text, 8 if octal else 0))
    if kind == "float":
        return Token("literal", text, start, float(text))
    if kind == "path":
        name = text[: text.index("[")]
        return Token(kind, text, start, (name, tuple(_part(part) for part in PART.findall(text, len(name)))))
    return Token(kind, text, start, value="not" not in text.lower())


def _part(written: str) -> tuple[str, bool]:
    """A part of a path, and whether it stood in quotes; a server reads no escapes there but those of Unicode."""
    if written[0] not in "\"'":
        return written, False
    if "][" in written:
        raise InvalidExpression(f'json key must be enclosed in double quotes or single quotes: "{written}"')
    if len(written) == 2:
        raise InvalidExpression("invalid identifier: a key is empty")
    return KEY_ESCAPE.sub(lambda match: chr(int(match[1], 16)), written[1:-1]), True


def unquoted(literal: str) -> str:
    """The text that a string literal stands for. Raises InvalidExpression for an escape that Go does not know."""

    def read(match: re.Match[str]) -> str:
        simple, byte, octal, short, long, unknown = match.groups()
        if simple:
            return SIMPLE[simple]
        if unknown is not None:
            raise InvalidExpression(f"invalid syntax: the string {literal} has the unknown escape {match.group()}")
        code = int(byte or short or long, 16) if octal is None else int(octal, 8)
        if (byte or octal) and code > 127:
            raise InvalidExpression(f"the string {literal} is no UTF-8: write {match.group()} as \\u{code:04x}")
        if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
            raise InvalidExpression(f"invalid syntax: {match.group()} in the string {literal} is no character")
        return chr(code)

    return ESCAPE.sub(read, literal[1:-1])
