"""The files of vectors: what is appended comes back, what is half-written is cut off, what is damaged is not used."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from pymilvus.exceptions import MilvusException

from colmilvus.embedded import connect
from colmilvus.embedded.log import entries
from colmilvus.embedded.vectors import Column, Record, VectorStore
from colmilvus.errors import DatabaseDamaged
from tests.embedded.pages import create, draw, rows, stored

COLUMNS = [Column(4, np.dtype("<f4")), Column(2, np.dtype("<f2"))]


@contextmanager
def opened(folder: Path) -> Iterator[VectorStore]:
    with closing(VectorStore(folder, COLUMNS, 2)) as store:
        yield store


def record(seed: int) -> Record:
    rng = np.random.default_rng(seed)
    count = seed % 5
    vectors = tuple(rng.normal(size=(count, column.dim)).astype(column.dtype) for column in COLUMNS)
    return Record(count, vectors, (b"text %d" % seed, b""))


def check(store: VectorStore, row: int) -> None:
    wanted = record(row)
    for column in range(len(COLUMNS)):
        assert np.array_equal(store.vectors(row, column), wanted.vectors[column])
    assert store.scalars(row) == list(wanted.scalars)


def check_all(folder: Path, number: int) -> None:
    with opened(folder) as store:
        for row in range(number):
            check(store, row)


def filled(folder: Path, number: int = 20) -> None:
    with opened(folder) as store:
        for row in range(number):
            assert store.append([record(row)]) == [row]


def test_records_come_back_before_and_after_reopening(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.append([record(row) for row in range(10)]) == list(range(10))
        assert store.append([record(10)]) == [10]
        for row in range(11):
            check(store, row)
    with opened(tmp_path) as store:
        assert len(store) == 11
        assert store.append([record(11)]) == [11]
        for row in range(12):
            check(store, row)
        assert store.counts(np.arange(12)).tolist() == [row % 5 for row in range(12)]


def test_a_store_without_vectors_or_records_is_fine(tmp_path: Path) -> None:
    with closing(VectorStore(tmp_path, [], 1)) as store:
        assert store.append([Record(3, (), (b"abc",))]) == [0]
    with closing(VectorStore(tmp_path, [], 1)) as store:
        assert (len(store), store.scalars(0), store.counts(np.array([0])).tolist()) == (1, [b"abc"], [3])


def test_a_record_that_was_never_written_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as store, pytest.raises(DatabaseDamaged, match="record 3 is gone"):
        store.counts(np.array([3]))


def test_the_missing_record_is_named_and_not_the_largest(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    log = tmp_path / "00000000.log"
    first, rest = log.read_bytes(), bytearray()
    sizes = [entry.end for entry in entries(log, len(COLUMNS))]
    rest += first[: sizes[0]] + first[sizes[1] :]
    log.write_bytes(rest)
    with opened(tmp_path) as store, pytest.raises(DatabaseDamaged, match="record 1 is gone"):
        store.counts(np.array([0, 1, 2]))


@pytest.mark.parametrize("suffix", [".log", ".0.vectors", ".0.norms"])
@pytest.mark.parametrize("missing", [False, True])
def test_opening_changes_no_file_and_what_was_missing_may_be_put_back(
    tmp_path: Path, suffix: str, missing: bool
) -> None:
    filled(tmp_path)
    file = tmp_path / f"00000000{suffix}"
    whole = {each: each.read_bytes() for each in tmp_path.iterdir()}
    file.unlink()
    if not missing:
        file.write_bytes(whole[file][: len(whole[file]) // 2])
    with opened(tmp_path) as store:
        assert len(store) < 20
    assert all(each.read_bytes() == whole[each] for each in tmp_path.iterdir() if each != file)
    file.write_bytes(whole[file])
    check_all(tmp_path, 20)


@pytest.mark.parametrize("suffix", [".log", ".0.vectors", ".0.norms"])
def test_a_file_cut_short_while_open_is_damage(tmp_path: Path, suffix: str) -> None:
    filled(tmp_path)
    for read_before in (False, True):
        with opened(tmp_path) as store:
            if read_before:
                check(store, 19)
            file = tmp_path / f"00000000{suffix}"
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
            with pytest.raises(DatabaseDamaged, match=f"00000000{suffix}: the file has {len(whole) // 2} bytes"):
                check(store, 19)
            file.write_bytes(whole)


def test_a_database_without_its_vectors_is_whole_again_when_they_are_back(path: Path) -> None:
    client = connect(path)
    create(client)
    pages = draw(1, 5)
    client.insert("pages", rows(pages))
    client.close()
    file = next(path.rglob("*.vectors"))
    file.rename(path / "elsewhere")
    client = connect(path)
    with pytest.raises(MilvusException, match="database damaged") as caught:
        client.load_collection("pages")
    assert caught.value.code == 65534
    client.close()
    (path / "elsewhere").rename(file)
    client = connect(path)
    assert stored(client).keys() == pages.keys()
    client.close()


@pytest.mark.parametrize("suffix", [".log", ".0.vectors", ".0.norms", ".1.vectors", ".1.norms"])
def test_a_torn_tail_of_any_file_takes_only_the_last_records(tmp_path: Path, suffix: str) -> None:
    filled(tmp_path)
    file = tmp_path / f"00000000{suffix}"
    with file.open("rb+") as opened_file:
        opened_file.truncate(file.stat().st_size - 3)
    with opened(tmp_path) as store:
        left = len(store)
        assert left == 19
        assert store.append([record(row) for row in range(left, 25)]) == list(range(left, 25))
        for row in range(25):
            check(store, row)
    with opened(tmp_path) as store:
        for row in range(25):
            check(store, row)


def test_every_length_of_a_torn_log_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    filled(tmp_path / "whole", 4)
    whole = (tmp_path / "whole" / "00000000.log").read_bytes()
    lengths = set()
    for size in range(len(whole) + 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        for file in (tmp_path / "whole").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "00000000.log").write_bytes(whole[:size])
        with opened(folder) as store:
            lengths.add(len(store))
            for row in range(len(store)):
                check(store, row)
    assert lengths == {0, 1, 2, 3, 4}


def test_a_flipped_byte_anywhere_is_noticed_and_names_the_file(tmp_path: Path) -> None:
    filled(tmp_path, 6)
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        for at in random.Random(file.name).sample(range(len(whole)), min(60, len(whole))):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(DatabaseDamaged, match="00000000"):
                check_all(tmp_path, 6)
        file.write_bytes(whole)
    with opened(tmp_path) as store:
        check(store, 5)


def test_a_segment_that_was_cut_short_is_named_where_its_records_are_missed(tmp_path: Path) -> None:
    wide = [Column(1 << 18, np.dtype("<f4"))]
    rows = [Record(30, (np.full((30, 1 << 18), row, np.float32),), ()) for row in range(5)]
    with closing(VectorStore(tmp_path, wide, 0)) as store:
        assert store.append(rows[:3]) == [0, 1, 2]
        assert store.append(rows[3:]) == [3, 4]
        assert len(list(tmp_path.glob("*.log"))) == 2
        assert len({int(segment) for segment in store.locate(np.arange(5))[0]}) == 2
    with closing(VectorStore(tmp_path, wide, 0)) as store:
        assert [store.vectors(row, 0)[-1, -1] for row in range(5)] == [0, 1, 2, 3, 4]
    with (tmp_path / "00000000.log").open("rb+") as file:
        file.truncate(50)
    with (
        closing(VectorStore(tmp_path, wide, 0)) as store,
        pytest.raises(DatabaseDamaged, match=r"record 1 is gone: .*00000000\.log ends in the middle of a record"),
    ):
        store.counts(np.arange(5))


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    filled(tmp_path)
    large = np.zeros((4096, 4), np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                store.append([Record(4096, (large, np.zeros((4096, 2), np.float16)), (b"", b""))])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.append([record(20)]) == [20]
        for row in range(21):
            check(store, row)
    with opened(tmp_path) as store:
        for row in range(21):
            check(store, row)
