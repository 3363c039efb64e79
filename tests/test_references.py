"""The picture of a page as a line of text, and drawn again from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from colmilvus.errors import InvalidInput, UnreadableFile
from colmilvus.pdf import PageImage, named_picture, page_image, read_pages, reference_to
from tests.pdfs import encrypted_pdf, text_pdf


def image_of(source: Path | bytes, page: int = 1, **arguments: float | str) -> PageImage:
    (found,) = read_pages(source, pages=[page], **arguments)  # type: ignore[arg-type]  # of read_pages, whatever it is
    assert isinstance(found.image, PageImage)
    return found.image


def same(left: Image.Image, right: Image.Image) -> bool:
    return left.size == right.size and ImageChops.difference(left, right).getbbox() is None


@pytest.mark.parametrize("name", ["a.pdf", "two words, 100 % & #1?.pdf", "дунай.pdf"])
def test_what_is_drawn_from_a_reference_is_the_page(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(text_pdf(["first", "second page"]))
    image = image_of(path, 2, dpi=50)

    reference = reference_to(image)
    again = page_image(reference)

    assert reference.startswith("file:///")
    assert reference.endswith("#page=2&dpi=50")
    assert again is not None
    assert again.key == image.key
    assert same(again.open(), image.open())


def test_frames_of_an_image_file_have_references_too(tmp_path: Path) -> None:
    path = tmp_path / "scans.tiff"
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])

    again = page_image(reference_to(image_of(path, 2)))

    assert again is not None
    assert again.open().getpixel((0, 0)) == (0, 0, 255)
    assert again.key == image_of(path, 2).key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "photo.jpg",
        "/reports/a.pdf",
        "file:///reports/a.pdf",
        "file:///reports/a.pdf#page=0",
        "file:///reports/a.pdf#page=one",
        "file:///reports/a.pdf#page=1&dpi=nan",
        "file:///reports/a.pdf#page=1&backend=word",
        "https://example.org/a.pdf#page=1",
    ],
)
def test_other_texts_are_no_references(text: str) -> None:
    assert page_image(text) is None


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(text_pdf(["first"]))
    reference = reference_to(image_of(path))
    path.unlink()

    with pytest.raises(UnreadableFile, match=r"a\.pdf: there is no such file"):
        page_image(reference)


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(text_pdf(["first"]))
    before = image_of(path)
    reference = reference_to(before)
    path.write_bytes(text_pdf(["another, and longer"]))

    after = page_image(reference)

    assert after is not None
    assert after.key != before.key
    assert same(after.open(), image_of(path).open())


def test_bytes_have_no_place() -> None:
    with pytest.raises(InvalidInput, match="in memory"):
        reference_to(image_of(text_pdf(["first"])))


def test_a_password_stays_in_the_process_that_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.pdf"
    path.write_bytes(encrypted_pdf("hidden", user="sesame", owner="own"))

    reference = reference_to(image_of(path, password="sesame"))
    again = page_image(reference)

    assert "sesame" not in reference
    assert again is not None
    assert again.open().size
    elsewhere = f"from colmilvus.pdf import page_image; page_image({reference!r}).open()"
    done = subprocess.run([sys.executable, "-c", elsewhere], capture_output=True, text=True, timeout=60, check=False)
    assert "needs a password" in done.stderr


def test_a_picture_is_named_by_a_path_a_uri_or_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    Image.new("RGB", (6, 4)).save(path)
    reference = reference_to(image_of(path))

    assert [named_picture(str(path)), named_picture(path.as_uri())] == [path, path]
    assert named_picture("data:image/png;base64,aGk=") == b"hi"
    assert isinstance(named_picture(reference), PageImage)
    for told in ("", "a picture", "\0", "data:image/png;base64,?", str(tmp_path), "https://x.org/a.png"):
        assert named_picture(told) is None
    path.unlink()
    with pytest.raises(UnreadableFile, match="there is no such file"):
        named_picture(reference)
