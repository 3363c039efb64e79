"""Writes cut short, writes side by side, and files that change: nothing that was stored is lost or left behind."""

from __future__ import annotations

import contextlib
import json
import linecache
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

import colmilvus
from colmilvus import Collection, Entity, MultiVector, Segment, maxsim
from colmilvus.pdf import read_pages
from tests.pdfs import text_pdf
from tests.words import VOCABULARY, WordEmbedder

OURS = f"{Path(colmilvus.__file__).parent}{os.sep}"
ENGINE = f"{OURS}embedded{os.sep}"


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pictures(database: Path) -> list[Path]:
    return list((database / "images").rglob("*.jpg"))


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (shade, shade, shade))


def is_with(frame: Any) -> bool:
    """Whether a with statement is executed, at its beginning or its end."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip().startswith("with ")


class Interrupted:
    """Runs a function and raises KeyboardInterrupt at the nth line that this package executes for it, in any thread."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, work: Callable[[], object]) -> bool:
        def trace(frame: object, event: str, _: object) -> object:
            code = frame.f_code  # type: ignore[attr-defined]  # a frame
            if not code.co_filename.startswith(OURS) or code.co_filename.startswith(ENGINE):
                return None
            if event == "line":
                self.left -= 1
                if self.left <= 0 and not is_with(frame):  # on its way out a lock would stay locked
                    self.left = sys.maxsize
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)  # type: ignore[arg-type]  # a trace function
        threading.settrace(trace)  # type: ignore[arg-type]  # a trace function
        was_cut = False
        try:
            work()
        except KeyboardInterrupt:
            was_cut = True
        finally:
            sys.settrace(before)
            threading.settrace(before)
        for thread in threading.enumerate():  # where it hit the caller's thread, the others come to their end
            if thread.name.startswith(("colmilvus-behind", "colmilvus-drawing")):
                thread.join(10)
        return was_cut


def split(texts: range, version: str | None = None, words: int = 10) -> tuple[Entity, MultiVector]:
    """An entity of these segments, each filling one row of a collection of this capacity."""
    segments = tuple(Segment(f"s{n}", f"text {n}") for n in texts)
    random = np.random.default_rng(len(texts))
    return Entity("a", version=version, segments=segments), MultiVector(
        random.normal(size=(len(texts) * words, 4)), np.repeat(np.arange(len(texts)), words)
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (split(range(1), "1"), split(range(4), "2")),
        (split(range(4), "1"), split(range(1), "2")),
        (split(range(1, 4)), split(range(1))),  # merged: put in front of what is held
    ],
    ids=["grows", "shrinks", "merges"],
)
def test_a_write_of_several_rows_that_is_cut_short_leaves_the_entity_whole(
    tmp_path: Path, before: tuple[Entity, MultiVector], after: tuple[Entity, MultiVector]
) -> None:
    """At every 43rd line: it is as it was, or as it is to be, and adding again mends the rest."""
    query = MultiVector(np.eye(4))
    old, new = before[0], after[0]
    expected = replace(new, segments=new.segments if new.version else (*new.segments, *old.segments))
    vectors = after[1].vectors if new.version else np.concatenate([after[1].vectors, before[1].vectors])
    seen = set()
    for nth in range(1, 6000, 43):
        with Collection(f"c_{nth}", dim=4, uri=tmp_path / "kb.db", segments=True, capacity=10) as collection:
            collection.add([old], vectors=[before[1]])
            was_cut = Interrupted(nth)(lambda c=collection: c.add([new], vectors=[after[1]]))  # type: ignore[misc]
            (left,) = collection.search(query, k=5)
            seen.add(left.entity == old)

            assert left.entity in (old, expected)
            assert left.score == pytest.approx(maxsim(query, before[1] if left.entity == old else vectors), rel=1e-5)

            collection.add([new], vectors=[after[1]])
            (hit,) = collection.search(query, k=5)

            assert hit.entity == expected
            assert hit.score == pytest.approx(maxsim(query, vectors), rel=1e-5)
            assert (collection.multi_vectors(["a"])["a"].vectors == vectors).all()
            collection.drop()
        if not was_cut:
            break
    assert nth > 100
    assert seen == {True, False}


