"""Pictures: opened as a reader sees them, and known by their content."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps

from colmilvus.entity import ImageLike, LazyImage
from colmilvus.errors import InvalidInput, UnreadableFile

__all__ = [
    "QUALITY",
    "REFERENCE",
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
REFERENCE = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{38})\.jpg")
"""What a picture is kept under, below the place where pictures are kept."""
KEPT = "kept:"
"""What the key of a picture begins with that is known by the reference under which it is kept."""
QUALITY = 90
"""Of the JPEG that pictures are kept in, and handed to models in."""


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
    """The reference, a path below the place of a store, that a picture is kept under wherever it is kept."""
    key = image_key(image)
    if key.startswith(KEPT) and REFERENCE.fullmatch(key[len(KEPT) :]):
        return key[len(KEPT) :]
    digest = hashlib.sha256(key.encode()).hexdigest()[:40]
    return f"{digest[:2]}/{digest}.jpg"


def is_kept(path: str | PathLike[str]) -> bool:
    """Whether a path is that of a picture which a collection keeps, by the name that it has there."""
    return bool(REFERENCE.fullmatch("/".join(Path(path).parts[-2:])))


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
