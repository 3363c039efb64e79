"""LangChain's structured queries in the language of the core, held to plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery

from colmilvus.errors import InvalidFilter
from colmilvus.filters import matches
from colmilvus.langchain import LateInteractionRetriever, LateInteractionTranslator, LateInteractionVectorStore

METADATA: list[dict[str, Any]] = [
    {"n": 1, "tag": "red", "day": "2024-05-01", "many": ["a"]},
    {"n": 2, "tag": "blue", "day": "2025-01-31", "many": ["a", "b"]},
    {"n": 3, "$odd": "x"},
]


def compare(comparator: str, attribute: str, value: Any) -> Comparison:
    return Comparison(comparator=Comparator(comparator), attribute=attribute, value=value)


def join(operator: str, *arguments: Any) -> Operation:
    return Operation(operator=Operator(operator), arguments=list(arguments))


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (compare("eq", "n", 1), [1]),
        (compare("ne", "tag", "red"), [2, 3]),
        (compare("gt", "n", 1), [2, 3]),
        (compare("gte", "n", 2), [2, 3]),
        (compare("lt", "n", 2), [1]),
        (compare("lte", "n", 2), [1, 2]),
        (compare("contain", "many", "b"), [2]),
        (compare("like", "tag", "%e%"), [1, 2]),
        (compare("contain", "tag", "lu"), [2]),
        (compare("like", "tag", "re"), [1]),
        (compare("like", "tag", "re%"), [1]),
        (compare("like", "tag", "r_d"), [1]),
        (compare("in", "n", [1, 3]), [1, 3]),
        (compare("nin", "n", [1, 3]), [2]),
        (compare("eq", "$odd", "x"), [3]),
        (compare("lt", "day", {"date": "2025-01-01", "type": "date"}), [1]),
        (join("and", compare("gt", "n", 1), compare("eq", "tag", "blue")), [2]),
        (join("or", compare("eq", "n", 1), compare("eq", "n", 3)), [1, 3]),
        (join("not", compare("eq", "n", 1)), [2, 3]),
        (join("and", join("not", join("or", compare("eq", "n", 1), compare("eq", "n", 2)))), [3]),
    ],
)
def test_each_finds_what_it_says(store: LateInteractionVectorStore, filter: Any, expected: list[int]) -> None:
    store.add_texts(["red"] * 3, METADATA)
    query = StructuredQuery(query="red", filter=filter)
    _, arguments = LateInteractionTranslator().visit_structured_query(query)

    assert [metadata["n"] for metadata in METADATA if matches(arguments["filter"], metadata)] == expected
    for given in (query, filter, arguments["filter"]):
        assert sorted(found.metadata["n"] for found in store.similarity_search("red", filter=given)) == expected
    retriever = LateInteractionRetriever(store.collection, filter=query)
    assert sorted(found.metadata["n"] for found in retriever.invoke("red")) == expected


def test_a_limit_counts(store: LateInteractionVectorStore) -> None:
    store.add_texts(["red"] * 3, METADATA)
    query = StructuredQuery(query="red", filter=None, limit=2)

    assert LateInteractionTranslator().visit_structured_query(query) == ("red", {"k": 2})
    assert len(store.similarity_search("red", filter=query)) == 2
    assert len(store.similarity_search("red", k=1, filter=query)) == 1
    assert len(store.max_marginal_relevance_search("red", filter=query)) == 2
    assert len(LateInteractionRetriever(store.collection).invoke("red", filter=query)) == 2


def test_in_langchains_self_query_retriever(store: LateInteractionVectorStore) -> None:
    base = pytest.importorskip("langchain_classic.retrievers.self_query.base", reason="langchain-classic is missing")
    from langchain_core.runnables import RunnableLambda

    store.add_texts(["red"] * 3, METADATA)
    constructor: Any = RunnableLambda(lambda _: StructuredQuery(query="red", filter=compare("gte", "n", 2), limit=1))
    retriever = base.SelfQueryRetriever(
        vectorstore=store,
        query_constructor=constructor,
        structured_query_translator=LateInteractionTranslator(),
        use_original_query=False,
    )

    found = retriever.invoke("something red, of at least two")

    assert len(found) == 1
    assert found[0].metadata["n"] >= 2


def test_what_is_not_known_is_refused_by_name(store: LateInteractionVectorStore) -> None:
    odd = Comparison.model_construct(comparator="near", attribute="n", value=1)
    with pytest.raises(InvalidFilter, match="no comparator 'near' on 'n', but "):
        store.similarity_search("red", filter=odd)
    with pytest.raises(InvalidFilter, match="no operator 'xor'"):
        store.similarity_search("red", filter=Operation.model_construct(operator="xor", arguments=[]))
