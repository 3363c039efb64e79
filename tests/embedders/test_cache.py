"""Multi-vectors kept on disk: what was embedded once is not embedded again, whatever happens to the files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, group
from colmilvus.embedder import Embedder, Query
from colmilvus.embedders.cache import CachedEmbedder, cached
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import InvalidInput
from tests.test_overlap import Looking, pages
from tests.words import WordEmbedder

ROOT = Path(__file__).parents[2]


class Counting(WordEmbedder):
    """Lists everything that it is asked to embed."""

    def __init__(self, **settings: str) -> None:
        super().__init__("COSINE", **settings)
        self.asked: list[str] = []

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.asked += [entity.id for entity in entities]
        return super().embed_entities(entities)

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        self.asked += map(str, queries)
        return super().embed_queries(queries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_it_is_the_embedder_that_it_holds(folder: Path) -> None:
    for inner in (WordEmbedder("IP", model="m"), StaticEmbedder(), Looking()):
        outer = cached(inner, folder)
        assert isinstance(outer, Embedder)
        assert (outer.name, outer.dim, outer.metric, outer.settings) == (
            inner.name,
            inner.dim,
            inner.metric,
            inner.settings,
        )
    assert cached(StaticEmbedder(), folder).mode == "hybrid"
    assert cached(Looking(), folder).reads_images


def test_a_second_run_embeds_nothing(folder: Path, tmp_path: Path) -> None:
    chunks = [Entity(f"{n}", f"red {'sea ' * n}", metadata={"title": "AB"[n % 2]}) for n in range(1, 6)]
    answers = []
    for run in ("first", "second"):
        embedder = Counting()
        with Collection("c", cached(embedder, folder), uri=tmp_path / run, segments=True) as collection:
            collection.add([*group(chunks, by="title"), Entity("plain", "blue sky")])
            hits = collection.search("red sky", k=5)
            answers.append([(hit.entity.id, hit.score, hit.segments) for hit in hits])
            assert bool(embedder.asked) == (run == "first")
    assert answers[0] == answers[1]


def test_only_what_is_new_is_asked_for_and_the_order_kept(folder: Path) -> None:
    embedder = Counting()
    outer = cached(embedder, folder)
    outer.embed_entities([Entity("a", "red"), Entity("b", "green")])
    answers = outer.embed_entities([Entity("c", "blue"), Entity("x", "green"), Entity("d", "blue"), Entity("e", " ")])

    assert embedder.asked == ["a", "b", "c", "e"]
    assert [len(answer) for answer in answers if isinstance(answer, MultiVector)] == [1, 1, 1]
    expected = embedder.embed_entities([Entity("c", "blue"), Entity("x", "green")])
    for answer, other in zip(answers, expected, strict=False):
        assert isinstance(answer, MultiVector)
        assert isinstance(other, MultiVector)
        assert (answer.vectors == other.vectors).all()
    assert answers[3] == Unreadable("no words")


def test_other_settings_find_nothing_and_another_place_of_the_same_model_does(folder: Path) -> None:
    for settings, is_asked in (
        ({"content": "1", "checkpoint": "/a", "engine_version": "1"}, True),
        ({"content": "1", "checkpoint": "/b", "engine_version": "1"}, False),
        ({"content": "1", "checkpoint": "/b", "engine_version": "2"}, True),
        ({"content": "2", "checkpoint": "/b", "engine_version": "2"}, True),
        ({"checkpoint": "/a"}, True),
        ({"checkpoint": "/b"}, True),
    ):
        embedder = Counting(**settings)
        cached(embedder, folder).embed_queries(["red sea"])
        assert bool(embedder.asked) == is_asked, settings


def test_another_splitter_and_other_dims_find_nothing(folder: Path) -> None:
    def embedder(dim: int, split: Callable[[str], list[str]]) -> CachedEmbedder:
        return cached(SegmentEmbedder(lambda texts: [[1.0] * dim for _ in texts], name="m", split_text=split), folder)

    rows = []
    for dim, split in ((2, str.split), (2, lambda text: [text]), (3, str.split), (2, str.split)):
        (answer,) = embedder(dim, split).embed_entities([Entity("a", "three little words")])
        assert isinstance(answer, MultiVector)
        rows.append(answer.vectors.shape)
    assert rows == [(3, 2), (1, 2), (3, 3), (3, 2)]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(folder: Path) -> None:
    old, new = folder / "aa" / ".old.part", folder / "aa" / ".new.part"
    outer = cached(WordEmbedder(), folder, max_bytes=100_000)
    old.parent.mkdir()
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    outer.embed_entities([Entity("a", "red")])

    assert (old.exists(), new.exists()) == (False, True)


def test_several_with_a_bound_keep_to_it_together(folder: Path) -> None:
    several = [cached(WordEmbedder(), folder, max_bytes=20_000) for _ in range(4)]
    for number in range(200):
        several[number % 4].embed_entities([Entity("a", f"red sea {'blue ' * number}")])

    assert sum(path.stat().st_size for path in folder.rglob("*.npy")) <= 1.3 * 20_000


def test_queries_entities_and_segments_are_told_apart(folder: Path) -> None:
    embedder = Counting()
    outer = cached(embedder, folder)
    outer.embed_queries(["red sea"])
    outer.embed_entities([Entity("text", "red sea"), Entity("one", segments=(Segment("s", "red sea"),))])
    outer.embed_entities([Entity("two", segments=(Segment("s", "red"), Segment("t", "sea")))])
    (vectors,) = outer.embed_entities([Entity("again", segments=(Segment("u", "red"), Segment("v", "sea")))])

    assert embedder.asked == ["red sea", "text", "one", "two"]
    assert isinstance(vectors, MultiVector)
    assert vectors.segments is not None
    assert vectors.segments.tolist() == [0, 1]


def test_pictures_are_known_by_what_they_show(folder: Path) -> None:
    embedder = Looking()
    outer = cached(embedder, folder)
    for shade, calls in ((1, 1), (1, 1), (2, 2)):
        outer.embed_entities([Entity("a", image=Image.new("RGB", (2, 2), (shade, 0, 0)))])
        assert len(embedder.calls) == calls
    outer.embed_queries([Image.new("RGB", (2, 2))])


def test_a_picture_matters_only_to_who_looks_at_it(folder: Path) -> None:
    embedder = Counting()
    embedder.reads_images = False  # type: ignore[attr-defined]  # it says so
    outer = cached(embedder, folder)
    outer.embed_entities([Entity("a", "red", image=Image.new("RGB", (2, 2), "red"))])
    outer.embed_entities([Entity("b", "red", image=Image.new("RGB", (2, 2), "blue"))])

    assert embedder.asked == ["a"]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00v\x00{cut", b"\x80\x04pickle"])
def test_a_damaged_file_is_embedded_again(folder: Path, damage: bytes) -> None:
    embedder = Counting()
    outer = cached(embedder, folder)
    outer.embed_queries(["red"])
    (file,) = folder.rglob("*.npy")
    file.write_bytes(damage)

    assert len(outer.embed_queries(["red"])[0]) == 1
    assert embedder.asked == ["red", "red"]
    outer.embed_queries(["red"])
    assert len(embedder.asked) == 2


def test_where_nothing_can_be_kept_everything_is_embedded(folder: Path) -> None:
    outer = cached(Counting(), folder)
    for name in range(256):
        (folder / f"{name:02x}").write_text("in the way")

    with pytest.warns(UserWarning, match="multi-vectors are not kept in"):
        assert len(outer.embed_queries(["red sea"])[0]) == 2


def test_it_keeps_to_its_bytes_and_forgets_what_was_not_used_for_longest(folder: Path) -> None:
    embedder = Counting()
    outer = cached(embedder, folder, max_bytes=20_000)
    size = 0
    for number in range(60):
        outer.embed_entities([Entity(str(number), "red " * (20 + number))])
        outer.embed_entities([Entity("kept", "red " * 20)])  # used all the time
        size = sum(file.stat().st_size for file in folder.rglob("*.npy"))
        assert size <= 20_000
        time.sleep(0.01)
    asked = len(embedder.asked)
    outer.embed_entities([Entity("newest", "red " * 79), Entity("kept", "red " * 20)])

    assert size > 10_000
    assert len(embedder.asked) == asked
    outer.embed_entities([Entity("oldest", "red " * 21)])
    assert len(embedder.asked) == asked + 1


@pytest.mark.parametrize("max_bytes", [0, -1, True, "1 GB"])
def test_what_is_no_number_of_bytes_is_refused(folder: Path, max_bytes: int) -> None:
    with pytest.raises(InvalidInput, match="max_bytes is a number"):
        cached(WordEmbedder(), folder, max_bytes=max_bytes)


PROCESS = """
import sys
from colmilvus import Entity, MultiVector
from colmilvus.embedders.cache import cached
from tests.words import WordEmbedder
embedder = WordEmbedder()
outer = cached(embedder, sys.argv[1], max_bytes=60_000)
for _ in range(3):
    for number in range(100):
        (answer,) = outer.embed_entities([Entity("a", "red " * (1 + number))])
        assert isinstance(answer, MultiVector) and len(answer) == 1 + number
