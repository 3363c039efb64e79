"""Pictures are drawn ahead and entities stored behind while the embedder works, and nothing else changes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Unreadable
from colmilvus.embedder import Query
from colmilvus.entity import Metric
from colmilvus.errors import EmbeddingServiceError, OutOfMemory, UnreadableFile, warn
from colmilvus.images import open_image
from colmilvus.ingest.drawing import AHEAD
from colmilvus.overlap import Behind, ahead
from colmilvus.pdf import read_pages
from tests.pdfs import text_pdf


class Drawing:
    """A picture that counts how often it is drawn, and by which threads."""

    def __init__(self, shade: int, seconds: float = 0.0) -> None:
        self.key = f"shade {shade}"
        self.shade = shade
        self.seconds = seconds
        self.drawn_by: list[str] = []

    def open(self) -> Image.Image:
        self.drawn_by.append(threading.current_thread().name)
        time.sleep(self.seconds)
        return Image.new("RGB", (8, 8), (self.shade, 0, 0))


class Looking:
    """Looks at pictures, each one vector: its redness; ``seconds`` is what a call takes besides."""

    name, dim, reads_images = "looking", 2, True
    metric: Metric = "IP"
    settings: dict[str, str] = {}  # noqa: RUF012 - the protocol's

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls: list[int] = []
        self.threads: set[str] = set()

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.calls.append(len(entities))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        return [self.embed(entity) if entity.image else Unreadable("no picture") for entity in entities]

    def embed(self, entity: Entity) -> MultiVector:
        assert entity.image is not None
        pixel = open_image(entity.image).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return MultiVector([[pixel[0] / 255, 1.0]])

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        return [MultiVector([[1.0, 0.0]]) for _ in queries]


def pages(count: int, seconds: float = 0.0) -> list[Entity]:
    return [Entity(str(n), image=Drawing(n % 250, seconds)) for n in range(count)]


class TestAhead:
    def test_it_gives_the_same_items_in_order(self) -> None:
        assert list(ahead(range(100), 7)) == list(range(100))
        assert list(ahead([], 7)) == []

    def test_it_reads_no_further_than_it_may(self) -> None:
        read: list[int] = []

        def source() -> Iterator[int]:
            for number in range(100):
                read.append(number)
                yield number

        with contextlib.closing(ahead(source(), 5)) as items:
            assert next(items) == 0
            time.sleep(0.1)
            assert len(read) <= 6

    def test_an_error_comes_after_the_items_before_it(self) -> None:
        def source() -> Iterator[int]:
            yield from range(3)
            raise ValueError("broken")

        items = ahead(source(), 5)

        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="broken"):
            next(items)

    def test_its_thread_is_gone_when_it_is_closed(self) -> None:
        with contextlib.closing(ahead(iter(int, 1), 3)) as items:
            next(items)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("colmilvus-ahead")]

    def test_warnings_point_to_the_caller(self) -> None:
        def source() -> Iterator[int]:
            warn("look here")
            yield 1

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(ahead(source(), 1))
        assert [Path(each.filename).name for each in caught] == [Path(__file__).name]


class TestBehind:
    def test_everything_is_done_in_order_by_the_end(self) -> None:
        done: list[int] = []
        with Behind(done.append, 2) as behind:
            for number in range(20):
                behind.hand(number)
        assert done == list(range(20))

    def test_what_was_handed_over_is_done_although_the_block_fails(self) -> None:
        done: list[int] = []

        def slowly(number: int) -> None:
            time.sleep(0.02)
            done.append(number)

        def interrupted() -> None:
            with Behind(slowly, 2) as behind:
                for number in range(3):
                    behind.hand(number)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert done == [0, 1, 2]

    def test_an_error_comes_out_of_a_later_call(self) -> None:
        def fail(_: int) -> None:
            raise ValueError("no room")

        with Behind(fail, 1) as behind:
            behind.hand(1)
            with pytest.raises(ValueError, match="no room"):
                behind.wait()

    def test_what_waits_behind_a_failure_is_dropped_although_the_block_fails_too(self) -> None:
        begun: list[int] = []
        may_fail = threading.Event()

        def fail(item: int) -> None:
            begun.append(item)
            may_fail.wait()
            raise ValueError("no room")

        def failing() -> None:
            with Behind(fail, 2) as behind:
                behind.hand(1)
                behind.hand(2)
                may_fail.set()
                raise OSError("the block")

        with pytest.raises(OSError, match="the block"):
            failing()
        assert begun == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signal to itself")
def test_an_interrupt_while_waiting_to_hand_over_loses_nothing() -> None:
    done: list[int] = []

    def slowly(number: int) -> None:
        time.sleep(0.3)
        done.append(number)

    def hand_over() -> None:
        with Behind(slowly, 1) as behind:
            threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
            for number in range(10):
                behind.hand(number)

    with pytest.raises(KeyboardInterrupt):
        hand_over()

    assert done == [0, 1, 2]


class TestAdding:
    def test_a_picture_is_drawn_once_for_the_embedder_and_the_store(self, database: Path) -> None:
        entities = pages(40)
        with Collection("c", Looking(), uri=database) as collection:
            assert collection.add(entities).added == 40

        assert all(len(drawing(entity).drawn_by) == 1 for entity in entities)
        assert len(list((database / "images").rglob("*.jpg"))) == 40

    def test_pictures_of_what_is_held_are_not_drawn(self, database: Path) -> None:
        with Collection("c", Looking(), uri=database) as collection:
            collection.add(pages(5))
            again = pages(5)
            assert collection.add(again).unchanged == 5

        assert not any(drawing(entity).drawn_by for entity in again)

    def test_the_iterable_and_the_embedder_stay_in_the_callers_thread(self, database: Path) -> None:
        here, embedder = threading.current_thread().name, Looking()
        read_by = set()

        def source() -> Iterator[Entity]:
            for entity in pages(40):
                read_by.add(threading.current_thread().name)
                yield entity

        with Collection("c", embedder, uri=database) as collection:
            collection.add(source())
        assert embedder.threads == read_by == {here}

    def test_pages_of_files_are_read_by_another_thread(self, database: Path, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(text_pdf([f"page {n}" for n in range(30)]))
        source = read_pages(tmp_path / "a.pdf")
        seen = []
        with contextlib.closing(source.read_ahead()) as entities:
            seen = [entity.metadata["page"] for entity in entities]
        assert seen == list(range(1, 31))
        with Collection("c", Looking(), uri=database) as collection:
            assert collection.add(read_pages(tmp_path / "a.pdf")).added == 30

    def test_a_picture_that_cannot_be_read_fails_and_the_others_are_stored(self, database: Path) -> None:
        entities = [*pages(3), Entity("bad", image=b"no picture"), Entity("good", image=Image.new("RGB", (2, 2)))]
        told = pytest.warns(UserWarning, match="bad: .*cannot be read as a picture")
        with Collection("c", Looking(), uri=database) as collection, told:
            report = collection.add(entities)

        assert (report.added, [problem.id for problem in report.failed]) == (4, ["bad"])
        assert isinstance(report.failed[0].error, UnreadableFile)

    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("the service is down"),
            KeyboardInterrupt(),
            OutOfMemory("no room for one page"),
            EmbeddingServiceError("Cohere refuses the key"),
            MemoryError(),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_what_was_embedded_before_an_error_is_stored(self, database: Path, error: BaseException) -> None:
        embedder = Looking()
        embed = embedder.embed_entities

        def failing(entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            if len(embedder.calls) == 3:
                raise error
            return embed(entities)

        embedder.embed_entities = failing  # type: ignore[method-assign]  # an embedder that fails at last
        with Collection("c", embedder, uri=database) as collection:
            with pytest.raises(type(error)):
                collection.add(pages(200))
            assert collection.count() == sum(embedder.calls)
            embedder.embed_entities = embed  # type: ignore[method-assign]
            report = collection.add(pages(200))

        assert (report.unchanged, report.added) == (sum(embedder.calls[:3]), 200 - sum(embedder.calls[:3]))

    def test_no_more_pictures_are_drawn_ahead_than_memory_has_room_for(self, database: Path) -> None:
        entities = pages(120)
        embedder = Looking()
        most = 0

        def watching(asked: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            nonlocal most
            time.sleep(0.05)
            drawn = sum(bool(drawing(entity).drawn_by) for entity in entities)
            most = max(most, drawn - sum(embedder.calls))
            return Looking.embed_entities(embedder, asked)

        embedder.embed_entities = watching  # type: ignore[method-assign,assignment]  # to look at what is drawn meanwhile
        with Collection("c", embedder, uri=database) as collection:
            collection.add(entities)

        assert 0 < most <= AHEAD + 16

    def test_a_slow_embedder_is_asked_for_little_at_a_time_and_a_fast_one_for_much(self, database: Path) -> None:
        slow, fast = Looking(2.1), Looking()
        with Collection("slow", slow, uri=database) as collection:
            collection.add(pages(13))
        with Collection("fast", fast, uri=database) as collection:
            collection.add(pages(100))

        assert slow.calls == [8, 4, 1]
        assert max(fast.calls) == 16

    def test_the_bar_shows_pages_per_second_and_the_time_left(
        self, database: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Collection("c", Looking(0.2), uri=database) as collection:
            collection.add(pages(60), progress=True)
        told = capsys.readouterr().err

        assert "pages/s]" in told or "s/ pages]" in told
        assert any("/60 [" in line and "<" in line for line in told.split("\r"))
        assert "60/60" in told.split("\r")[-1]

    def test_while_the_embedder_works_the_next_pictures_are_drawn_and_the_last_are_stored(self, database: Path) -> None:
        given = pages(60)
        embedder = Looking()
        embed = embedder.embed_entities
        seen: list[bool] = []

        def working(entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            done = sum(embedder.calls)
            if not seen:
                seen.append(comes_true(lambda: any(drawing(entity).drawn_by for entity in given[len(entities) :])))
            elif len(seen) == 1:
                seen.append(comes_true(lambda: len(list((database / "images").rglob("??/*.jpg"))) == done))
            return embed(entities)

        embedder.embed_entities = working  # type: ignore[method-assign]  # an embedder that looks round meanwhile
        with Collection("c", embedder, uri=database) as collection:
            collection.add(given)

        assert seen == [True, True]


def comes_true(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def drawing(entity: Entity) -> Drawing:
    assert isinstance(entity.image, Drawing)
    return entity.image
