"""The life of collections: described, renamed, emptied, aliased, released, and still there after reopening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymilvus import DataType, Function, FunctionType, MilvusClient
from pymilvus.exceptions import MilvusException

from colmilvus.embedded import connect
from tests.embedded.pages import (
    CAPACITY,
    DIM,
    FIELD,
    count,
    create,
    draw,
    expected,
    index,
    query,
    row,
    rows,
    schema,
    search,
    stored,
)


def test_a_collection_is_made_with_its_indexes_in_one_call(client: MilvusClient) -> None:
    client.create_collection("pages", schema=schema(client), index_params=index(client))
    assert client.list_collections() == ["pages"]
    assert client.list_indexes("pages") == [FIELD]
    assert client.get_load_state("pages")["state"].name == "Loaded"


def test_a_collection_is_described_as_it_was_made(client: MilvusClient, path: Path) -> None:
    made = client.create_schema(description='{"note": "kept"}', enable_dynamic_field=True)
    made.add_field("key", DataType.VARCHAR, is_primary=True, max_length=20, description="the key")
    made.add_field("text", DataType.VARCHAR, max_length=99, enable_analyzer=True, analyzer_params={"type": "english"})
    made.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    made.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM, description="one patch")
    patch.add_field("label", DataType.VARCHAR, max_length=7)
    patch.add_field("number", DataType.INT8)
    options = {"element_type": DataType.STRUCT, "struct_schema": patch, "max_capacity": 12}
    made.add_field("patches", DataType.ARRAY, description="the patches", **options)
    client.create_collection("pages", schema=made, consistency_level="Strong", properties={"timezone": "UTC"})
    client.create_alias("pages", "p")
    described = client.describe_collection("pages")
    with connect_again(client, path) as again:
        assert again.describe_collection("pages") == described
        assert again.describe_collection("p")["collection_name"] == "pages"
    assert described["description"] == '{"note": "kept"}'
    assert described["consistency_level_name"] == "Strong"
    assert described["enable_dynamic_field"] is True
    assert described["aliases"] == ["p"]
    assert described["properties"] == {"timezone": "UTC"}
    assert [field["name"] for field in described["fields"]] == ["key", "text", "words", "patches"]
    key, text, words, patches = described["fields"]
    assert (key["description"], key["is_primary"]) == ("the key", True)
    assert text["params"]["analyzer_params"] == '{"type":"english"}'
    assert words["is_function_output"] is True
    assert described["functions"][0]["output_field_names"] == ["words"]
    assert patches["element_type"] == DataType.STRUCT
    assert patches["params"] == {"max_capacity": 12}
    subs = {sub["name"]: (sub["type"], sub.get("params", {}), sub["description"]) for sub in patches["struct_fields"]}
    assert subs == {
        "emb": (DataType.FLOAT_VECTOR, {"dim": DIM}, "one patch"),
        "label": (DataType.VARCHAR, {"max_length": 7}, ""),
        "number": (DataType.INT8, {}, ""),
    }


class connect_again:  # noqa: N801  # reads like the function that it stands for
    """Close every client of the path, and open it anew."""

    def __init__(self, client: MilvusClient, path: Path) -> None:
        client.close()
        self.client = connect(path)

    def __enter__(self) -> MilvusClient:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


def test_everything_is_there_and_loaded_after_reopening(client: MilvusClient, path: Path) -> None:
    create(client, "MAX_SIM_L2", text=True)
    pages = draw(1, 30)
    client.insert("pages", rows(pages, text="red plum"))
    question = query(1)
    before = search(client, question, output_fields=["patches"])
    with connect_again(client, path) as again:
        assert again.get_load_state("pages")["state"].name == "Loaded"
        assert search(again, question, output_fields=["patches"]) == before
        assert len(again.search("pages", ["plum"], anns_field="words", limit=40)[0]) == 30
        again.insert("pages", [row(99, np.ones((1, DIM)), text="")])
        assert count(again) == 31
        assert stored(again)[0].tolist() == pages[0].tolist()


def test_rename_keeps_the_pages(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(2, 20), query(2)
    client.insert("pages", rows(pages))
    client.rename_collection("pages", "leaves")
    assert client.list_collections() == ["leaves"]
    assert client.describe_collection("leaves")["collection_name"] == "leaves"
    wanted = [key for key, _ in expected(question, pages, "MAX_SIM")]
    assert [hit["id"] for hit in search(client, question, "leaves")] == wanted
    client.insert("leaves", [row(50, np.ones((1, DIM)))])
    assert count(client, "leaves") == 21


def test_truncate_empties_and_dropping_removes_for_good(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(3, 9)))
    client.truncate_collection("pages")
    assert count(client) == 0
    client.insert("pages", rows(draw(4, 3)))
    assert len(stored(client)) == 3
    client.drop_collection("pages")
    assert not client.has_collection("pages")
    create(client, scalars=True)
    assert count(client) == 0


def test_an_alias_leads_to_the_pages(client: MilvusClient) -> None:
    create(client)
    client.create_alias("pages", "current")
    client.insert("current", rows(draw(5, 3)))
    assert len(search(client, query(5), "current", output_fields=["patches"])) == 3


def test_databases_hold_collections_of_the_same_name(client: MilvusClient, path: Path) -> None:
    from colmilvus.embedded import address

    create(client)
    client.insert("pages", rows(draw(6, 2)))
    client.create_database("second")
    uri, token = address(path)
    other = MilvusClient(uri, token=token, db_name="second", dedicated=True)
    create(other)
    other.insert("pages", rows(draw(7, 5)))
    assert (count(client), count(other), len(stored(other))) == (2, 5, 5)
    other.close()


def test_a_released_collection_is_not_searched_until_loaded(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(8, 3)))
    client.release_collection("pages")
    assert client.get_load_state("pages")["state"].name == "NotLoad"
    for call in (lambda: search(client, query(8)), lambda: count(client), lambda: stored(client)):
        with pytest.raises(MilvusException) as caught:
            call()
        assert caught.value.code == 101
    client.load_collection("pages")
    assert len(search(client, query(8))) == 3


def test_index_parameters_and_names_are_kept_and_described(client: MilvusClient, path: Path) -> None:
    client.create_collection("pages", schema=schema(client, text=True))
    params = client.prepare_index_params()
    params.add_index(FIELD, "HNSW", "by_patch", metric_type="MAX_SIM_IP", params={"M": 12, "efConstruction": 99})
    params.add_index(
        "words",
        "SPARSE_INVERTED_INDEX",
        metric_type="BM25",
        params={"bm25_k1": 1.3, "bm25_b": 0.2, "inverted_index_algo": "DAAT_MAXSCORE"},
    )
    client.create_index("pages", params, sync=False)
    client.create_index("pages", params, sync=False)
    with connect_again(client, path) as again:
        assert sorted(again.list_indexes("pages")) == ["by_patch", "words"]
        patch = again.describe_index("pages", "by_patch")
        words = again.describe_index("pages", "words")
        assert again.describe_index("pages", "nothing") is None
    wanted = {"index_type": "HNSW", "metric_type": "MAX_SIM_IP", "M": "12", "efConstruction": "99"}
    assert patch | wanted | {"field_name": FIELD, "index_name": "by_patch"} == patch
    wanted = {"metric_type": "BM25", "bm25_k1": "1.3", "bm25_b": "0.2", "inverted_index_algo": "DAAT_MAXSCORE"}
    assert words | wanted | {"field_name": "words"} == words


def test_an_automatic_index_ranks_by_cosine_and_another_metric_needs_another_index(client: MilvusClient) -> None:
    client.create_collection("pages", schema=schema(client))
    params = client.prepare_index_params()
    params.add_index(FIELD)
    client.create_index("pages", params, sync=False)
    assert client.describe_index("pages", FIELD)["metric_type"] == "MAX_SIM_COSINE"
    with pytest.raises(MilvusException, match="at most one distinct index is allowed per field"):
        client.create_index("pages", index(client, "MAX_SIM_IP"), sync=False)
    client.drop_index("pages", FIELD)
    assert client.list_indexes("pages") == []
    client.create_index("pages", index(client, "MAX_SIM_IP"), sync=False)
    client.load_collection("pages")
    pages, question = draw(9, 20), query(9)
    client.insert("pages", rows(pages))
    assert [h["id"] for h in search(client, question)] == [k for k, _ in expected(question, pages, "MAX_SIM_IP")]


def test_an_index_is_dropped_only_after_release(client: MilvusClient) -> None:
    create(client)
    with pytest.raises(MilvusException, match="vector index cannot be dropped on loaded collection: pages"):
        client.drop_index("pages", FIELD)
    client.release_collection("pages")
    client.drop_index("pages", FIELD)
    assert client.list_indexes("pages") == []


@pytest.mark.parametrize("loaded", [False, True])
def test_dropping_an_index_that_is_none_drops_nothing_and_is_no_error(client: MilvusClient, loaded: bool) -> None:
    create(client)
    if not loaded:
        client.release_collection("pages")
    client.drop_index("pages", "nothing")
    assert client.list_indexes("pages") == [FIELD]


def test_what_milvus_lite_can_do_without_structs_goes_on_working(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=4, metric_type="L2")
    vectors = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    client.insert("plain", [{"id": i, "vector": vectors[i].tolist(), "colour": "red"} for i in range(50)])
    hits = client.search("plain", [vectors[7].tolist()], limit=3, output_fields=["colour"])[0]
    assert (hits[0]["id"], hits[0]["distance"], hits[0]["entity"]) == (7, pytest.approx(0, abs=1e-6), {"colour": "red"})
    assert client.search("plain", [vectors[7].tolist()], limit=1)[0][0]["entity"] == {}
    nearest = np.sort(((vectors - vectors[7]) ** 2).sum(axis=1))
    assert [hit["distance"] for hit in hits] == pytest.approx(nearest[:3].tolist(), abs=1e-5)
    inner = client.search("plain", [vectors[7].tolist()], limit=50, search_params={"params": {"radius": 1.0}})[0]
    assert len(inner) == int((nearest < 1).sum())
    assert client.query("plain", filter='colour == "red"', output_fields=["count(*)"])[0]["count(*)"] == 50
    iterator = client.search_iterator("plain", [vectors[7].tolist()], batch_size=20, limit=50)
    assert len(iterator.next()) == 20
    iterator.close()
    described = client.describe_collection("plain")
    assert [field["name"] for field in described["fields"]] == ["id", "vector"]


def test_capacity_many_patches_come_back(client: MilvusClient) -> None:
    create(client)
    full = np.arange(CAPACITY * DIM, dtype=np.float32).reshape(CAPACITY, DIM)
    client.insert("pages", [row(1, full)])
    assert np.array_equal(stored(client)[1], full)
