"""MetadataFilters mean what LlamaIndex's build_metadata_filter_fn says; what cannot be said is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from colmilvus import Collection, Entity
from colmilvus.errors import InvalidFilter, InvalidQuery, Unsupported
from colmilvus.filters import matches
from colmilvus.llama_index import LateInteractionRetriever, LateInteractionVectorStore
from colmilvus.llama_index.filters import to_filter
from colmilvus.llama_index.searches import documents_filter
from tests.llama_index.conformance import FILTERS, is_newest_meaning, passes
from tests.llama_index.test_conformance import uses_what_milvus_lacks
from tests.words import WordEmbedder

newest_meaning = pytest.mark.skipif(not is_newest_meaning(), reason="here a missing key is not unequal to everything")

METADATA: list[dict[str, Any]] = [{}, {"k": None}]
METADATA += [{"k": value} for value in ("", "a", "ab", "A", "it's", 'say "a"', "50%", "a_b", "1", "日本")]
METADATA += [{"k": value} for value in (0, 1, 2, -1, 1.0, 1.5, True, False)]
METADATA += [{"k": value} for value in ([], ["a"], ["a", "ab"], [""], [0], [1, 2], [1.0], [True], ["a", 1])]
SCALARS: list[Any] = ["", "a", "A", "it's", '"', "%", "_", "a_b", "日", 0, 1, 1.0, 1.5, -1]
LISTS: list[Any] = [[], ["a"], ["a", "ab"], ["it's", "50%"], [0], [1, 2], [1.0, 1.5]]
OPERANDS: dict[FilterOperator, list[Any]] = {
    FilterOperator.EQ: [*SCALARS, None],
    FilterOperator.NE: [*SCALARS, None],
    FilterOperator.GT: SCALARS,
    FilterOperator.GTE: SCALARS,
    FilterOperator.LT: SCALARS,
    FilterOperator.LTE: SCALARS,
    FilterOperator.IN: LISTS,
    FilterOperator.NIN: LISTS,
    FilterOperator.ANY: LISTS,
    FilterOperator.ALL: LISTS,
    FilterOperator.CONTAINS: SCALARS,
    FilterOperator.TEXT_MATCH: [value for value in SCALARS if isinstance(value, str)],
    FilterOperator.IS_EMPTY: [None, "ignored"],
}


def where(key: str, operator: FilterOperator | str, value: Any = None) -> MetadataFilter:
    return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)


def all_of(*tests: MetadataFilter | MetadataFilters) -> MetadataFilters:
    return MetadataFilters(filters=list(tests))


def asks_for_all_of_nothing(filters: MetadataFilters) -> bool:
    """Whether an empty list and no list at all differ, which Milvus cannot tell apart."""
    inner = (asks_for_all_of_nothing(each) for each in filters.filters if isinstance(each, MetadataFilters))
    tests = (each for each in filters.filters if isinstance(each, MetadataFilter))
    return any(each.operator is FilterOperator.ALL and each.value == [] for each in tests) or any(inner)


def test_every_operator_is_compared_but_the_one_that_milvus_lacks() -> None:
    assert {*OPERANDS, FilterOperator.TEXT_MATCH_INSENSITIVE} == set(FilterOperator)


@newest_meaning
@pytest.mark.parametrize("condition", [*FilterCondition, None])
@pytest.mark.parametrize("operator", OPERANDS)
def test_each_operator_passes_what_llama_index_would_pass(
    operator: FilterOperator, condition: FilterCondition | None
) -> None:
    for operand in OPERANDS[operator]:
        filters = MetadataFilters(filters=[where("k", operator, operand)], condition=condition)
        said = to_filter(filters, {})
        for metadata in METADATA:
            if not (metadata == {"k": []} and asks_for_all_of_nothing(filters)):
                assert matches(said, metadata) is passes(filters, metadata), (operator, operand, metadata)


@newest_meaning
@settings(max_examples=400, deadline=None)
@given(filters=FILTERS)
def test_filters_within_filters_pass_what_llama_index_would_pass(filters: MetadataFilters) -> None:
    if uses_what_milvus_lacks(filters):
        with pytest.raises(Unsupported, match="TEXT_MATCH_INSENSITIVE"):
            to_filter(filters, {})
        return
    said = to_filter(filters, {})
    for value in METADATA:
        for key in ("year", "tags", "note"):
            metadata = {key: value["k"]} if value else {}
            if value == {"k": []} and asks_for_all_of_nothing(filters):
                continue
            assert matches(said, metadata) is passes(filters, metadata), metadata


def test_no_filters_within_filters_pass_everything() -> None:
    nothing = MetadataFilters(filters=[])

    assert to_filter(nothing, {}) is None
    assert matches(to_filter(all_of(nothing, where("k", "==", 1)), {}), {"k": 1})
    assert not matches(to_filter(all_of(nothing, where("k", "==", 1)), {}), {"k": 2})
    either = MetadataFilters(filters=[nothing, where("k", "==", 1)], condition=FilterCondition.OR)
    assert matches(to_filter(either, {}), {"k": 2})


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("pages") / "kb.db"
    with Collection("pages", WordEmbedder(), uri=folder, fields={"year": int, "lang": str}) as collection:
        collection.add(
            [
                Entity("a#1", "red sea", document="a", metadata={"year": 2024, "lang": "en", "note": "Tall"}),
                Entity("a#2", "red sky", document="a", metadata={"year": 2025}),
                Entity("b", "red tree", metadata={"lang": "de"}),
            ]
        )
        yield collection


def ids(collection: Collection, filters: MetadataFilters, **fields: Any) -> list[str]:
    found = LateInteractionRetriever(collection, 9, filters=filters, **fields).retrieve("red")
    return sorted(node.node_id for node in found)


def test_typed_fields_are_filtered_as_other_keys_are(pages: Collection) -> None:
    assert ids(pages, all_of(where("year", ">", 2024))) == ["a#2"]
    assert ids(pages, all_of(where("year", ">=", 2023.5), where("lang", "!=", "de"))) == ["a#1", "a#2"]
    assert ids(pages, all_of(where("year", "is_empty"))) == ["b"]
    assert ids(pages, all_of(where("lang", "in", ["de", "en"]))) == ["a#1", "b"]
    assert ids(pages, all_of(where("lang", "contains", "d"))) == ["b"]


@pytest.mark.parametrize(
    "test",
    [
        where("year", "==", "2024"),
        where("year", ">", "2024"),
        where("year", "in", ["2024"]),
        where("year", "text_match", "2024"),
    ],
)
def test_a_value_that_a_typed_field_never_holds_is_refused_by_name(pages: Collection, test: MetadataFilter) -> None:
    with pytest.raises(InvalidFilter, match="the field 'year' holds int values, and is never '2024'"):
        LateInteractionRetriever(pages, filters=all_of(test))


def test_case_cannot_be_left_out_of_account(pages: Collection) -> None:
    filters = all_of(where("note", "text_match_insensitive", "TALL"))
    with pytest.raises(Unsupported, match="TEXT_MATCH_INSENSITIVE on 'note'"):
        LateInteractionRetriever(pages, filters=filters)
    with pytest.raises(Unsupported, match="TEXT_MATCH_INSENSITIVE on 'note'"):
        LateInteractionVectorStore(pages).get_nodes(filters=filters)


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (where("k", "any", "wet"), r"\$any takes a list, got 'wet'"),
        (where("k", "in", "wet"), r"\$in takes a list"),
        (where("k", "in"), r"\$in takes a list, got None"),
        (where("k", ">"), r"\$gt"),
        (where("k", "text_match", 1), r"\$text takes a string, got 1"),
        (where("k", ">", [1]), r"\$gt"),
        (where("k", "==", float("nan")), "nan"),
        (where("k", "==", 2**70), "64"),
    ],
)
def test_values_that_no_such_test_has_are_refused(pages: Collection, test: MetadataFilter, told: str) -> None:
    with pytest.raises(InvalidFilter, match=told):
        LateInteractionRetriever(pages, filters=all_of(test))


def test_equality_with_a_list_and_a_backslash_in_a_text_are_refused(pages: Collection) -> None:
    with pytest.raises(Unsupported, match="with a list"):
        LateInteractionRetriever(pages, filters=all_of(where("k", "==", ["a"])))
    with pytest.raises(Unsupported, match="backslash"):
        LateInteractionRetriever(pages, filters=all_of(where("k", "text_match", "a\\b")))


def test_an_unknown_operator_is_refused_by_llama_index() -> None:
    with pytest.raises(ValueError, match="operator"):
        MetadataFilter(key="k", operator="~", value=1)  # type: ignore[arg-type]  # a tested mistake


def test_filters_of_the_core_are_taken_too(pages: Collection) -> None:
    assert ids(pages, {"year": {"$lt": 2025}}) == ["a#1"]  # type: ignore[arg-type]  # a retriever takes them
    assert ids(pages, 'document == "a"') == ["a#1", "a#2"]  # type: ignore[arg-type]  # a retriever takes them
    with pytest.raises(InvalidFilter, match="MetadataFilters, a dict or a Milvus expression, not list"):
        LateInteractionRetriever(pages, filters=[where("k", "==", 1)])  # type: ignore[arg-type]  # a tested mistake
    with pytest.raises(InvalidFilter, match="cannot be joined"):
        LateInteractionRetriever(pages, filters='document == "a"', node_ids=["a#1"])


def test_documents_are_told_by_their_ids_and_pages_by_theirs(pages: Collection) -> None:
    assert ids(pages, documents_filter(pages, ["a"])) == ["a#1", "a#2"]  # type: ignore[arg-type]
    assert ids(pages, documents_filter(pages, ["a#2", "b"])) == ["a#2", "b"]  # type: ignore[arg-type]
    assert ids(pages, MetadataFilters(filters=[]), doc_ids=["a"], node_ids=["a#2", "b"]) == ["a#2"]


def test_a_collection_without_an_embedder_names_what_is_missing(database: Path) -> None:
    with Collection("bare", dim=2, metric="IP", uri=database) as bare, pytest.raises(InvalidQuery, match="embedder"):
        LateInteractionRetriever(bare)
