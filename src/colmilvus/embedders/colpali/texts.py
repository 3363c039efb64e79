"""Queries as a model's tokenizer may have them: without control tokens, not blank, and not too long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from colmilvus.errors import InvalidQuery, warn

__all__ = ["SafeTexts"]


class SafeTexts:
    """Makes user text safe for one tokenizer.

    A tokenizer reads its own control tokens out of any text: ``<image>`` in a question makes a processor look for a
    picture, others change the prompt in silence. A space after their first character takes that from them.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._control = _pattern(str(token) for token in tokenizer.added_tokens_decoder.values())

    def __call__(self, query: str) -> str:
        """The text for a processor. Raises InvalidQuery for a blank one, and warns of one that is cut."""
        text = query.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not text.strip():
            raise InvalidQuery("the query is blank; ask with at least one word")
        while self._control and self._control.search(text):
            text = self._control.sub(_spaced, text)
        return self._cut(text)

    def _cut(self, text: str) -> str:
        if len(text.encode()) <= self._max_tokens:  # a token has a byte at least
            return text
        offsets = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if len(offsets) <= self._max_tokens:
            return text
        warn(
            f"a query of {len(offsets)} tokens was cut to {self._max_tokens}; "
            "ask more briefly, or raise max_query_tokens="
        )
        return text[: offsets[self._max_tokens - 1][1]]


def _pattern(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """What matches the control tokens; plain words and white space among the added tokens are text like any other."""
    control = [token for token in tokens if len(token) > 1 and token.strip() and not token.isalnum()]
    control.sort(key=len, reverse=True)
    return re.compile("|".join(map(re.escape, control))) if control else None


def _spaced(match: re.Match[str]) -> str:
    token = match.group()
    return f"{token[0]} {token[1:]}"
