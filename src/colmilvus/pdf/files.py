"""The files that pages are read from: found in folders, named, and known by their content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, TextIOBase
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from colmilvus.errors import InvalidInput, UnreadableFile

__all__ = ["File", "Source", "list_files"]

Source: TypeAlias = "str | PathLike[str] | bytes | BinaryIO"

SUFFIXES = (".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LEFTOVERS = (".", "~$", "__MACOSX")  # hidden files, what Office leaves beside an open file, what macOS puts into a zip


@dataclass(frozen=True, eq=False)
class File:
    """One file on disk (``path``) or in memory (``data``), and the name under which its pages are stored."""

    document: str
    source: str
    path: Path | None
    data: bytes | None
    password: str | None

    def unreadable(self, reason: str, page: int | None = None) -> UnreadableFile:
        """The error that names this file, or one page of it."""
        return UnreadableFile(self.source, reason, page=page, id=self.document if page is None else self.page_id(page))

    def page_id(self, page: int) -> str:
        return f"{self.document}#{page}"

    def kind(self) -> Literal["pdf", "image"]:
        """What the file holds, by its first bytes and not by its name. Raises UnreadableFile for anything else."""
        with self._open() as content:
            head = content.read(1024)
        if b"%PDF-" in head:
            return "pdf"
        if head.startswith(IMAGE_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
            return "image"
        if not head:
            raise self.unreadable("the file is empty (0 bytes)")
        named_pdf = self.path is not None and self.path.suffix.lower() == ".pdf"
        what = (
            "is no PDF, in spite of its name" if named_pdf else "is neither a PDF nor a PNG, JPEG, TIFF or WebP image"
        )
        raise self.unreadable(f"{what}: it begins with {head[:12]!r}")

    @property
    def digest(self) -> str:
        """SHA-256 of the content, as it was when the file was first read."""
        return self._first_read[1]

    def check_unchanged(self) -> None:
        """Raise UnreadableFile if the content is no longer what it was when the file was first read."""
        stamp, digest = self._first_read
        if self._stamp() != stamp and self._hash() != digest:
            raise self.unreadable("the file has changed since its pages were read; read it again")

    @cached_property
    def _first_read(self) -> tuple[object, str]:
        stamp = self._stamp()
        return stamp, self._hash()

    def _stamp(self) -> object:
        if self.path is None:
            return None
        with self._access():
            state = self.path.stat()
            return state.st_size, state.st_mtime_ns

    def _hash(self) -> str:
        if self.data is not None:
            return hashlib.sha256(self.data).hexdigest()
        digest = hashlib.sha256()
        with self._access(), self._open() as content:
            while block := content.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def _open(self) -> BinaryIO:
        if self.path is None:
            return BytesIO(self.data or b"")
        with self._access():
            if not stat.S_ISREG(self.path.stat().st_mode):  # to open a pipe would wait for its other end
                raise self.unreadable("is no regular file")
            return self.path.open("rb")

    @contextmanager
    def _access(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.unreadable(_reason(error)) from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def list_files(
    source: Source | Iterable[Source], *, password: str | None, root: str | PathLike[str] | None, name: str | None
) -> list[File | UnreadableFile]:
    """The files that a source means, each once; an error in place of a folder inside a folder that cannot be listed.

    Raises UnreadableFile at once for a file or folder that is not there, and for a folder without any file to read.
    """
    sources: list[Source]
    several = isinstance(source, Iterable) and not _is_single(source)
    sources = list(source) if several else [source]  # type: ignore[arg-type, list-item]  # told apart at run time
    if name is not None and not (len(sources) == 1 and _is_in_memory(sources[0])):
        raise InvalidInput("name= names bytes or one open file; a file on disk is named by its path")
    naming = _Naming(password, None if root is None else _absolute(root), name)
    found: dict[str, File | UnreadableFile] = {}
    for one in sources:
        for listed in naming.files(one):
            key = listed.document if isinstance(listed, File) else listed.source
            found.setdefault(key, listed)
    return list(found.values())


def _is_single(source: object) -> bool:
    return isinstance(source, (str, PathLike)) or _is_in_memory(source)


def _is_in_memory(source: object) -> bool:
    return isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read")


@dataclass(frozen=True)
class _Naming:
    password: str | None
    root: Path | None
    name: str | None

    def files(self, source: Source) -> Iterator[File | UnreadableFile]:
        if _is_in_memory(source):
            yield self._in_memory(source)
        elif isinstance(source, (str, PathLike)):
            yield from self._on_disk(_absolute(source))
        else:
            kinds = "a path, bytes, an open binary file, or several of them"
            raise InvalidInput(f"pages are read from {kinds}; got {type(source).__name__}")

    def _in_memory(self, source: Any) -> File:
        if isinstance(source, TextIOBase):
            raise InvalidInput("the file is open as text; open it with mode 'rb'")
        content = bytes(source.read() if hasattr(source, "read") else source)
        named = self.name or hashlib.sha256(content).hexdigest()
        return File(named, named, None, content, self.password)

    def _on_disk(self, path: Path) -> Iterator[File | UnreadableFile]:
        if not _is_folder(path):
            yield self._file(path)
            return
        listed = [self._file(entry) if isinstance(entry, Path) else entry for entry in _walk(path, set())]
        if not listed:
            raise UnreadableFile(_printable(path), f"the folder holds no file to read ({', '.join(SUFFIXES)})")
        if not any(isinstance(entry, File) for entry in listed):
            raise next(entry for entry in listed if isinstance(entry, UnreadableFile))
        yield from listed

    def _file(self, path: Path) -> File:
        return File(self._document(path), _printable(path), path, None, self.password)

    def _document(self, path: Path) -> str:
        if self.root is None:
            return _printable(path)
        try:
            return _printable(path.relative_to(self.root).as_posix())
        except ValueError:
            raise InvalidInput(f"{_printable(path)} does not lie under root={_printable(self.root)}") from None


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise UnreadableFile(_printable(path), "there is no such file or folder") from None
    except (OSError, ValueError) as error:  # no access, a name that is too long, a NUL in it
        raise UnreadableFile(_printable(path), _reason(error)) from error


def _walk(folder: Path, walked: set[str]) -> Iterator[Path | UnreadableFile]:
    place = os.path.realpath(folder)
    if place in walked:  # links can lead back to where one came from
        return
    walked.add(place)
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        yield UnreadableFile(_printable(folder), _reason(error))
        return
    for name in names:
        if name.startswith(LEFTOVERS):
            continue
        if (folder / name).is_dir():
            yield from _walk(folder / name, walked)
        elif name.lower().endswith(SUFFIXES):
            yield folder / name


def _absolute(path: str | PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would name a link's target in place of the link


def _printable(path: str | PathLike[str]) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")  # a name need not be UTF-8, an id has to be