@pytest.mark.parametrize("layout", ["struct_array", "flat"])
def test_what_a_first_write_cut_short_left_is_none_of_the_next(
    tmp_path: Path, layout: Literal["struct_array", "flat"]
) -> None:
    """At every 43rd line: nothing is there, or all of it, and another version that is added then is that alone.

    Of an array of structs a further row of the first may stay, which nothing reads: to look for it would take each
    first write a sixth longer. Flat rows, of which there are many, are looked for.
    """
    whole, small = split(range(4), "1"), split(range(1), "2")
    seen = set()
    for nth in range(1, 6000, 43):
        options: Any = {"dim": 4, "segments": True, "capacity": 10, "layout": layout}
        with Collection(f"c_{nth}", uri=tmp_path / "kb.db", **options) as collection:
            was_cut = Interrupted(nth)(lambda c=collection: c.add([whole[0]], vectors=[whole[1]]))  # type: ignore[misc]
            found = collection.search(MultiVector(np.eye(4)), k=5)
            seen.add(len(found))
            assert [hit.entity for hit in found] in ([], [whole[0]])

            collection.add([small[0]], vectors=[small[1]])

            rows = collection._connection.client.query(f"c_{nth}", "part >= 0", output_fields=["count(*)"])
            if layout == "flat":
                assert rows[0]["count(*)"] == len(small[1].vectors)
            (hit,) = collection.search(MultiVector(np.eye(4)), k=5)
            assert hit.entity == small[0]
            assert hit.score == pytest.approx(maxsim(MultiVector(np.eye(4)), small[1]), rel=1e-5)
            assert (collection.multi_vectors(["a"])["a"].vectors == small[1].vectors).all()
            collection.drop()
        if not was_cut:
            break
    assert nth > 100
    assert seen == {0, 1}


@pytest.mark.parametrize("layout", ["struct_array", "flat"])
def test_a_removal_that_is_cut_short_leaves_the_entity_whole_or_none_of_it(
    tmp_path: Path, layout: Literal["struct_array", "flat"]
) -> None:
    entity, vectors = split(range(4), "1")
    seen = set()
    for nth in range(1, 2000, 7):
        options: Any = {"dim": 4, "segments": True, "capacity": 10, "layout": layout}
        with Collection(f"c_{nth}", uri=tmp_path / "kb.db", **options) as collection:
            collection.add([entity], vectors=[vectors])
            was_cut = Interrupted(nth)(lambda c=collection: c.delete(["a"]))  # type: ignore[misc]
            left = collection.multi_vectors(["a"])

            assert collection.count() == len(left) == len(collection.search(MultiVector(np.eye(4)), k=5))
            assert all((kept.vectors == vectors.vectors).all() for kept in left.values())
            seen.add(len(left))
            collection.add([entity], vectors=[vectors])
            assert (collection.multi_vectors(["a"])["a"].vectors == vectors.vectors).all()
            collection.drop()
        if not was_cut:
            break
    assert seen == {0, 1}


def test_pictures_that_a_write_cut_short_left_behind_are_removed_at_the_next_opening(
    database: Path, words: WordEmbedder
) -> None:
    for nth in range(1, 2000, 19):
        with Collection("c", words, uri=database) as collection:
            collection.add([Entity("a", "red", image=picture(1))])
            was_cut = Interrupted(nth)(lambda c=collection: c.add([Entity("a", "blue", image=picture(2))]))  # type: ignore[misc]
        with Collection("c", words, uri=database) as collection:
            (entity,) = collection.get(["a"])
            assert pictures(database) == [entity.image]
            collection.delete(["a"])
            assert pictures(database) == []
            assert not list((database / "images").rglob("*.json"))
        if not was_cut:
            return
    pytest.fail("the write was still being cut short")


