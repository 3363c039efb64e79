"""What a collection holds of folders, and the folders no longer hold themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NoReturn

from colmilvus.cli.paths import absolute, printable
from colmilvus.errors import InvalidInput, UnreadableFile

__all__ = ["check_folders", "gone"]


def check_folders(paths: Sequence[str]) -> list[Path]:
    """Those of the paths that are folders, absolute.

    Raises UnreadableFile for a path that is not there, and for a folder that cannot be listed or has one inside that
    cannot: what is missing only because it is out of reach must not be removed. Raises InvalidInput without folders.
    """
    folders = []
    for path in paths:
        if Path(path).is_dir():
            for _ in os.walk(path, onerror=_refuse):
                pass
            folders.append(Path(absolute(path)))
        elif not Path(path).exists():
            raise UnreadableFile(path, "there is no such file or folder; nothing was removed")
    if not folders:
        raise InvalidInput("--prune removes what folders no longer hold: name a folder")
    return folders


def gone(documents: Iterable[str], folders: Iterable[Path]) -> list[str]:
    """The documents below the folders whose files are not there any more.

    Raises UnreadableFile where a folder on the way to a document cannot be listed.
    """
    listing = lru_cache(maxsize=None)(_names)
    missing = {
        document
        for folder in folders
        for document in documents
        if (parts := _below(folder, document)) and not _holds(folder, parts, listing) and not os.path.lexists(document)
    }
    return sorted(missing)


def _below(folder: Path, document: str) -> tuple[str, ...]:
    """The parts of the document's path that lead there from the folder; none where it does not lie below it."""
    path, start = PurePath(document), printable(str(folder))
    return path.relative_to(start).parts if path.is_relative_to(start) else ()


def _holds(folder: Path, parts: Sequence[str], listing: Callable[[Path], dict[str, Path]]) -> bool:
    """Whether there is such a path below the folder; each part as a document's name has it."""
    place: Path | None = folder
    for part in parts:
        place = listing(place).get(part) if place else None
    return place is not None


def _names(folder: Path) -> dict[str, Path]:
    try:
        return {printable(path.name): path for path in folder.iterdir()}
    except NotADirectoryError:
        return {}
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    reason = f"cannot be listed: {error.strerror or error}; nothing was removed"
    raise UnreadableFile(str(error.filename), reason) from error
