"""The tool with which an agent searches, beyond LangChain's standard tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from PIL import Image
from pydantic import ValidationError

from colmilvus import Collection, Entity
from colmilvus.errors import InvalidFilter, InvalidInput, InvalidQuery
from colmilvus.langchain import LateInteractionVectorStore, create_search_tool

PAGES = [
    Entity("a#1", "red sea", document="a", metadata={"source": "a.pdf", "page": 1, "year": 2023, "lang": "en"}),
    Entity("a#2", "red bird", document="a", metadata={"source": "a.pdf", "page": 2, "year": 2024, "lang": "de"}),
    Entity("b#1", "red tree", document="b", metadata={"source": "b.pdf", "page": 1, "year": 2025, "lang": "en"}),
]


@pytest.fixture
def pages(notes: Collection) -> Collection:
    notes.add(PAGES)
    return notes


def call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": "search_documents", "args": arguments, "id": "1", "type": "tool_call"}


def sources(message: ToolMessage) -> list[str]:
    return [document.id for document in message.artifact]


async def test_a_call_gives_content_for_the_model_and_documents_for_the_program(pages: Collection) -> None:
    tool = create_search_tool(pages, k=2)

    message = tool.invoke(call({"query": "red bird"}))

    assert message.content[0] == {"type": "text", "text": "[1] a.pdf, page 2\nred bird"}
    assert [document.metadata["score"] for document in message.artifact] == [2.0, 1.0]
    assert (await tool.ainvoke(call({"query": "red bird"}))).content == message.content


def test_pictures_of_pages_reach_the_model(notes: Collection) -> None:
    colours = ("red", "green", "blue")
    notes.add([Entity(colour, "red", image=Image.new("RGB", (40, 40), colour)) for colour in colours])

    message = create_search_tool(notes, pages=2, pixels=100).invoke(call({"query": "red"}))

    assert [block["type"] for block in message.content] == ["text", "image", "text", "image", "text"]
    assert len(message.artifact) == 3


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["a#1", "a#2", "b#1"]),
        ({"year": 2024}, ["a#2"]),
        ({"year": [2023, 2025]}, ["a#1", "b#1"]),
        ({"min_year": 2024}, ["a#2", "b#1"]),
        ({"min_year": 2024, "max_year": 2024, "lang": "de"}, ["a#2"]),
        ({"lang": ["en"], "max_year": 2024}, ["a#1"]),
        ({"lang": None}, ["a#1", "a#2", "b#1"]),
    ],
)
def test_the_model_may_filter_by_what_is_declared(
    pages: Collection, chosen: dict[str, Any], expected: list[str]
) -> None:
    tool = create_search_tool(pages, filters={"year": int, "lang": str})

    assert sorted(sources(tool.invoke(call({"query": "red", **chosen})))) == expected


def test_filters_are_declared_in_the_schema(pages: Collection) -> None:
    tool = create_search_tool(pages, filters={"year": int, "lang": str, "draft": bool})
    function = convert_to_openai_tool(tool)["function"]
    properties = function["parameters"]["properties"]

    assert function["name"] == "search_documents"
    assert "'notes'" in function["description"]
    assert list(properties) == ["query", "year", "min_year", "max_year", "lang", "draft"]
    assert function["parameters"]["required"] == ["query"]
    assert "year" in properties["min_year"]["description"]
    assert "9223372036854775" not in json.dumps(properties)
    json.dumps(function)


def test_what_is_fixed_stays_fixed(pages: Collection) -> None:
    tool = create_search_tool(pages, filter={"source": "a.pdf"}, filters={"year": int})
    by_expression = create_search_tool(pages, filter='source == "b.pdf"')

    assert sorted(sources(tool.invoke(call({"query": "red"})))) == ["a#1", "a#2"]
    assert sources(tool.invoke(call({"query": "red", "year": 2025}))) == []
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        tool.invoke(call({"query": "red", "source": "b.pdf"}))
    assert sources(by_expression.invoke(call({"query": "red"}))) == ["b#1"]
    assert len(sources(create_search_tool(pages, per_document=1).invoke(call({"query": "red"})))) == 2


def test_a_source_may_be_named_as_it_is_shown(notes: Collection) -> None:
    notes.add(
        [Entity(path, "red", metadata={"source": path}) for path in ("/a/boats.pdf", "/b/boats.pdf", "/a/x_y.pdf")]
    )
    tool = create_search_tool(notes, filters={"source": str})

    assert sorted(sources(tool.invoke(call({"query": "red", "source": "boats.pdf"})))) == [
        "/a/boats.pdf",
        "/b/boats.pdf",
    ]
    assert sources(tool.invoke(call({"query": "red", "source": "/b/boats.pdf"}))) == ["/b/boats.pdf"]
    assert sources(tool.invoke(call({"query": "red", "source": ["/a/x_y.pdf", "none.pdf"]}))) == ["/a/x_y.pdf"]
    assert sources(tool.invoke(call({"query": "red", "source": "oats.pdf"}))) == []


def test_nothing_found_is_said(pages: Collection, tmp_path: Path) -> None:
    tool = create_search_tool(pages, filters={"year": int})

    assert tool.invoke({"query": "red", "year": 1999}) == [
        {"type": "text", "text": "Nothing was found with year=1999; try without."}
    ]
    with Collection("empty", pages.embedder, uri=tmp_path / "kb.db") as empty:
        message = create_search_tool(empty).invoke(call({"query": "red"}))
    assert message.content == [{"type": "text", "text": "Nothing was found; try other words."}]
    assert message.artifact == []


async def test_a_question_that_cannot_be_searched_for_is_answered(pages: Collection) -> None:
    tool = create_search_tool(pages)

    for message in (tool.invoke(call({"query": " "})), await tool.ainvoke(call({"query": ""}))):
        assert message.content == [{"type": "text", "text": "the query is blank; ask with at least one word."}]
        assert message.artifact == []
        assert message.status == "success"


def test_a_filter_of_a_wrong_type_is_refused_by_the_schema(pages: Collection) -> None:
    tool = create_search_tool(pages, filters={"year": int})

    for wrong in ("last", 2**70, float("nan")):
        with pytest.raises(ValidationError, match="year"):
            tool.invoke({"query": "red", "year": wrong})
    assert sources(tool.invoke(call({"query": "red", "year": "2024"}))) == ["a#2"]
    weights = create_search_tool(pages, filters={"weight": float})
    for wrong in (float("inf"), float("nan")):
        with pytest.raises(ValidationError, match="finite"):
            weights.invoke({"query": "red", "max_weight": wrong})


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"k": 0}, InvalidQuery, "k is a number"),
        ({"per_document": 0}, InvalidQuery, "per_document is a number"),
        ({"pages": -1}, InvalidInput, "pages is a number"),
        ({"pixels": 0}, InvalidInput, "pixels is a number"),
        ({"filter": {"a": {"$near": 1}}}, InvalidFilter, "unknown operator"),
        ({"filters": {"tags": list}}, InvalidInput, "'tags' is of bool, int, float or str"),
        ({"filters": {"page number": int}}, InvalidInput, "'page number' cannot be an argument"),
        ({"mode": "bm25"}, InvalidQuery, "mode is 'late_interaction', 'text' or 'hybrid'"),
        ({"best_segments": 0}, InvalidInput, "best_segments is a number from 1"),
        ({"filters": {"class": str}}, InvalidInput, "'class' cannot be an argument"),
        ({"filters": {"config": str}}, InvalidInput, "'config' cannot be an argument"),
        ({"filters": {"schema": str}}, InvalidInput, "'schema' cannot be an argument"),
        ({"filters": {"query": str}}, InvalidInput, "two arguments of the tool would be called 'query'"),
        ({"filters": {"year": int, "min_year": int}}, InvalidInput, "would be called 'min_year'"),
        ({"filter": "year > 3", "filters": {"year": int}}, InvalidInput, "write it as a dict"),
    ],
)
def test_wrong_arguments_are_refused_when_it_is_made(
    pages: Collection, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        create_search_tool(pages, **arguments)


def test_the_name_of_a_file_may_have_any_sign(notes: Collection) -> None:
    names = ("annual_report.pdf", "a b.pdf", "отчёт.pdf", "50%.pdf")
    notes.add([Entity(name, "red", metadata={"source": f"/docs/{name}"}) for name in names])
    notes.add([Entity("other", "red", metadata={"source": "/docs/annual-report.pdf.old"})])
    tool = create_search_tool(notes, filters={"source": str})

    for name in names[:3]:
        assert sources(tool.invoke(call({"query": "red", "source": name}))) == [name]
    assert sources(tool.invoke(call({"query": "red", "source": "/docs/50%.pdf"}))) == ["50%.pdf"]


def test_an_expression_that_milvus_cannot_read_is_refused_when_it_is_made(pages: Collection) -> None:
    with pytest.raises(InvalidFilter):
        create_search_tool(pages, filter="year >")


def test_it_is_made_of_a_collection(pages: Collection) -> None:
    with pytest.raises(InvalidInput, match=r"this takes a Collection, such as store\.collection"):
        create_search_tool(LateInteractionVectorStore(pages))  # type: ignore[arg-type]  # the mistake that is tested
