from __future__ import annotations

import io
import operator
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colmilvus.entity import Entity, LazyImage
from colmilvus.errors import InvalidInput, MissingExtra, UnreadableFile, Unsupported
from colmilvus.images import image_key, open_image
from colmilvus.pdf import Backend, Pages, read_pages
from tests.pdfs import (
    boastful_pdf,
    broken_pages_pdf,
    document,
    encrypted_pdf,
    fontless_pdf,
    form_pdf,
    labelled_pdf,
    pageless_pdf,
    picture_pdf,
    self_drawing_pdf,
    text_commands,
    text_pdf,
    xfa_pdf,
)

needs_poppler = pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="poppler's programs are not installed")
both_backends = pytest.mark.parametrize("backend", ["pypdfium2", pytest.param("pdf2image", marks=needs_poppler)])


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def picture(entity: Entity) -> Image.Image:
    assert isinstance(entity.image, LazyImage)
    return entity.image.open()


def darkness(image: Image.Image) -> float:
    """The share of pixels that are darker than middle grey."""
    return float((np.asarray(image.convert("L")) < 128).mean())


def quietly(source: Any, **options: Any) -> tuple[list[Entity], list[UnreadableFile]]:
    """The pages and the failures, with no warning allowed."""
    failures: list[UnreadableFile] = []
    return list(read_pages(source, on_error=failures.append, **options)), failures


def only_failure(source: Any, **options: Any) -> UnreadableFile:
    entities, failures = quietly(source, **options)
    assert entities == []
    assert len(failures) == 1
    return failures[0]


# what a page is


@both_backends
def test_a_page_has_text_picture_place_and_version(tmp_path: Path, backend: Backend) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["Revenue rose\nby (ten) percent", "Costs fell"]))
    first, second = read_pages(path, backend=backend)
    assert (first.id, second.id) == (f"{path}#1", f"{path}#2")
    assert (first.text, second.text) == ("Revenue rose\nby (ten) percent", "Costs fell")
    assert first.metadata == {"source": str(path), "page": 1, "page_label": "1", "total_pages": 2}
    assert first.document == second.document == str(path)
    assert first.version == second.version
    assert first.version
    assert 0.001 < darkness(picture(first)) < 0.1


@both_backends
def test_the_picture_shows_the_whole_page_at_the_resolution_asked_for(backend: Backend) -> None:
    content = document([b"1 0 0 rg 0 421 595 421 re f 0 0 1 rg 0 0 595 421 re f"])
    for dpi in (36, 150):
        image = picture(next(read_pages(content, backend=backend, dpi=dpi)))
        assert image.mode == "RGB"
        assert image.size == pytest.approx((595 * dpi / 72, 842 * dpi / 72), abs=1.5)
        top, bottom = image.getpixel((3, 3)), image.getpixel((image.width - 4, image.height - 4))
        assert (top, bottom) == ((255, 0, 0), (0, 0, 255))


def test_a_page_knows_what_the_document_calls_it() -> None:
    labels = [entity.metadata["page_label"] for entity in read_pages(labelled_pdf(["a", "b", "c", "d"]))]
    assert labels == ["i", "ii", "A-1", "A-2"]


def test_a_scan_has_a_picture_and_no_text(tmp_path: Path) -> None:
    scan = write(tmp_path / "scan.pdf", picture_pdf([Image.new("RGB", (300, 400), "green")]))
    (page,) = read_pages(scan)
    assert page.text == ""
    assert open_image(page.image or b"").getpixel((50, 50)) == pytest.approx((0, 128, 0), abs=3)


@both_backends
def test_a_turned_page_is_drawn_and_read_as_it_is_seen(backend: Backend) -> None:
    content = document([b"1 0 0 rg 0 421 595 421 re f " + text_commands("all of the text")], page=b"/Rotate 90")
    (page,) = read_pages(content, backend=backend)
    image = picture(page)
    assert image.width > image.height
    assert image.getpixel((image.width - 4, 3)) == (255, 0, 0)
    assert image.getpixel((3, 3)) == (255, 255, 255)
    assert page.text == "all of the text"


