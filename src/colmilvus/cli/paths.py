"""Paths as documents are named by them, and as they are shown."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["absolute", "printable", "shown"]


def absolute(path: str | os.PathLike[str]) -> str:
    """The path from the root, without ``..``; links are not followed, so that files keep the names they are given."""
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


def printable(path: str) -> str:
    """The path as a document's name: valid UTF-8, with a backslash and digits for each byte that is not."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: str) -> str:
    """The path as seen from the working directory where it lies below that, otherwise as it is."""
    given, here = Path(path), Path.cwd()
    return str(given.relative_to(here)) if given.is_absolute() and given.is_relative_to(here) else path
