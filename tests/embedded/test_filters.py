"""Filters on the engine: what Milvus 2.6.21 makes of each expression, on flushed rows and on unflushed ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymilvus import AnnSearchRequest, DataType, MilvusClient, MilvusException, RRFRanker

from colmilvus.embedded import connect
from colmilvus.embedded.filters.conditions import Rows
from colmilvus.embedded.filters.operands import Column, Literal
from colmilvus.embedded.filters.rules import match
from colmilvus.embedded.filters.values import like_pattern

Answer: TypeAlias = "bool | None"

VALUES: list[Any] = [0, 1, -1, 2, 1.0, 1.5, 2**53 + 1, True, False, "", "a", "ab", "1", None, {}, {"b": 1}, {"b": None}]
VALUES += [[], [None], [1], [1.0, "a"], ["a", "b"], [True], [[1]], {"b": {"c": [1, 2]}}]
YEARS: list[int | None] = [None, 1, 2, 3]


def row(number: int, value: Any) -> dict[str, Any]:
    """A row with the value in a JSON column and in the dynamic field, and others in typed columns."""
    year = YEARS[number % len(YEARS)]
    numbers = None if number % 5 == 0 else list(range(number % 3))
    typed = {"year": year, "price": None if year is None else year / 10, "numbers": numbers}
    kept = {"m": None if number == 3 else {"k": value}} | ({"k": value} if number != 3 else {})
    return {"id": number, "vector": [0.0, 1.0], "name": f"n%{number}", **typed, **kept}


ROWS = [row(number, value) for number, value in enumerate([*VALUES, "last"])]
ROWS.append({"id": 99, "vector": [0.0, 1.0], "name": "without", "m": {}, "year": 2, "price": 0.1, "numbers": [7]})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    client = connect(tmp_path_factory.mktemp("filters") / "kb.db")
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("name", DataType.VARCHAR, max_length=50, enable_analyzer=True, enable_match=True)
    schema.add_field("m", DataType.JSON, nullable=True)
    schema.add_field("year", DataType.INT64, nullable=True)
    schema.add_field("price", DataType.FLOAT, nullable=True)
    schema.add_field("numbers", DataType.ARRAY, element_type=DataType.INT64, max_capacity=9, nullable=True)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection("rows", schema=schema, index_params=indexes)
    client.insert("rows", ROWS[::2])
    client.flush("rows")
    client.insert("rows", ROWS[1::2])
    yield client
    client.close()


def found(client: MilvusClient, expression: str, **options: Any) -> list[int]:
    hits = client.query("rows", filter=expression, output_fields=["id"], limit=1000, **options)
    return sorted(hit["id"] for hit in hits)


# What an expression means, in plain Python. None is unknown: it is of a key that is missing and a value of another
# kind, and `not` of it is unknown again.

MISSING = object()


def document(each: dict[str, Any], key: str) -> Any:
    kept = each.get("m") if key.startswith("m[") else each
    return MISSING if kept is None or "k" not in kept else kept["k"]


def is_there(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(is_there, value.values() if isinstance(value, dict) else value))
    return value is not None and value is not MISSING


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def compare(value: Any, sign: str, literal: Any) -> Answer:
    if kind(value) != kind(literal):
        return None
    if isinstance(literal, float):
        value = float(value)
    answers: dict[str, bool] = {
        "==": value == literal,
        "!=": value != literal,
        "<": value < literal,
        "<=": value <= literal,
        ">": value > literal,
        ">=": value >= literal,
    }
    return answers[sign]


def negated(answer: Answer) -> Answer:
    return None if answer is None else not answer


def either(answers: list[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def both(answers: list[Answer]) -> Answer:
    return negated(either([negated(answer) for answer in answers]))


def written(literal: Any) -> str:
    if isinstance(literal, list):
        return f"[{', '.join(map(written, literal))}]"
    return {True: "true", False: "false"}[literal] if isinstance(literal, bool) else repr(literal).replace("'", '"')


Meaning: TypeAlias = tuple[str, Callable[[dict[str, Any]], Answer]]

keys = st.sampled_from(['m["k"]', "k", '$meta["k"]'])
literals = st.sampled_from([0, 1, 2, -1, 1.0, 1.5, 0.5, True, False, "", "a", "ab", "1", 2**53 + 1])
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def comparisons(key: str, sign: str, literal: Any, reverse: bool) -> Meaning:
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
    text = f"{written(literal)} {turned} {key}" if reverse else f"{key} {sign} {written(literal)}"
    return text, lambda each: compare(document(each, key), sign, literal)


def memberships(key: str, some: list[Any], unequal: bool) -> Meaning:
    def meaning(each: dict[str, Any]) -> Answer:
        answer = either([compare(document(each, key), "==", literal) for literal in some]) if some else False
        return negated(answer) if unequal else answer

    return f"{key} {'not in' if unequal else 'in'} {written(some)}", meaning


def presences(key: str, form: str) -> Meaning:
    wanted = form in ("exists {}", "{} is not null")
    return form.format(key), lambda each: is_there(document(each, key)) == wanted


def ranges(key: str, low: int, width: int, closed: bool) -> Meaning:
    sign = "<=" if closed else "<"
    text = f"{low} {sign} {key} {sign} {low + width}"
    return text, lambda each: both(
        [compare(document(each, key), turned, at) for turned, at in ((">" + sign[1:], low), (sign, low + width))]
    )


def containments(key: str, some: list[Any], name: str) -> Meaning:
    def has(value: list[Any], literal: Any) -> bool:
        same = [each for each in value if kind(each) == kind(literal)]
        return any(compare(each, "==", literal) for each in same)

    def meaning(each: dict[str, Any]) -> Answer:
        value = document(each, key)
        if not isinstance(value, list):
            return None
        return (all if name.endswith("all") else any)(has(value, literal) for literal in some)

    wanted = written(some if name != "json_contains" else some[0])
    some = some if name != "json_contains" else some[:1]
    return f"{name}({key}, {wanted})", meaning


def remainders(key: str, by: int, rest: int) -> Meaning:
    def meaning(each: dict[str, Any]) -> Answer:
        value = document(each, key)
        if kind(value) != "number":
            return None
        return abs(int(value)) % by * (1 if value >= 0 else -1) == rest

    return f"{key} % {by} == {rest}", meaning


def years(some: list[int], unequal: bool) -> Meaning:
    def meaning(each: dict[str, Any]) -> Answer:
        return None if each["year"] is None else (each["year"] in some) != unequal

    return f"year {'not in' if unequal else 'in'} {some}", meaning


atoms: st.SearchStrategy[Meaning] = st.one_of(
    st.builds(comparisons, keys, signs, literals, st.booleans()),
    st.builds(memberships, keys, st.lists(literals, max_size=3), st.booleans()),
    st.builds(presences, keys, st.sampled_from(["exists {}", "not exists {}", "{} is null", "{} is not null"])),
    st.builds(ranges, keys, st.sampled_from([-1, 0, 1]), st.sampled_from([1, 2]), st.booleans()),
    st.builds(
        containments,
        keys,
        st.lists(literals, min_size=1, max_size=2),
        st.sampled_from(["json_contains", "json_contains_any", "json_contains_all"]),
    ),
    st.builds(remainders, keys, st.sampled_from([2, 3]), st.sampled_from([0, 1, -1])),
    st.builds(years, st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=2), st.booleans()),
)


def joined(parts: list[Meaning], word: str) -> Meaning:
    join = both if word == "and" else either
    text = f" {word} ".join(f"({text})" for text, _ in parts)
    return text, lambda each: join([meaning(each) for _, meaning in parts])


def turned(part: Meaning) -> Meaning:
    return f"not ({part[0]})", lambda each: negated(part[1](each))


expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["and", "or"])),
        st.builds(turned, inner),
    ),
    max_leaves=4,
)


@settings(deadline=None, database=None, max_examples=250, suppress_health_check=list(HealthCheck))
@given(expression=expressions)
def test_an_expression_finds_what_it_means(client: MilvusClient, expression: Meaning) -> None:
    text, meaning = expression
    assert found(client, text) == sorted(each["id"] for each in ROWS if meaning(each)), text


@pytest.mark.parametrize(
    ("expression", "meaning"),
    [
        ('m["k"]["b"]["c"][1] == 2', lambda each: each["id"] == VALUES.index({"b": {"c": [1, 2]}})),
        ('k["b"] == 1', lambda each: each.get("k") == {"b": 1}),
        ('m["k"][0] == "a"', lambda each: (each["m"] or {}).get("k") == ["a", "b"]),
        ('m["k"] == [1]', lambda each: (each["m"] or {}).get("k") == [1] and type(each["m"]["k"][0]) is int),
        ('m["k"] in ["\\u0061", 2]', lambda each: (each["m"] or {}).get("k") in ("a", 2)),
        ("m['k'] like 'a_'", lambda each: (each["m"] or {}).get("k") == "ab"),
        ('not (k like "a%")', lambda each: isinstance(each.get("k"), str) and not each["k"].startswith("a")),
        ('name like "n\\\\%1%"', lambda each: each["name"].startswith("n%1")),
        (
            'array_length(m["k"]) > 0',
            lambda each: isinstance((each["m"] or {}).get("k"), list) and each["m"]["k"] != [],
        ),
        ("array_length(numbers) == 0", lambda each: each["numbers"] == []),
        ("numbers[0] == 7", lambda each: each["numbers"] == [7]),
        ("numbers[1] not in [1]", lambda _: False),
        ("array_contains_any(numbers, [1, 7])", lambda each: bool({1, 7} & set(each["numbers"] or []))),
        ("not array_contains(numbers, 1)", lambda each: each["numbers"] is not None and 1 not in each["numbers"]),
        ("price == 0.1", lambda each: each["price"] == 0.1),
        ("price in [0.1, 3]", lambda each: each["price"] == 0.1),
        ("0.15 < price <= 0.3", lambda each: each["price"] in (0.2, 0.3)),
        ("3 > year >= 2", lambda each: each["year"] == 2),
        ("year / 2 == 1", lambda each: each["year"] in (2, 3)),
        ("year % 2 == 1 && price > 0", lambda each: each["year"] in (1, 3)),
        ("2 + year == 4", lambda each: each["year"] == 2),
        ("not (year == 1)", lambda each: each["year"] in (2, 3)),
        ("year is null", lambda each: each["year"] is None),
        ("m is not null", lambda each: each["m"] is not None),
        ("year != 1 or true", lambda _: True),
        ("year == 0x1 || year == 0b10", lambda each: each["year"] in (1, 2)),
        ("year <= 9223372036854775807 and year > -9223372036854775808", lambda each: each["year"] is not None),
        ("id >= 2 ** 2 - 1 and id < 7", lambda each: 3 <= each["id"] < 7),
        ('text_match(name, "without N")', lambda _: True),
        ('text_match(name, "n 5", minimum_should_match=2)', lambda each: each["id"] == 5),
        ('phrase_match(name, "n 5")', lambda each: each["id"] == 5),
        ('phrase_match(name, "5 n")', lambda _: False),
    ],
)
def test_what_the_grammar_has_beside(
    client: MilvusClient, expression: str, meaning: Callable[[dict[str, Any]], bool]
) -> None:
    assert found(client, expression) == sorted(each["id"] for each in ROWS if meaning(each))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("not year == 1", "not op can only be applied on boolean expression"),
        ('m["k"] == null', "NULL literal is not supported in expressions; use '<field> is null'"),
        ("year == 1.5", "cannot cast value to Int64, value: 1.5"),
        ('year == "1"', "comparisons between Int64 and VarChar are not supported"),
        ("year + price > 1", "not supported to do arithmetic operations between multiple fields"),
        ("year % 0 == 1", "division or modulus by zero"),
        ("3 < year < 2", "invalid range: lowerbound is greater than upperbound"),
        ("1 < year < 2.5", "invalid range operations"),
        ('m["k"] == m["b"]', "two column comparison with JSON type is not supported"),
        ("year in 3", "the right-hand side of 'in' must be a list"),
        ('year in [1, "a"]', "value ''a'' in list cannot be casted to Int64"),
        ("exists year", "exists operations are only supportted on json field, got:Int64"),
        ("exists m", "exists operations are only supportted on json key"),
        ("year like 'a'", "like operation on non-string or no-json field is unsupported"),
        ("numbers > 1", "can not comparisons array fields directly"),
        ("json_contains_any(k, 1)", "ContainsAny operation element must be an array"),
        ("year", "predicate is not a boolean expression"),
        ("year == 1 and price", "'and' can only be used between boolean expressions"),
        ("year == 9223372036854775808", "out of range"),
        ('m["k"] == "\\q"', "unknown escape"),
        ("year == 1 year", "unexpected 'year' at position 10"),
        ("(year == 1", "expected ')'"),
        ("year = 1", "unexpected '='"),
        ("(" * 300 + "true" + ")" * 300, "nested more than 200 deep"),
        ("year & 1 == 1", "BitAnd is not supported"),
        ("random_sample(0.5)", "random_sample is not supported by the embedded engine"),
        ("text_match(m, 'a')", "text match operation on non-string is unsupported"),
        ("nothing(1)", "function nothing not found"),
        ("year in {years}", "unexpected '{'"),
    ],
)
def test_what_a_server_refuses_is_refused_with_the_expression(
    client: MilvusClient, expression: str, reason: str
) -> None:
    template = "{" in expression
    with pytest.raises(MilvusException) as refusal:
        found(client, expression)
    assert refusal.value.code == 1100
    wanted = "the value of expression template variable name {years} is not found" if template else reason
    assert wanted in refusal.value.message
    assert template or f"cannot parse expression: {expression}: " in refusal.value.message


@pytest.mark.parametrize("value", [1, -1, 1.5, True, "a", "it's \"a\\", [1, 2], ["a", 'b"'], []])
def test_templates_are_filled_in(client: MilvusClient, value: Any) -> None:
    listed = value if isinstance(value, list) else [value]
    expression = "k in {values}" if isinstance(value, list) else "k == {values}"
    wanted = sorted(each["id"] for each in ROWS if any(compare(each.get("k", MISSING), "==", one) for one in listed))
    assert found(client, f'{expression} and name != "{{values}}"', filter_params={"values": value}) == wanted


def test_templates_are_filled_in_wherever_a_filter_stands(client: MilvusClient) -> None:
    wanted = {each["id"] for each in ROWS if each["year"] in (1, 3)}
    params: dict[str, Any] = {"filter": "year in {years}", "filter_params": {"years": [1, 3]}}
    hits = client.search("rows", [[0.0, 1.0]], anns_field="vector", limit=100, **params)
    assert {hit["id"] for hit in hits[0]} == wanted
    part = AnnSearchRequest([[0.0, 1.0]], "vector", {}, 100, expr="year in {years}", expr_params={"years": [1, 3]})
    hits = client.hybrid_search("rows", [part, part], RRFRanker(), limit=100)
    assert {hit["id"] for hit in hits[0]} == wanted
    client.insert("rows", [{**ROWS[-1], "id": 100, "year": 4}])
    assert client.delete("rows", filter="year in {years}", filter_params={"years": [4]})["delete_count"] == 1


def test_a_list_of_thousands_of_values_is_no_trouble(client: MilvusClient) -> None:
    some = list(range(2, 6_002, 2))
    assert found(client, f"id in {some} and k not in {some}") == found(client, "id % 2 == 0 and id > 0 and k != 2")


def test_every_short_pattern_means_the_same_in_arrow_and_as_an_expression() -> None:
    texts = ["", "a", "ab", "b", "a\n", "\n", "50%", "%", "a%b", "\u65e5\u672c", "\\", "a\\b", "aab", None]
    rows = Rows(pa.table({"name": texts}))
    for count in range(4):
        for signs in itertools.product(["%", "_", "a", "b", "\\%", "\\\\", "\n", "\u65e5"], repeat=count):
            pattern = "".join(signs)
            regex = like_pattern(pattern)
            wanted = [None if text is None else regex.fullmatch(text) is not None for text in texts]
            condition = match(Column("name", "VarChar", "name"), Literal(pattern))
            assert condition.evaluate(rows).to_pylist() == wanted, pattern
