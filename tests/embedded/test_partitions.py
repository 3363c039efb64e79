"""A row lies in one partition: what is asked of the others does not find it, and does not touch it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from colmilvus.embedded import connect
from colmilvus.embedded.lite.checked import CheckedLog
from tests.embedded.pages import FIELD, draw, index, make, row, schema, search

PAGES = draw(1, 6, most=4)
QUESTION = np.ones((1, 8), np.float32)
DENSE = {"data": [[1.0, 0.0]], "anns_field": "summary"}
SPARSE = {"data": [{1: 1.0}], "anns_field": "terms"}


def rows(*keys: int, **more: Any) -> list[dict[str, Any]]:
    return [row(key, PAGES[key], summary=[1.0, key], terms={1: 1.0 + key}, **more) for key in keys]


def fill(client: MilvusClient) -> None:
    """Rows 0 to 2 in ``old``, 3 to 5 in ``new``, with vectors beside the structs."""
    made, params = schema(client), index(client, "MAX_SIM_IP")
    made.add_field("summary", DataType.FLOAT_VECTOR, dim=2)
    made.add_field("terms", DataType.SPARSE_FLOAT_VECTOR)
    params.add_index("summary", index_type="FLAT", metric_type="L2")
    params.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    make(client, "pages", made, params)
    for name, keys in (("old", (0, 1, 2)), ("new", (3, 4, 5))):
        client.create_partition("pages", name)
        client.insert("pages", rows(*keys), partition_name=name)


def found(client: MilvusClient, *names: str) -> set[int]:
    """The keys in the partitions, as every way to read them says."""
    within: dict[str, Any] = {"partition_names": list(names)}
    reads = [
        {hit["id"] for hit in search(client, QUESTION, **within)},
        {hit["id"] for hit in client.search("pages", **DENSE, **within)[0]},
        {hit["id"] for hit in client.search("pages", **SPARSE, **within)[0]},
        {hit["id"] for hit in client.search("pages", filter="id >= 0", **SPARSE, **within)[0]},
        {each["id"] for each in client.query("pages", filter="id >= 0", output_fields=["id"], **within)},
        {each["id"] for each in client.get("pages", list(PAGES), output_fields=["id", FIELD], **within)},
    ]
    assert reads[1:] == reads[:-1]
    counted = client.query("pages", output_fields=["count(*)"], **within)[0]["count(*)"]
    stated = sum(client.get_partition_stats("pages", name)["row_count"] for name in names)
    assert counted == stated == len(reads[0])
    return reads[0]


def test_a_row_that_is_written_into_another_partition_leaves_its_own(path: Path) -> None:
    client = connect(path)
    fill(client)
    client.upsert("pages", rows(0), partition_name="new")
    assert (found(client, "old"), found(client, "new")) == ({1, 2}, {0, 3, 4, 5})
    client.flush("pages")
    client.upsert("pages", rows(1), partition_name="new")
    client.insert("pages", rows(2, 5))
    for _ in range(2):
        assert [found(client, name) for name in ("old", "new", "_default")] == [set(), {0, 1, 3, 4}, {2, 5}]
        assert found(client, "old", "new") == {0, 1, 3, 4}
        client.flush("pages")
    client.close()
    client = connect(path)
    assert [found(client, name) for name in ("old", "new", "_default")] == [set(), {0, 1, 3, 4}, {2, 5}]
    client.close()


def test_a_dropped_partition_brings_nothing_back_that_its_rows_had_replaced(path: Path) -> None:
    client = connect(path)
    fill(client)
    client.flush("pages")
    client.upsert("pages", rows(0, 1), partition_name="new")
    client.flush("pages")
    client.upsert("pages", rows(1), partition_name="old")
    client.upsert("pages", rows(2), partition_name="new")
    client.release_partitions("pages", ["new"])
    client.drop_partition("pages", "new")
    for _ in range(2):
        assert (found(client, "old"), found(client, "_default")) == ({1}, set())
        client.close()
        client = connect(path)
    client.close()


def test_a_delete_in_one_partition_leaves_the_others_alone(path: Path) -> None:
    client = connect(path)
    fill(client)
    for _ in range(2):
        assert client.delete("pages", ids=[1, 3], partition_name="old")["delete_count"] == 2
        assert client.delete("pages", filter="id in [0, 4]", partition_name="new")["delete_count"] == 2
        assert client.delete("pages", filter="id != 0 and year < 2005", partition_name="_default")["delete_count"] == 0
        assert (found(client, "old"), found(client, "new")) == ({0, 2}, {3, 5})
        client.insert("pages", rows(1), partition_name="old")
        client.insert("pages", rows(4), partition_name="new")
        client.flush("pages")
    client.close()
    client = connect(path)
    assert (found(client, "old"), found(client, "new")) == ({0, 1, 2}, {3, 4, 5})
    client.close()


def test_rows_of_many_tenants_are_written_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(path)
    made = schema(client)
    made.add_field("tenant", DataType.VARCHAR, max_length=20, is_partition_key=True)
    make(client, "pages", made, index(client))
    copies: list[Path] = []
    write = CheckedLog.write_insert

    def copied(log: CheckedLog, batch: Any) -> None:
        """A kill after this write would leave the copy."""
        write(log, batch)
        copies.append(shutil.copytree(path, path.with_name(f"{len(copies)}.db")))

    monkeypatch.setattr(CheckedLog, "write_insert", copied)
    data = [row(key, patches, tenant=f"t{key % 9}") for key, patches in draw(2, 30, most=3).items()]
    assert list(client.insert("pages", data)["ids"]) == list(range(30))
    assert len(client.query("pages", filter='tenant == "t4"')) == 3
    client.close()
    assert copies
    for copy in copies:
        again = connect(copy)
        assert {each["id"]: each["tenant"] for each in again.query("pages", filter="id >= 0")} == {
            each["id"]: each["tenant"] for each in data
        }
        again.close()


def test_of_rows_of_one_key_the_last_one_stays_whatever_tenants_they_have(path: Path) -> None:
    client = connect(path)
    made = schema(client)
    made.add_field("tenant", DataType.VARCHAR, max_length=20, is_partition_key=True)
    make(client, "pages", made, index(client))
    patches = draw(2, 24, most=3)
    # Both orders of any two of these tenants, so that no order of their buckets is the rows'.
    pairs = [(f"t{key % 4}", f"t{(key + 1 + key // 4 % 3) % 4}") for key in range(24)]
    first = [row(key, patches[key], tenant=before) for key, (before, _) in enumerate(pairs)]
    last = [row(key, patches[key], tenant=after) for key, (_, after) in enumerate(pairs)]
    assert list(client.insert("pages", first + last)["ids"]) == [*range(24), *range(24)]
    for _ in ("written", "flushed"):
        found = client.query("pages", filter="id >= 0", output_fields=["id", "tenant"])
        assert {each["id"]: each["tenant"] for each in found} == {each["id"]: each["tenant"] for each in last}
        assert len(found) == 24
        client.flush("pages")
    client.close()
