"""What a server does not let one create, and the words in which the engine says so."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from tests.embedded.pages import DIM, create, schema

VECTOR: Any = {"datatype": DataType.FLOAT_VECTOR, "dim": DIM}


def build(client: MilvusClient, capacity: Any = 10, name: str = "patches", **fields: Any) -> Any:
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    for field, options in (fields or {"emb": VECTOR}).items():
        patch.add_field(field, **options)
    made.add_field(name, DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=capacity)
    return made


def refusal(client: MilvusClient, made: Any) -> str:
    with pytest.raises(MilvusException) as caught:
        client.create_collection("pages", schema=made)
    assert caught.value.code == 1100
    assert not client.has_collection("pages")
    return str(caught.value.message)


@pytest.mark.parametrize("capacity", [1, 4096])
def test_a_capacity_of_1_to_4096_is_taken(client: MilvusClient, capacity: int) -> None:
    client.create_collection("pages", schema=build(client, capacity))
    described = client.describe_collection("pages")["fields"][-1]
    assert described["params"] == {"max_capacity": capacity}


@pytest.mark.parametrize("capacity", [0, -1, 4097])
def test_any_other_capacity_is_refused(client: MilvusClient, capacity: int) -> None:
    assert "should be in (0, 4096]" in refusal(client, build(client, capacity))


@pytest.mark.parametrize("dim", [2, 32768])
def test_dims_of_2_to_32768_are_taken(client: MilvusClient, dim: int) -> None:
    client.create_collection("pages", schema=build(client, emb={**VECTOR, "dim": dim}))


@pytest.mark.parametrize("dim", [0, 1, 32769])
def test_any_other_dim_is_refused(client: MilvusClient, dim: int) -> None:
    assert "it should be in range 2 to 32768" in refusal(client, build(client, emb={**VECTOR, "dim": dim}))


@pytest.mark.parametrize("kind", ["BINARY_VECTOR", "BFLOAT16_VECTOR", "INT8_VECTOR", "SPARSE_FLOAT_VECTOR"])
def test_other_kinds_of_vectors_are_refused_by_name(client: MilvusClient, kind: str) -> None:
    options = {} if kind == "SPARSE_FLOAT_VECTOR" else {"dim": DIM}
    said = refusal(client, build(client, emb={"datatype": DataType[kind], **options}))
    assert said.startswith(f"element type {kind.title().replace('_', '').replace('Bf', 'BF')} of field patches[emb]")


@pytest.mark.parametrize("kind", ["JSON", "GEOMETRY"])
def test_other_kinds_of_scalars_are_refused_by_name(client: MilvusClient, kind: str) -> None:
    said = refusal(client, build(client, emb=VECTOR, extra={"datatype": DataType[kind]}))
    assert "patches[extra] is not supported" in said


@pytest.mark.parametrize("name", ["1st", "a-b", "ä", "and", "x" * 256])
def test_names_that_are_no_identifiers_are_refused(client: MilvusClient, name: str) -> None:
    assert "Invalid field name" in refusal(client, build(client, name=name))
    assert "Invalid field name" in refusal(client, build(client, **{name: VECTOR}))


@pytest.mark.skipif(version("pymilvus") < "3", reason="pymilvus 2.6 cannot ask for one")
def test_a_struct_that_may_be_null_is_refused_by_name(client: MilvusClient) -> None:
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", **VECTOR)
    options = {"element_type": DataType.STRUCT, "struct_schema": patch, "max_capacity": 3}
    made.add_field("patches", DataType.ARRAY, nullable=True, **options)
    assert "nullable struct array field is not supported by the embedded engine: patches" in refusal(client, made)


def test_max_length_of_a_text_is_needed_and_limited(client: MilvusClient) -> None:
    for length in (0, 65536):
        said = refusal(client, build(client, emb=VECTOR, label={"datatype": DataType.VARCHAR, "max_length": length}))
        assert "the maximum length specified for the field(patches[label]) should be in (0, 65535]" in said


def test_at_most_ten_vector_fields_count_those_in_structs(client: MilvusClient) -> None:
    client.create_collection("ten", schema=build(client, **{f"emb{i}": VECTOR for i in range(10)}))
    said = refusal(client, build(client, **{f"emb{i}": VECTOR for i in range(11)}))
    assert said.startswith("maximum vector field's number should be limited to 10")


def test_at_most_64_fields_count_those_in_structs(client: MilvusClient) -> None:
    fields: Any = {f"n{i}": {"datatype": DataType.INT64} for i in range(63)}
    assert "maximum field's number should be limited to 64" in refusal(client, build(client, emb=VECTOR, **fields))


def test_a_struct_and_a_field_of_one_name_are_refused(client: MilvusClient) -> None:
    made = build(client, name="id")
    assert "duplicated field name id" in refusal(client, made)


def test_two_structs_may_share_names_of_sub_fields(client: MilvusClient) -> None:
    made = build(client)
    other = client.create_struct_field_schema()
    other.add_field("emb", **VECTOR)
    made.add_field("notes", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=other, max_capacity=3)
    client.create_collection("pages", schema=made)


def test_an_unknown_analyzer_is_refused_when_the_collection_is_made(client: MilvusClient) -> None:
    made = build(client)
    made.add_field("text", DataType.VARCHAR, max_length=10, enable_analyzer=True, analyzer_params={"type": "klingon"})
    assert "klingon" in refusal(client, made)


def test_a_collection_of_that_name_is_not_made_again(client: MilvusClient) -> None:
    create(client)
    with pytest.raises(MilvusException, match="already exists"):
        client.create_collection("pages", schema=schema(client))


NAMES = ["1st", "a-b", "a b", "ä", "", "..", "a/b", "x" * 256]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_collections_that_a_server_refuses_are_refused(client: MilvusClient, name: str) -> None:
    create(client)
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (client.create_collection, (name,), {"schema": schema(client)}),
        (client.create_collection, (name,), {"dimension": 2}),
        (client.rename_collection, ("pages", name), {}),
        (client.create_alias, ("pages", name), {}),
    ]
    for call, given, options in calls:
        # pymilvus refuses an empty name itself.
        with pytest.raises(MilvusException, match=r"Invalid collection (alias )?name|empty|illegal"):
            call(*given, **options)
    assert client.list_collections() == ["pages"]
    assert client.list_aliases("pages")["aliases"] == []


@pytest.mark.parametrize("name", ["_", "Seiten_2", "x" * 255])
def test_names_of_collections_that_a_server_takes_are_taken(client: MilvusClient, name: str) -> None:
    client.create_collection(name, schema=schema(client))
    assert client.list_collections() == [name]


@pytest.mark.parametrize("name", [*(name for name in NAMES if name), "and"])
def test_names_of_fields_that_a_server_refuses_are_refused_without_structs_too(client: MilvusClient, name: str) -> None:
    plain = client.create_schema()
    plain.add_field("id", DataType.INT64, is_primary=True)
    plain.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    for made in (plain, schema(client)):
        made.add_field(name, DataType.INT64)
        assert "Invalid field name" in refusal(client, made)


@pytest.mark.parametrize("option", ["enable_analyzer", "enable_match"])
def test_an_analyzer_in_a_struct_is_refused_by_name(client: MilvusClient, option: str) -> None:
    label: dict[str, Any] = {"datatype": DataType.VARCHAR, "max_length": 10}
    said = refusal(client, build(client, emb=VECTOR, label={**label, option: True}))
    assert said.startswith(f"{option} of field patches[label] is not supported")
    client.create_collection("pages", schema=build(client, emb=VECTOR, label={**label, option: False}))