print(embedder.embedded)
"""


def test_several_processes_share_a_folder(folder: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(folder)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    ended = [process.communicate(timeout=120) for process in running]

    assert [process.returncode for process in running] == [0] * 4, ended
    assert all(error == b"" for _, error in ended)
    assert not list(folder.rglob("*.part"))
    assert sum(file.stat().st_size for file in folder.rglob("*.npy")) <= 2 * 60_000


def test_with_pictures_the_database_gets_them_too(folder: Path, tmp_path: Path) -> None:
    for run in ("a", "b"):
        embedder = Looking()
        with Collection("c", cached(embedder, folder), uri=tmp_path / run) as collection:
            assert collection.add(pages(10)).added == 10
        assert len(list((tmp_path / run / "images").rglob("*.jpg"))) == 10
        assert bool(embedder.calls) == (run == "a")


def test_a_model_of_the_engine(checkpoint: Callable[[str], Path], folder: Path) -> None:
    from colmilvus.embedders.colpali import ColPaliEmbedder

    outer = cached(ColPaliEmbedder(checkpoint("ColQwen2")), folder)
    entity = Entity("a", image=Image.new("RGB", (60, 80), "red"))
    (first,), (again,) = outer.embed_entities([entity]), outer.embed_entities([entity])

    assert isinstance(outer, CachedEmbedder)
    assert isinstance(first, MultiVector)
    assert isinstance(again, MultiVector)
    assert (first.vectors == again.vectors).all()
    assert os.listdir(folder)  # noqa: PTH208 - whether there is anything
