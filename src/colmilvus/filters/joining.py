"""Expressions joined into one; True and False stand for those that need not be asked."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["all_true", "any_true"]


def all_true(parts: Iterable[str | bool]) -> str | bool:
    return _join(parts, " and ", neutral=True)


def any_true(parts: Iterable[str | bool]) -> str | bool:
    return _join(parts, " or ", neutral=False)


def _join(parts: Iterable[str | bool], word: str, neutral: bool) -> str | bool:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif part is not neutral:
            return part
    if not texts:
        return neutral
    return texts[0] if len(texts) == 1 else f"({word.join(texts)})"
