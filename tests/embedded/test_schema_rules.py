"""What a server does not let one create, and the codes and words in which it, and the engine, say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from colmilvus.embedded import connect
from tests.embedded.pages import DIM, create, schema
from tests.embedded.raw import create_raw, refused

VECTOR: Any = {"datatype": DataType.FLOAT_VECTOR, "dim": DIM}
TEXT: Any = {"datatype": DataType.VARCHAR, "max_length": 10}
LONG = "x" * 256


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    """An engine in which nothing is ever made."""
    client = connect(tmp_path_factory.mktemp("schemas") / "kb.db")
    yield client
    assert client.list_collections() == []
    client.close()


def build(client: MilvusClient, capacity: Any = 10, name: str = "patches", **fields: Any) -> Any:
    """``id`` and one struct with these sub-fields; ``top__x`` is a field ``x`` beside it."""
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    for field, options in (fields or {"emb": VECTOR}).items():
        if field.startswith("top__"):
            made.add_field(field.removeprefix("top__"), **options)
        else:
            patch.add_field(field, **options)
    made.add_field(name, DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=capacity)
    return made


def field_name(name: str, fault: str) -> tuple[int, str]:
    return 1701, f"Invalid field name: {name}. {fault}: field name invalid[field={name}]"


def element(kind: str) -> str:
    return f"element type {kind} of field patches[emb] is not supported by the embedded engine"


START = "The first character of a field name must be an underscore or letter."
CHARACTERS = "Field name can only contain numbers, letters, and underscores."
SCHEMAS: list[tuple[dict[str, Any], int, str]] = [
    *(
        ({"capacity": n}, 1100, "the maximum capacity specified for a Array should be in (0, 4096]")
        for n in (0, -1, 4097)
    ),
    *(({"emb": {**VECTOR, "dim": n}}, 1100, f"invalid dimension: {n}. should be in range 2 ~ 32768") for n in (0, 1)),
    (
        {"emb": {**VECTOR, "dim": 32769}},
        1100,
        "invalid dimension: 32769 of field emb. float vector dimension should be in range 2 ~ 32768",
    ),
    ({"top__v": {**VECTOR, "dim": 32769}, "emb": VECTOR}, 1100, "invalid dimension: 32769 of field v."),
    ({"emb": {"datatype": DataType.BINARY_VECTOR, "dim": 8}}, 1100, element("BinaryVector")),
    ({"emb": {"datatype": DataType.BFLOAT16_VECTOR, "dim": 8}}, 1100, element("BFloat16Vector")),
    ({"emb": {"datatype": DataType.INT8_VECTOR, "dim": 8}}, 1100, element("Int8Vector")),
    (
        {"emb": {"datatype": DataType.SPARSE_FLOAT_VECTOR}},
        1100,
        "Unsupported element type SparseFloatVector of ArrayOfVector field emb, only fixed dimension vector types are",
    ),
    ({"emb": VECTOR, "x": {"datatype": DataType.JSON}}, 1100, "element type JSON is not supported: patches[x]"),
    ({"emb": VECTOR, "x": {"datatype": DataType.GEOMETRY}}, 1100, "element type Geometry is not supported: patches[x]"),
    ({"emb": VECTOR, "x": {"datatype": DataType.TIMESTAMPTZ}}, 1100, "element type Timestamptz is not supported"),
    *(
        (
            {"emb": VECTOR, "label": {**TEXT, "max_length": n}},
            1100,
            f"the maximum length specified for the field(label) should be in (0, 65535], but got {n} instead",
        )
        for n in (0, 65536)
    ),
    ({"top__t": {**TEXT, "max_length": 65536}, "emb": VECTOR}, 1100, "the maximum length specified for the field(t)"),
    ({f"emb{i}": VECTOR for i in range(11)}, 1100, "maximum vector field's number should be limited to 10"),
    # The key, the struct itself, and 63 in it.
    (
        {"emb": VECTOR} | {f"n{i}": {"datatype": DataType.INT64} for i in range(62)},
        1100,
        "maximum field's number should be limited to 64",
    ),
    ({"label": TEXT}, 1100, "schema does not contain vector field"),
    ({"name": "id"}, 1100, "duplicated field name id found"),
    ({"name": "1st"}, *field_name("1st", START)),
    ({"1st": VECTOR}, *field_name("1st", START)),
    ({"top__1st": {"datatype": DataType.INT64}, "emb": VECTOR}, *field_name("1st", START)),
    ({"a-b": VECTOR}, *field_name("a-b", CHARACTERS)),
    ({"ä": VECTOR}, *field_name("ä", START)),
    ({"and": VECTOR}, *field_name("and", "and is keyword in milvus.")),
    ({"Null": VECTOR}, *field_name("Null", "Null is keyword in milvus.")),
    ({"array_length": VECTOR}, *field_name("array_length", "array_length is keyword in milvus.")),
    ({"RowID": VECTOR}, 1701, "It is reserved for internal use and cannot be used in user schemas"),
    ({LONG: VECTOR}, *field_name(LONG, "The length of a field name must be less than 255 characters.")),
    ({"name": LONG}, *field_name(LONG, "The length of a field name must be less than 255 characters.")),
    (
        {"emb": VECTOR, "label": {**TEXT, "enable_analyzer": True}},
        1100,
        "enable_analyzer of field patches[label] is not supported",
    ),
    ({"emb": VECTOR, "label": {**TEXT, "enable_match": True}}, 1100, "enable_match of field patches[label] is not"),
    (
        {"emb": VECTOR, "top__text": {**TEXT, "enable_analyzer": True, "analyzer_params": {"type": "klingon"}}},
        1100,
        "klingon",
    ),
]


@pytest.mark.parametrize(("options", "code", "said"), SCHEMAS, ids=[said[:40] for _, _, said in SCHEMAS])
def test_a_schema_that_a_server_refuses_is_refused(
    shared: MilvusClient, options: dict[str, Any], code: int, said: str
) -> None:
    assert said in refused(shared.create_collection, "pages", schema=build(shared, **options), code=code)


def sub(message: Any, place: int = 0) -> Any:
    return message.struct_array_fields[0].fields[place]


def set_param(field: Any, key: str, value: str | None) -> None:
    kept = [(pair.key, pair.value) for pair in field.type_params if pair.key != key]
    del field.type_params[:]
    for name, text in kept if value is None else (*kept, (key, value)):
        field.type_params.add(key=name, value=text)


def kind(message: Any, place: int, data: DataType, element: DataType) -> None:
    sub(message, place).data_type, sub(message, place).element_type = int(data), int(element)


ILLEGAL = "illegal collection schema[collection=pages]"
MESSAGES: list[tuple[Callable[[Any], Any], int, str]] = [
    (lambda m: m.struct_array_fields[0].ClearField("fields"), 1100, "schema does not contain vector field"),
    (lambda m: m.struct_array_fields.add(name="empty"), 1100, "struct array field empty has no sub-fields"),
    (
        lambda m: kind(m, 1, DataType.VARCHAR, DataType.NONE),
        1100,
        "fields in StructArrayField must be Array or ArrayOfVector, field name = label, field type = VarChar",
    ),
    (lambda m: kind(m, 1, DataType.ARRAY, DataType.ARRAY), 1100, "nested array is not supported label"),
    (lambda m: setattr(sub(m), "is_primary_key", True), 1100, "primary key is not supported for struct field, field"),
    (lambda m: setattr(sub(m), "autoID", True), 1100, "autoID is not supported for struct field, field name = emb"),
    (
        lambda m: setattr(sub(m), "is_partition_key", True),
        105,
        f"partition key is not supported for struct field, field name = emb: {ILLEGAL}",
    ),
    (
        lambda m: setattr(sub(m), "is_clustering_key", True),
        105,
        f"clustering key is not supported for struct field, field name = emb: {ILLEGAL}",
    ),
    (
        lambda m: setattr(sub(m, 1).default_value, "string_data", "x"),
        1100,
        "fields in struct array field not support default_value, data type:Array, element type:VarChar, name:label",
    ),
    (lambda m: setattr(sub(m), "is_function_output", True), 1100, "function output is not supported for struct field"),
    (
        lambda m: setattr(sub(m), "nullable", True),
        1100,
        "sub-field in non-nullable struct cannot be nullable individually, set nullable on the struct instead: "
        "structName=patches, subFieldName=emb",
    ),
    (
        lambda m: set_param(sub(m, 1), "max_capacity", "9"),
        1100,
        "all sub-fields in struct array field must have the same max_capacity: structName=patches, "
        "subFieldName=label, max_capacity=9, expected=10",
    ),
    (
        lambda m: set_param(sub(m), "max_capacity", None),
        1101,
        "type param(max_capacity) should be specified for array field emb of collection pages",
    ),
    (
        lambda m: set_param(sub(m), "max_capacity", "ten"),
        1100,
        "the value for max_capacity of field emb must be an int",
    ),
    (
        lambda m: set_param(sub(m, 1), "max_length", None),
        1101,
        "type param(max_length) should be specified for the field(label) of collection pages",
    ),
    (
        lambda m: set_param(sub(m), "dim", None),
        1100,
        "dimension is not defined in field type params of field emb, check type param `dim` for vector field",
    ),
    (
        lambda m: m.fields.add(name="loose", data_type=DataType.ARRAY + 84, element_type=DataType.FLOAT_VECTOR),
        1100,
        "array of vector can only be in the struct array field, field name: loose",
    ),
    (
        lambda m: m.struct_array_fields.add().CopyFrom(m.struct_array_fields[0]),
        1100,
        "duplicated field name patches found",
    ),
    (
        lambda m: m.struct_array_fields[0].fields.add().CopyFrom(sub(m)),
        1100,
        "duplicated field name patches[emb] found",
    ),
]


@pytest.mark.parametrize(("change", "code", "said"), MESSAGES, ids=[said[:40] for _, _, said in MESSAGES])
def test_a_schema_that_pymilvus_would_not_send_is_refused_too(
    shared: MilvusClient, change: Callable[[Any], Any], code: int, said: str
) -> None:
    answer = create_raw(shared, build(shared, emb=VECTOR, label=TEXT), change)
    assert said in answer.reason
    assert answer.code == code


@pytest.mark.skipif(version("pymilvus") < "3", reason="pymilvus 2.6 cannot ask for one")
def test_a_struct_that_may_be_null_is_refused_by_name(shared: MilvusClient) -> None:
    made = build(shared, emb=VECTOR)
    patch = shared.create_struct_field_schema()
    patch.add_field("emb", **VECTOR)
    options = {"element_type": DataType.STRUCT, "struct_schema": patch, "max_capacity": 3}
    made.add_field("notes", DataType.ARRAY, nullable=True, **options)
    said = refused(shared.create_collection, "pages", schema=made)
    assert "nullable struct array field is not supported by the embedded engine: notes" in said


def test_what_a_server_takes_is_taken(client: MilvusClient) -> None:
    two = build(client)
    other = client.create_struct_field_schema()
    other.add_field("emb", **VECTOR)
    two.add_field("notes", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=other, max_capacity=3)
    ten: Any = {f"emb{i}": VECTOR for i in range(10)}
    numbers: Any = {f"n{i}": {"datatype": DataType.INT64} for i in range(61)}
    taken = {
        "one": build(client, 1),
        "most": build(client, 4096),
        "narrow": build(client, emb={**VECTOR, "dim": 2}),
        "wide": build(client, emb={**VECTOR, "dim": 32768}),
        "half": build(client, emb={"datatype": DataType.FLOAT16_VECTOR, "dim": 8}),
        "ten": build(client, **ten),
        "plenty": build(client, emb=VECTOR, **numbers),
        "same_sub_fields": two,
        "no_analyzer": build(client, emb=VECTOR, label={**TEXT, "enable_analyzer": False}),
        "_": build(client),
        "Seiten_2": build(client),
        "x" * 255: build(client),
    }
    for name, made in taken.items():
        client.create_collection(name, schema=made)
    assert sorted(client.list_collections()) == sorted(taken)
    assert client.describe_collection("most")["fields"][-1]["params"] == {"max_capacity": 4096}


def test_a_collection_is_made_again_only_if_it_is_the_same(client: MilvusClient) -> None:
    create(client)
    client.create_collection("pages", schema=schema(client))
    said = refused(client.create_collection, "pages", schema=schema(client, scalars=True))
    assert said == "create duplicate collection with different parameters, collection: pages"
    assert client.get_load_state("pages")["state"].name == "Loaded"


NAMES = {
    "1st": "the first character of a collection {} must be an underscore or letter",
    "a-b": "collection {} can only contain numbers, letters and underscores",
    "a b": "collection {} can only contain",
    "ä": "the first character of a collection {}",
    "..": "the first character of a collection {}",
    "a/b": "collection {} can only contain",
    LONG: "the length of a collection {} must be less than 255 characters",
}


def test_names_of_collections_that_a_server_refuses_are_refused(client: MilvusClient) -> None:
    create(client)
    for name, said in NAMES.items():
        for kind, call, given in (
            ("name", client.create_collection, {"collection_name": name, "schema": schema(client)}),
            ("name", client.create_collection, {"collection_name": name, "dimension": 2}),
            ("name", client.rename_collection, {"old_name": "pages", "new_name": name}),
            ("alias", client.create_alias, {"collection_name": "pages", "alias": name}),
        ):
            told = refused(call, **given)
            assert told.startswith(f"Invalid collection {kind}: {name}. ")
            assert said.format(kind) in told
    assert client.list_collections() == ["pages"]
    assert client.list_aliases("pages")["aliases"] == []


@pytest.mark.parametrize("name", ["1st", "a b", "and", LONG])
def test_names_of_fields_that_a_server_refuses_are_refused_without_structs_too(shared: MilvusClient, name: str) -> None:
    plain = shared.create_schema()
    plain.add_field("id", DataType.INT64, is_primary=True)
    plain.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    plain.add_field(name, DataType.INT64)
    assert "Invalid field name" in refused(shared.create_collection, "pages", schema=plain, code=1701)