@both_backends
def test_the_values_of_a_form_are_drawn(backend: Backend) -> None:
    (empty,), (filled,) = (read_pages(form_pdf(value), backend=backend) for value in ("", "Reykjavik"))
    assert darkness(picture(filled)) > darkness(picture(empty)) + 0.001


def test_a_form_that_only_xfa_readers_fill_in_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"form\.pdf.*XFA") as caught:
        (page,) = read_pages(xfa_pdf(), name="form.pdf")
    assert page.text == "Please wait..."
    assert caught[0].filename == __file__


def test_a_page_that_is_drawn_blank_in_spite_of_its_text_is_warned_of() -> None:
    (page,) = read_pages(fontless_pdf("nothing to see"), name="fontless.pdf")
    assert page.text == "nothing to see"
    with pytest.warns(UserWarning, match=r"fontless\.pdf, page 1: is drawn blank"):
        picture(page)


def test_an_empty_page_is_blank_without_a_warning() -> None:
    (page,) = read_pages(document([b""]))
    assert (page.text, darkness(picture(page))) == ("", 0)


@both_backends
def test_drawings_and_outlines_that_contain_themselves_come_to_an_end(backend: Backend) -> None:
    (page,) = read_pages(self_drawing_pdf(), backend=backend)
    assert picture(page).size[0] > 0


def test_text_holds_no_characters_that_a_database_refuses() -> None:
    content = document([b"BT /F1 24 Tf 50 700 Td (a\\000b\\001c) Tj ET"])
    (page,) = read_pages(content)
    assert not any(ord(character) < 32 and character not in "\n\t" for character in page.text)
    assert page.text.startswith("a")


# files, folders, names


def test_a_folder_is_read_in_order_with_the_folders_inside_it(tmp_path: Path) -> None:
    for name in ("b.pdf", "a/z.PDF", "a/y/x.pdf", "c d#1/ü.pdf"):
        write(tmp_path / name, text_pdf([name.encode("ascii", "replace").decode()]))
    pages = list(read_pages(tmp_path, root=tmp_path))
    assert [page.id for page in pages] == ["a/y/x.pdf#1", "a/z.PDF#1", "b.pdf#1", "c d#1/ü.pdf#1"]
    assert pages[3].metadata["source"] == str(tmp_path / "c d#1" / "ü.pdf")


def test_what_is_no_document_is_passed_over_in_folders(tmp_path: Path) -> None:
    write(tmp_path / "kept.pdf", text_pdf(["kept"]))
    for name in (".hidden.pdf", "._kept.pdf", "~$kept.pdf", "notes.txt", "__MACOSX/kept.pdf", ".git/kept.pdf"):
        write(tmp_path / name, text_pdf(["not kept"]))
    assert [page.text for page in read_pages(tmp_path)] == ["kept"]


def test_links_that_lead_back_do_not_go_round_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "report.pdf", text_pdf(["once"]))
    (tmp_path / "deep" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "itself.pdf").symlink_to(tmp_path / "itself.pdf")
    (tmp_path / "nowhere.pdf").symlink_to(tmp_path / "gone.pdf")
    pages, failures = quietly(tmp_path)
    assert [page.text for page in pages] == ["once"]
    assert [Path(failure.source).name for failure in failures] == ["itself.pdf", "nowhere.pdf"]


def test_two_files_with_the_same_content_are_two_documents_with_one_picture(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, text_pdf(["same"])) for name in ("one.pdf", "two.pdf"))
    first, second = read_pages([one, two])
    assert first.document != second.document
    assert image_key(first.image or b"") == image_key(second.image or b"")


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["once"]))
    assert len(list(read_pages([path, tmp_path, str(path), tmp_path / "." / "report.pdf"]))) == 1


def test_ids_do_not_depend_on_how_the_path_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "reports" / "report.pdf", text_pdf(["text"]))
    monkeypatch.chdir(tmp_path)
    spellings: list[str | Path] = ["reports", "reports/report.pdf", "./reports/../reports/report.pdf", path]
    assert {next(read_pages(spelling)).id for spelling in spellings} == {f"{path}#1"}