@pytest.mark.skipif(sys.platform == "win32", reason="there it cannot be told whether another process lives")
def test_what_another_process_is_storing_is_left_to_it_until_it_ends(database: Path, words: WordEmbedder) -> None:
    with Collection("c", words, uri=database) as collection:
        collection.add([Entity("a", "red", image=picture(1))])
        (kept,) = pictures(database)
    folder = database / "images" / "c"
    being_stored = folder / "aa" / f"aa{'0' * 38}.jpg"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        note = folder / "unfinished-1.json"
        note.write_text(json.dumps([f"{socket.gethostname()} {other.pid}", [f"aa/{being_stored.name}"], time.time()]))
        being_stored.parent.mkdir(exist_ok=True)
        being_stored.write_bytes(kept.read_bytes())
        with Collection("c", words, uri=database):
            assert (note.exists(), being_stored.exists()) == (True, True)
    with Collection("c", words, uri=database):
        assert (note.exists(), being_stored.exists(), kept.exists()) == (False, False, True)


def test_a_picture_that_has_disappeared_comes_back_with_the_next_add(database: Path, words: WordEmbedder) -> None:
    with Collection("c", words, uri=database) as collection:
        entities = [Entity("a", "red", image=picture(1))]
        collection.add(entities)
        pictures(database)[0].unlink()

        assert collection.add(entities).replaced == 1
        assert collection.get(["a"])[0].image == pictures(database)[0]


def test_two_threads_that_store_one_id_leave_one_whole_entity(database: Path) -> None:
    with (
        Collection("c", dim=4, uri=database, segments=True, capacity=10) as one,
        Collection("c", uri=database) as other,
    ):
        small, large = split(range(1), "1"), split(range(4), "2")
        for _ in range(30):
            in_threads(
                lambda: (one.add([small[0]], vectors=[small[1]]), None)[1],
                lambda: (other.add([large[0]], vectors=[large[1]]), None)[1],
            )
            (entity,) = one.get(["a"])
            assert len(one.multi_vectors(["a"])["a"]) == 10 * len(entity.segments)
            assert one.count() == 1


def test_threads_that_replace_pictures_leave_only_those_in_use(database: Path, words: WordEmbedder) -> None:
    with Collection("c", words, uri=database) as collection:

        def work(shade: int) -> Callable[[], None]:
            def add() -> None:
                for number in range(10):
                    collection.add([Entity("a", "red", image=picture(shade + number))])

            return add

        in_threads(work(0), work(20), work(40))
        (entity,) = collection.get(["a"])

        assert pictures(database) == [entity.image]


def test_a_picture_that_two_entities_share_goes_with_the_last(notes: Collection, database: Path) -> None:
    notes.add([Entity("a", "red", image=picture(1)), Entity("b", "blue", image=picture(1))])
    assert len(pictures(database)) == 1
    notes.delete(["a"])
    assert len(pictures(database)) == 1
    notes.add([Entity("b", "blue")])
    assert pictures(database) == []


def test_dropping_takes_the_pictures_along(notes: Collection, database: Path) -> None:
    notes.add([Entity("a", "red", image=picture(1))])
    notes.drop()

    assert not (database / "images" / "notes").exists()


def test_searching_while_others_delete_and_replace_never_fails(database: Path) -> None:
    with Collection("c", dim=4, uri=database, segments=True, capacity=10) as collection:
        entities = [replace(split(range(3))[0], id=str(number)) for number in range(12)]
        vectors = [split(range(3))[1]] * 12
        collection.add(entities, vectors=vectors)
        stop = threading.Event()

        def change() -> None:
            for _ in range(25):
                collection.delete(["0", "1", "2", "3"])
                collection.add(entities[:4], vectors=vectors[:4])
            stop.set()

        def search() -> None:
            while not stop.is_set():
                assert len(collection.search(np.eye(4), k=12)) >= 8
                collection.multi_vectors(["0", "5"])

        failed: list[BaseException] = []

        def guarded(work: Callable[[], None]) -> Callable[[], None]:
            def run() -> None:
                try:
                    work()
                except BaseException as error:
                    failed.append(error)
                    stop.set()

            return run

        in_threads(guarded(change), guarded(search), guarded(search))
        assert not failed


