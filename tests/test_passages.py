"""What is shown to a model and cited: titles, numbers, and pictures within a budget."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from colmilvus.entity import ImageLike
from colmilvus.errors import InvalidInput, UnreadableFile
from colmilvus.passages import Passage, check_budget, cite, show


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (40, 30), colour)


def unreadable() -> ImageLike | None:
    raise UnreadableFile("a.pdf", "there is no such file")


def test_each_has_a_number_a_title_and_its_text() -> None:
    shown = show([Passage(" The Rhine ", {"source": "/books/rivers.pdf", "page": 2}), Passage("", id="the id")])

    assert [(item.number, item.title, item.text, item.picture) for item in shown] == [
        (1, "rivers.pdf, page 2", "[1] rivers.pdf, page 2\nThe Rhine", None),
        (2, "the id", "[2] the id", None),
    ]


def test_a_file_is_named_by_its_path_where_two_are_called_alike() -> None:
    sources = ["/a/x.pdf", "/b/x.pdf", "/b/y.pdf", r"C:\z.pdf", "https://x.org/w.pdf?v=2"]

    titles = [cited.title for cited in cite([Passage("", {"source": source}) for source in sources])]

    assert titles == ["/a/x.pdf", "/b/x.pdf", "y.pdf", "z.pdf", "w.pdf"]


def test_what_is_cited_has_its_address_and_its_passage() -> None:
    passages = [Passage("a", {"source": "/x y.pdf", "page": 3}), Passage("b", {"source": "notes"})]

    cited = cite(passages)

    assert [item.url for item in cited] == ["file:///x%20y.pdf#page=3", None]
    assert [item.passage for item in cited] == passages


def test_pictures_are_shown_once_within_the_budget() -> None:
    colours = ("red", "red", "green", "blue", "red")

    shown = show([Passage(colour, picture=picture(colour)) for colour in colours], pages=2, pixels=300)

    assert [item.picture is not None for item in shown] == [True, False, True, False, False]
    assert shown[1].text.endswith("red\n(its picture is shown with [1])")
    assert shown[3].text.endswith("blue\n(its picture is left out)")
    assert shown[4].text.endswith("red\n(its picture is shown with [1])")
    with Image.open(BytesIO(shown[0].picture or b"")) as image:
        assert (image.format, image.size) == ("JPEG", (20, 15))


def test_a_picture_may_be_given_by_a_function(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    picture("red").save(path)

    by_function, none = show([Passage("a", picture=lambda: path), Passage("b", picture=lambda: None)])

    assert by_function.picture == show([Passage("a", picture=path)])[0].picture
    assert none.text.endswith("b")


def test_a_picture_that_cannot_be_read_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"a picture is left out: a\.pdf: there is no such file"):
        gone, kept = show([Passage("a", picture=unreadable), Passage("b", picture=picture("red"))], pages=1)

    assert gone.text.endswith("(its picture is left out)")
    assert kept.picture is not None


@pytest.mark.parametrize(("pages", "pixels"), [(-1, 1), (True, 1), ("4", 1), (4, 0), (4, 2.5)])
def test_a_budget_that_is_none_is_refused(pages: Any, pixels: Any) -> None:
    with pytest.raises(InvalidInput, match="is a number from"):
        check_budget(pages, pixels)
    with pytest.raises(InvalidInput, match="is a number from"):
        show([], pages=pages, pixels=pixels)
