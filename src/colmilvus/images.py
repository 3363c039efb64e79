"""Pictures: opened as a reader sees them, known by their content, and kept as files in one folder."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import numpy as np
from PIL import Image, ImageOps

from colmilvus.entity import ImageLike, LazyImage
from colmilvus.errors import InvalidInput, UnreadableFile

__all__ = [
    "ImageStore",
    "count_frames",
    "fitting_scale",
    "image_key",
    "is_kept",
    "jpeg",
    "open_frame",
    "open_image",
    "reference_of",
]

Encoded: TypeAlias = "bytes | str | PathLike[str]"

READ_PIXELS = 80_000_000  # a larger picture is not decoded; below the size at which Pillow itself begins to warn
PICTURE_PIXELS = 16_000_000  # what is handed on has at most so many: A4 at 400 dpi, 48 MB as RGB
PICTURE_EDGE = 16_384  # pixels; JPEG ends at 65,535
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # no EPS: it starts Ghostscript
END_OF_JPEG = b"\xff\xd9"
REFERENCE = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{38})\.jpg")
QUALITY = 90


def open_image(image: ImageLike) -> Image.Image:
    """The picture as a reader sees it, RGB, 8 bits a channel, of at most 16 million pixels.

    Turned as its EXIF data says, transparency on white, 16 bits scaled to 8, larger pictures scaled down. Raises
    UnreadableFile, which names the file, for what is no picture, is damaged, or has more than 80 million pixels.
    """
    if isinstance(image, (bytes, str, PathLike)):
        return open_frame(image)
    picture = image if isinstance(image, Image.Image) else _lazy(image).open()
    with _named(_name(picture)):
        prepared = _prepared(picture)
        return prepared.copy() if prepared is image else prepared  # a picture of the caller's own stays as it is


def open_frame(source: Encoded, frame: int = 0) -> Image.Image:
    """One frame of a picture in a file or in bytes, counted from 0, prepared as ``open_image`` does."""
    with _named(_name(source)), _decoder(source) as decoder:
        decoder.seek(frame)
        _check_size(decoder)
        width, height = decoder.size
        scale = fitting_scale(width, height)
        decoder.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))  # JPEG decodes to a fraction
        return _prepared(decoder)


def count_frames(source: Encoded) -> int:
    """How many pictures to be read one by one a file holds: a TIFF's frames; 1 for every other format.

    The further frames of other formats are no pages: animations, or the previews that cameras put into a JPEG.
    """
    with _named(_name(source)), _decoder(source) as decoder:
        _check_size(decoder)
        return int(getattr(decoder, "n_frames", 1)) if decoder.format == "TIFF" else 1


def image_key(image: ImageLike) -> str:
    """What is the same for two pictures that are the same, without decoding what is encoded or drawing what is lazy."""
    if isinstance(image, bytes):
        return f"file:{hashlib.sha256(image).hexdigest()}"
    if isinstance(image, (str, PathLike)):
        with _named(_name(image)):
            return f"file:{hashlib.sha256(Path(image).read_bytes()).hexdigest()}"
    if not isinstance(image, Image.Image):
        return _lazy(image).key
    picture = open_image(image)
    return f"pixels:{picture.width}x{picture.height}:{hashlib.sha256(picture.tobytes()).hexdigest()}"


def fitting_scale(width: float, height: float) -> float:
    """The factor, at most 1, that brings these pixels within the limits of a picture."""
    return min(1.0, PICTURE_EDGE / max(width, height), math.sqrt(PICTURE_PIXELS / (width * height)))


def jpeg(image: ImageLike, pixels: int, *, subsampling: int = 0) -> bytes:
    """The picture as a reader sees it, as JPEG of at most so many pixels in area. Raises UnreadableFile.

    ``subsampling`` is Pillow's: 0 keeps small print sharp, 2 halves the resolution of the colours.
    """
    picture = open_image(image)
    scale = math.sqrt(pixels / (picture.width * picture.height))
    if scale < 1:
        size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
        picture = picture.resize(size, reducing_gap=2)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=subsampling)
    return buffer.getvalue()


def reference_of(image: ImageLike) -> str:
    """The reference, a path in the folder of a store, that a picture is kept under wherever it is kept."""
    digest = hashlib.sha256(image_key(image).encode()).hexdigest()[:40]
    return f"{digest[:2]}/{digest}.jpg"


def is_kept(path: str | PathLike[str]) -> bool:
    """Whether a path is that of a picture which a collection keeps, by the name that it has there."""
    return bool(REFERENCE.fullmatch("/".join(Path(path).parts[-2:])))


class ImageStore:
    """Pictures as files in one folder, each under a reference that its content gives.

    ``put`` keeps JPEG of quality 90 without chroma subsampling: small print stays sharp, and a page at 150 dpi takes
    about 10 ms and half a megabyte. Safe to be used by several threads and processes; only ``discard`` has to be kept
    from running beside a ``put`` of the same picture.
    """

    def __init__(self, folder: str | PathLike[str], outlives_power: Callable[[], bool] = lambda: False) -> None:
        """``outlives_power`` says whether a picture is to be on the disk before ``put`` returns."""
        self.folder = Path(folder)
        self._above: tuple[Path, ...] = (self.folder.parent, self.folder.parent.parent)
        self._outlives_power = outlives_power

    def within(self, name: str) -> ImageStore:
        """A store of its own inside this one's folder."""
        inner = ImageStore(self.folder / "tenants" / name, self._outlives_power)
        inner._above = (inner.folder.parent, self.folder, *self._above)
        return inner

    def reference(self, image: ImageLike) -> str:
        """The reference that a picture is, or would be, kept under."""
        return self._own(image) or reference_of(image)

    def put(self, image: ImageLike) -> str:
        """Keep a picture and return its reference; one that is kept already is neither drawn nor written again."""
        reference = self.reference(image)
        target = self.path(reference)
        if not target.exists():
            picture = open_image(image)
            with _written_whole(target) as temporary:
                with temporary.open("xb") as file:  # not into memory: only then other threads run meanwhile
                    picture.save(file, "JPEG", quality=QUALITY, subsampling=0)
                _check_whole(temporary)
        if self._outlives_power():
            self._sync(target)
        return reference

    def adopt(self, reference: str, file: Path) -> None:
        """Keep a copy of another store's picture, as it is."""
        target = self.path(reference)
        if not target.exists():
            with _written_whole(target) as temporary:
                shutil.copyfile(file, temporary)
                _check_whole(temporary)
        if self._outlives_power():
            self._sync(target)

    def _sync(self, target: Path) -> None:
        """Have a picture on the disk, and the names of the folders that lead to it."""
        for path in (target, target.parent, self.folder, *self._above):
            if path.is_dir() and os.name == "nt":
                continue  # Windows keeps names without being asked, and cannot be
            descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _own(self, image: ImageLike) -> str | None:
        """The reference of a picture that lies here already, by its path."""
        if not isinstance(image, str | PathLike):
            return None
        with suppress(OSError, ValueError):  # not below this folder, or no path at all
            reference = Path(image).absolute().relative_to(self.folder.absolute()).as_posix()
            if REFERENCE.fullmatch(reference) and Path(image).is_file():
                return reference
        return None

    def path(self, reference: str) -> Path:
        """Where the picture of a reference lies. Raises InvalidInput for what is no reference of this store."""
        if not REFERENCE.fullmatch(reference):
            raise InvalidInput(f"{reference!r} is no reference to a kept picture; one looks like 'ab/ab...9f.jpg'")
        return self.folder / reference

    def discard(self, references: Iterable[str]) -> None:
        """Remove these pictures; those that are not there need no removing."""
        for reference in references:
            self.path(reference).unlink(missing_ok=True)

    def remove_unfinished(self, seconds: float) -> None:
        """Remove what was being written, by a process that was killed, longer ago than so many seconds."""
        for path in self.folder.glob("??/.*.part"):
            with suppress(OSError):  # a folder that may only be read, or somebody else was faster
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()

    def references(self) -> Iterator[str]:
        """The references of all pictures that are kept, in order."""
        for path in sorted(self.folder.glob("??/*.jpg")):
            reference = path.relative_to(self.folder).as_posix()
            if REFERENCE.fullmatch(reference):
                yield reference


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


