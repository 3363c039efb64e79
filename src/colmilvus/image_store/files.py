"""What a store of pictures asks of the place where it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol, TypeAlias

from colmilvus.entity import ImageLike

__all__ = ["Files", "Save"]

Save: TypeAlias = Callable[[BinaryIO], object]
"""Writes a file's content."""


class Files(Protocol):
    """Files below one place; their names are relative paths with "/"."""

    def within(self, name: str) -> Files:
        """The place below this one."""

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """The content. Raises FileNotFoundError where there is no such file."""

    def write(self, name: str, save: Save, ending: bytes = b"") -> None:
        """Write a file whole or not at all; ``ending`` is what its last bytes have to be."""

    def sync(self, name: str) -> None:
        """Return when the file is where a loss of power does not reach it."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, of which some may not be there."""

    def remove_all(self) -> None: ...

    def remove_unfinished(self, seconds: float) -> None:
        """Remove what a process that was killed left longer ago than so many seconds."""

    def names(self, pattern: str) -> list[str]:
        """The names that a pattern of ``fnmatch`` fits, level by level."""

    def picture(self, name: str) -> ImageLike:
        """What is handed out for a file; it need not be there."""

    def name_of(self, image: ImageLike) -> str | None:
        """The name of what was handed out, None for what lies elsewhere."""
