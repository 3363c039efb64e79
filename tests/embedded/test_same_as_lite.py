"""The same calls on plain Milvus Lite and on the engine, without structs: every answer is the same, but for a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import (
    AnnSearchRequest,
    DataType,
    Function,
    FunctionType,
    MilvusClient,
    RRFRanker,
    WeightedRanker,
)

from tests.embedded.same_as_lite import Call, compare, drained, in_order

# What differs on purpose, and why; it stands in docs/engine.md too.
DIFFERENT = {
    "describe everything": "the engine keeps descriptions, and the schema as it was written",
    "describe the dense index": "the engine keeps every parameter",
    "search texts": "the engine's scores are positive, by Milvus's k1, and count all live rows",
    "search texts within bounds": "as above",
    "search texts by groups": "as above",
    "iterate over texts": "as above",
    "texts and vectors by weights": "as above",
    "search without output": "Milvus Lite gives all fields where none is asked for, a server none",
    "query with not in and null": "the engine evaluates filters as a server does: null is in no list, and not in none",
    "query whole numbers with a fraction": "refused by the engine, as by a server",
    "partitions": "Milvus Lite counts all partitions where one is asked for",
    "delete by ids": "the engine answers with the count, as a server, Milvus Lite with the ids",
    "delete by a filter": "as above",
    "a second collection of the name": "the same collection made again is taken for done, as on a server",
    "a property without effect here": "refused by the engine by its name",
}

RNG = np.random.default_rng(7)
WORDS = ["plum", "fig", "pear", "kiwi", "lemon", "quince"]


def row(key: int) -> dict[str, Any]:
    return {
        "id": key,
        "dense": [round(float(x), 3) for x in RNG.standard_normal(4)],
        "sparse": {key % 7: 1.0, 10 + key % 3: 0.5},
        "text": " ".join(WORDS[(key * step) % 6] for step in range(1, 2 + key % 4)),
        "flag": key % 2 == 0,
        "small": key % 100,
        "number": key * 10,
        "real": key / 4,
        "name": f"name-{key % 5}",
        "data": {"k": key, "tags": [f"t{key % 3}"], "inner": {"x": key / 2}} if key % 4 else {"other": key},
        "listed": [key, key + 1],
        "maybe": None if key % 3 == 0 else key,
        "extra": key * 2,
    }


ROWS = [row(key) for key in range(60)]


def create(client: MilvusClient) -> None:
    schema = client.create_schema(enable_dynamic_field=True, description="all kinds")
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("text", DataType.VARCHAR, max_length=500, enable_analyzer=True)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("flag", DataType.BOOL)
    schema.add_field("small", DataType.INT8)
    schema.add_field("number", DataType.INT32)
    schema.add_field("real", DataType.DOUBLE)
    schema.add_field("name", DataType.VARCHAR, max_length=50)
    schema.add_field("data", DataType.JSON)
    schema.add_field("listed", DataType.ARRAY, element_type=DataType.INT64, max_capacity=5)
    schema.add_field("maybe", DataType.INT64, nullable=True)
    schema.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    indexes = client.prepare_index_params()
    indexes.add_index("dense", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 100})
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    indexes.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    indexes.add_index("number", index_type="INVERTED")
    client.create_collection("all", schema=schema, index_params=indexes)


def query(expression: str = "", **options: Any) -> Call:
    options = {"output_fields": ["id"], "limit": 100, **options}

    def call(client: MilvusClient) -> Any:
        return sorted(client.query("all", filter=expression, **options), key=lambda each: each["id"])

    return call


def search(field: str, data: list[Any], **options: Any) -> Call:
    options = {"limit": 5, "output_fields": ["name"], **options}

    def call(client: MilvusClient) -> Any:
        return in_order(client.search("all", data, anns_field=field, **options))

    return call


def hybrid(*parts: tuple[list[Any], str], ranker: Any) -> Call:
    return lambda client: client.hybrid_search(
        "all", [AnnSearchRequest(data, field, {}, 20) for data, field in parts], ranker, limit=5, output_fields=["name"]
    )


def iterated(field: str, data: list[Any], **options: Any) -> Call:
    def call(client: MilvusClient) -> Any:
        iterator = client.search_iterator("all", data, batch_size=7, limit=30, anns_field=field, **options)
        return sorted(round(hit["distance"], 4) for hit in drained(iterator))

    return call


DENSE = [[0.1, 0.2, -0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]
SPARSE = [{1: 1.0, 11: 1.0}]


BOOST = Function(
    "boost", FunctionType.RERANK, [], [], params={"reranker": "boost", "filter": "flag == true", "weight": "3.0"}
)


def ranged(**bounds: float) -> dict[str, Any]:
    return {"search_params": {"params": bounds}}


def grown(client: MilvusClient) -> Any:
    client.create_partition("all", "named")
    client.insert("all", [row(key) for key in range(200, 205)], partition_name="named")
    return [
        client.list_partitions("all"),
        client.has_partition("all", "named"),
        client.query("all", output_fields=["count(*)"], partition_names=["named"]),
        client.get("all", [201], partition_names=["named"], output_fields=["name"]),
        client.get("all", [201], partition_names=["_default"]),
    ]


def named_otherwise(client: MilvusClient) -> Any:
    client.create_alias("all", "other")
    first = [client.describe_alias("other"), client.list_aliases("all")["aliases"], client.get("other", [3], ["name"])]
    client.rename_collection("all", "renamed")
    client.load_collection("renamed")  # which Milvus Lite has released
    found = [client.list_collections(), client.get("renamed", [3], ["name"]), client.get("other", [3], ["name"])]
    client.rename_collection("renamed", "all")
    client.load_collection("all")
    client.drop_alias("other")
    return [first, found, client.list_aliases("all")["aliases"]]


def keyed(client: MilvusClient) -> Any:
    schema = client.create_schema(auto_id=True)
    schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
    schema.add_field("tenant", DataType.VARCHAR, max_length=20, is_partition_key=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("keyed", schema=schema, index_params=indexes)
    count = client.insert("keyed", [{"tenant": f"t{i % 3}", "vector": [i, 0.0]} for i in range(9)])["insert_count"]
    found = client.search("keyed", [[4.0, 0.0]], filter='tenant == "t1"', limit=3, output_fields=["tenant"])
    kept = [(hit["distance"], hit["entity"]["tenant"]) for hit in found[0]]
    client.drop_collection("keyed")
    return [count, kept, client.has_collection("keyed")]


def in_a_database(client: MilvusClient) -> Any:
    client.create_database("second")
    client.use_database("second")
    empty = client.list_collections()
    client.create_collection("quick", dimension=3)
    client.insert("quick", [{"id": 1, "vector": [1.0, 2.0, 3.0], "colour": "red"}])
    found = client.search("quick", [[1.0, 2.0, 3.0]], limit=1, output_fields=["colour"])
    client.drop_collection("quick")
    client.use_database("default")
    client.drop_database("second")
    return [empty, found, client.list_databases(), client.list_collections()]


def released(client: MilvusClient) -> Any:
    client.release_collection("all")
    states = [client.get_load_state("all")["state"]]
    client.load_collection("all")
    return [*states, client.get_load_state("all")["state"]]


def replaced(client: MilvusClient) -> Any:
    count = client.upsert("all", [{**ROWS[5], "name": "new", "extra": "changed"}, row(300)])["upsert_count"]
    return [count, client.get("all", [5, 300], ["name", "extra", "number"])]


def altered(client: MilvusClient) -> Any:
    client.alter_collection_properties("all", {"mmap.enabled": "true"})
    kept = client.describe_collection("all")["properties"]
    client.drop_collection_properties("all", ["mmap.enabled"])
    return [kept, client.describe_collection("all")["properties"]]


def read_calls() -> dict[str, Call]:
    """What is asked of unflushed rows, and once more when they are flushed."""
    return {
        "count": lambda client: client.query("all", output_fields=["count(*)"]),
        "get": lambda client: client.get("all", [3, 1, 9999], ["name", "data", "extra", "listed", "maybe", "dense"]),
        "query everything": query("id < 3", output_fields=["*"]),
        "query without output": query("id < 3", output_fields=[]),
        "query by comparisons": query("number > 100 and (real <= 10.5 or flag == true) and not (small == 20)"),
        "query by lists": query('name in ["name-1", "name-3"] and id not in [1, 2, 3]'),
        "query by patterns": query('name like "name-%" and text like "%fig%"'),
        "query by keys": query('data["k"] > 20 and data["inner"]["x"] < 25 and json_contains(data["tags"], "t1")'),
        "query by dynamic keys": query('extra > 50 and extra < 90 and $meta["extra"] != 60', output_fields=["extra"]),
        "query by arrays": query("array_contains(listed, 5) or listed[0] == 9 or array_length(listed) != 2"),
        "query by arithmetic": query("id + 1 == 10 or number * 2 == 80"),
        "query what is null": query("maybe is null and id < 20"),
        "query keys that are there": query('exists data["other"]'),
        "query keys that are null": query('data["k"] is null and id in [4, 5]'),
        "query with not in and null": query("maybe not in [1, 2] and id < 10"),
        "query whole numbers with a fraction": query("number == 10.5"),
        "query pages of rows": lambda client: len(client.query("all", filter="id >= 0", limit=7, offset=55)),
        "iterate over rows": lambda client: sorted(
            each["id"]
            for each in drained(client.query_iterator("all", batch_size=9, filter="id > 4", output_fields=["id"]))
        ),
        "search dense": search("dense", DENSE, output_fields=["name", "extra"]),
        "search without output": search("dense", DENSE, output_fields=[]),
        "a boost": search("dense", DENSE, ranker=BOOST),
        "search dense with a filter": search("dense", DENSE, filter='data["k"] > 10 and flag == true'),
        "search dense with an offset": search("dense", DENSE[:1], offset=4),
        "search dense within bounds": search("dense", DENSE[:1], **ranged(radius=0.2, range_filter=0.9)),
        "search dense by groups": search("dense", DENSE[:1], group_by_field="name", output_fields=["name"]),
        "search sparse": search("sparse", SPARSE, limit=3, output_fields=["sparse"], filter="id < 20"),
        "search texts": search("words", ["plum fig"], filter="id < 30"),
        "search texts within bounds": search("words", ["plum fig"], **ranged(radius=0.1)),
        "search texts by groups": search("words", ["plum fig"], group_by_field="name"),
        "iterate over dense": iterated("dense", DENSE[:1]),
        "iterate over texts": iterated("words", ["plum"]),
        "vectors by ranks": hybrid((DENSE[:1], "dense"), (SPARSE, "sparse"), ranker=RRFRanker(60)),
        "vectors by weights": hybrid((DENSE[:1], "dense"), (DENSE[1:], "dense"), ranker=WeightedRanker(0.7, 0.3)),
        "texts and vectors by weights": hybrid(
            (DENSE[:1], "dense"), (["plum"], "words"), ranker=WeightedRanker(0.5, 0.5)
        ),
    }


def script() -> dict[str, Call]:
    calls: dict[str, Call] = {
        "create": create,
        "has": lambda client: [client.has_collection("all"), client.has_collection("none"), client.list_collections()],
        "describe everything": lambda client: client.describe_collection("all"),
        "indexes": lambda client: sorted(client.list_indexes("all")),
        "describe the dense index": lambda client: client.describe_index("all", "dense"),
        "describe the text index": lambda client: client.describe_index("all", "words"),
        "insert": lambda client: client.insert("all", ROWS),
        **read_calls(),
        "flush": lambda client: client.flush("all"),
        "stats": lambda client: client.get_collection_stats("all"),
        **{f"flushed: {name}": call for name, call in read_calls().items()},
        "partitions": grown,
        "partition by a key": keyed,
        "aliases and names": named_otherwise,
        "databases": in_a_database,
        "load states": released,
        "upsert": replaced,
        "delete by ids": lambda client: client.delete("all", ids=[300, 7777]),
        "delete by a filter": lambda client: client.delete("all", filter="number >= 550"),
        "what is left": query("id > 45"),
        "properties": altered,
        "a property without effect here": lambda client: client.alter_collection_properties(
            "all", {"collection.ttl.seconds": "3600"}
        ),
        "an unknown collection": lambda client: client.query("none", filter="id > 0"),
        "an unknown field": search("none", DENSE),
        "a wrong dim": lambda client: client.insert("all", [{**ROWS[0], "dense": [1.0]}]),
        "a wrong filter": query("id >"),
        "a second collection of the name": create,
        "a released collection": lambda client: (client.release_collection("all"), client.get("all", [1])),
        "load again": lambda client: client.load_collection("all"),
        "truncate": lambda client: (
            client.truncate_collection("all"),
            client.query("all", output_fields=["count(*)"]),
            client.insert("all", ROWS[:3])["insert_count"],
        ),
    }
    return calls


def reopened() -> dict[str, Call]:
    return {
        "load state after reopening": lambda client: client.get_load_state("all")["state"],
        "search after reopening": search("dense", DENSE[:1], limit=2),
        "load after reopening": lambda client: client.load_collection("all"),
        "query after reopening": query("id >= 0", output_fields=["*"]),
        "drop": lambda client: (client.drop_collection("all"), client.list_collections()),
    }


def test_the_engine_answers_every_call_as_milvus_lite_but_for_the_list(tmp_path: Path) -> None:
    meant = ("a wrong", "an unknown", "a released", "a property", "query whole numbers")
    compare(tmp_path, script(), reopened(), different=DIFFERENT, refused=meant)
