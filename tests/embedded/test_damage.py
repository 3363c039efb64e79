"""A byte that changed, or a file cut short or gone, anywhere in a database: an error that names the file, or no harm.

Never is an answer wrong, and a collection that is not damaged can be used.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedded import connect
from colmilvus.errors import DatabaseError
from colmilvus.images import open_image
from tests.embedded.pages import DIM, create, draw, index, make, row, rows, schema, search, stored

NUMBER = 12
PAGES = draw(1, NUMBER, most=6)
# Word of the running engine; a lock, whose content says nothing; a copy of the manifest that nothing reads.
PASSING = {"address.json", "LOCK", "manifest.json.prev", "power"}


def flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def cut(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def remove(file: Path, _: random.Random) -> None:
    file.unlink()


def fill(client: MilvusClient) -> None:
    """Two collections: one with rows in files, deletes, a write-ahead log and an index on a scalar; one beside it."""
    made = schema(client, text=True)
    params = index(client, "MAX_SIM_IP", text=True)
    params.add_index("year", index_type="INVERTED")
    make(client, "pages", made, params)
    half = dict(list(PAGES.items())[: NUMBER // 2])
    client.insert("pages", [*rows(half, text="plum"), row(99, np.ones((2, DIM)), text="gone")])
    client.flush("pages")
    client.delete("pages", ids=[99])
    client.insert("pages", [row(98, np.ones((2, DIM)), text="gone")])
    client.flush("pages")
    client.insert("pages", rows({key: PAGES[key] for key in PAGES if key not in half}, text="plum"))
    client.delete("pages", ids=[98])
    client.create_alias("pages", "book")
    client.create_database("second", properties={"timezone": "UTC"})
    create(client, name="whole")
    client.insert("whole", rows(PAGES))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a kill leaves it, with write-ahead logs."""
    path = tmp_path_factory.mktemp("filled") / "kb.db"
    client = connect(path)
    fill(client)
    shutil.copytree(path, path.with_name("killed.db"))
    client.close()
    return path.with_name("killed.db")


def answers(client: MilvusClient) -> list[Any]:
    """What a user would ask. The collection is asked by its alias, too."""
    found = stored(client)
    assert found.keys() == PAGES.keys()
    assert all(np.array_equal(found[key], PAGES[key]) for key in PAGES)
    question = np.ones((1, DIM), np.float32)
    hits = [(hit["id"], hit["distance"]) for hit in search(client, question, "book", limit=50)]
    years = {each["id"] for each in client.query("pages", filter="year == 2003", output_fields=["id"])}
    words = client.search("pages", data=["plum"], anns_field="words", limit=50)[0]
    return [hits, years, {hit["id"] for hit in words}]


def files(path: Path) -> list[Path]:
    found = [file.relative_to(path) for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size]
    return [file for file in found if file.name not in PASSING and "whole" not in file.parts]


def asked(path: Path, wanted: list[Any], file: Path) -> str | None:
    """The error that the database answers with, None where its answers are right."""
    try:
        client = connect(path)
    except DatabaseError as error:
        return str(error)
    try:
        assert answers(client) == wanted
    except (MilvusException, DatabaseError) as error:
        if "pages" in file.parts:
            go_on(client)
        return str(error)
    finally:
        client.close()
    return None


def go_on(client: MilvusClient) -> None:
    """Damage to one collection leaves the other one alone, and it can be dropped."""
    assert len(stored(client, "whole")) == NUMBER
    if "pages" in client.list_collections():
        client.drop_alias("book")
        client.drop_collection("pages")
    create(client, name="pages")
    assert stored(client) == {}


def named(file: Path, told: str | None) -> bool:
    """Whether an error names the file; without its schema a collection is none, and without their file aliases are."""
    if told is None:
        return True
    gone = "not found" in told and file.name in ("schema.json", "aliases.json")
    return gone or str(file) in told


@pytest.mark.parametrize("damage", [flip, cut, remove])
def test_whatever_file_is_damaged_no_answer_is_wrong(
    damage: Callable[[Path, random.Random], None], filled: Path, tmp_path: Path
) -> None:
    shutil.copytree(filled, tmp_path / "whole.db")
    client = connect(tmp_path / "whole.db")
    wanted = answers(client)
    client.close()
    harmless, unnamed, seed = set(), [], random.randrange(2**32)
    for number, file in enumerate(files(filled)):
        path = tmp_path / f"{number}.db"
        shutil.copytree(filled, path)
        damage(path / file, random.Random(seed + number))
        told = asked(path, wanted, file)
        if told is None:
            harmless.add(file.suffix)
        elif not named(file, told):
            unnamed.append((file, seed, told))
    assert unnamed == []
    assert {file.suffix for file in files(filled)} == {
        ".arrow", ".checks", ".json", ".log", ".norms", ".parquet", ".sidx", ".vectors"
    }  # fmt: skip
    # Of vectors, a part that nothing refers to any more may be damaged.
    assert ".parquet" not in harmless


