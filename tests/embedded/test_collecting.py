"""Space is given back while others read and write, and nobody notices; a kill in between loses and doubles nothing."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import MilvusClient

from colmilvus.embedded import collecting, connect, segments, vectors
from colmilvus.embedded.collecting import Collecting
from colmilvus.embedded.halves import norms_of
from colmilvus.embedded.lite import space
from colmilvus.embedded.vectors import Column, Record, StoreClosed, VectorStore
from colmilvus.errors import DatabaseDamaged
from tests.embedded.pages import FIELD, count, create, row, search, stored

DIM = 256
COLUMNS = [Column(8, np.dtype("<f4")), Column(4, np.dtype("<f2"))]


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SEGMENT_BYTES", 1 << 20)
    monkeypatch.setattr(collecting, "LEAST_BYTES", 1 << 16)
    monkeypatch.setattr(space, "LEAST_BYTES", 1 << 14)
    monkeypatch.setattr(space, "LOG_BYTES", 1 << 17)
    monkeypatch.setattr(space, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(space, "QUIET_SECONDS", 0.3)


def record(number: int) -> Record:
    count = 500 * (number % 7 > 0)
    parts = tuple(np.full((count, column.dim), number % 1000 + 1 / 3, column.dtype) for column in COLUMNS)
    return Record(count, parts, (b"text %d" % number,))


def opened(folder: Path) -> VectorStore:
    return VectorStore(folder, COLUMNS, 1)


def filled(folder: Path, number: int) -> VectorStore:
    store = opened(folder)
    for first in range(0, number, 10):
        store.settle(store.append([record(row) for row in range(first, min(first + 10, number))]))
    return store


def collect(store: VectorStore, live: list[int], share: float = 0.2) -> None:
    Collecting(store).run(lambda: np.array(live, np.int64), lambda: None, share)


def check(store: VectorStore, rows: list[int]) -> None:
    for number in rows:
        wanted = record(number)
        assert store.scalars(number) == list(wanted.scalars)
        for column in range(len(COLUMNS)):
            assert np.array_equal(store.vectors(number, column), wanted.vectors[column])
            given, kept = (record.vectors[column] for record in (wanted, wanted.stored(COLUMNS)))
            off = COLUMNS[column].rounding(kept, given, norms_of(given))
            assert store.roundings(np.array([number]), column) == np.float32(off)


def size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size * file.is_file()
        except FileNotFoundError:
            continue
    return total


def test_what_lives_keeps_its_number_and_the_rest_gives_its_space_back(tmp_path: Path) -> None:
    live = [*range(3, 200, 9), *range(200, 230)]
    with closing(filled(tmp_path, 300)) as store:
        before = size(tmp_path)
        collect(store, live)
        assert store.numbers().tolist() == live
        check(store, live)
        assert size(tmp_path) < 1.25 * before * len(live) / 300
        with pytest.raises(DatabaseDamaged, match="record 4 is gone"):
            store.counts(np.array([3, 4]))
        assert store.append([record(300)]) == [300]
    with closing(opened(tmp_path)) as store:
        check(store, [*live, 300])
        assert store.roundings(np.array(live), 0).any()
        assert store.numbers().tolist() == [*live, 300]


def test_a_number_is_never_given_again(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 100)) as store:
        collect(store, [])
        assert size(tmp_path) < 100
        assert store.append([record(100)]) == [100]
        store.settle([100])
        collect(store, [], share=0)
    with closing(opened(tmp_path)) as store:
        assert len(store) == 101
        collect(store, [], share=0)
        assert store.append([record(101)]) == [101]
        check(store, [101])


def test_a_record_that_is_still_being_referred_to_is_not_collected(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 100)) as store:
        underway = store.append([record(number) for number in range(100, 105)])
        collect(store, [])
        check(store, underway)
        assert store.numbers().tolist() == underway
        store.settle(underway[1:])
        collect(store, [], share=0.1)
        assert store.numbers().tolist() == underway[:1]


def test_a_reader_sees_what_it_saw_until_it_has_ended(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 100)) as store:
        work = Collecting(store)
        with store.reading():
            segment, start, number = (int(part[0]) for part in store.locate(np.array([8])))
            work.run(lambda: np.array([8], np.int64), lambda: None, 0.2)
            check(store, list(range(100)))
            stored = store.matrix(segment, 0, start + number)[0][start : start + number]
            assert (store.columns[0].given(stored) == record(8).vectors[0]).all()
            with store.reading():
                assert not work.finish()
        assert work.finish()
        assert store.numbers().tolist() == [8]
        check(store, [8])
        assert sum(file.stat().st_size > 100 for file in tmp_path.glob("*.vectors")) == len(COLUMNS)


def test_small_segments_become_one(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 240)) as store:
        live = list(range(0, 240, 12))
        for last in range(40, 241, 40):
            collect(store, [*[number for number in live if number < last], *range(last, 240)])
        check(store, live)
        assert len(list(tmp_path.glob("*.log"))) < 4


def test_what_is_damaged_is_left_for_whoever_mends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path, 100).close()
    with closing(opened(tmp_path)) as store:
        files = sorted(tmp_path.glob("*.0.vectors"))
        whole = files[0].read_bytes()
        files[0].write_bytes(whole[:112_500] + b"!" + whole[112_501:])
        work = Collecting(store)
        work.run(lambda: np.arange(0, 100, 9), lambda: None, 0.2)
        assert "record 9 are not what was written" in caplog.text
        with pytest.raises(DatabaseDamaged, match=r"00000000\.0\.vectors"):
            store.verify(np.array([9]), 0)
        files[0].write_bytes(whole)
        check(store, list(range(0, 100, 9)))


class Cut(Exception):
    """Stands for the end of the process."""


def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "whole", 90).close()
    live = list(range(0, 90, 3))
    steps, left = 0, 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut
            return call(*args, **options)

        return step

    for name in ("unlink", "rename"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(collecting, "write", counted(segments.write))
    for steps in range(200):
        folder = tmp_path / str(steps)
        shutil.copytree(tmp_path / "whole", folder)
        left, done = steps, True
        with closing(opened(folder)) as store:
            try:
                collect(store, live)
            except Cut:
                done = False
        left = 10_000
        with closing(opened(folder)) as store:
            check(store, live)
            assert len(store) == 90
            collect(store, live)
            check(store, live)
            assert store.numbers().tolist() == live
            assert not list(folder.glob("*.new"))
        assert len({file.name.split(".")[0] for file in folder.iterdir()}) == len(list(folder.glob("*.log")))
        shutil.rmtree(folder)
        if done:
            break
    assert steps > 10


def test_closing_waits_for_nothing_but_the_present_part(tmp_path: Path) -> None:
    store = filled(tmp_path, 300)
    entered, outcome = threading.Event(), []

    def live() -> NDArray[np.int64]:
        entered.set()
        time.sleep(0.05)
        return np.arange(0, 300, 2)

    def work() -> None:
        try:
            Collecting(store).run(live, lambda: None, 0.2)
        except StoreClosed:
            outcome.append("closed")

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    store.close()
    thread.join(10)
    assert outcome == ["closed"]
    with closing(opened(tmp_path)) as store:
        check(store, list(range(0, 300, 2)))


def page(key: int, version: int) -> NDArray[np.float32]:
    return np.full((60, DIM), key * 100 + version, np.float32)


def wrong(hit: dict[str, Any], low: dict[int, int]) -> bool:
    """Whether a hit has vectors of another page, of two versions, or of one that was replaced before."""
    found = {value for patch in hit["entity"]["patches"] for value in patch["emb"]}
    least = hit["id"] * 100 + low[hit["id"]]
    return len(found) != 1 or not least <= min(found) < hit["id"] * 100 + 100


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_space_comes_back_while_others_read_and_write(client: MilvusClient, path: Path) -> None:
    create(client, "MAX_SIM_IP", dim=DIM, text=True)
    number, stop = 40, threading.Event()
    errors: list[Any] = []
    versions = dict.fromkeys(range(number), 0)

    def put(keys: range, version: int) -> None:
        rows = [row(key, page(key, version), text=f"{'text ' * 18}{key}") for key in keys]
        client.upsert("pages", rows)
        versions.update(dict.fromkeys(keys, version))

    def read() -> None:
        own = connect(path)
        while not stop.is_set():
            low = dict(versions)
            hits = search(own, np.ones((1, DIM), np.float32), limit=number, output_fields=[FIELD])
            if len(hits) < number // 2 or any(wrong(hit, low) for hit in hits):
                errors.append(hits)
        own.close()

    put(range(number), 0)
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for version in range(1, 5):
            for first in range(0, number, 10):
                put(range(first, first + 10), version)
        live = 60 * (DIM * 4 + 4) * number
        until(lambda: size(path) < 1.3 * live)
        client.delete("pages", ids=list(range(1, number, 2)))
        until(lambda: size(path) < 1.3 * live / 2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert {key: int(found[0, 0]) for key, found in stored(client).items()} == {
        key: key * 100 + 4 for key in range(0, number, 2)
    }
    client.close()
    again = connect(path)
    assert count(again) == number // 2
    again.close()


def test_the_space_of_a_partition_and_of_a_collection_comes_back(client: MilvusClient, path: Path) -> None:
    create(client, "MAX_SIM_IP", dim=DIM)
    client.create_partition("pages", "left")
    client.insert("pages", [row(key, page(key, 0)) for key in range(40)], partition_name="left")
    client.insert("pages", [row(key, page(key, 0)) for key in range(40, 50)])
    client.release_collection("pages")
    client.drop_partition("pages", "left")
    until(lambda: size(path) < 1.3 * 60 * (DIM * 4 + 4) * 10)
    client.load_collection("pages")
    assert sorted(stored(client)) == list(range(40, 50))
    client.drop_collection("pages")
    assert size(path) < 10_000


def test_what_a_kill_left_behind_is_collected_after_opening(client: MilvusClient, path: Path) -> None:
    create(client, "MAX_SIM_IP", dim=DIM)
    client.insert("pages", [row(key, page(key, 0)) for key in range(10)])
    client.close()
    (folder,) = path.rglob("structs/0")
    with closing(VectorStore(folder, [Column(DIM, np.dtype("<f4"))], 0)) as store:
        store.append([Record(60, (page(key, 1),), ()) for key in range(50)])
    again = connect(path)
    assert count(again) == 10
    until(lambda: size(path) < 1.3 * 60 * (DIM * 4 + 4) * 10)
    assert sorted(stored(again)) == list(range(10))
    again.close()
