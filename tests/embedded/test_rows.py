"""Rows written, read and removed by pymilvus's own calls."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from packaging.version import Version
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from tests.embedded.pages import (
    DIM,
    FIELD,
    count,
    create,
    draw,
    expected,
    index,
    make,
    query,
    row,
    rows,
    schema,
    search,
    stored,
)


def same(found: dict[int, Any], pages: dict[int, Any]) -> bool:
    return found.keys() == pages.keys() and all(np.array_equal(found[key], pages[key]) for key in pages)


def test_what_was_inserted_comes_back_unchanged_before_and_after_a_flush(client: MilvusClient) -> None:
    create(client)
    pages = draw(1, 40)
    answer = client.insert("pages", rows(pages))
    assert (answer["insert_count"], list(answer["ids"])) == (40, list(range(40)))
    assert same(stored(client), pages)
    client.flush("pages")
    assert same(stored(client), pages)


def test_upsert_replaces_whole_pages_and_adds_new_ones(client: MilvusClient) -> None:
    create(client)
    pages = draw(1, 10)
    client.insert("pages", rows(pages))
    client.flush("pages")
    new = {key: patches for key, patches in draw(2, 15).items() if key >= 5}
    assert client.upsert("pages", rows(new))["upsert_count"] == 10
    assert same(stored(client), pages | new)
    assert count(client) == 15


@pytest.mark.skipif(Version(version("pymilvus")) < Version("2.6.17"), reason="pymilvus cannot send one before 2.6.17")
def test_a_partial_update_keeps_or_replaces_the_whole_struct(client: MilvusClient) -> None:
    create(client)
    pages = draw(3, 3)
    client.insert("pages", rows(pages))
    client.upsert("pages", [{"id": 1, "year": 1900}], partial_update=True)
    assert list(client.query("pages", filter="year == 1900", output_fields=["id"])) == [{"id": 1}]
    assert same(stored(client), pages)
    pages[2] = draw(4, 1)[0]
    client.upsert("pages", [{"id": 2, "patches": [{"emb": vector} for vector in pages[2]]}], partial_update=True)
    assert same(stored(client), pages)
    with pytest.raises(MilvusException, match=r"structFieldSchema\(patches\) has no corresponding fieldData pass in"):
        client.upsert("pages", [{"id": 9, "year": 1900}], partial_update=True)


def test_ids_can_be_given_by_the_database(client: MilvusClient) -> None:
    made = client.create_schema(auto_id=True)
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=9)
    make(client, "pages", made, index(client))
    ids = client.insert("pages", [{"patches": [{"emb": [1.0] * DIM}]}, {"patches": [{"emb": [-1.0] * DIM}]}])["ids"]
    assert len(set(ids)) == 2
    assert [hit["id"] for hit in search(client, np.ones((1, DIM), np.float32))] == list(ids)
    with pytest.raises(MilvusException, match="can not assign primary field data when auto id enabled"):
        client.insert("pages", [{"id": 5, "patches": []}])
    client.alter_collection_properties("pages", {"allow_insert_auto_id": True})
    client.insert("pages", [{"id": 5, "patches": [{"emb": [1.0] * DIM}]}])
    assert count(client) == 3


def test_rows_are_deleted_by_ids_and_by_filter(client: MilvusClient) -> None:
    create(client)
    pages = draw(5, 30)
    client.insert("pages", rows(pages))
    assert client.delete("pages", ids=[1, 2])["delete_count"] == 2
    assert client.delete("pages", filter="year == 2003")["delete_count"] == 3
    client.flush("pages")
    assert client.delete("pages", filter="id in [4]")["delete_count"] == 1
    left = {key: patches for key, patches in pages.items() if key not in (1, 2, 4) and key % 10 != 3}
    assert same(stored(client), left)
    client.insert("pages", [row(1, pages[1])])
    assert same(stored(client), left | {1: pages[1]})


def test_get_finds_by_id_with_structs(client: MilvusClient) -> None:
    create(client, scalars=True)
    pages = draw(6, 4)
    client.insert("pages", rows(pages, scalars=True))
    found = client.get("pages", ids=[2, 7], output_fields=["patches"])
    assert len(found) == 1
    assert [patch["label"] for patch in found[0]["patches"]] == [f"2-{i}" for i in range(len(pages[2]))]
    assert [patch["number"] for patch in found[0]["patches"]] == list(range(len(pages[2])))
    assert np.array_equal([patch["emb"] for patch in found[0]["patches"]], pages[2])


def test_every_kind_of_scalar_sub_field_comes_back(client: MilvusClient) -> None:
    kinds: dict[str, tuple[DataType, list[Any]]] = {
        "flag": (DataType.BOOL, [True, False]),
        "tiny": (DataType.INT8, [-128, 127]),
        "short": (DataType.INT16, [-32768, 32767]),
        "plain": (DataType.INT32, [-(2**31), 2**31 - 1]),
        "long": (DataType.INT64, [-(2**63), 2**63 - 1]),
        "real": (DataType.FLOAT, [0.5, -2.0]),
        "fine": (DataType.DOUBLE, [0.1, 1e300]),
        "label": (DataType.VARCHAR, ["", "ünï"]),
    }
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    for name, (kind, _) in kinds.items():
        patch.add_field(name, kind, **({"max_length": 9} if kind == DataType.VARCHAR else {}))
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=9)
    make(client, "pages", made, index(client))
    patches = [{"emb": [1.0] * DIM} | {name: values[i] for name, (_, values) in kinds.items()} for i in range(2)]
    client.insert("pages", [{"id": 1, "patches": patches}, {"id": 2, "patches": []}])
    assert client.get("pages", ids=[1], output_fields=["patches"])[0]["patches"] == patches
    assert client.get("pages", ids=[2], output_fields=["patches"])[0]["patches"] == []


def test_query_gives_the_structs_asked_for(client: MilvusClient) -> None:
    create(client, scalars=True)
    client.insert("pages", [row(1, np.ones((1, DIM)), scalars=True), row(2, np.ones((2, DIM)), scalars=True)])
    one = {"emb": [1.0] * DIM, "label": "1-0", "number": 0}
    assert list(client.query("pages", filter="id == 1")) == [{"id": 1, "year": 2001, "patches": [one]}]
    assert list(client.query("pages", filter="id == 1", output_fields=["*"])) == [
        {"id": 1, "year": 2001, "patches": [one]}
    ]
    assert list(client.query("pages", filter="id == 1", output_fields=["patches[number]"])) == [
        {"id": 1, "patches": [{"number": 0}]}
    ]
    assert list(client.query("pages", filter="id == 1", output_fields=["year"])) == [{"id": 1, "year": 2001}]
    assert list(client.query("pages", filter="id > 7", output_fields=["patches"])) == []


def test_count_follows_every_write(client: MilvusClient) -> None:
    create(client)
    assert count(client) == 0
    client.insert("pages", rows(draw(7, 20)))
    assert (count(client), count(client, filter="year == 2003")) == (20, 2)
    client.delete("pages", ids=[3])
    client.flush("pages")
    assert (count(client), count(client, filter="year == 2003")) == (19, 1)
    assert client.get_collection_stats("pages") == {"row_count": 19}


def test_a_query_iterator_walks_over_all_rows(client: MilvusClient) -> None:
    create(client)
    pages = draw(8, 25)
    client.insert("pages", rows(pages))
    iterator = client.query_iterator("pages", batch_size=10, filter="id >= 3", output_fields=[FIELD])
    found: dict[int, Any] = {}
    sizes = []
    while batch := iterator.next():
        sizes.append(len(batch))
        found |= {each["id"]: [patch["emb"] for patch in each["patches"]] for each in batch}
    iterator.close()
    assert sizes == [10, 10, 2]
    assert same(found, {key: patches for key, patches in pages.items() if key >= 3})


def test_partitions_and_partition_keys_keep_structs_apart(client: MilvusClient) -> None:
    create(client)
    client.create_partition("pages", "old")
    pages = draw(9, 10)
    data = rows(pages)
    client.insert("pages", data[:4], partition_name="old")
    client.insert("pages", data[4:])
    question = query(9)
    hits = search(client, question, partition_names=["old"])
    assert [hit["id"] for hit in hits] == [k for k, _ in expected(question, dict(list(pages.items())[:4]), "MAX_SIM")]
    with pytest.raises(MilvusException, match="partition cannot be dropped, partition is loaded"):
        client.drop_partition("pages", "old")
    client.release_partitions("pages", ["old"])
    assert client.get_load_state("pages", "old")["state"].name == "NotLoad"
    assert client.get_load_state("pages")["state"].name == "Loaded"
    assert count(client) == 6
    assert {hit["id"] for hit in search(client, question)} == set(range(4, 10))
    with pytest.raises(MilvusException, match=r"partition not loaded\[partition=old\]"):
        search(client, question, partition_names=["old"])
    client.load_partitions("pages", ["old"])
    assert count(client) == 10
    client.release_partitions("pages", ["old", "_default"])
    assert client.get_load_state("pages")["state"].name == "NotLoad"
    client.load_partitions("pages", ["_default"])
    client.drop_partition("pages", "old")
    assert count(client) == 6

    made = schema(client)
    made.add_field("tenant", DataType.VARCHAR, max_length=20, is_partition_key=True)
    make(client, "shared", made, index(client))
    client.insert("shared", [each | {"tenant": f"t{each['id'] % 3}"} for each in data])
    hits = search(client, question, "shared", filter='tenant == "t1"')
    mine = {key: patches for key, patches in pages.items() if key % 3 == 1}
    assert [hit["id"] for hit in hits] == [key for key, _ in expected(question, mine, "MAX_SIM")]


def test_the_dynamic_field_lives_beside_structs(client: MilvusClient) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", [row(1, np.ones((1, DIM)), colour="red"), row(2, np.ones((1, DIM)), colour="blue")])
    assert list(client.query("pages", filter='colour == "red"', output_fields=["colour", "patches"])) == [
        {"id": 1, "colour": "red", "patches": [{"emb": [1.0] * DIM}]}
    ]
    assert search(client, query(1), filter='colour == "blue"', output_fields=["colour"])[0]["entity"] == {
        "colour": "blue"
    }
