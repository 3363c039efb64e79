"""What a server does not store: each refused with its code and in its words, with nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from tests.embedded.pages import CAPACITY, DIM, FIELD, count, create, draw, index, make, row, rows, schema, stored
from tests.embedded.raw import refused, send


@pytest.fixture
def pages(client: MilvusClient) -> MilvusClient:
    create(client, scalars=True, text=True)
    client.insert("pages", rows(draw(1, 5), scalars=True, text="plum"))
    return client


def structs(**changed: Any) -> list[dict[str, Any]]:
    return [{"emb": [1.0] * DIM, "label": "a", "number": 1} | changed]


BAD_STRUCTS: list[tuple[dict[str, Any], str]] = [
    (
        {"emb": [1.0] * 12},
        "field patches[emb], row 1, has invalid payload length 12, should be divisible by vector width 8",
    ),
    (
        {"emb": [1.0] * 16},
        "inconsistent struct element count in struct 'patches' at row 1: 'emb' has 2, 'label' has 1; "
        "'emb' was given 16 numbers a vector, and its dim is 8",
    ),
    ({"emb": []}, "inconsistent struct element count in struct 'patches' at row 1: 'emb' has 0, 'label' has 1"),
    ({"emb": [float("nan")] * DIM}, "value 'nan' is not a number or infinity: field patches[emb], row 1"),
    ({"emb": [float("inf")] * DIM}, "value 'inf' is not a number or infinity"),
    ({"label": "ÄÄÄÄÄÄ"}, "field patches[label] exceeds max length, row number: 0, length: 12, max length: 10"),
    ({"number": 40000}, "the element (40000) of field patches[number], row 1, out of range: [-32768, 32767]"),
]


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_a_page_that_does_not_fit_is_refused_whole(pages: MilvusClient, method: str) -> None:
    good = row(10, np.ones((2, DIM)), scalars=True, text="")
    for changed, said in BAD_STRUCTS:
        bad = row(11, [], text="") | {"patches": structs(**changed)}
        assert said in refused(getattr(pages, method), "pages", [good, bad])
    assert count(pages) == 5


def test_more_patches_than_capacity_are_refused_with_both_numbers(pages: MilvusClient) -> None:
    pages.insert("pages", [row(10, np.ones((CAPACITY, DIM)), scalars=True, text="")])
    more = row(11, np.ones((CAPACITY + 1, DIM)), scalars=True, text="")
    said = refused(pages.insert, "pages", [more])
    assert said.startswith("array length exceeds max capacity: the length(65) of row 0, field patches, exceeds")
    assert count(pages) == 6


def test_a_text_longer_than_declared_in_bytes_is_refused(pages: MilvusClient) -> None:
    pages.insert("pages", [row(10, np.ones((1, DIM)), scalars=True, text="x" * 100)])
    long = row(11, np.ones((1, DIM)), scalars=True, text="ü" * 51)
    said = refused(pages.insert, "pages", [long])
    assert "field text exceeds max length, row number: 0, length: 102, max length: 100" in said


def test_a_dense_vector_that_is_not_finite_is_refused(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=2)
    said = refused(client.insert, "plain", [{"id": 1, "vector": [float("nan"), 1.0]}])
    assert "is not a number or infinity: field vector" in said


def column(request: Any, name: str) -> Any:
    return next(data for data in request.fields_data if data.field_name == name)


def sub(request: Any, place: int) -> Any:
    return column(request, "patches").struct_arrays.fields[place]


def without(request: Any, name: str) -> None:
    kept = [data for data in request.fields_data if data.field_name != name]
    del request.fields_data[:]
    request.fields_data.extend(kept)


def rename(data: Any, name: str) -> None:
    data.field_name = name


def element(request: Any, kind: DataType) -> None:
    sub(request, 0).vectors.vector_array.element_type = int(kind)


def dim(request: Any, number: int) -> None:
    sub(request, 0).vectors.vector_array.data[0].dim = number


def rows_of(request: Any, number: int) -> None:
    request.num_rows = number


BAD_MESSAGES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda r: without(r, "patches"), "required struct array field 'patches' is missing in insert data"),
    (lambda r: without(r, "year"), "fieldSchema(year) has no corresponding fieldData pass in"),
    (lambda r: rows_of(r, 0), "num_rows should be greater than 0"),
    (lambda r: rows_of(r, 2), "the num_rows (1) of field (patches[emb]) is not equal to passed num_rows (2)"),
    (lambda r: rename(sub(r, 1), "other"), "sub-field 'other' not found in struct schema 'patches'"),
    (
        lambda r: column(r, "patches").struct_arrays.fields.pop(),
        "length of fields of struct field mismatch length of the fields in schema, fieldName: patches, "
        "fieldData fields length:2, schema fields length:3",
    ),
    (lambda r: dim(r, 4), "the dim (4) of field data(patches[emb]) is not equal to schema dim (8)"),
    (lambda r: element(r, DataType.FLOAT16_VECTOR), "field patches[emb] holds FloatVector, not Float16Vector"),
    (lambda r: r.fields_data.add(field_name="patches[emb]"), "field patches[emb] not exist"),
]


@pytest.mark.parametrize("method", ["Insert", "Upsert"])
def test_rows_that_pymilvus_would_not_send_are_refused_too(pages: MilvusClient, method: str) -> None:
    whole = [row(9, np.ones((1, DIM)), scalars=True, text="")]
    for change, said in BAD_MESSAGES:
        request = request_of(pages, whole, method)
        change(request)
        answer = send(pages, method, request)
        assert said in answer.reason
        assert answer.code == 1100
    assert count(pages) == 5
    assert not send(pages, method, request_of(pages, whole, method)).code
    assert count(pages) == 6


def request_of(client: MilvusClient, whole: list[dict[str, Any]], method: str) -> Any:
    """The request that pymilvus makes of the rows."""
    inserted = client._get_connection()._prepare_row_insert_request("pages", whole)
    kind = getattr(milvus_pb2, f"{method}Request")
    return kind(collection_name="pages", num_rows=inserted.num_rows, fields_data=inserted.fields_data)


def test_an_upsert_needs_keys_each_once(pages: MilvusClient) -> None:
    one = row(9, np.ones((1, DIM)), scalars=True, text="")
    said = refused(pages.upsert, "pages", [one, one])
    assert said == "duplicate primary keys are not allowed in the same batch"
    request = milvus_pb2.UpsertRequest(collection_name="pages", num_rows=1)
    request.fields_data.add(field_name="year", type=schema_pb2.Int32).scalars.int_data.data.append(1)
    answer = send(pages, "Upsert", request)
    assert (answer.code, answer.reason) == (1100, "must assign pk when upsert, primary field: id")
    request.fields_data.add(field_name="id", type=schema_pb2.Int64).scalars.long_data.data.append(1)
    request.fields_data.add(field_name=FIELD)
    request.partial_update = True
    answer = send(pages, "Upsert", request)
    assert "partial struct update is not supported for struct sub-field 'patches[emb]'" in answer.reason
    assert count(pages) == 5


def test_a_partition_that_is_none_takes_and_loses_no_rows(pages: MilvusClient) -> None:
    one = [row(9, np.ones((1, DIM)), scalars=True, text="")]
    for call, options in (
        (pages.insert, {"data": one}),
        (pages.upsert, {"data": one}),
        (pages.delete, {"filter": "id >= 0"}),
        (pages.delete, {"ids": [1]}),
    ):
        said = refused(call, "pages", partition_name="nope", code=200, **options)
        assert said == "partition not found[partition=nope]"
    assert count(pages) == 5


def test_partitions_are_the_partition_keys_own(client: MilvusClient) -> None:
    made = schema(client)
    made.add_field("tenant", DataType.VARCHAR, max_length=20, is_partition_key=True)
    make(client, "pages", made, index(client))
    one = [row(9, np.ones((1, DIM)), tenant="a")]
    client.insert("pages", one)
    name = client.list_partitions("pages")[0]
    manual = "not support manually specifying the partition names if partition key mode is used"
    for call, options in (
        (client.insert, {"data": one, "partition_name": name}),
        (client.upsert, {"data": one, "partition_name": name}),
        (client.delete, {"filter": "id >= 0", "partition_name": name}),
        (client.query, {"filter": "id >= 0", "partition_names": [name]}),
        (client.search, {"data": [[1.0]], "anns_field": FIELD, "partition_names": [name]}),
    ):
        assert refused(call, "pages", **options) == manual
    assert refused(client.create_partition, "pages", "p") == "disable create partition if partition key mode is used"
    assert refused(client.drop_partition, "pages", name) == "disable drop partition if partition key mode is used"
    assert count(client) == 1


@pytest.mark.parametrize("expression", ["", "  "])
def test_nothing_is_deleted_without_a_filter(pages: MilvusClient, expression: str) -> None:
    answer = send(pages, "Delete", milvus_pb2.DeleteRequest(collection_name="pages", expr=expression))
    assert (answer.code, answer.reason) == (1100, f"delete plan can't be empty or always true : {expression}")
    assert refused(pages.delete, "pages", filter="year ==== 3")
    assert count(pages) == 5


@pytest.mark.parametrize(("method", "name"), [("insert", "patches[]"), ("upsert", "patches[]"), ("insert", FIELD)])
def test_a_dynamic_key_of_a_hidden_column_is_refused(client: MilvusClient, name: str, method: str) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 3)))
    said = refused(getattr(client, method), "pages", [row(1, np.ones((1, DIM))) | {name: 0}])
    assert said == f"dynamic field name cannot include the static field name: {name}"
    assert count(client) == 3


def test_an_upsert_replaces_the_whole_row_and_an_update_keeps_the_rest(client: MilvusClient) -> None:
    made = schema(client, enable_dynamic_field=True)
    made.add_field("note", DataType.VARCHAR, max_length=20, nullable=True)
    make(client, "pages", made, index(client))
    client.insert("pages", rows(draw(1, 3), note="kept", colour="red"))
    client.upsert("pages", [row(1, np.ones((1, DIM)))])
    read: dict[str, Any] = {"filter": "id >= 0", "output_fields": ["note", "colour"]}
    found = {each.pop("id"): dict(each) for each in client.query("pages", **read)}
    assert found[1].get("note") is None
    assert "colour" not in found[1]
    assert found[0] == found[2] == {"note": "kept", "colour": "red"}
    assert stored(client)[1].tolist() == np.ones((1, DIM)).tolist()
