"""Full disks, kills in the middle of a call, calls at once, and a program that ends: nothing acknowledged is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pymilvus import MilvusClient, MilvusException

from colmilvus.embedded import connect
from tests.embedded.killed import KILLED, end_of, killed_at
from tests.embedded.pages import count, create, draw, query, rows, search, stored

FULL = """
import os, resource, signal, sys
import numpy as np
from colmilvus.embedded import connect
from tests.embedded.pages import create, draw, row, rows, count, stored, search, query

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def attempt(call, *args):
    try:
        call(*args)
    except Exception as error:
        told.append(str(error))
    else:
        return True

told = []

client = connect(sys.argv[1])
"""

unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of this kind on files")


def run(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, args)]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, check=False)


@unix
def test_after_a_flush_that_failed_every_row_is_there_and_the_next_flush_keeps_them(path: Path) -> None:
    done = run(
        FULL
        + """
create(client)
client.insert("pages", rows(draw(1, 60, most=3)))
limit(1000)
assert not attempt(client.flush, "pages")
assert count(client) == 60
assert not attempt(client.flush, "pages")
assert len(search(client, query(1), limit=100)) == 60
limit(resource.RLIM_INFINITY)
client.insert("pages", [row(100 + key, patches) for key, patches in draw(2, 5).items()])
client.flush("pages")
assert count(client) == 65
assert all("collection 'pages' could not be written: [Errno 27]" in each for each in told), told
client.close()
print("done")
""",
        path,
    )
    assert done.stdout == "done\n", done.stderr
    client = connect(path)
    assert sorted(stored(client)) == [*range(60), *range(100, 105)]
    client.close()


@unix
def test_what_is_acknowledged_after_a_write_cut_short_is_there_after_a_kill(path: Path) -> None:
    done = run(
        FULL
        + """
create(client, enable_dynamic_field=True)
limit(60_000)
kept = [n for n in range(30) if attempt(client.insert, "pages", [row(n, np.ones((1, 8)), note="z" * 5000)])]
assert 0 < len(kept) < 30
limit(resource.RLIM_INFINITY)
client.insert("pages", [row(n, np.ones((1, 8)), note="later") for n in range(100, 110)])
print([*kept, *range(100, 110)], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
    )
    acknowledged = json.loads(done.stdout or "[]")
    assert acknowledged, done.stderr
    client = connect(path)
    assert set(acknowledged) <= set(stored(client))
    client.close()


@unix
def test_a_collection_can_be_dropped_where_there_is_no_room_to_flush(path: Path) -> None:
    done = run(
        FULL
        + """
create(client)
client.insert("pages", rows(draw(1, 60)))
limit(1000)
client.drop_collection("pages")
assert client.list_collections() == []
print("done")
os._exit(0)
""",
        path,
    )
    assert done.stdout == "done\n", done.stderr


def filled(path: Path) -> None:
    client = connect(path)
    create(client)
    client.insert("pages", rows(draw(1, 20, most=3)))
    client.flush("pages")
    client.upsert("pages", rows(draw(2, 10, most=3)))
    client.create_alias("pages", "book")
    client.close()


@pytest.mark.parametrize(
    ("call", "rows_left"),
    [
        ("client.drop_alias('book'); client.drop_collection('pages')", {None, 20}),
        ("client.truncate_collection('pages')", {0, 20}),
        ("client.create_collection('other', dimension=4)", {20}),
    ],
)
def test_a_kill_at_any_step_leaves_all_of_a_collection_or_nothing(
    path: Path, tmp_path: Path, call: str, rows_left: set[int | None]
) -> None:
    filled(tmp_path / "whole.db")
    found: set[int | None] = set()
    for step in range(1, 100):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "whole.db", path)
        code = end_of(killed_at, str(path), step, call)
        client = connect(path)
        left = count(client) if client.has_collection("pages") else None
        found.add(left)
        assert left in rows_left
        if left is None:
            with pytest.raises(MilvusException, match="book"):
                client.describe_alias("book")
            create(client)
        else:
            assert "drop" in call or client.describe_alias("book")["collection_name"] == "pages"
            assert len(search(client, query(1), limit=100)) == left
        if "create" in call and not client.has_collection("other"):
            client.create_collection("other", dimension=4)
        client.close()
        assert not list(path.glob("lite/.database-staging/*"))
        if code == 0:
            break
        assert code == KILLED
    assert step > 2
    assert found == rows_left


def test_a_folder_without_a_schema_does_not_keep_its_name(client: MilvusClient, path: Path) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 3)))
    client.close()
    (path / "lite" / "collections" / "pages" / "schema.json").unlink()
    again = connect(path)
    create(again)
    assert count(again) == 0
    again.close()


def test_a_released_collection_is_still_released_when_emptied(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 3)))
    client.release_collection("pages")
    client.truncate_collection("pages")
    with pytest.raises(MilvusException, match="not loaded"):
        search(client, query(1))
    client.load_collection("pages")
    assert search(client, query(1)) == []


