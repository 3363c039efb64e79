"""With durability="power" nothing is acknowledged that is not on the disk: every fsync is noted, and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colmilvus import Collection
from colmilvus.connection import Durability
from colmilvus.embedded import connect
from colmilvus.embedded.vectors import Column, Record, VectorStore
from colmilvus.errors import InvalidInput
from tests.embedded.pages import create, draw, rows, stored

PROGRAM = """
import os, sys, threading, time
from pathlib import Path
import numpy as np
from PIL import Image

files, folders, calls = {}, {}, 0
fsync = os.fsync

def noted(descriptor):
    global calls
    calls += 1
    fsync(descriptor)
    found = os.fstat(descriptor)
    key = found.st_dev, found.st_ino
    if os.path.isdir(f"/proc/self/fd/{descriptor}"):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        folders[key] = {(entry.name, entry.inode()) for entry in os.scandir(path)}
    else:
        files[key] = found.st_size, found.st_mtime_ns

os.fsync = noted

from colmilvus import Collection, Entity
from colmilvus.embedded import connect
from tests.embedded.pages import create, draw, row, rows

path = Path(sys.argv[1])
# Word of the running engine, and a copy of what is there anyway.
PASSING = {"LOCK", "address.json", "manifest.json.prev"}

def unsafe():
    left = []
    for folder, names, found in os.walk(path):
        key = os.stat(folder).st_dev, os.stat(folder).st_ino
        for name in (*names, *found):
            file = os.path.join(folder, name)
            state = os.stat(file)
            if name in PASSING or name in names and not any(found for _, _, found in os.walk(file)):
                continue
            if (name, state.st_ino) not in folders.get(key, ()):
                left.append(f"name of {file}")
            if name in found and files.get((state.st_dev, state.st_ino)) != (state.st_size, state.st_mtime_ns):
                left.append(file)
    return left

def step(name, call):
    before = calls
    call()
    print(name, calls - before, *unsafe(), sep=";")

client = connect(path, durability=sys.argv[2])
step("create", lambda: create(client, text=True))
step("insert", lambda: client.insert("pages", rows(draw(1, 5), text="plum")))
step("upsert", lambda: client.upsert("pages", rows(draw(2, 3), text="pear")))
step("delete", lambda: client.delete("pages", ids=[1]))
step("filter", lambda: client.delete("pages", filter="id == 2"))
step("flush", lambda: client.flush("pages"))
step("insert", lambda: client.insert("pages", rows(draw(3, 5), text="plum")))
step("partition", lambda: client.create_partition("pages", "part"))
step("alias", lambda: client.create_alias("pages", "book"))
step("rename", lambda: client.rename_collection("pages", "other"))
step("alter", lambda: client.alter_collection_properties("other", {"timezone": "UTC"}))
step("insert", lambda: client.insert("other", rows(draw(4, 5), text="plum"), partition_name="part"))
step("truncate", lambda: client.truncate_collection("other"))
step("database", lambda: client.create_database("second"))
step("alias", lambda: client.drop_alias("book"))
step("drop", lambda: client.drop_collection("other"))
step("drop", lambda: client.drop_database("second"))
with Collection("seen", dim=2, metric="IP", uri=path, durability=sys.argv[2]) as seen:
    picture = Image.new("RGB", (20, 20), "red")
    step("picture", lambda: seen.add([Entity("a", image=picture)], vectors=[[[1, 0]]], progress=False))

# Space is given back: when a segment goes, what was copied out of it is on the disk.
from colmilvus.embedded import collecting, housekeeping, vectors
from colmilvus.embedded.lite import space

vectors.SEGMENT_BYTES = 1 << 14
collecting.LEAST_BYTES = 1 << 10
space.QUIET_SECONDS = space.PAUSE_SECONDS = housekeeping.TICK_SECONDS = 0.1
removed, unlink, written = [], Path.unlink, threading.Event()

def noted_removal(self, missing_ok=False):
    if self.parent.parent.name == "structs":
        assert written.wait(20)
        removed.append(unsafe())
    return unlink(self, missing_ok)

Path.unlink = noted_removal
create(client, name="spent")
for version in range(6):
    client.upsert("spent", rows(draw(version, 40)))

def given_back():
    client.delete("spent", filter="id % 3 == 0")
    written.set()
    deadline, before = time.monotonic() + 20, -1
    while not removed or len(removed) > before:
        assert time.monotonic() < deadline
        before = len(removed)
        time.sleep(1)

step("space", given_back)
print("removed", len(removed), *sum(removed, []), sep=";")
"""


def steps(path: Path, durability: str) -> list[list[str]]:
    command = [sys.executable, "-c", PROGRAM, str(path), durability]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split(";") for line in done.stdout.splitlines()]


linux = pytest.mark.skipif(sys.platform != "linux", reason="the paths of open files are asked of Linux")


@linux
def test_what_is_acknowledged_is_on_the_disk_with_the_names_that_lead_to_it(path: Path) -> None:
    found = steps(path, "power")
    assert len(found) == 20
    assert [line for line in found if len(line) > 2] == []
    assert all(int(line[1]) > 0 for line in found)


@linux
def test_without_it_a_write_waits_for_no_disk(path: Path) -> None:
    found = steps(path, "process")
    assert {line[0] for line in found if line[1] == "0"} == {"insert", "upsert", "delete", "filter", "picture"}


def test_the_database_stays_so_until_it_is_asked_for_less(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, synced = os.fsync, threading.Event()

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.set()

    monkeypatch.setattr(os, "fsync", noted)

    def waits(write: Callable[[], Any]) -> bool:
        synced.clear()
        write()
        return synced.is_set()

    asks: list[tuple[Durability | None, bool]] = [
        (None, False), ("power", True), (None, True), ("process", False), (None, False)
    ]  # fmt: skip
    for turn, (asked, there) in enumerate(asks):
        client = connect(path, durability=asked)
        assert (path / "power").exists() is there
        create(client, name=f"c{turn}")
        # Of the collection that was just made, and of the one that was there before.
        for name in {"c0", f"c{turn}"}:
            for write in (
                partial(client.insert, name, rows(draw(turn, 3))),
                partial(client.upsert, name, rows(draw(turn, 2))),
                partial(client.delete, name, ids=[1]),
                partial(client.delete, name, filter="id == 0"),
            ):
                assert waits(write) is there
        client.close()
    with closing(connect(path)) as client:
        assert {len(stored(client, f"c{turn}")) for turn in range(len(asks))} == {1}


def test_what_cannot_be_asked_for(path: Path) -> None:
    with pytest.raises(InvalidInput, match="durability is 'process' or 'power', not 'always'"):
        connect(path, durability="always")  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="durability is for a folder"):
        Collection("pages", dim=2, metric="IP", uri="http://127.0.0.1:1", durability="power")


def test_many_writers_share_what_the_disk_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync
    calls: list[int] = []

    def slow(descriptor: int) -> None:
        time.sleep(0.005)
        fsync(descriptor)
        calls.append(descriptor)

    with closing(VectorStore(tmp_path, [Column(4, np.dtype("<f4"))], 0)) as store:
        store.outlives_power = lambda: True
        monkeypatch.setattr(os, "fsync", slow)

        def work(_: int) -> list[int]:
            return [number for _ in range(5) for number in store.append([Record(1, (np.ones((1, 4), "<f4"),), ())])]

        work(0)
        alone = len(calls) / 5
        calls.clear()
        with ThreadPoolExecutor(8) as pool:
            assert len({number for found in pool.map(work, range(8)) for number in found}) == 40
    assert 0 < len(calls) < 0.9 * 40 * alone
