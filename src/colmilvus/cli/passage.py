"""The passage of a page that has the most of a question's words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Passage", "find_passage"]

LENGTH = 220
CUT = "…"
COMMON_START = 4
ENDING = 3

# Chinese and Japanese are written without spaces: each of their characters counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


@dataclass(frozen=True)
class Passage:
    """A piece of a text on one line, ``…`` where it was cut, and the spans of the words that were looked for."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    word: str


def find_passage(text: str, query: str, length: int = LENGTH) -> Passage:
    """The piece of the text, about ``length`` characters, with the most of the query's words.

    Forms of a word that differ in their last letters count as the same. A text with none of the words gives its
    beginning.
    """
    line = " ".join(text.split())
    found = _occurrences(line, _sought(query))
    if not found:
        return _cut(line, 0, length, ())
    first, last = _densest(found, length)
    spare = max(0, length - (last.end - first.start))
    return _cut(line, first.start - spare // 2, length, found)


def _sought(query: str) -> list[str]:
    """The words to look for: those that tell something, or all where none does."""
    words = dict.fromkeys(_WORD.findall(query))
    return [_normal(word) for word in words if _is_telling(word)] or [_normal(word) for word in words]


def _is_telling(word: str) -> bool:
    """Short words are mostly function words, and stand all over a page; not so "EU", "Q4" and Chinese characters."""
    return len(word) >= COMMON_START or word.isupper() or any(sign.isdigit() or ord(sign) > 0x3000 for sign in word)


def _normal(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


def _occurrences(line: str, wanted: Sequence[str]) -> list[_Found]:
    found = []
    matches: dict[str, str | None] = {}
    for occurrence in _WORD.finditer(line):
        word = occurrence.group()
        if word not in matches:
            matches[word] = next((each for each in wanted if _same(_normal(word), each)), None)
        if match := matches[word]:
            found.append(_Found(*occurrence.span(), match))
    return found


def _same(word: str, other: str) -> bool:
    """Whether the words are equal, or forms of one: "margin" and "margins", not "port" and "portfolio"."""
    shorter, longer = sorted((word, other), key=len)
    if word == other:
        return True
    return len(shorter) >= COMMON_START and longer.startswith(shorter) and len(longer) - len(shorter) <= ENDING


def _densest(found: Sequence[_Found], length: int) -> tuple[_Found, _Found]:
    """The first and the last word of the stretch with the most different words; among equals, with the rarest."""
    counts = Counter(each.word for each in found)
    best: tuple[int, float, int, int] = (0, 0.0, 0, 0)
    end = 0
    for start, first in enumerate(found):
        end = max(end, start)
        while end + 1 < len(found) and found[end + 1].end - first.start <= length:
            end += 1
        words = {each.word for each in found[start : end + 1]}
        best = max(best, (len(words), sum(1 / counts[word] for word in words), -start, end))
    return found[-best[2]], found[best[3]]


def _cut(line: str, start: int, length: int, found: Iterable[_Found]) -> Passage:
    start = max(0, min(start, len(line) - length))
    end = min(len(line), start + length)
    if start:
        start = _next_gap(line, start)
    if end < len(line):
        end = _last_gap(line, end)
    before, after = CUT if start else "", CUT if end < len(line) else ""
    shift = len(before) - start
    inside = (each for each in found if start <= each.start and each.end <= end)
    marks = tuple((each.start + shift, each.end + shift) for each in inside)
    return Passage(f"{before}{line[start:end]}{after}", marks)


def _next_gap(line: str, start: int) -> int:
    gap = line.find(" ", start, start + 20)
    return gap + 1 if gap >= 0 else start


def _last_gap(line: str, end: int) -> int:
    gap = line.rfind(" ", end - 20, end + 1)
    return gap if gap > 0 else end
