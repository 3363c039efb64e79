"""Patterns of ``like`` with escaped wildcards, as Milvus servers read them.

Milvus Lite 3.2.2 reads them so in columns of strings, where Arrow matches, but not under keys of JSON, where Python
does.
"""

from __future__ import annotations

import functools
import re

from colmilvus.embedded.lite.names import python_backend

__all__ = ["read_escapes", "regex_of"]

SIGN = re.compile(r"\\[%_]|.", re.DOTALL)
MEANING = {"%": ".*", "_": "."}


@functools.lru_cache(maxsize=1024)
def regex_of(pattern: str) -> re.Pattern[str]:
    r"""What a pattern matches: ``%`` any characters, ``_`` one, and after a backslash these as they are."""
    signs = SIGN.findall(pattern)
    return re.compile("".join(MEANING.get(sign) or re.escape(sign[-1]) for sign in signs) + "$", re.DOTALL)


def read_escapes() -> None:
    """Have Milvus Lite's evaluation row by row read escapes; all else it reads as before."""
    python_backend._get_like_regex = regex_of
