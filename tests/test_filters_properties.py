"""Filters against the engine: what an expression finds is what its meaning in Python says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymilvus import DataType, MilvusClient

from colmilvus.embedded import connect
from colmilvus.errors import Unsupported
from colmilvus.filters import matches, to_expression

FIELDS: dict[str, type] = {"year": int, "price": float, "name": str, "draft": bool}
TYPES = {"year": DataType.INT64, "price": DataType.DOUBLE, "name": DataType.VARCHAR, "draft": DataType.BOOL}
COLLECTION = "entities"
KEYS = ["k", "a b", 'it"s', "it's", "a.b", "a]b", "ключ", "0", "$id", "a/b~c", "{k}", "%"]

NUMBERS: list[Any] = [
    2.0**53,
    2.0**53 + 2,
    0,
    1,
    -1,
    2,
    5,
    0.0,
    1.0,
    -0.5,
    1.5,
    2.5,
    1e300,
    -1e-7,
    2**53,
    2**53 + 1,
    2**63 - 1,
    1 - 2**63,
]
TEXTS = [
    "",
    "1",
    "true",
    "null",
    "a",
    "A",
    "b",
    "ab",
    "aab",
    "a\n",
    "\n",
    "a\n\n",
    "a\nb",
    "\t",
    '"',
    "'",
    "\\",
    "\\n",
    "a\\",
]
TEXTS += ["a%b", "a_b", "%", "_", '") or ("" == "', "日本", "日本語", "é", "😀", "\x01", '["a"]', "[1]", "{}", "{id}"]
SCALARS = [True, False, *NUMBERS, *TEXTS]
LISTS: list[Any] = [
    [],
    [None],
    [None, 1],
    [0],
    [1],
    [1.0],
    [True],
    [False],
    [1.5],
    ["a"],
    ["a", "b"],
    ["1", 1],
    [[1]],
    [""],
]
DICTS: list[Any] = [{}, {"a": 1}, {"0": 1}]
VALUES = [None, *SCALARS, *LISTS, *DICTS]


def entity(number: int, value: Any) -> dict[str, Any]:
    metadata = {"k": value, KEYS[number % len(KEYS)]: value}
    if type(value) is int:
        metadata["year"] = value
    if isinstance(value, float):
        metadata["price"] = value
    if isinstance(value, str):
        metadata["name"] = value
    if isinstance(value, bool):
        metadata["draft"] = value
    document = None if number % 3 else f"d{number % 2}"
    return row(f"e{number}", metadata, document)


def row(id: str, metadata: dict[str, Any], document: str | None = None) -> dict[str, Any]:
    typed = {field: metadata.get(field) for field in FIELDS}
    return {"id": id, "document": document, "metadata": metadata, "vector": [0.0, 1.0], **typed}


ENTITIES = [row("missing", {}), *(entity(number, value) for number, value in enumerate(VALUES))]


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    client = connect(tmp_path_factory.mktemp("filters") / "kb.db")
    create(client, COLLECTION)
    client.insert(COLLECTION, ENTITIES[::2])
    client.flush(COLLECTION)
    client.insert(COLLECTION, ENTITIES[1::2])
    yield client
    client.close()


def create(client: MilvusClient, name: str) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("document", DataType.VARCHAR, max_length=100, nullable=True)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    for field, kind in TYPES.items():
        schema.add_field(field, kind, nullable=True, **({"max_length": 100} if field == "name" else {}))
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=indexes)


def found(client: MilvusClient, collection: str, expression: str) -> set[str]:
    return {hit["id"] for hit in client.query(collection, filter=expression, output_fields=["id"], limit=1000)}


def meant(filter: Any, entities: list[dict[str, Any]], fields: dict[str, type]) -> set[str]:
    return {e["id"] for e in entities if matches(filter, e["metadata"], fields, id=e["id"], document=e["document"])}


def agree(client: MilvusClient, filter: Any, extra: list[dict[str, Any]], fields: dict[str, type]) -> None:
    try:
        expression = to_expression(filter, fields)
    except Unsupported:
        with pytest.raises(Unsupported):
            matches(filter, {}, fields)
        return
    assert found(client, COLLECTION, expression) == meant(filter, [*ENTITIES, *extra], fields), expression


numbers = (
    st.sampled_from(NUMBERS) | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars = st.sampled_from(SCALARS) | numbers | texts
optional = scalars | st.none()
patterns = st.text(st.sampled_from("ab1%_\n日"), max_size=4)

conditions: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        optional,
        st.lists(optional, max_size=3),
        st.dictionaries(st.sampled_from(["$eq", "$ne"]), optional, min_size=1),
        st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(optional, max_size=3), min_size=1),
        st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), numbers | texts, min_size=1, max_size=2),
        st.fixed_dictionaries({"$like": patterns}),
        st.fixed_dictionaries({"$text": texts}),
        st.fixed_dictionaries({"$contains": scalars}),
        st.fixed_dictionaries({"$any": st.lists(scalars, max_size=3)}),
        st.fixed_dictionaries({"$all": st.lists(scalars, min_size=1, max_size=2)}),
        st.dictionaries(st.sampled_from(["$exists", "$empty"]), st.booleans(), min_size=1),
        st.fixed_dictionaries({"$not": conditions.filter(lambda c: isinstance(c, dict))}),
    )
)
keyed = st.dictionaries(st.sampled_from([*KEYS[:8], *KEYS[9:], *FIELDS]), conditions, min_size=1, max_size=2)
tests = st.one_of(
    keyed,
    st.fixed_dictionaries({"$key": st.dictionaries(st.sampled_from(KEYS), conditions, min_size=1, max_size=1)}),
    st.dictionaries(st.sampled_from(["$id", "$document"]), st.sampled_from(["e1", "d0", "d1", None]), min_size=1),
)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)
elements = st.none() | scalars | st.lists(scalars, max_size=2)
metadata_values = st.none() | scalars | st.lists(elements, max_size=3) | st.dictionaries(texts, scalars, max_size=1)
generated_metadata = st.dictionaries(st.sampled_from(KEYS), metadata_values, max_size=3)

no_deadline = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(no_deadline, max_examples=200)
@given(filter=filters, metadata=generated_metadata, typed=st.booleans())
def test_the_engine_finds_what_the_meaning_says(
    lite: MilvusClient, filter: Any, metadata: dict[str, Any], typed: bool
) -> None:
    generated = row("generated", metadata)
    lite.upsert(COLLECTION, [generated])
    agree(lite, filter, [generated], FIELDS if typed else {})


@pytest.mark.parametrize("operator", ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains", "$text", "$like"])
@pytest.mark.parametrize("key", [*FIELDS])
def test_every_operator_on_a_typed_column_agrees_for_every_kind_of_value(
    lite: MilvusClient, key: str, operator: str
) -> None:
    lite.delete(COLLECTION, filter='id == "generated"')
    for value in SCALARS:
        if operator in ("$text", "$like") and not isinstance(value, str):
            continue
        if operator in ("$gt", "$gte", "$lt", "$lte") and isinstance(value, bool):
            continue
        for condition in ({operator: value}, {"$not": {operator: value}}):
            agree(lite, {key: condition}, [], FIELDS)
