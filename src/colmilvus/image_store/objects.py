"""Pictures as objects in a store that fsspec reaches: S3, Google Cloud Storage, Azure and others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlsplit

from colmilvus.connection import without_login
from colmilvus.entity import ImageLike
from colmilvus.errors import DatabaseError, InvalidInput, MissingExtra, UnreadableFile
from colmilvus.image_store.files import Save
from colmilvus.images import KEPT, is_kept, open_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ObjectFiles", "StoredImage", "is_address", "stored_image"]

ADDRESS = re.compile(r"[A-Za-z][\w+.:-]+://")  # one letter is a drive of Windows
ONLY_READ = ("http", "https", "data", "github", "git")
"""What fsspec reaches and cannot write to, or what anybody may answer at."""


def is_address(place: object) -> TypeGuard[str]:
    """Whether this is an address and no path of this machine."""
    return isinstance(place, str) and bool(ADDRESS.match(place)) and not place.startswith("file:")


@dataclass(frozen=True)
class StoredImage:
    """A kept picture in an object store, a LazyImage: it is fetched each time that somebody opens it.

    ``str`` gives its address, ``Collection(..., images=...)`` and a reference in one, such as
    "s3://bucket/pages/kb/3f/3f9c...jpg". fsspec reads it, with what its configuration says of keys and endpoints.
    """

    url: str

    @property
    def reference(self) -> str:
        return "/".join(self.url.rsplit("/", 2)[1:])

    @property
    def key(self) -> str:
        """Known without fetching: what a picture is kept under its content gives."""
        return KEPT + self.reference

    def read(self) -> bytes:
        """The JPEG as it is kept. Raises UnreadableFile where it is gone, DatabaseError where the store fails."""
        place, _, name = self.url.rpartition("/")
        try:
            return ObjectFiles(place).read(name)
        except FileNotFoundError as error:
            raise UnreadableFile(self.url, "there is no such picture") from error

    def open(self) -> Image.Image:
        """The picture, RGB; raises what ``read`` raises, and UnreadableFile for what is no picture."""
        return open_image(self.read())

    def __str__(self) -> str:
        return self.url


def stored_image(told: str) -> StoredImage | None:
    """The kept picture of an address, None for a text that is none.

    Only what is named as kept pictures are, and by no address of the web, which a text of others could bring in.
    """
    if not is_address(told) or not is_kept(told) or not _is_writable(told):
        return None
    return StoredImage(told)


class Forbidden(DatabaseError, PermissionError):
    """The rights in an object store do not reach so far."""


class ObjectFiles:
    """Objects below one address; each is written whole or not at all, as object stores do."""

    def __init__(self, address: str) -> None:
        """Raises InvalidInput for an address that cannot be written to, or has a password in it."""
        self.address = address.rstrip("/")
        if not _is_writable(self.address):
            raise InvalidInput(
                f"pictures cannot be kept at {without_login(self.address)!r}; take one such as s3://bucket/pages"
            )
        if urlsplit(self.address).password:
            raise InvalidInput(
                f"{without_login(self.address)!r} came with a password, which each picture's address would show; put "
                "it into fsspec's configuration, a file in ~/.config/fsspec or variables FSSPEC_..."
            )

    def within(self, name: str) -> ObjectFiles:
        return ObjectFiles(f"{self.address}/{name}")

    def exists(self, name: str) -> bool:
        # not fsspec's own exists, which takes every fault for an absence
        with self._asked() as (store, root):
            try:
                store.info(f"{root}/{name}")
            except FileNotFoundError:
                return False
        return True

    def read(self, name: str) -> bytes:
        missing: FileNotFoundError
        with self._asked() as (store, root):
            try:
                return bytes(store.cat_file(f"{root}/{name}"))
            except FileNotFoundError as error:
                missing = error
        raise missing

    def write(self, name: str, save: Save, ending: bytes = b"") -> None:
        buffer = BytesIO()
        save(buffer)
        if not buffer.getvalue().endswith(ending):
            raise UnreadableFile(f"{self.address}/{name}", "this is only a part of a picture")
        with self._asked() as (store, root):
            store.pipe_file(f"{root}/{name}", buffer.getvalue())

    def sync(self, name: str) -> None:
        """Nothing: what the store has answered for, it keeps."""

    def remove(self, names: Sequence[str]) -> None:
        with self._asked() as (store, root):
            paths = [f"{root}/{name}" for name in names]
            try:
                store.rm(paths)  # S3 takes a thousand in a request
            except FileNotFoundError:
                for path in paths:
                    with suppress(FileNotFoundError):
                        store.rm_file(path)

    def remove_all(self) -> None:
        with self._asked() as (store, root), suppress(FileNotFoundError):
            store.rm(root, recursive=True)

    def remove_unfinished(self, seconds: float) -> None:
        """Nothing: there is nothing unfinished."""

    def names(self, pattern: str) -> list[str]:
        with self._asked() as (store, root):
            found: list[str] = store.glob(f"{root}/{pattern}")
        return ["/".join(path.rsplit("/", pattern.count("/") + 1)[1:]) for path in found]

    def picture(self, name: str) -> StoredImage:
        return StoredImage(f"{self.address}/{name}")

    def name_of(self, image: ImageLike) -> str | None:
        below = f"{self.address}/"
        if not isinstance(image, str | PathLike | StoredImage) or not str(image).startswith(below):
            return None
        return str(image)[len(below) :]

    def check(self) -> None:
        """Raise MissingExtra without fsspec, and InvalidInput where its package for this store is not there."""
        self._reached()

    def _reached(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtra(f"keeping pictures at {self.address}", "object-store") from error
        try:
            store, root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:  # of a protocol whose package is not there, or that nobody knows
            raise InvalidInput(f"pictures cannot be kept at {self.address}: {error}") from error
        return store, root

    @contextmanager
    def _asked(self) -> Iterator[tuple[Any, str]]:
        """Fsspec's file system and the path there; its faults as ours, but that there is no such file.

        The file system is asked for each time: fsspec remembers it, and makes a new one in a process that was forked.
        """
        store, root = self._reached()
        try:
            store.invalidate_cache()  # another process may have written
            yield store, root.rstrip("/")
        except MemoryError:
            raise
        except PermissionError as error:
            raise Forbidden(
                f"the store at {self.address} forbids it: {error}; use keys that may list, read and write there"
            ) from error
        except Exception as error:  # each store has its own
            raise DatabaseError(
                f"the store at {self.address} fails: {str(error) or type(error).__name__}; is the address right, "
                "is it there, and do fsspec's settings name its endpoint and keys?"
            ) from error


def _is_writable(address: str) -> bool:
    return "::" not in address and urlsplit(address).scheme not in ONLY_READ