def test_an_index_file_that_changed_while_the_collection_was_closed_is_made_again(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    shutil.copytree(filled.with_name("kb.db"), path)
    sidecars = sorted(path.rglob("*.sidx"))
    for file in sidecars:
        flip(file, random.Random(1))
    kept = [file.read_bytes() for file in sidecars]
    client = connect(path)
    assert len(answers(client)) == 3
    client.close()
    assert sidecars
    assert all(file.read_bytes() != content for file, content in zip(sidecars, kept, strict=True))


def test_a_closed_database_can_be_copied_and_moved_with_its_pictures(tmp_path: Path) -> None:
    with Collection("seen", dim=2, metric="IP", uri=tmp_path / "first.db") as seen:
        seen.add([Entity("a", image=Image.new("RGB", (20, 20), "red"))], vectors=[[[1, 0]]], progress=False)
    shutil.copytree(tmp_path / "first.db", tmp_path / "copied.db")
    (tmp_path / "first.db").rename(tmp_path / "moved.db")
    for name in ("copied.db", "moved.db"):
        with Collection("seen", uri=tmp_path / name, dim=2, metric="IP") as seen:
            (hit,) = seen.search(MultiVector([[1, 0]]), k=1)
            assert hit.entity.image is not None
            assert (tmp_path / name) in Path(str(hit.entity.image)).parents
            assert open_image(hit.entity.image).getpixel((5, 5))[0] > 240  # type: ignore[index]


def checks(path: Path) -> list[Path]:
    return sorted(path.rglob("*.checks"))


def killed(path: Path, *writes: dict[int, Any]) -> Path:
    """A database as a kill leaves it after these inserts, none of them flushed."""
    client = connect(path)
    create(client)
    for pages in writes:
        client.insert("pages", rows(pages))
    copy = path.with_name("killed.db")
    shutil.copytree(path, copy)
    client.close()
    return copy


def goes_on(path: Path, wanted: set[int]) -> None:
    """The database has these pages, takes more, and keeps them."""
    for more in (100, 101):
        client = connect(path)
        assert stored(client).keys() == wanted
        assert all(np.array_equal(found, PAGES[key % 100]) for key, found in stored(client).items())
        client.insert("pages", [row(more, PAGES[more % 100])])
        wanted = wanted | {more}
        client.close()
        assert checks(path) == []


@pytest.mark.parametrize("damage", ["a log cut short", "checksums that changed"])
def test_a_log_that_lost_its_end_opens_when_its_checksums_are_removed(path: Path, damage: str) -> None:
    path = killed(path, *({key: PAGES[key]} for key in range(5)))
    (file,) = checks(path)
    log = file.with_name(f"wal_data_{file.stem.rsplit('_', 1)[-1]}.arrow")
    hurt = log if damage == "a log cut short" else file
    content = hurt.read_bytes()
    hurt.write_bytes(content[:-20] if hurt == log else content[:-1] + bytes([content[-1] ^ 1]))
    for _ in range(2):
        told = asked(path, [], Path())
        assert told is not None
        assert str(hurt) in told
        assert f"remove {file if hurt == log else 'it'} to go on without" in told
    file.unlink()
    # What was whole before the damage is there; where the checksums were hurt, all is.
    goes_on(path, set(range(4 if hurt == log else 5)))


def test_a_log_without_checksums_is_read_as_it_is(path: Path) -> None:
    path = killed(path, *({key: PAGES[key]} for key in range(5)))
    for file in checks(path):
        file.unlink()
    goes_on(path, set(range(5)))


def test_checksums_go_with_the_log_that_they_are_of(path: Path) -> None:
    client = connect(path)
    create(client)

    def written(call: Callable[[], Any], name: str = "pages") -> list[Path]:
        client.insert(name, rows(PAGES))
        client.delete(name, ids=[1])
        assert len(checks(path)) == 1
        call()
        return checks(path)

    client.create_partition("pages", "part")
    client.insert("pages", rows(PAGES), partition_name="part")
    client.release_partitions("pages", ["part"])
    assert written(lambda: client.flush("pages")) == []
    assert written(lambda: client.drop_partition("pages", "part")) == []
    assert written(lambda: client.truncate_collection("pages")) == []
    assert written(lambda: client.rename_collection("pages", "other")) == []
    assert written(lambda: client.drop_collection("other"), "other") == []
    create(client)
    assert written(client.close) == []