def test_root_makes_ids_that_another_machine_gives_too(tmp_path: Path) -> None:
    path = write(tmp_path / "shelf" / "report.pdf", text_pdf(["text"]))
    page = next(read_pages(path, root=tmp_path))
    assert (page.id, page.document) == ("shelf/report.pdf#1", "shelf/report.pdf")
    assert page.metadata["source"] == str(path)
    with pytest.raises(InvalidInput, match="does not lie under root"):
        read_pages(path, root=tmp_path / "elsewhere")


def test_bytes_and_open_files_are_named_by_name_or_by_content(tmp_path: Path) -> None:
    content = text_pdf(["text"])
    path = write(tmp_path / "report.pdf", content)
    named = next(read_pages(content, name="mail/report.pdf"))
    assert (named.id, named.document, named.metadata["source"]) == (
        "mail/report.pdf#1",
        "mail/report.pdf",
        "mail/report.pdf",
    )
    with path.open("rb") as file:
        opened = next(read_pages(file))
    assert opened.id == next(read_pages(content)).id == f"{opened.document}#1"
    assert opened.text == "text"
    assert darkness(picture(opened)) > 0
    assert next(read_pages(io.BytesIO(content))).document == opened.document
    with path.open() as text_file, pytest.raises(InvalidInput, match="'rb'"):
        read_pages(text_file)


def test_a_name_for_a_file_on_disk_or_for_several_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["text"]))
    for source in (path, [text_pdf(["a"]), text_pdf(["b"])]):
        with pytest.raises(InvalidInput, match="name="):
            read_pages(source, name="report")


def test_very_long_and_foreign_names_are_read(tmp_path: Path) -> None:
    names = ["é" * 100 + ".pdf", "a" * 240 + ".pdf", "报告 100%#2?.pdf"]
    for name in names:
        write(tmp_path / name, text_pdf(["text"]))
    pages = list(read_pages(tmp_path))
    assert sorted(Path(page.document or "").name for page in pages) == sorted(names)
    assert all(picture(page).size[0] > 0 for page in pages)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_a_name_that_is_no_utf8_gives_an_id_that_is(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.pdf"
    Path(os.fsdecode(path)).write_bytes(text_pdf(["text"]))
    (page,) = read_pages(tmp_path)
    assert page.id.encode().endswith(b"/caf\\xe9.pdf#1")
    assert darkness(picture(page)) > 0


# image files


def test_image_files_are_pages(tmp_path: Path) -> None:
    for name, kind in {"a.png": "PNG", "b.JPG": "JPEG", "c.webp": "WEBP"}.items():
        Image.new("RGB", (60, 40), "red").save(tmp_path / name, kind)
    pages = list(read_pages(tmp_path, root=tmp_path))
    assert [page.id for page in pages] == ["a.png#1", "b.JPG#1", "c.webp#1"]
    assert pages[0].text == ""
    assert pages[0].metadata == {
        "source": str(tmp_path / "a.png"),
        "page": 1,
        "page_label": "1",
        "total_pages": 1,
    }
    assert all(picture(page).getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=6) for page in pages)


def test_each_frame_of_a_tiff_is_a_page(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (60, 40), "red"), Image.new("RGB", (30, 20), "blue")
    red.save(tmp_path / "fax.tif", save_all=True, append_images=[blue])
    first, second = read_pages(tmp_path)
    assert (first.metadata["page"], second.metadata["page"], second.metadata["total_pages"]) == (1, 2, 2)
    assert picture(second).size == (30, 20)
    assert (picture(first).getpixel((5, 5)), picture(second).getpixel((5, 5))) == ((255, 0, 0), (0, 0, 255))
    assert image_key(first.image or b"") != image_key(second.image or b"")


def test_a_picture_that_is_called_pdf_is_read_as_what_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "really.pdf", "PNG")
    (page,) = read_pages(tmp_path)
    assert picture(page).size == (60, 40)


