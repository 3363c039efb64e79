"""What outlives a loss of power, and not only the end of a process: what is asked onto the disk before the answer.

A database of which that was asked has a file ``power`` in its folder, so that whichever process runs the engine, now or
later, knows of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from colmilvus.errors import InvalidInput

__all__ = ["MARK", "ask", "check_durability", "outlives_power", "sync_files", "sync_folder", "sync_tree"]

MARK = "power"
KINDS = ("process", "power")


def check_durability(durability: str | None) -> None:
    """Raise InvalidInput for what is no durability."""
    if durability not in (None, *KINDS):
        raise InvalidInput(f"durability is 'process' or 'power', not {durability!r}")


def ask(folder: Path, durability: str | None) -> None:
    """Have the database outlive the end of a "process", or a loss of "power" too; None leaves it as it is."""
    mark = folder / MARK
    if durability == "power" and not mark.exists():
        mark.touch()
        sync_files([mark])
        sync_folder(folder, folder.parent)
    elif durability == "process":
        mark.unlink(missing_ok=True)


def outlives_power(folder: Path) -> bool:
    """Whether what the database acknowledges is to outlive a loss of power."""
    return (folder / MARK).exists()


def sync_tree(folder: Path) -> None:
    """Have everything in a folder, and below, on the disk."""
    for path, _, names in os.walk(folder):
        sync_files(Path(path, name) for name in names)
        sync_folder(Path(path))


def sync_files(paths: Iterable[Path]) -> None:
    """Have the bytes of files on the disk. Raises OSError; a file that is missing is passed over."""
    for path in paths:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            os.fsync(file)
        finally:
            os.close(file)


def sync_folder(*folders: Path) -> None:
    """Have the names of what lies in folders on the disk; Windows keeps them without being asked, and cannot be."""
    if os.name == "nt":
        return
    for folder in folders:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
