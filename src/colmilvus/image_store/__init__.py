"""Where a collection's page pictures are kept: in a folder, or in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from colmilvus.entity import ImageLike
from colmilvus.errors import InvalidInput
from colmilvus.image_store.files import Files
from colmilvus.image_store.folder import FolderFiles
from colmilvus.image_store.objects import ObjectFiles, StoredImage, is_address, stored_image
from colmilvus.images import QUALITY, REFERENCE, open_image, reference_of

__all__ = ["ImageStore", "StoredImage", "place_below", "stored_image"]

END_OF_JPEG = b"\xff\xd9"
KEEP_COLOURS = 0
"""Pillow's ``subsampling`` that halves the resolution of no colour: small print stays sharp."""


def place_below(images: str | PathLike[str], collection: str) -> str:
    """Where one collection's pictures are, in the folder (then absolute) or at the address for those of all.

    Raises InvalidInput and MissingExtra for an address at which nothing can be kept.
    """
    if is_address(images):
        ObjectFiles(images).check()
        return f"{images.rstrip('/')}/{collection}"
    told = str(images)
    folder = Path(url2pathname(urlsplit(told).path) if told.startswith("file:") else told)
    return str(folder.expanduser().absolute() / collection)


class ImageStore:
    """Pictures as files in one place, each under a reference that its content gives.

    ``put`` keeps JPEG of quality 90 without chroma subsampling: small print stays sharp, and a page at 150 dpi takes
    about 10 ms and half a megabyte. Safe to be used by several threads and processes; only ``discard`` has to be kept
    from running beside a ``put`` of the same picture.
    """

    def __init__(self, place: str | PathLike[str], outlives_power: Callable[[], bool] = lambda: False) -> None:
        """``place`` is a folder, or the address of one in an object store, such as "s3://bucket/pages".

        ``outlives_power`` says whether a picture is to be on the disk before ``put`` returns; what an object store has
        taken is kept anyway.
        """
        self.files: Files = ObjectFiles(str(place)) if is_address(place) else FolderFiles(place)
        self._outlives_power = outlives_power

    def within(self, name: str) -> ImageStore:
        """A store of its own inside this one's place."""
        inner = ImageStore.__new__(ImageStore)
        inner.files = self.files.within(f"tenants/{name}")
        inner._outlives_power = self._outlives_power
        return inner

    def reference(self, image: ImageLike) -> str:
        """The reference that a picture is, or would be, kept under."""
        return self._own(image) or reference_of(image)

    def put(self, image: ImageLike) -> str:
        """Keep a picture and return its reference; one that is kept already is neither drawn nor written again."""
        own = self._own(image)
        reference = own or reference_of(image)
        if own is None and not self.has(reference):
            save = partial(open_image(image).save, format="JPEG", quality=QUALITY, subsampling=KEEP_COLOURS)
            self.files.write(reference, save, END_OF_JPEG)
        self._settle(reference)
        return reference

    def adopt(self, reference: str, source: ImageStore) -> None:
        """Keep a copy of another store's picture, byte for byte."""
        if not self.has(reference):
            picture = source.files.read(reference)

            def save(file: BinaryIO) -> object:
                return file.write(picture)

            self.files.write(reference, save, END_OF_JPEG)
        self._settle(reference)

    def _settle(self, reference: str) -> None:
        if self._outlives_power():
            self.files.sync(reference)

    def _own(self, image: ImageLike) -> str | None:
        """The reference of a picture that lies here already, by its path or address."""
        name = self.files.name_of(image)
        return name if name is not None and REFERENCE.fullmatch(name) and self.files.exists(name) else None

    def has(self, reference: str) -> bool:
        """Whether a picture lies under a reference. Raises InvalidInput for what is no reference."""
        return self.files.exists(_checked(reference))

    def picture(self, reference: str) -> ImageLike:
        """The picture of a reference, as hits have it: the path of its file, or a StoredImage.

        Raises InvalidInput for what is no reference of this store.
        """
        return self.files.picture(_checked(reference))

    def discard(self, references: Iterable[str]) -> None:
        """Remove these pictures; those that are not there need no removing."""
        self.files.remove([_checked(reference) for reference in references])

    def remove_unfinished(self, seconds: float) -> None:
        """Remove what was being written, by a process that was killed, longer ago than so many seconds."""
        self.files.remove_unfinished(seconds)

    def references(self) -> Iterator[str]:
        """The references of all pictures that are kept, in order."""
        return (name for name in sorted(self.files.names("??/*.jpg")) if REFERENCE.fullmatch(name))

    def leave_note(self, name: str, text: str) -> None:
        """Write down, beside the pictures, what is under way; its name ends in ``.json``."""
        self.files.write(name, lambda file: file.write(text.encode()))

    def notes(self) -> Iterator[tuple[str, str]]:
        """The notes that were left and not removed: name and text."""
        for name in self.files.names("*.json"):
            with suppress(FileNotFoundError):  # somebody else was faster
                yield name, self.files.read(name).decode()

    def remove_note(self, name: str) -> None:
        """Remove a note; one that is not there needs no removing."""
        self.files.remove([name])

    def remove_all(self) -> None:
        """Remove all pictures and notes, and those of every store within."""
        self.files.remove_all()


def _checked(reference: str) -> str:
    if not REFERENCE.fullmatch(reference):
        raise InvalidInput(f"{reference!r} is no reference to a kept picture; one looks like 'ab/ab...9f.jpg'")
    return reference
