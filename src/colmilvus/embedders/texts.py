"""Texts as a model's tokenizer may have them: without control tokens, and in pieces that the model reads whole."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

from colmilvus.embedder import Query
from colmilvus.errors import InvalidQuery, warn

__all__ = ["Texts", "check_queries"]


class Texts:
    """What has to be done to users' texts before one tokenizer, a fast one of transformers, reads them.

    Several threads may share it, also while the model uses its tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)  # the model's own is set to pad and to cut, and back, by each call
        self._control = _pattern(str(token) for token in tokenizer.added_tokens_decoder.values())

    def disarmed(self, text: str) -> str:
        """The text with every control token in it broken by a space.

        A tokenizer reads its own control tokens out of any text: ``<image>`` in a question makes a processor look for a
        picture, others change the prompt in silence.
        """
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        while self._control and self._control.search(text):
            text = self._control.sub(_spaced, text)
        return text

    def cut(self, query: str, size: int) -> str:
        """The query's first tokens, with a warning where that is not all of them."""
        if len(query.encode()) <= size:  # a token has a byte at least
            return query
        offsets = self._offsets(query)
        if len(offsets) <= size:
            return query
        warn(f"a query of {len(offsets)} tokens was cut to {size}, for the model reads no more; ask more briefly")
        return query[: offsets[size - 1][1]]

    def windows(self, text: str, size: int) -> list[str]:
        """The text in pieces of at most ``size`` tokens, cut between words where a word is not longer than that."""
        if len(text.encode()) <= size:
            return [text]
        offsets = self._offsets(text)
        if len(offsets) <= size:
            return [text]
        pieces, start = [], 0
        while start < len(offsets):
            end = min(start + size, len(offsets))
            if end < len(offsets):
                end = next((at for at in range(end, start, -1) if _begins_a_word(text, offsets[at][0])), end)
            pieces.append(text[offsets[start][0] : offsets[end - 1][1]].strip())
            start = end
        return [piece for piece in pieces if piece]

    def length(self, text: str) -> int:
        """How many tokens the model makes of a text, those around it included."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets: list[tuple[int, int]] = encoded["offset_mapping"]
        return offsets


def check_queries(queries: Sequence[Query]) -> None:
    """Raise InvalidQuery for one text in place of a list of them, and for one without a visible character."""
    if isinstance(queries, str):
        raise InvalidQuery(f"this takes a list of queries: [{queries[:80]!r}]")
    if any(isinstance(query, str) and not query.strip() for query in queries):
        raise InvalidQuery("the query is blank; ask with at least one word")


def _begins_a_word(text: str, at: int) -> bool:
    return at > 0 and (text[at - 1].isspace() or text[at].isspace())


def _pattern(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """What matches the control tokens; plain words and white space among the added tokens are text like any other."""
    control = [token for token in tokens if len(token) > 1 and token.strip() and not token.isalnum()]
    control.sort(key=len, reverse=True)
    return re.compile("|".join(map(re.escape, control))) if control else None


def _spaced(match: re.Match[str]) -> str:
    token = match.group()
    return f"{token[0]} {token[1:]}"