def _check_whole(jpeg: Path) -> None:
    """Raise OSError where the end is missing: Pillow does not notice when a disk takes only a part of it."""
    with jpeg.open("rb") as file:
        file.seek(-min(2, jpeg.stat().st_size), os.SEEK_END)
        if file.read() != END_OF_JPEG:
            raise OSError(errno.ENOSPC, "the disk took only a part of a picture", str(jpeg.parent))


def _lazy(image: object) -> LazyImage:
    if isinstance(image, LazyImage):
        return image
    raise InvalidInput(f"a picture is a PIL image, bytes, a path or a LazyImage; got {type(image).__name__}")


def _name(image: Image.Image | Encoded) -> str:
    if isinstance(image, Image.Image):
        return os.fsdecode(getattr(image, "filename", "") or f"picture of {image.width} x {image.height} pixels")
    return f"picture in {len(image)} bytes" if isinstance(image, bytes) else os.fsdecode(image)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except (UnreadableFile, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableFile(name, "there is no such file") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableFile(
            name, f"has more than the {READ_PIXELS:,} pixels that are read; save it smaller"
        ) from error
    except Exception as error:  # decoders of damaged files raise nearly everything
        raise UnreadableFile(name, f"cannot be read as a picture: {str(error) or type(error).__name__}") from error


def _decoder(source: Encoded) -> Image.Image:
    return Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if not 0 < width * height <= READ_PIXELS:
        reason = f"has {width:,} x {height:,} pixels; up to {READ_PIXELS:,} are read: save it smaller"
        raise UnreadableFile(_name(image), reason)


def _prepared(image: Image.Image) -> Image.Image:
    _check_size(image)
    picture = image if _is_plain(image) else _on_white(_eight_bit(_upright(image))).convert("RGB")
    scale = fitting_scale(*picture.size)
    if scale == 1:
        return picture
    return picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))), reducing_gap=2)


def _is_plain(image: Image.Image) -> bool:
    """Whether the picture is RGB already, and nothing about it says that it is to be shown otherwise."""
    return image.mode == "RGB" and not image.info and type(image) is Image.Image


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF data that cannot be parsed says nothing about the orientation
        return image


def _eight_bit(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    brightest = float(values.max())
    white = 65535.0 if image.mode.startswith("I;16") else min(w for w in (1, 255, 65535, math.inf) if brightest <= w)
    if math.isinf(white):
        white = brightest
    return Image.fromarray(np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    colours = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)
