"""The same of kinds of keys, indexes and metrics, of partitions, groups and partial updates, without structs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from tests.embedded.same_as_lite import Call, compare, in_order

INDEXES: dict[str, dict[str, Any]] = {
    "FLAT": {},
    "IVF_FLAT": {"nlist": 4},
    # Its codes, and so its scores, depend on the parameter that Milvus Lite forgets.
    "IVF_SQ8": {},
    "HNSW": {"M": 8, "efConstruction": 50},
    "AUTOINDEX": {},
}
METRICS = ("L2", "IP", "COSINE")
# What differs on purpose, and why; it stands in docs/engine.md too.
DIFFERENT = {
    **{
        f"{kind} by {metric}: describe": "the engine keeps every parameter"
        for kind, params in INDEXES.items()
        for metric in METRICS
        if params
    },
    "groups of less than one": "refused by the engine, as by a server; Milvus Lite finds nothing",
    "release a partition": "Milvus Lite has no such call",
    "read what is left of it": "as above, and goes on reading all",
    "load the partition": "Milvus Lite has no such call",
    "load one partition alone": "as above, so that the collection stays released",
    "read this one alone": "as above",
    "another is not read": "as above",
    "drop a loaded partition": "refused by the engine, as by a server",
    "release and drop a partition": "Milvus Lite has no call to release it",
    "read a partition that is none": "refused by the engine, as by a server; Milvus Lite finds nothing",
    "move a row": "Milvus Lite still finds a flushed row in the partition that it was in",
    "delete keys in a partition": "Milvus Lite deletes them in the others too",
    "delete keys": "the engine answers with the count, as a server, Milvus Lite with the keys",
}
RNG = np.random.default_rng(3)
DENSE = [[0.1, 0.2, -0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]


def row(number: int, prefix: str = "k") -> dict[str, Any]:
    return {
        "key": f"{prefix}{number:03}é",
        "vector": [round(float(x), 3) for x in RNG.standard_normal(4)],
        "kind": f"kind-{number % 4}",
        "number": number,
        "maybe": None if number % 3 == 0 else number,
        "extra": number * 2,
    }


ROWS = [row(number) for number in range(60)]
EVEN, ODD = [row(number, "e") for number in range(0, 40, 2)], [row(number, "o") for number in range(1, 40, 2)]


def create(client: MilvusClient, name: str, kind: str, metric: str) -> None:
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("key", DataType.VARCHAR, max_length=10, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("kind", DataType.VARCHAR, max_length=10)
    schema.add_field("number", DataType.INT64)
    schema.add_field("maybe", DataType.INT64, nullable=True)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type=kind, metric_type=metric, params=INDEXES[kind])
    client.create_collection(name, schema=schema)
    client.create_index(name, indexes, sync=False)
    client.load_collection(name)


def searched(client: MilvusClient, name: str = "kinds", **options: Any) -> Any:
    options = {"data": DENSE, "limit": 5, "output_fields": ["number"], **options}
    return in_order(client.search(name, **options), "key")


def read(client: MilvusClient, *partitions: str) -> Any:
    """By search, query, ``get`` and ``count(*)``, in these partitions or in all."""
    within: dict[str, Any] = {"partition_names": list(partitions)} if partitions else {}
    found = client.query("kinds", filter="number < 9", output_fields=["number"], **within)
    return [
        searched(client, filter="number < 30", **within),
        sorted(found, key=lambda each: each["key"]),
        client.get("kinds", [EVEN[1]["key"], ODD[1]["key"], ROWS[1]["key"]], ["number"], **within),
    ]


def searches(kind: str, metric: str) -> list[dict[str, Call]]:
    """On a collection of one index and metric: searches before and after a flush and a reopening."""
    name = f"{kind}_{metric}"
    bounds = {"radius": 3.0, "range_filter": 0.5} if metric == "L2" else {"radius": 0.1, "range_filter": 0.9}
    knobs = {"ef": 60} if kind == "HNSW" else {"nprobe": 128} if kind.startswith("IVF") else {}

    def ways(client: MilvusClient) -> Any:
        return [
            searched(client, name, search_params={"metric_type": metric, "params": knobs}),
            searched(client, name, filter='kind == "kind-1" and maybe > 7', search_params={"params": knobs}),
            searched(client, name, offset=3, search_params={"params": knobs}),
            searched(client, name, data=DENSE[:1], search_params={"params": bounds | knobs}),
        ]

    def made(client: MilvusClient) -> Any:
        create(client, name, kind, metric)
        return client.insert(name, ROWS)

    before: dict[str, Call] = {
        "make": made,
        "indexes": lambda client: client.list_indexes(name),
        "describe": lambda client: client.describe_index(name, "vector"),
        "search": ways,
        "a wrong metric": lambda client: searched(client, name, search_params={"metric_type": "JACCARD"}),
        "flush": lambda client: client.flush(name),
    }
    # Reopened, because both build indexes in the background.
    after: dict[str, Call] = {
        "load": lambda client: client.load_collection(name),
        "search by the index": ways,
        "drop": lambda client: client.drop_collection(name),
    }
    return [{f"{kind} by {metric}: {what}": call for what, call in calls.items()} for calls in (before, after)]


def updated(*rows: dict[str, Any], reads: tuple[int, ...] = ()) -> Call:
    def call(client: MilvusClient) -> Any:
        answer = client.upsert("kinds", list(rows), partial_update=True)
        return [answer, client.get("kinds", [ROWS[at]["key"] for at in reads], ["*"]), searched(client)]

    return call


def grouped(**options: Any) -> Call:
    def call(client: MilvusClient) -> Any:
        options["output_fields"] = ["kind", "maybe"]
        return searched(client, **{"group_by_field": "kind", "limit": 2, **options})

    return call


def partial_updates() -> dict[str, Call]:
    return {
        "update one field": updated({"key": ROWS[1]["key"], "number": 999}, reads=(1,)),
        "update dynamic keys": updated({"key": ROWS[2]["key"], "kind": "new", "extra": 7, "more": [1]}, reads=(2,)),
        "update to null": updated({"key": ROWS[4]["key"], "maybe": None}, reads=(4,)),
        "update vectors": updated(*({"key": ROWS[at]["key"], "vector": DENSE[0]} for at in (6, 7)), reads=(6, 7)),
        "update nothing": updated({"key": ROWS[8]["key"]}, reads=(8,)),
        "update a row that is new": updated(
            {"key": "fresh", "vector": DENSE[1], "kind": "kind-9", "number": -1}, reads=(9,)
        ),
        "a refused update of a row that is none": updated({"key": "nobody", "number": 1}),
        "a refused update without a key": updated({"number": 1}),
        "a refused update of another dim": updated({"key": ROWS[9]["key"], "vector": [1.0]}),
        "what updates left": lambda client: read(client),
    }


def text_keys() -> dict[str, Call]:
    def keys(expression: str) -> Call:
        return lambda client: sorted(each["key"] for each in client.query("kinds", filter=expression, limit=99))

    return {
        "get by text keys": lambda client: client.get("kinds", [ROWS[3]["key"], "none", ROWS[5]["key"]], ["number"]),
        "keys in a list": keys(f'key in ["{ROWS[3]["key"]}", "fresh", "none"]'),
        "keys in order": keys('key >= "k055" or key < "k002"'),
        "keys by a pattern": keys('key like "k01%" and not (key like "%5é")'),
        "a refused key, too long": lambda client: client.insert("kinds", [{**ROWS[0], "key": "k" * 11}]),
        "a key of no letters": lambda client: client.insert("kinds", [{**ROWS[0], "key": "", "vector": [9.0] * 4}]),
        "replace by key": lambda client: [
            client.upsert("kinds", [{**ROWS[10], "number": 1000}]),
            client.get("kinds", [ROWS[10]["key"]], ["*"]),
        ],
        "delete keys": lambda client: client.delete("kinds", ids=[ROWS[11]["key"], "none"]),
        "keys that are left": keys("number > 5"),
    }


def groups() -> dict[str, Call]:
    return {
        "groups of two": grouped(group_size=2),
        "strict groups": grouped(group_size=2, strict_group_size=True),
        "strict groups of few": grouped(group_size=3, strict_group_size=True, filter="number < 8", limit=4),
        "groups of few": grouped(group_size=3, filter="number < 8", limit=4),
        "groups of a filter": grouped(group_size=3, filter='kind != "kind-1"', limit=3),
        "groups with an offset": grouped(group_size=2, offset=1),
        "groups of numbers that may be null": grouped(group_by_field="maybe", limit=4),
        "groups of less than one": grouped(group_size=-1),
        "a refused group by vectors": grouped(group_by_field="vector"),
        "a refused group by a field that is none": grouped(group_by_field="nope"),
    }


def moved(client: MilvusClient) -> Any:
    client.upsert("kinds", [{**EVEN[3], "number": 5}], partition_name="odd")
    return [read(client, name) for name in ("even", "odd")]


def deleted_within(client: MilvusClient) -> Any:
    client.delete("kinds", ids=[EVEN[1]["key"], ODD[1]["key"]], partition_name="even")
    return [read(client, name) for name in ("even", "odd")]


def alone(client: MilvusClient) -> None:
    client.release_collection("kinds")
    client.load_partitions("kinds", ["odd"])


def dropped(client: MilvusClient) -> Any:
    client.release_partitions("kinds", ["odd"])
    client.drop_partition("kinds", "odd")
    return client.list_partitions("kinds")


def partitions() -> dict[str, Call]:
    def filled(client: MilvusClient) -> Any:
        for name, rows in (("even", EVEN), ("odd", ODD)):
            client.create_partition("kinds", name)
            client.insert("kinds", rows, partition_name=name)
        return client.list_partitions("kinds")

    return {
        "partitions": filled,
        "read a partition": lambda client: read(client, "even"),
        "read two partitions": lambda client: read(client, "even", "odd"),
        "read all partitions": lambda client: read(client),
        "flush partitions": lambda client: client.flush("kinds"),
        "read a flushed partition": lambda client: read(client, "even"),
        "states": lambda client: [client.get_load_state("kinds", name)["state"] for name in ("", "even", "odd")],
        "stats": lambda client: [client.get_partition_stats("kinds", name) for name in ("_default", "even", "odd")],
        "release a partition": lambda client: client.release_partitions("kinds", ["even"]),
        "read what is left of it": lambda client: read(client),
        "load the partition": lambda client: client.load_partitions("kinds", ["even"]),
        "read it again": lambda client: [read(client, "even"), read(client)],
        "load one partition alone": alone,
        "read this one alone": lambda client: [read(client, "odd"), read(client)],
        "another is not read": lambda client: client.get_load_state("kinds")["state"],
        "a refused read of a released partition": lambda client: read(client, "even"),
        "load all": lambda client: (client.load_collection("kinds"), read(client)),
        "a refused partition to load": lambda client: client.load_partitions("kinds", ["none"]),
        "a refused partition to release": lambda client: client.release_partitions("kinds", ["none"]),
        "read a partition that is none": lambda client: searched(client, partition_names=["none"]),
        "a refused partition to write": lambda client: client.insert("kinds", ROWS[:1], partition_name="none"),
        "move a row": moved,
        "delete keys in a partition": deleted_within,
        "drop a loaded partition": lambda client: client.drop_partition("kinds", "even"),
        "release and drop a partition": dropped,
    }


def test_every_index_and_metric_answers_as_in_milvus_lite(tmp_path: Path) -> None:
    before: dict[str, Call] = {}
    after: dict[str, Call] = {}
    for kind in INDEXES:
        for metric in METRICS:
            first, second = searches(kind, metric)
            before |= first
            after |= second
    listed = {name: why for name, why in DIFFERENT.items() if name in before}
    compare(tmp_path, before, after, different=listed, refused=tuple(name for name in before if "a wrong" in name))


def test_text_keys_updates_groups_and_partitions_answer_as_in_milvus_lite_but_for_the_list(tmp_path: Path) -> None:
    calls: dict[str, Call] = {
        "make": lambda client: create(client, "kinds", "FLAT", "L2"),
        "insert": lambda client: client.insert("kinds", ROWS),
        **partial_updates(),
        **text_keys(),
        **groups(),
        **partitions(),
    }
    listed = {name: why for name, why in DIFFERENT.items() if ": " not in name}
    refused = ("a refused", "groups of less", "read a partition that is none", "drop a loaded")
    compare(tmp_path, calls, different=listed, refused=refused)