def test_a_damaged_picture_is_named_when_it_is_opened(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    noise.save(tmp_path / "whole.png")
    path = write(tmp_path / "cut.png", (tmp_path / "whole.png").read_bytes()[:9000])
    (page,) = read_pages(path)
    with pytest.raises(UnreadableFile, match=r"cut\.png, page 1") as caught:
        picture(page)
    assert caught.value.id == page.id


# what cannot be read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-", "damaged"),
        (b"Hello", "is no PDF, in spite of its name: it begins with b'Hello'"),
        (text_pdf(["cut"] * 3)[:300], "damaged or cut off"),
        (pageless_pdf(), "has no pages"),
        (encrypted_pdf("secret", user="open", owner="own"), r"needs a password: read_pages\(..., password="),
    ],
)
@both_backends
def test_a_bad_file_is_named_with_its_reason_and_the_others_go_on(
    tmp_path: Path, content: bytes, reason: str, backend: Backend
) -> None:
    write(tmp_path / "1.pdf", text_pdf(["before"]))
    bad = write(tmp_path / "2.pdf", content)
    write(tmp_path / "3.pdf", text_pdf(["after"]))
    pages = read_pages(tmp_path, backend=backend)
    with pytest.warns(UserWarning, match=r"2\.pdf: .*" + reason) as caught:
        texts = [page.text for page in pages]
    assert texts == ["before", "after"]
    assert [failure.source for failure in pages.failures] == [str(bad)]
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_the_reason_is_not_that_of_the_file_before(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "1.pdf", encrypted_pdf("secret", user="open", owner="own")),
        write(tmp_path / "2.pdf", pageless_pdf()),
        write(tmp_path / "3.pdf", b"%PDF-1.4 nothing more"),
        write(tmp_path / "4.pdf", pageless_pdf()),
    ]
    reasons = [failure.reason for failure in quietly(files)[1]]
    assert reasons[1] == reasons[3] == "the PDF has no pages"
    assert "damaged" in reasons[2]


@both_backends
def test_pages_between_broken_ones_are_kept(backend: Backend) -> None:
    (page,), failures = quietly(broken_pages_pdf("the good page"), name="broken.pdf", backend=backend)
    assert page.text == "the good page"
    assert darkness(picture(page)) > 0
    assert [failure.reason for failure in failures] == ["the page cannot be loaded"] * 2
    if backend == "pypdfium2":
        assert (page.id, [failure.id for failure in failures]) == ("broken.pdf#2", ["broken.pdf#1", "broken.pdf#3"])
        assert str(failures[0]) == "broken.pdf, page 1: the page cannot be loaded"


def test_a_document_that_claims_many_more_pages_than_it_has_ends_soon() -> None:
    (page,), failures = quietly(boastful_pdf(500_000), name="boast.pdf")
    assert page.text == "the only page"
    assert len(failures) == 101
    assert str(failures[-1]) == "boast.pdf: 100 pages in a row cannot be read; given up at page 101 of 500000"


@both_backends
def test_a_page_of_two_billion_points_is_refused(backend: Backend) -> None:
    failure = only_failure(text_pdf(["x"], media_box="0 0 595 2147483648"), name="long.pdf", backend=backend)
    assert str(failure).startswith("long.pdf, page 1: is 595 x 2,147,48")
    assert "144,000" in str(failure)


@pytest.mark.parametrize("box", ["0 0 14400 14400", "0 0 2384 3370", "0 0 1 1", "0 0 10 100000", "0 0 0 0"])
@both_backends
def test_pages_of_every_size_are_drawn_within_bounds(box: str, backend: Backend) -> None:
    (page,) = read_pages(text_pdf([""], media_box=box), backend=backend, dpi=200)
    image = picture(page)
    assert image.width >= 1
    assert image.height >= 1
    assert image.width * image.height <= 16_100_000
    assert max(image.size) <= 16_384


@pytest.mark.parametrize(("user", "owner"), [("open", "own"), ("pässwörd", "größer"), ("with space", "-opw")])
@both_backends
def test_either_password_opens_an_encrypted_file(user: str, owner: str, backend: Backend) -> None:
    content = encrypted_pdf("secret plans", user=user, owner=owner)
    for password in (user, owner):
        (page,) = read_pages(content, password=password, backend=backend)
        assert page.text == "secret plans"
        assert darkness(picture(page)) > 0