def test_aliases_and_databases_made_at_once_are_all_there(client: MilvusClient, path: Path) -> None:
    create(client)
    errors: list[Exception] = []

    def work(index: int) -> None:
        own = connect(path)
        try:
            for turn in range(12):
                own.create_alias("pages", f"a{index}_{turn}")
                own.create_database(f"d{index}_{turn}")
                if turn % 3 == 0:
                    own.drop_alias(f"a{index}_{turn}")
        except MilvusException as error:
            errors.append(error)
        own.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    client.close()
    again = connect(path)
    aliases = {f"a{index}_{turn}" for index in range(8) for turn in range(12) if turn % 3}
    assert set(again.list_aliases("pages")["aliases"]) == aliases
    assert len(again.list_databases()) == 1 + 8 * 12
    again.close()


def test_collections_are_made_opened_and_dropped_after_the_main_thread_has_ended(path: Path) -> None:
    filled(path)
    done = run(
        """
import sys, threading
from colmilvus.embedded import connect
from tests.embedded.pages import count, create, draw, row, rows

client = connect(sys.argv[1])

def go():
    threading.main_thread().join()
    create(client, name="late")
    client.insert("late", rows(draw(1, 5)))
    client.flush("late")
    print(count(client), count(client, "late"), flush=True)
    client.release_collection("late")
    client.drop_index("late", "patches[emb]")
    client.drop_collection("late")
    print(client.list_collections(), flush=True)
    client.close()

threading.Thread(target=go).start()
""",
        path,
    )
    assert done.stdout == "20 5\n['pages']\n", done.stderr


@unix
def test_a_full_disk_keeps_space_from_being_given_back_and_harms_nothing_else(path: Path) -> None:
    done = run(
        FULL
        + """
import time
from colmilvus.embedded import collecting, housekeeping, vectors
from colmilvus.embedded.lite import space

vectors.SEGMENT_BYTES, collecting.LEAST_BYTES = 1 << 16, 1 << 10
space.QUIET_SECONDS = space.PAUSE_SECONDS = housekeeping.TICK_SECONDS = 0.05
space.RETRY_SECONDS = 0.2

def size():
    return sum(os.path.getsize(os.path.join(folder, file)) for folder, _, names in os.walk(sys.argv[1])
               if "structs" in folder for file in names)

create(client)
pages = draw(1, 300)
client.insert("pages", rows(pages))
written = size()
limit(16000)
client.delete("pages", ids=[key for key in pages if key % 3 == 0])
left = {key: page for key, page in pages.items() if key % 3}
time.sleep(2)
assert size() > 0.95 * written, "nothing could be copied, and what was begun is gone"
assert stored(client).keys() == left.keys()
assert len(search(client, query(1), limit=300)) == 200
limit(resource.RLIM_INFINITY)
deadline = time.monotonic() + 20
while size() > 0.75 * written and time.monotonic() < deadline:
    time.sleep(0.1)
assert size() <= 0.75 * written
found = stored(client)
assert found.keys() == left.keys() and all(np.array_equal(found[key], left[key]) for key in left)
client.close()
print("done")
""",
        path,
    )
    assert done.stdout == "done\n", done.stderr
    assert "collection pages: space is given back later, because [Errno 27] File too large" in done.stderr


@unix
def test_a_full_disk_keeps_an_inverted_file_from_being_made_and_harms_nothing_else(path: Path) -> None:
    done = run(
        FULL
        + """
import time
from pathlib import Path
from colmilvus.embedded import inverted
from colmilvus.embedded.inverted import plan
from tests.embedded.pages import expected

create(client)
pages = draw(1, 300)
client.insert("pages", rows(pages))
client.close()
plan.SCANNED_BYTES, inverted.FEW = 1 << 14, 16

def codes():
    return list(Path(sys.argv[1]).rglob("*.codes"))

def check():
    hits = search(client, query(1))
    wanted = expected(query(1), pages, "MAX_SIM_COSINE")
    assert [hit["id"] for hit in hits] == [key for key, _ in wanted]

limit(2000)
client = connect(sys.argv[1])
check()
time.sleep(2)
assert not codes()
assert client.describe_index("pages", "patches[emb]")["pending_index_rows"] == 300
check()
limit(resource.RLIM_INFINITY)
client.insert("pages", [row(300, np.ones((1, 8), np.float32))])
pages[300] = np.ones((1, 8), np.float32)
deadline = time.monotonic() + 20
while client.describe_index("pages", "patches[emb]")["pending_index_rows"] and time.monotonic() < deadline:
    time.sleep(0.1)
assert codes()
check()
client.close()
print("done")
""",
        path,
    )
    assert done.stdout == "done\n", done.stderr
    assert "does not follow; searches stay right" in done.stderr
