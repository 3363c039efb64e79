"""Strings with quotes, backslashes, line breaks, braces and other scripts are values, never parts of an expression."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colmilvus import Collection, Entity, MultiVector, Server
from colmilvus.errors import InvalidInput, Unsupported
from colmilvus.filters import matches

pytestmark = pytest.mark.everywhere

HOSTILE = (
    '"',
    "'",
    "\\",
    "\\\\",
    '\\"',
    '" or id != "',
    "' or '1' == '1",
    'a" or part >= 0 or id == "a',
    '"] or id in ["a',
    ") or (1 == 1",
    "{a}",
    "{{",
    "$id",
    "line\nbreak",
    "line\r\nbreak\t",
    "\u2028",
    "null",
    "true",
    "%",
    "a%",
    "_",
    "ünï",
    "日本語",
    "🙂",
    "\\u0061",
    "\\x61",
    "--",
    "/* */",
    "a",
)
pieces = st.sampled_from(
    ['"', "'", "\\", "\n", "{", "}", "(", ")", "[", "]", " or ", " and ", "==", "%", "é", "a", "id"]
)
texts = st.one_of(st.sampled_from(HOSTILE), st.lists(pieces, min_size=1, max_size=6).map("".join))


@pytest.fixture
def held(database: Path | Server) -> Iterator[Collection]:
    with Collection("hostile", dim=2, metric="IP", uri=database, fields={"typed": str}) as collection:
        collection.add(
            [
                Entity(value, text=value, document=value, metadata={"key": value, "typed": value, "list": [value]})
                for value in HOSTILE
            ],
            vectors=[np.ones((1 + n % 2, 2)) for n in range(len(HOSTILE))],
            progress=False,
        )
        yield collection


def meant(condition: dict[str, object]) -> set[str]:
    return {
        value
        for value in HOSTILE
        if matches(
            condition,
            {"key": value, "typed": value, "list": [value]},
            {"typed": str},
            id=value,
            document=value,
        )
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=texts,
    where=st.sampled_from(["key", "typed", "$id", "$document", "list"]),
    how=st.sampled_from(["$eq", "$ne", "$in", "$text"]),
)
def test_a_value_in_a_filter_is_that_value(held: Collection, value: str, where: str, how: str) -> None:
    if where == "list":
        condition: dict[str, object] = {"list": {"$contains": value}}
    else:
        condition = {where: {how: [value] if how == "$in" else value}}
    try:
        found = held.ids(condition)
    except Unsupported:
        return  # of servers that know beginnings of texts alone
    assert set(found) == meant(condition)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(texts, min_size=1, max_size=4))
def test_an_id_is_that_id(held: Collection, asked: list[str]) -> None:
    there = [name for name in asked if name in HOSTILE]

    assert [entity.id for entity in held.get(asked)] == there
    assert set(held.multi_vectors(asked)) == set(there)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=texts)
def test_deleting_touches_nothing_else(held: Collection, value: str) -> None:
    before = set(held.ids())
    removed = held.delete([value])
    assert set(held.ids()) == before - {value}
    assert removed == (value in before)
    removed = held.delete(document="no such" + value)
    assert removed == 0
    assert set(held.ids()) == before - {value}


def test_a_search_finds_all_under_their_names(held: Collection) -> None:
    hits = held.search(MultiVector(np.ones((1, 2))), 100)

    assert {hit.entity.id for hit in hits} == set(HOSTILE)
    assert all(hit.entity.text == hit.entity.id == hit.entity.document for hit in hits)


def test_a_collection_cannot_have_such_a_name(database: Path | Server) -> None:
    for name in HOSTILE:
        if not (name.isidentifier() and name.isascii()):
            with pytest.raises(InvalidInput, match="a collection's name"):
                Collection(name, dim=2, uri=database)


def test_a_key_of_metadata_is_that_key(database: Path | Server) -> None:
    asked = 0
    with Collection("keys", dim=2, uri=database) as keys:
        keys.add(
            [Entity(str(n), metadata={key: n}) for n, key in enumerate(HOSTILE)],
            vectors=[np.ones((1, 2))] * len(HOSTILE),
            progress=False,
        )
        for n, key in enumerate(HOSTILE):
            try:
                found = keys.ids({"$key": {key: n}}), keys.ids({"$key": {key: {"$exists": True}}})
            except Unsupported:
                assert any(sign in key for sign in '\\\r\n"')  # the last on old servers alone
                continue
            asked += 1
            assert found == ([str(n)], [str(n)])
    assert asked > 15
