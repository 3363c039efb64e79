"""What makes files outlive a loss of power: their bytes are asked onto the disk, and the folders that name them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["sync_files", "sync_folder"]


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
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
