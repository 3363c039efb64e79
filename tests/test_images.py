from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colmilvus.errors import InvalidInput, UnreadableFile
from colmilvus.images import count_frames, image_key, open_frame, open_image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


class Drawn:
    """A lazy picture that counts how often it is drawn."""

    def __init__(self, key: str, colour: tuple[int, int, int]) -> None:
        self.key = key
        self.colour = colour
        self.times = 0

    def open(self) -> Image.Image:
        self.times += 1
        return Image.new("RGB", (30, 20), self.colour)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def two_colours(mode: str = "RGB") -> Image.Image:
    """40 x 20: the left half red, the right half blue."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image.convert(mode)


def corner(image: Image.Image, x: int = 2, y: int = 2) -> tuple[int, ...]:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_the_same_picture_comes_from_a_path_a_string_bytes_and_an_open_image(tmp_path: Path, format: str) -> None:
    content = encoded(two_colours(), format, **({"lossless": True} if format == "WEBP" else {}))
    path = tmp_path / "picture"
    path.write_bytes(content)
    for image in (path, str(path), content, Image.open(io.BytesIO(content))):
        picture = open_image(image)
        assert (picture.mode, picture.size, corner(picture), corner(picture, 37)) == ("RGB", (40, 20), RED, BLUE)


def test_a_lazy_image_is_drawn() -> None:
    assert corner(open_image(Drawn("a", GREEN))) == GREEN


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La"])
def test_transparency_shows_white(mode: str) -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (5, 0, 10, 10))
    picture = open_image(image.convert("LA" if "L" in mode else "RGBA").convert(mode))
    assert (corner(picture, 1), corner(picture, 8)) == (WHITE, BLACK)


def test_half_transparent_black_is_grey() -> None:
    assert corner(open_image(Image.new("RGBA", (5, 5), (0, 0, 0, 128)))) == (127, 127, 127)


def test_a_palette_and_a_single_colour_can_be_transparent() -> None:
    palette = Image.new("P", (5, 5), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert corner(open_image(encoded(palette, "PNG", transparency=0))) == WHITE
    assert corner(open_image(encoded(palette, "PNG"))) == BLACK
    assert corner(open_image(encoded(Image.new("RGB", (5, 5), RED), "PNG", transparency=RED))) == WHITE
    assert corner(open_image(encoded(Image.new("L", (5, 5), 7), "PNG", transparency=7))) == WHITE


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(format: str) -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    picture = open_image(encoded(Image.fromarray(values), format))
    assert [corner(picture, x, 0)[0] for x in range(3)] == [0, 100, 255]


@pytest.mark.parametrize(("values", "shown"), [([0.0, 0.5, 1.0], [0, 128, 255]), ([0, 100, 255], [0, 100, 255])])
def test_other_numbers_are_scaled_by_the_range_that_they_fit(values: list[float], shown: list[int]) -> None:
    picture = open_image(Image.fromarray(np.array([values], dtype=np.float32)))
    assert [corner(picture, x, 0)[0] for x in range(3)] == shown


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the top lies on the right
    path = tmp_path / "photo.png"
    two_colours().save(path, exif=exif)
    picture = open_image(path)
    assert (picture.size, corner(picture, 2, 2), corner(picture, 2, 37)) == ((20, 40), RED, BLUE)


@pytest.mark.parametrize(
    ("mode", "colours"), [("CMYK", (RED, BLUE)), ("1", ()), ("L", ()), ("P", (RED, BLUE)), ("HSV", ())]
)
def test_every_mode_becomes_rgb(mode: str, colours: tuple[tuple[int, int, int], ...]) -> None:
    picture = open_image(two_colours(mode))
    assert picture.mode == "RGB"
    assert not colours or (corner(picture), corner(picture, 37)) == colours


def test_a_cmyk_photograph_is_not_a_negative() -> None:
    r, g, b = corner(open_image(encoded(Image.new("RGB", (16, 16), WHITE).convert("CMYK"), "JPEG")))
    assert min(r, g, b) > 250


def test_a_large_picture_is_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (8000, 6000), GREEN).save(path)
    picture = open_image(path)
    assert picture.width * picture.height <= 16_000_000
    assert picture.width / picture.height == pytest.approx(8000 / 6000, rel=1e-3)
    strip = open_image(Image.new("L", (20_000, 2)))
    assert strip.size == (16_384, 1)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""
    content = bytearray(encoded(Image.new("1", (1, 1)), "PNG"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize("size", [(9_000, 9_000), (10_000, 10_000), (50_000, 50_000)])
def test_a_picture_of_far_too_many_pixels_is_not_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    with pytest.raises(UnreadableFile, match=r"bomb\.png: .*80,000,000"):
        open_image(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    whole = encoded(two_colours().resize((400, 200)), "PNG")
    for name, content in {"cut.png": whole[: len(whole) // 2], "text.png": b"no picture", "empty.png": b""}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UnreadableFile, match=name):
            open_image(path)
    with pytest.raises(UnreadableFile, match=r"gone\.png: there is no such file"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(UnreadableFile, match="10 bytes"):
        open_image(b"no picture")


def test_a_postscript_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "program.eps"
    two_colours().save(path)
    with pytest.raises(UnreadableFile, match=r"program\.eps"):
        open_image(path)


def test_what_is_no_picture_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ndarray"):
        open_image(np.zeros((2, 2)))  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInput, match="NoneType"):
        image_key(None)  # type: ignore[arg-type]  # the mistake under test


def test_only_the_frames_of_a_tiff_are_counted() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    tiff = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    film = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (count_frames(tiff), count_frames(film)) == (3, 1)
    assert [corner(open_frame(tiff, number)) for number in range(3)] == [RED, GREEN, BLUE]
    with pytest.raises(UnreadableFile):
        open_frame(tiff, 3)


def test_keys_tell_pictures_apart_by_content(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(two_colours(), "PNG"))
    assert image_key(path) == image_key(str(path)) == image_key(path.read_bytes())
    assert image_key(two_colours()) == image_key(two_colours().copy()) == image_key(two_colours("RGBA"))
    assert image_key(two_colours()) != image_key(two_colours().rotate(180))
    assert image_key(Image.new("L", (2, 8))) != image_key(Image.new("L", (4, 4)))
    lazy = Drawn("the key", RED)
    assert (image_key(lazy), lazy.times) == ("the key", 0)
    with pytest.raises(UnreadableFile, match="gone"):
        image_key(tmp_path / "gone")
