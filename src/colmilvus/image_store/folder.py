"""Pictures as files in one folder."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from uuid import uuid4

from colmilvus.entity import ImageLike
from colmilvus.image_store.files import Save

__all__ = ["FolderFiles"]


class FolderFiles:
    """Files in a folder, which is made with the first of them."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self._above: tuple[Path, ...] = (self.folder.parent, self.folder.parent.parent)

    def within(self, name: str) -> FolderFiles:
        inner = FolderFiles(self.folder / name)
        inner._above = (inner.folder.parent, self.folder, *self._above)
        return inner

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, save: Save, ending: bytes = b"") -> None:
        with _written_whole(self.folder / name) as temporary:
            with temporary.open("xb") as file:  # not into memory: only then other threads run meanwhile
                save(file)
            _check_whole(temporary, ending)

    def sync(self, name: str) -> None:
        """Have a file on the disk, and the names of the folders that lead to it."""
        target = self.folder / name
        for path in (target, target.parent, self.folder, *self._above):
            if path.is_dir() and os.name == "nt":
                continue  # Windows keeps names without being asked, and cannot be
            descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def remove_all(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def remove_unfinished(self, seconds: float) -> None:
        for path in [*self.folder.glob(".*.part"), *self.folder.glob("??/.*.part")]:
            with suppress(OSError):  # a folder that may only be read, or somebody else was faster
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()

    def names(self, pattern: str) -> list[str]:
        return [path.relative_to(self.folder).as_posix() for path in self.folder.glob(pattern)]

    def picture(self, name: str) -> Path:
        return self.folder / name

    def name_of(self, image: ImageLike) -> str | None:
        if not isinstance(image, str | PathLike):
            return None
        with suppress(OSError, ValueError):  # not below this folder, or no path at all
            return Path(image).absolute().relative_to(self.folder.absolute()).as_posix()
        return None


@contextmanager
def _written_whole(target: Path) -> Iterator[Path]:
    """Another path beside it, from where the file is moved when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check_whole(path: Path, ending: bytes) -> None:
    """Raise OSError where the end is missing: Pillow does not notice when a disk takes only a part of it."""
    with path.open("rb") as file:
        file.seek(-min(len(ending), path.stat().st_size), os.SEEK_END)
        if file.read() != ending:
            raise OSError(errno.ENOSPC, "the disk took only a part of a picture", str(path.parent))
