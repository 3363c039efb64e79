"""What reads see, whatever was written, flushed and removed before: the same as Milvus Lite, which reads all anew."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient

from colmilvus.embedded.lite import EngineDatabase
from colmilvus.embedded.lite.names import Collection
from colmilvus.embedded.naming import row_field
from colmilvus.embedded.server import ENGINES
from tests.embedded import pages

FILTERS = (None, "year > 2004", "id in [1, 5, 9] or year == 2003", "id % 2 == 0")


@pytest.fixture
def database(path: Path, client: MilvusClient) -> EngineDatabase:
    """The database that the client's engine has open."""
    pages.create(client)
    client.create_partition("pages", "other")
    engine = ENGINES.running(path)
    assert engine is not None
    database: EngineDatabase = engine._database
    return database


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [(row["id"], row["year"]) for row in rows]


@pytest.mark.parametrize("seed", range(4))
def test_queries_give_what_milvus_lite_gives(client: MilvusClient, database: EngineDatabase, seed: int) -> None:
    chance = random.Random(seed)
    collection = database.get_collection("pages")
    drawn = pages.draw(seed, 40, most=2)
    for step in range(40):
        keys = chance.sample(range(40), chance.randint(1, 6)) if seed else range(step, step + 1)
        kind = chance.choice(["upsert", "upsert", "upsert", "delete", "flush"] if seed else ["upsert"])
        partition = "other" if seed == 3 and chance.random() < 0.5 else None
        if kind == "flush":
            client.flush("pages")
        elif kind == "delete":
            client.delete("pages", ids=list(keys), partition_name=partition)
        else:
            rows = pages.rows({key: drawn[key] for key in keys})
            client.upsert("pages", [{**row, "year": row["year"] + step % 3} for row in rows], partition_name=partition)
        expr, within = chance.choice(FILTERS), chance.choice([None, ["_default"], ["other"]])
        sorted_by_key = {"order_by_pk": True, "limit": 7, "offset": 2} if chance.random() < 0.5 else {}

        found = collection.query(expr, partition_names=within, **sorted_by_key)

        with collection._reading():
            anew = Collection.query(collection, expr, partition_names=within, **sorted_by_key)
        # Once flushed, Milvus Lite shows in one partition what another has replaced.
        if within is None or seed != 3:
            assert ids(found) == ids(anew)
        elif not sorted_by_key:
            assert set(ids(found)) <= set(ids(anew))
        snapshot = collection.snapshot(expr, within)
        numbers = dict(zip(snapshot.keys, snapshot.rows[row_field("patches")].tolist(), strict=True))
        for key, number in numbers.items():
            assert collection.stores["patches"].vectors(number, 0).tobytes() == drawn[key].tobytes()