def test_a_file_that_changes_while_it_is_read_loses_no_old_page(
    tmp_path: Path, database: Path, words: WordEmbedder
) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(text_pdf([f"red one {n}" for n in range(80)]))
    with Collection("c", words, uri=database) as collection:
        collection.add(read_pages(file))
        file.write_bytes(text_pdf([f"blue two {n}" for n in range(80)]))

        def saved_again() -> Iterator[Entity]:
            for count, page in enumerate(pages):
                if count == 40:
                    file.write_bytes(text_pdf([f"green three {n}" for n in range(80)]))
                yield page

        pages = read_pages(file, on_error=lambda _: None)
        stream = saved_again()
        stream_with_failures = type("Stream", (), {"__iter__": lambda _: stream, "failures": pages.failures})()
        with pytest.warns(UserWarning, match="changed"):
            report = collection.add(stream_with_failures)

        assert len(collection.get([f"{file}#{page}" for page in range(1, 81)])) == 80
        assert report.removed == 0
        assert any("changed" in problem.reason for problem in report.failed)
        assert collection.add(read_pages(file)).removed == 0
        assert all(page.text.startswith("green") for page in collection.get([f"{file}#1", f"{file}#80"]))


def test_an_older_add_removes_nothing_of_a_newer_one(database: Path, words: WordEmbedder) -> None:
    """Version 3 comes while version 2 is still being read: what version 2 removes at its end is not version 3."""

    def page(number: int, version: str) -> Entity:
        return Entity(f"d#{number}", "red", document="d", version=version)

    with Collection("c", words, uri=database) as collection:
        collection.add([page(number, "1") for number in range(3)])
        collection.add([page(number, "3") for number in range(3)])
        rounds = [threading.Thread(target=lambda: collection.add([page(n, "3") for n in range(3)])) for _ in range(4)]
        for thread in rounds:
            thread.start()
        for thread in rounds:
            thread.join()

        assert [entity.version for entity in collection.get(["d#0", "d#1", "d#2"])] == ["3"] * 3


def write_until_killed(database: str, turn: int, told: Connection) -> None:
    """Add and search in eight threads, and tell of each entity that was acknowledged: (id, text)."""
    notes = Collection("notes", WordEmbedder(), uri=database)
    pipe = threading.Lock()

    def work(worker: int) -> None:
        for number in range(10_000):
            text = " ".join(VOCABULARY[(worker + number + n) % 12] for n in range(1 + number % 5))
            notes.add([Entity(f"{turn}-{worker}-{number}", text)])
            with pipe:
                told.send((f"{turn}-{worker}-{number}", text))
            notes.search(text, k=3)

    in_threads(*(partial(work, worker) for worker in range(8)))


def acknowledged_until_killed(database: Path, turn: int, entities: int) -> dict[str, str]:
    """What a process told until it was killed, after so many entities; it is forked from one that has imported all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["colmilvus.embedded.server", __name__])
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=write_until_killed, args=(str(database), turn, told))
    process.start()
    told.close()
    with heard:
        acknowledged = dict(heard.recv() for _ in range(entities))
        process.kill()
        with contextlib.suppress(EOFError, OSError):
            while True:
                name, text = heard.recv()
                acknowledged[name] = text
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return acknowledged


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_what_add_acknowledged_is_there_after_a_kill(database: Path, words: WordEmbedder) -> None:
    """Eight threads add and search; six rounds on one database, each killed after another number of entities."""
    acknowledged: dict[str, str] = {}
    for turn in range(6):
        acknowledged |= acknowledged_until_killed(database, turn, 20 + 37 * turn % 90)
        with Collection("notes", words, uri=database) as notes:
            found = {entity.id: entity.text for entity in notes.get(list(acknowledged))}
            vectors = notes.multi_vectors(list(acknowledged))
            total = len(notes.search("red", k=16_384))

            assert found == acknowledged
            for name, text in acknowledged.items():
                (expected,) = words.embed_queries([text])
                assert (vectors[name].vectors == expected.vectors).all()
            assert total == notes.count() <= len(acknowledged) + 8 * (turn + 1)