@pytest.mark.parametrize("password", ["wrong", "wröng", "密码", ""])
@both_backends
def test_a_wrong_password_is_said_to_be_wrong(password: str, backend: Backend) -> None:
    content = encrypted_pdf("secret", user="open", owner="own")
    assert only_failure(content, name="s.pdf", password=password, backend=backend).reason == "the password is wrong"


@both_backends
def test_an_owners_password_alone_keeps_nobody_from_reading(backend: Backend) -> None:
    content = encrypted_pdf("for all", user="", owner="own")
    assert [page.text for page in read_pages(content, backend=backend)] == ["for all"]


def test_a_password_does_not_harm_files_without_one() -> None:
    assert next(read_pages(text_pdf(["open"]), password="unneeded")).text == "open"


def test_missing_files_and_folders_are_errors_at_once(tmp_path: Path) -> None:
    for source in (tmp_path / "gone.pdf", str(tmp_path / "gone"), [tmp_path / "gone.pdf"]):
        with pytest.raises(UnreadableFile, match=r"gone.*: there is no such file or folder"):
            read_pages(source)


@pytest.mark.parametrize("name", ["n" * 300 + ".pdf", "nul\0.pdf"])
def test_names_that_no_file_can_have_are_errors_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        read_pages(tmp_path / name)


def test_a_folder_with_nothing_to_read_is_an_error_at_once(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt", b"text")
    with pytest.raises(UnreadableFile, match=r"holds no file to read.*\.pdf"):
        read_pages(tmp_path)


def test_a_named_file_of_another_kind_is_an_error_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "notes.docx", b"PK\x03\x04 and so on")
    with pytest.raises(UnreadableFile, match=r"notes\.docx: is neither a PDF nor a PNG"):
        next(read_pages(path, on_error="raise"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    assert only_failure(tmp_path).reason == "is no regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path / "closed.pdf", text_pdf(["x"])).chmod(0)
    write(tmp_path / "shut" / "report.pdf", text_pdf(["x"])).parent.chmod(0)
    failures = quietly(tmp_path)[1]
    with pytest.raises(UnreadableFile, match="Permission denied"):
        read_pages(tmp_path / "shut" / "report.pdf")
    (tmp_path / "shut").chmod(0o700)
    assert [Path(failure.source).name for failure in failures] == ["closed.pdf", "shut"]


def test_a_source_that_is_no_file_is_refused() -> None:
    for source in (None, 3, [3]):
        with pytest.raises(InvalidInput, match=r"a path, bytes, an open binary file.*got (int|NoneType)"):
            read_pages(source)  # type: ignore[arg-type]  # the mistake under test


# what happens on errors


def test_raising_ends_at_the_first_failure_and_reading_can_go_on(tmp_path: Path) -> None:
    write(tmp_path / "1.pdf", b"")
    write(tmp_path / "2.pdf", text_pdf(["after"]))
    pages = read_pages(tmp_path, on_error="raise")
    with pytest.raises(UnreadableFile, match=r"1\.pdf"):
        next(pages)
    assert [page.text for page in pages] == ["after"]
    assert len(pages.failures) == 1


def test_a_function_is_called_with_each_failure() -> None:
    seen: list[UnreadableFile] = []
    pages = read_pages([b"", broken_pages_pdf("kept")], on_error=seen.append)
    assert [page.text for page in pages] == ["kept"]
    assert seen == pages.failures
    assert [failure.page for failure in seen] == [None, 1, 3]


def test_an_error_of_that_function_is_not_swallowed() -> None:
    def stop(failure: UnreadableFile) -> None:
        raise failure

    pages = read_pages([b"", text_pdf(["after"])], on_error=stop)
    with pytest.raises(UnreadableFile, match="empty"):
        next(pages)
    assert len(pages.failures) == 1


@pytest.mark.parametrize(
    "options",
    [{"backend": "mupdf"}, {"on_error": "ignore"}, {"dpi": 0}, {"dpi": float("nan")}, {"dpi": "150"}, {"pages": [0]}]
    + [{"pages": pages} for pages in ([], [-1], [1.5], [True], 3, "1")],
)
def test_options_that_mean_nothing_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        read_pages(text_pdf(["x"]), **options)


# chosen pages


def test_pages_are_chosen_by_number_and_have_no_version() -> None:
    content = text_pdf(["one", "two", "three"])
    whole = {page.id: page for page in read_pages(content, name="r")}
    chosen = list(read_pages(content, name="r", pages=[3, 1, 3]))
    assert [page.text for page in chosen] == ["three", "one"]
    assert [page.id for page in chosen] == ["r#3", "r#1"]
    assert {page.version for page in chosen} == {None}
    assert chosen[0].metadata == whole["r#3"].metadata
    assert image_key(chosen[0].image or b"") == image_key(whole["r#3"].image or b"")


def test_pages_that_are_not_there_are_named_with_the_last_that_is() -> None:
    (page,), failures = quietly(text_pdf(["one", "two"]), name="r", pages=range(2, 5))
    assert page.text == "two"
    assert [str(failure) for failure in failures] == [
        "r, page 3: there is no page 3, nor the 1 others asked for: the last page is 2"
    ]
    with pytest.raises(UnreadableFile, match="there is no page 7: the last page is 2"):
        next(read_pages(text_pdf(["one", "two"]), pages=[7], on_error="raise"))


def test_one_choice_of_pages_holds_for_every_file() -> None:
    files = [text_pdf([f"{name}1", f"{name}2"]) for name in "ab"]
    assert [page.text for page in read_pages(files, pages=iter([2]))] == ["a2", "b2"]


# laziness, memory, threads


def test_nothing_is_drawn_before_it_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["text"]))
    (page,) = read_pages(path)
    path.unlink()
    with pytest.raises(UnreadableFile, match="no such file"):
        picture(page)


