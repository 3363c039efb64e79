from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from colmilvus import Collection, Entity
from colmilvus.embedded import connect
from colmilvus.errors import InvalidFilter, Unsupported
from colmilvus.filters import MAX_DEPTH, all_of, equal, matches, one_of, to_expression, with_metadata_keys

# filter, metadata, whether it matches
MEANING: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, True),
    ({"year": 2025}, {"year": 2025}, True),
    ({"year": 2025}, {"year": 2025.0}, True),
    ({"year": 2025}, {"year": "2025"}, False),
    ({"year": 2025}, {}, False),
    ({"year": [2024, 2025]}, {"year": 2025}, True),
    ({"year": []}, {"year": 2025}, False),
    ({"year": {"$nin": []}}, {}, True),
    ({"year": {"$gte": 2020, "$lt": 2025}}, {"year": 2020}, True),
    ({"year": {"$gte": 2020, "$lt": 2025}}, {"year": 2025}, False),
    ({"year": 2025, "lang": "de"}, {"year": 2025, "lang": "en"}, False),
    # a missing key and None are the same, and only negations match them
    ({"k": None}, {}, True),
    ({"k": None}, {"k": None}, True),
    ({"k": None}, {"k": ""}, False),
    ({"k": [1, None]}, {}, True),
    ({"k": {"$ne": None}}, {"k": 0}, True),
    ({"k": {"$ne": None}}, {}, False),
    ({"k": {"$ne": 1}}, {}, True),
    ({"k": {"$nin": [1, None]}}, {}, False),
    ({"k": {"$not": {"$gt": 1}}}, {}, True),
    ({"k": {"$gt": 1}}, {"k": None}, False),
    # True is the number 1, as in Python, whatever the server thinks
    ({"k": True}, {"k": 1}, True),
    ({"k": 1.0}, {"k": True}, True),
    ({"k": True}, {"k": "true"}, False),
    ({"k": {"$gt": 0}}, {"k": True}, True),
    # other kinds are not equal, and a range over them is false
    ({"k": {"$gt": 1}}, {"k": "2"}, False),
    ({"k": {"$not": {"$gt": 1}}}, {"k": "2"}, True),
    ({"k": {"$not": {"$gt": 1}}}, {"k": [2]}, True),
    ({"k": {"$gt": "a"}}, {"k": "b"}, True),
    ({"k": {"$gt": "a"}}, {"k": "B"}, False),
    ({"k": 2**53}, {"k": 2**53 + 1}, False),
    # lists
    ({"k": "a"}, {"k": ["a"]}, False),
    ({"k": {"$contains": "a"}}, {"k": ["a", "b"]}, True),
    ({"k": {"$contains": 1}}, {"k": [1.0]}, True),
    ({"k": {"$contains": "a"}}, {"k": "a"}, False),
    ({"k": {"$contains": "a"}}, {"k": '["a"]'}, False),
    ({"k": {"$any": ["a", "z"]}}, {"k": ["a", "b"]}, True),
    ({"k": {"$any": []}}, {"k": ["a"]}, False),
    ({"k": {"$all": ["a", "z"]}}, {"k": ["a", "b"]}, False),
    ({"k": {"$all": ["a", "b"]}}, {"k": ["b", "a"]}, True),
    ({"k": {"$not": {"$contains": "a"}}}, {}, True),
    # strings
    ({"k": {"$like": "rep%.pdf"}}, {"k": "report.pdf"}, True),
    ({"k": {"$like": "rep%.pdf"}}, {"k": "report.pdf\n"}, False),
    ({"k": {"$like": "a_c"}}, {"k": "abc"}, True),
    ({"k": {"$like": "b"}}, {"k": "abc"}, False),
    ({"k": {"$like": "%"}}, {"k": 1}, False),
    ({"k": {"$text": "b"}}, {"k": "abc"}, True),
    ({"k": {"$text": "B"}}, {"k": "abc"}, False),
    ({"k": {"$text": "50%"}}, {"k": "of 50% each"}, True),
    ({"k": {"$text": "50%"}}, {"k": "of 500 each"}, False),
    ({"k": {"$text": "snake_case"}}, {"k": "a snake_case name"}, True),
    ({"k": {"$text": "snake_case"}}, {"k": "a snake-case name"}, False),
    # presence
    ({"k": {"$exists": True}}, {"k": ""}, True),
    ({"k": {"$exists": True}}, {"k": None}, False),
    ({"k": {"$exists": False}}, {}, True),
    ({"k": {"$empty": True}}, {"k": []}, True),
    ({"k": {"$empty": True}}, {"k": [None]}, True),
    ({"k": {"$empty": True}}, {"k": 0}, False),
    ({"k": {"$empty": False}}, {"k": [0]}, True),
    ({"k": {"$exists": True}}, {"k": []}, False),
    ({"k": {"$exists": True}}, {"k": [[], None]}, False),
    ({"k": None}, {"k": {}}, True),
    ({"k": {"$ne": 1}}, {"k": [1]}, True),
    ({"k": {"$ne": "a"}}, {"k": 1}, True),
    ({"k": {"$not": {"$like": "a%"}}}, {"k": ["a"]}, True),
    ({"k": {"$empty": False}}, {"k": [[], 0]}, True),
    # of an object only its presence is known
    ({"k": {"$exists": True}}, {"k": {"a": 1}}, True),
    ({"k": 1}, {"k": {"a": 1}}, False),
    ({"k": {"$ne": 1}}, {"k": {"a": 1}}, False),
    ({"k": {"$gt": 1}}, {"k": {"a": 1}}, False),
    ({"k": {"$not": {"$gt": 1}}}, {"k": {"a": 1}}, False),
    # joining
    ({"$or": [{"a": 1}, {"b": 1}]}, {"b": 1}, True),
    ({"$and": [{"a": 1}, {"b": 1}]}, {"b": 1}, False),
    ({"$not": {"a": 1, "b": 1}}, {"b": 1}, True),
    ({"$or": [{"a": 1}, {"b": 1}], "c": 1}, {"a": 1}, False),
    # keys
    ({"a.b": 1}, {"a.b": 1}, True),
    ({"a.b": 1}, {"a": {"b": 1}}, False),
    ({'5" disk': 1}, {'5" disk': 1}, True),
    ({"it's [new]": 1}, {"it's [new]": 1}, True),
    ({"$key": {"$id": 7, "$gt": {"$gt": 1}}}, {"$id": 7, "$gt": 2}, True),
]


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    client = connect(tmp_path_factory.mktemp("filters") / "kb.db")
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=200)
    schema.add_field("metadata", DataType.JSON)
    schema.add_field("price", DataType.DOUBLE, nullable=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("filters", schema=schema, index_params=indexes)
    yield client
    client.close()


@pytest.fixture
def store(lite: MilvusClient) -> MilvusClient:
    lite.delete("filters", filter='id != ""')
    return lite


def add(client: MilvusClient, id: str, metadata: dict[str, Any]) -> None:
    row = {"id": id, "metadata": metadata, "price": metadata.get("price"), "vector": [0.0, 0.0]}
    client.insert("filters", [row])


def found(client: MilvusClient, expression: str) -> list[str]:
    hits = client.query("filters", filter=expression, output_fields=["id"], limit=100)
    return sorted(hit["id"] for hit in hits)


@pytest.mark.parametrize(("filter", "metadata", "expected"), MEANING)
def test_a_filter_means_the_same_in_python_and_in_the_engine(
    store: MilvusClient, filter: dict[str, Any], metadata: dict[str, Any], expected: bool
) -> None:
    assert matches(filter, metadata) is expected
    add(store, "x", metadata)
    assert (found(store, to_expression(filter)) == ["x"]) is expected


def test_id_and_document_are_the_entitys_own_and_not_metadata() -> None:
    assert matches({"$id": "a", "$document": {"$like": "d%"}}, {"$id": "b"}, id="a", document="doc")
    assert not matches({"$document": "doc"}, {"document": "doc"})
    assert to_expression({"$id": ["a", "b"]}) == 'id in ["a", "b"]'
    assert to_expression({"$id": {"$nin": ["a"]}}) == 'id not in ["a"]'  # which no entity lacks
    assert to_expression({"$document": {"$nin": ["a"]}}) == '(document not in ["a"] or document is null)'
    assert to_expression({"$document": None}) == "document is null"
    assert to_expression({"$key": {"$id": "a"}}) == 'metadata["$id"] == "a"'


def test_a_typed_key_is_a_column_and_takes_only_what_the_column_can_hold() -> None:
    fields = {"year": int, "price": float, "draft": bool, "name": str}
    written = {
        '{"year": 2025}': "year in [2025]",
        '{"year": {"$ne": 2025}}': "(year not in [2025] or year is null)",
        '{"year": {"$gt": 1.5}}': "year >= 2",
        '{"year": {"$lt": 1e300}}': "year is not null",
        '{"year": "2025"}': "id in []",
        '{"year": {"$ne": "2025"}}': "",
        '{"year": true}': "year in [1]",
        '{"price": 1}': "price in [1.0]",
        '{"draft": 1}': "draft == true",
        '{"draft": {"$lte": 1}}': "(draft == false or draft == true)",
        '{"name": {"$empty": true}}': '(name is null or name == "")',
        '{"other": 1}': '(metadata["other"] == 1 or metadata["other"] == true)',
    }
    assert {text: to_expression(json.loads(text), fields) for text in written} == written


@pytest.mark.parametrize("sign", ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
def test_a_limit_between_two_floats_is_not_rounded_to_one_of_them(store: MilvusClient, sign: str) -> None:
    prices = [2.0**53, 2.0**53 + 2, 2.0**53 + 4]
    for price in prices:
        add(store, str(int(price)), {"price": price})
    for limit in (2**53 + 1, 2**53 + 3, 2**53 + 2):
        asked = {"price": {sign: limit}}
        expected = [str(int(price)) for price in prices if matches(asked, {"price": price})]
        assert found(store, to_expression(asked, {"price": float})) == expected


def test_no_filter_is_no_expression_and_a_string_passes_untouched() -> None:
    assert to_expression(None) == to_expression({}) == to_expression("") == to_expression("  ") == ""
    assert to_expression('metadata["a"] == 1 or b > 2 ') == 'metadata["a"] == 1 or b > 2 '
    assert matches(None, {})
    with pytest.raises(Unsupported, match="dict"):
        matches("year == 2025", {"year": 2025})


def test_numbers_and_strings_of_other_libraries_are_taken() -> None:
    class Color(str, enum.Enum):
        RED = "red"

    assert to_expression({"n": np.int64(7), "f": np.float32(0.5), "c": Color.RED}) == (
        '(metadata["n"] == 7 and metadata["f"] == 0.5 and metadata["c"] == "red")'
    )


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"year": {"$near": 1}}, r"unknown operator '\$near' for the key 'year'; known are \$eq, \$ne"),
        ({"$nor": [{"a": 1}]}, r"unknown operator '\$nor'.*known are \$and, \$or.*\"\$key\""),
        ({"a": {"b": 1}}, "unknown operator 'b'"),
        ({"$or": []}, r"\$or takes a list that is not empty"),
        ({"$and": {"a": 1}}, r"\$and takes a list"),
        ({"$or": [{}]}, "says nothing"),
        ({"$not": {}}, "says nothing"),
        ({"$not": [1]}, "a filter is a dict"),
        ({"a": {}}, "says nothing"),
        ({"a": {"$not": 1}}, r"\$not takes a dict"),
        ({1: 2}, "keys are strings, got 1"),
        ({"$key": {}}, r"\$key takes a dict"),
        ({"$key": {1: 2}}, "keys are strings"),
        ({"a": {"$in": "abc"}}, r"\$in takes a list, got 'abc'"),
        ({"a": {"$in": [[1]]}}, r"\$in takes a string, a number or a bool"),
        ({"a": {"$all": []}}, r"\$all takes a list that is not empty"),
        ({"a": {"$contains": None}}, r"\$contains takes a string, a number or a bool, got None"),
        ({"a": {"$gt": [1]}}, r"\$gt takes a string, a number or a bool"),
        ({"a": {"$gt": True}}, r"\$gt takes a number or a string, got True"),
        ({"a": {"$gt": None}}, r"\$gt takes"),
        ({"a": {"$exists": 1}}, r"\$exists takes True or False, got 1"),
        ({"a": {"$like": 1}}, r"\$like takes a pattern"),
        ({"a": {"$text": 1}}, r"\$text takes a string"),
        ({"a": float("nan")}, "NaN"),
        ({"a": {"$lt": float("inf")}}, "infinity"),
        ({"a": 2**63}, "64 bits"),
        ({"a": b"x"}, r"got b'x'"),
        ({"a": "\ud800"}, "UTF-8"),
        (["a"], "a filter is a dict"),
    ],
)
def test_a_bad_filter_is_refused_with_what_is_wrong(filter: Any, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        to_expression(filter)
    with pytest.raises(InvalidFilter, match=message):
        matches(filter, {})


@pytest.mark.parametrize(
    ("filter", "name"),
    [
        ({"a": {"$eq": [1]}}, r"\$eq with a list"),
        ({"a": {"$like": "a\\%"}}, "backslash"),
        ({"a": {"$text": "a\\b"}}, r"\$text"),
        ({"": 1}, "metadata key ''"),
        ({"a\\b": 1}, "backslash"),
        ({"a\nb": 1}, "line break"),
        ({"""'"'""": 1}, "both kinds of quotes"),
        ({"a][b": 1}, "metadata key"),
    ],
)
def test_what_milvus_cannot_say_is_unsupported_by_name(filter: Any, name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        to_expression(filter)
    with pytest.raises(Unsupported, match=name):
        matches(filter, {})


def test_fields_of_an_unknown_type_or_name_are_refused() -> None:
    with pytest.raises(InvalidFilter, match="'tags' is of type <class 'list'>"):
        to_expression({"tags": 1}, {"tags": list})
    with pytest.raises(InvalidFilter, match="'a b' is no name of a Milvus column"):
        to_expression({"a b": 1}, {"a b": int})


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"k": 1}
    for level in range(depth - 1):
        inner = {("$and", "$or")[level % 2]: [inner, {"k": {"$not": {"$gt": level}}}]}
    return inner


def test_the_deepest_filter_still_runs_and_one_deeper_is_refused(store: MilvusClient) -> None:
    deepest = nested(MAX_DEPTH - 1)
    add(store, "x", {"k": 1})
    assert (found(store, to_expression(deepest)) == ["x"]) is matches(deepest, {"k": 1})
    with pytest.raises(InvalidFilter, match=f"at most {MAX_DEPTH} dicts"):
        to_expression(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidFilter, match="at most"):
        to_expression(nested(100_000))


INJECTIONS = [
    '" or "" == "',
    "' or '' == '",
    '\\" or 1 == 1 or "',
    '"] == 1 or metadata["k',
    "x\\",
    "a\nb",
    "{x}",
    '")',
    "%",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_value_changes_what_an_expression_asks(store: MilvusClient, text: str) -> None:
    add(store, "other", {"k": "other"})
    add(store, text, {"k": text, "tags": [text]})
    for asked in ({"k": text}, {"k": [text]}, {"tags": {"$contains": text}}, {"$id": text}):
        assert found(store, to_expression(asked)) == [text]
    assert found(store, one_of("id", [text])) == found(store, equal("id", text)) == [text]
    assert found(store, to_expression({"k": {"$ne": text}})) == ["other"]


@pytest.mark.parametrize("key", ['" or "" == "', '"] == 1 or metadata["k', "a] or [b", "{x}", "it's", "k) or (1"])
def test_no_key_changes_what_an_expression_asks(store: MilvusClient, key: str) -> None:
    add(store, "other", {"k": 1})
    add(store, "x", {key: 1})
    assert found(store, to_expression({key: 1})) == ["x"]


def test_all_of_joins_what_is_there_in_brackets() -> None:
    assert all_of() == all_of("", " ") == ""
    assert all_of("a == 1", "") == "a == 1"
    assert all_of("a == 1", "b == 2 or c == 3") == "(a == 1) and (b == 2 or c == 3)"
    assert all_of('k == "(("', "k == ')'") == "(k == \"((\") and (k == ')')"


@pytest.mark.parametrize(
    "raw", ["a == 1) or (b == 2", "(a == 1", "a in [1", 'k == "x', "k == 'x\\'", "a == 1]", '"\n"']
)
def test_all_of_refuses_an_expression_that_would_break_out_of_its_brackets(raw: str) -> None:
    with pytest.raises(InvalidFilter, match="in the filter"):
        all_of(equal("tenant", "acme"), raw)
    with pytest.raises(InvalidFilter):
        all_of(raw)


def test_one_of_and_equal_name_a_plain_column() -> None:
    assert one_of("key", ["a", 'b"']) == 'key in ["a", "b\\""]'
    assert one_of("part", [1, 2]) == "part in [1, 2]"
    assert one_of("id", []) == "id in []"
    assert equal("part", -3) == "part == -3"
    for field, values in (("a b", ["x"]), ("id", [1.5]), ("id", [True]), ("id", [None])):
        with pytest.raises(InvalidFilter):
            one_of(field, cast("list[str]", values))


def test_a_thousand_values_are_no_trouble(store: MilvusClient) -> None:
    ids = [f"reports/annual '{number}\".pdf#{number}" for number in range(1000)]
    add(store, ids[999], {"k": ids[999]})
    for expression in (one_of("id", ids), to_expression({"$id": ids}), to_expression({"k": ids})):
        assert found(store, expression) == [ids[999]]


LLAMA_OPERATORS = {
    "==": "$eq",
    "!=": "$ne",
    ">": "$gt",
    ">=": "$gte",
    "<": "$lt",
    "<=": "$lte",
    "in": "$in",
    "nin": "$nin",
}
LLAMA_OPERATORS |= {"any": "$any", "all": "$all", "text_match": "$text", "contains": "$contains"}


LLAMA_VALUES: list[Any] = [None, 0, 1, 2, 1.5, "", "a", "ab", "1", True, [], ["a"], ["a", "b"], [1, 2.0], [1.5]]


@pytest.fixture
def llama() -> tuple[Any, Any]:
    """LlamaIndex's types and utilities, where they have the meaning of missing keys that ours is taken from."""
    types = pytest.importorskip("llama_index.core.vector_stores.types")
    utils = pytest.importorskip("llama_index.core.vector_stores.utils")
    unequal = types.MetadataFilter(key="k", value=0, operator=types.FilterOperator.NE)
    if not utils.build_metadata_filter_fn(lambda _: {}, types.MetadataFilters(filters=[unequal]))("node"):
        pytest.skip("in this llama-index-core a missing key is not unequal")
    return types, utils


def llama_operands(name: str) -> list[Any]:
    if name in ("$in", "$nin", "$any", "$all"):
        return [["a"], ["a", "b"], [1, 2], [1.5]]
    return ["a", "b", ""] if name == "$text" else [0, 1, 1.5, "a", "b"]


@pytest.mark.parametrize(("sign", "name"), LLAMA_OPERATORS.items())
def test_the_meaning_is_llama_indexs_where_both_have_one(llama: tuple[Any, Any], sign: str, name: str) -> None:
    """Ours is meant to differ, and so not compared: where theirs raises TypeError (a range over or a text in a value of
    another kind) ours is false; contains, any and all of theirs also look for a part of a string, ours only in lists;
    None as a value equals nothing in theirs, and None or a missing key in ours.
    """
    types, utils = llama
    compared = 0
    for operand in llama_operands(name):
        asked = types.MetadataFilter(key="k", value=operand, operator=types.FilterOperator(sign))
        theirs = utils.build_metadata_filter_fn(lambda value: {"k": value}, types.MetadataFilters(filters=[asked]))
        for value in LLAMA_VALUES:
            if name in ("$contains", "$any", "$all") and isinstance(value, str):
                continue
            try:
                expected = theirs(value)
            except TypeError:
                expected = False
            assert matches({"k": {name: operand}}, {"k": value}) is expected, (operand, value)
            compared += 1
    assert compared >= 44


def test_is_empty_and_not_are_llama_indexs(llama: tuple[Any, Any]) -> None:
    types, utils = llama
    empty = types.MetadataFilter(key="k", value=None, operator=types.FilterOperator.IS_EMPTY)
    one = types.MetadataFilter(key="k", value=1)
    entities: list[dict[str, Any]] = [{}, {"k": None}, {"k": ""}, {"k": []}, {"k": 0}, {"k": 1}, {"k": ["a"]}]
    for metadata in entities:
        for condition, ours in (
            ("and", {"k": {"$empty": True}, "$not": {"k": 1}}),
            ("not", {"$not": {"$or": [{"k": {"$empty": True}}, {"k": 1}]}}),
        ):
            parts = [empty] if condition == "and" else [empty, one]
            check = utils.build_metadata_filter_fn(
                lambda _, m=metadata: m, types.MetadataFilters(filters=parts, condition=condition)
            )
            assert matches(ours, metadata) is check("x")


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ('source == "news"', 'metadata["source"] == "news"'),
        ("year>2020 and year <= 2025", 'metadata["year"]>2020 and metadata["year"] <= 2025'),
        ("id in ['a', \"it's\"] OR NOT flag", 'id in [\'a\', "it\'s"] OR NOT metadata["flag"]'),
        ('json_contains (tags, "a") && exists b', 'json_contains (metadata["tags"], "a") && exists metadata["b"]'),
        ('metadata["n"] in [1, 1e5]', '(metadata["n"] == 1 or metadata["n"] == 1e5)'),
        ('a["b"][0] not in ["x"]', 'not (metadata["a"]["b"][0] == "x")'),
        ('$meta["price"] == 3.5 and $meta["n"] in [1]', 'metadata["price"] == 3.5 and (metadata["n"] == 1)'),
        ("größe > 1 and ölpreis == 4", 'metadata["größe"] > 1 and metadata["ölpreis"] == 4'),
        ("json_contains(metadata['a'], 1) or metadata == 3", "json_contains(metadata['a'], 1) or metadata == 3"),
        ('tags[0] == "say \\"year\\""', 'metadata["tags"][0] == "say \\"year\\""'),
        ("name like 'a_b%' and page is not null", "metadata[\"name\"] like 'a_b%' and page is not null"),
        (
            "year in [2018,\n2023 ] and id in [1]",
            '(metadata["year"] == 2018 or metadata["year"] == 2023) and id in [1]',
        ),
        ("lang NOT IN ['d,e', \"f\",]", 'not (metadata["lang"] == \'d,e\' or metadata["lang"] == "f")'),
        ("a in [-1.5] or lang in []", '(metadata["a"] == -1.5) or (id in [])'),
        ("lang not in []", "not (id in [])"),
        ("year in {years} or page == {p}", 'metadata["year"] in {years} or page == {p}'),
        ("ok == True and wrong == false", 'metadata["ok"] == True and metadata["wrong"] == false'),
        ("", ""),
    ],
)
def test_names_that_are_no_columns_are_keys_of_the_metadata(expression: str, written: str) -> None:
    assert with_metadata_keys(expression, {"id", "metadata", "page"}) == written


def test_an_expression_with_keys_finds_what_its_dict_finds(notes: Collection) -> None:
    notes.add([Entity(str(year), "red", metadata={"year": year, "tag": f"t{year % 2}"}) for year in range(2018, 2024)])
    pairs: list[tuple[str, dict[str, Any]]] = [
        ("year >= 2020", {"year": {"$gte": 2020}}),
        ('tag == "t1" and year != 2019', {"tag": "t1", "year": {"$ne": 2019}}),
        ("year in [2018, 2023]", {"year": [2018, 2023]}),
        ('tag like "t%"', {"tag": {"$like": "t%"}}),
        ("year not in []", {}),
        ('$meta["year"] in [2019, 2020]', {"year": [2019, 2020]}),
    ]
    for expression, same in pairs:
        found = notes.search("red", filter=with_metadata_keys(expression, {"id"}))

        assert {hit.entity.id for hit in found} == {hit.entity.id for hit in notes.search("red", filter=same)}
        assert found