def test_a_file_that_changed_is_not_drawn_as_what_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["old"]))
    (page,) = read_pages(path)
    write(path, text_pdf(["new and longer"]))
    with pytest.raises(UnreadableFile, match=r"report\.pdf: the file has changed"):
        picture(page)


def test_a_file_that_was_only_touched_is_still_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["text"]))
    (page,) = read_pages(path)
    os.utime(path, (1, 1))
    assert darkness(picture(page)) > 0


def test_the_key_of_a_picture_says_how_it_is_drawn() -> None:
    def key(content: bytes, **options: Any) -> str:
        return image_key(next(read_pages(content, **options)).image or b"")

    content = text_pdf(["one", "two"])
    assert key(content) == key(content, name="other")
    keys = [key(content), key(content, dpi=72), key(content, pages=[2]), key(text_pdf(["one"]))]
    assert len(set(keys)) == 4


def test_the_list_of_pages_of_many_files_holds_no_file_open(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}.pdf", text_pdf([str(number)]))
    pages = list(read_pages(tmp_path))
    assert open_files(tmp_path) <= 4
    assert [darkness(picture(page)) > 0 for page in pages] == [True] * 40
    assert open_files(tmp_path) <= 4
    del pages
    assert open_files(tmp_path) == 0


def open_files(folder: Path) -> int:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc")
    targets = [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
    return sum(target.startswith(str(folder.resolve())) for target in targets)


MEASURED = """
import sys
from colmilvus.pdf import read_pages

def resident():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024

pages, total, marks = read_pages(sys.argv[1], backend=sys.argv[2], dpi=50), 0, []
for page in pages:
    total += page.image.open().width > 0
    if total in (100, 1000):
        marks.append(resident())
print(total, marks[1] - marks[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_pages_of_a_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1000, 160, 160), dtype=np.uint8)
    contents = [
        b"q 400 0 0 400 50 300 cm BI /W 160 /H 160 /CS /G /BPC 8 ID "
        + rows.tobytes()
        + b" EI Q "
        + text_commands("page")
        for rows in noise
    ]
    path = write(tmp_path / "long.pdf", document(contents))
    assert path.stat().st_size > 25_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), "pypdfium2"], capture_output=True, text=True, check=True
    )
    total, growth = done.stdout.split()
    assert int(total) == 1000
    assert float(growth) < 12  # MB; the 900 pages hold 23 MB of pictures, and would be 600 MB if drawn ones were kept


def test_many_threads_draw_the_same_pictures_as_one(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.pdf", text_pdf([f"file {number} page {page}" for page in range(4)]))
    pages = list(read_pages(tmp_path, dpi=40))
    expected = [picture(page).tobytes() for page in pages]
    wrong: list[str] = []

    def draw_all(order: list[int]) -> None:
        wrong.extend(pages[index].id for index in order if picture(pages[index]).tobytes() != expected[index])
        texts = [page.text for page in read_pages(tmp_path)]
        if texts != [page.text for page in pages]:
            wrong.append("texts")

    shuffles = [[int(i) for i in np.random.default_rng(seed).permutation(len(pages))] for seed in range(8)]
    run_together(lambda order: lambda: draw_all(order), shuffles)
    assert wrong == []


def run_together(task: Callable[[list[int]], Callable[[], None]], arguments: list[list[int]]) -> None:
    failures: list[BaseException] = []

    def guarded(run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # a thread's error has to reach the test
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(task(argument),)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_reading_twice_gives_the_same_entities(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["one", "two"]))

    def described(pages: Pages) -> list[tuple[Any, ...]]:
        return [(p.id, p.text, p.version, dict(p.metadata), image_key(p.image or b"")) for p in pages]

    assert described(read_pages(path)) == described(read_pages(path))


# what is not installed


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    from colmilvus.pdf import poppler, pypdfium

    def hide(module: str) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        pypdfium._library.cache_clear()

    assert poppler
    yield hide
    pypdfium._library.cache_clear()


def test_without_pypdfium2_the_extra_is_named(without: Callable[[str], None]) -> None:
    without("pypdfium2")
    with pytest.raises(MissingExtra, match=r"pip install 'colmilvus\[pdf\]'"):
        next(read_pages(text_pdf(["x"])))


def test_without_pypdfium2_pictures_are_still_read(tmp_path: Path, without: Callable[[str], None]) -> None:
    without("pypdfium2")
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.png")
    assert picture(next(read_pages(tmp_path))).size == (60, 40)


def test_without_pdf2image_the_extra_is_named(without: Callable[[str], None]) -> None:
    without("pdf2image")
    with pytest.raises(MissingExtra, match=r"pip install 'colmilvus\[pdf2image\]'"):
        read_pages(text_pdf(["x"]), backend="pdf2image")


def test_without_poppler_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pdf2image")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="apt install poppler-utils"):
        read_pages(text_pdf(["x"]), backend="pdf2image")


@needs_poppler
def test_both_backends_agree_on_what_a_page_is(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", text_pdf(["Revenue rose", "Costs fell"]))
    one, other = (list(read_pages(path, backend=backend)) for backend in ("pypdfium2", "pdf2image"))
    for a, b in zip(one, other, strict=True):
        assert (a.id, a.text, a.document, a.version, a.metadata) == (b.id, b.text, b.document, b.version, b.metadata)
        drawn = [np.asarray(picture(page).convert("L").resize((60, 84)), dtype=float) for page in (a, b)]
        assert np.abs(drawn[0] - drawn[1]).mean() < 4


def test_importing_the_module_loads_no_extra() -> None:
    code = "import sys, colmilvus.pdf; print(*{'pypdfium2', 'pdf2image'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_program_that_ends_with_documents_open_ends_quietly(tmp_path: Path) -> None:
    path = write(tmp_path / "report.pdf", form_pdf("value"))
    code = (
        "import sys; from colmilvus.pdf import read_pages; pages = list(read_pages(sys.argv[1])); pages[0].image.open()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_says_beforehand_how_many_pages_will_come(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(text_pdf(["one", "two", "three"]))
    (tmp_path / "b.pdf").write_bytes(b"no PDF")
    pages = read_pages(tmp_path)
    assert operator.length_hint(pages) == 4
    with pytest.warns(UserWarning, match=r"b\.pdf"):
        assert len(list(pages)) == 3
    assert operator.length_hint(pages) == 0
    assert operator.length_hint(read_pages(tmp_path / "a.pdf", pages=[2, 9])) == 1
