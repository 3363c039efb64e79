"""Documents as the content of a message: numbers, sources, pictures within a budget, and citations."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from PIL import Image

from colmilvus import Entity, Segment
from colmilvus.errors import InvalidInput
from colmilvus.langchain import (
    LateInteractionVectorStore,
    PageLoader,
    pictures_from_user,
    to_citations,
    to_message_content,
)
from tests.pdfs import text_pdf


def picture_in(block: dict[str, Any]) -> Image.Image:
    assert block.keys() == {"type", "base64", "mime_type"}
    assert (block["type"], block["mime_type"]) == ("image", "image/jpeg")
    return Image.open(BytesIO(b64decode(block["base64"])))


@pytest.fixture
def rivers(tmp_path: Path) -> list[Document]:
    path = tmp_path / "rivers.pdf"
    path.write_bytes(text_pdf(["The Danube", "The Rhine", "The Volga"]))
    return PageLoader(path).load()


def test_text_and_picture_of_each_page_come_with_number_source_and_page(rivers: list[Document]) -> None:
    blocks = to_message_content(rivers[1:])

    assert [block["type"] for block in blocks] == ["text", "image", "text", "image"]
    assert blocks[0] == {"type": "text", "text": "[1] rivers.pdf, page 2\nThe Rhine"}
    assert blocks[2] == {"type": "text", "text": "[2] rivers.pdf, page 3\nThe Volga"}
    picture = picture_in(blocks[1])
    assert picture.width * picture.height <= 1_500_000
    assert abs(picture.width / picture.height - 595 / 842) < 0.05 or picture.width / picture.height > 0.5


def test_pictures_stay_within_the_budget(rivers: list[Document]) -> None:
    blocks = to_message_content(rivers, pages=2, pixels=20_000)
    pictures = [picture_in(block) for block in blocks if block["type"] == "image"]

    assert len(pictures) == 2
    assert all(15_000 < picture.width * picture.height <= 20_000 for picture in pictures)
    assert blocks[-1]["text"] == "[3] rivers.pdf, page 3\nThe Volga\n(its picture is left out)"
    assert all(block["type"] == "text" for block in to_message_content(rivers, pages=0))


def test_kept_pictures_are_hydrated(store: LateInteractionVectorStore, rivers: list[Document]) -> None:
    store.add_documents(rivers)
    found = store.similarity_search("Rhine", k=3)

    blocks = to_message_content(found)

    assert [block["type"] for block in blocks] == ["text", "image"] * 3
    with Image.open(found[0].metadata["image"]) as kept:
        assert abs(kept.width / kept.height - picture_in(blocks[1]).width / picture_in(blocks[1]).height) < 0.01


def test_a_scan_has_a_picture_and_no_text(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / "scan.png")
    (document,) = PageLoader(tmp_path / "scan.png").load()

    text, picture = to_message_content([document])

    assert text == {"type": "text", "text": "[1] scan.png, page 1"}
    assert picture_in(picture).size == (30, 20)


def test_a_picture_that_is_gone_is_left_out_with_a_warning(tmp_path: Path, rivers: list[Document]) -> None:
    (tmp_path / "rivers.pdf").write_bytes(b"something else")
    with pytest.warns(UserWarning, match=r"a picture is left out: .*rivers\.pdf"):
        (text,) = to_message_content(rivers[:1])

    assert text["text"].endswith("(its picture is left out)")
    (tmp_path / "rivers.pdf").unlink()
    with pytest.warns(UserWarning, match=r"a picture is left out: .*rivers\.pdf: there is no such file"):
        assert len(to_message_content(rivers[:1])) == 1


def test_each_chunk_of_a_hit_has_a_number_and_a_page(grouped: LateInteractionVectorStore) -> None:
    chunks = [
        Document("red sea", id="x-1", metadata={"source": "/books/x.pdf", "page": 1}),
        Document("red bird", id="x-2", metadata={"source": "/books/x.pdf", "page": 7, "start_index": 30}),
        Document("dog", id="y-1", metadata={"source": "/other/x.pdf"}),
    ]
    grouped.add_documents(chunks)
    found = grouped.similarity_search("red bird", k=2)

    blocks = to_message_content(found)
    citations = to_citations(found)

    assert [block["text"] for block in blocks] == [
        "[1] /books/x.pdf, page 7\nred bird",
        "[2] /books/x.pdf, page 1\nred sea",
        "[3] /other/x.pdf\ndog",
    ]
    assert [citation.get("title") for citation in citations] == [
        "/books/x.pdf, page 7",
        "/books/x.pdf, page 1",
        "/other/x.pdf",
    ]
    assert citations[0]["cited_text"] == "red bird"
    assert citations[0]["url"] == "file:///books/x.pdf#page=7"
    assert citations[0]["extras"] == {"source": "/books/x.pdf", "page": 7}


@pytest.mark.parametrize(
    ("metadata", "title", "url"),
    [
        ({"source": "/a b/r.pdf", "page": 2}, "r.pdf, page 2", "file:///a%20b/r.pdf#page=2"),
        ({"source": "https://x.org/r.pdf", "page": 2}, "r.pdf, page 2", "https://x.org/r.pdf#page=2"),
        ({"source": "https://x.org/#top", "page": 2}, "https://x.org/#top, page 2", "https://x.org/#top"),
        ({"source": r"C:\files\r.pdf", "page": "iv"}, "r.pdf, page iv", "file:///C:/files/r.pdf"),
        ({"source": "notes"}, "notes", None),
        ({"source": "http://[draft] notes"}, "http://[draft] notes", "http://[draft] notes"),
        ({"source": "/r.pdf", "page": 3.0}, "r.pdf, page 3", "file:///r.pdf#page=3"),
        ({"source": "/r.pdf", "page": True}, "r.pdf", "file:///r.pdf"),
        ({"source": 7}, "7", None),
        ({}, "the id", None),
    ],
)
def test_sources_of_every_kind_are_cited(metadata: dict[str, Any], title: str, url: str | None) -> None:
    document = Document("text", id="the id", metadata=metadata)

    (citation,) = to_citations([document])

    assert (citation["title"], citation.get("url")) == (title, url)
    assert to_message_content([document])[0]["text"] == f"[1] {title}\ntext"


def test_metadata_called_segments_of_the_users_own_is_no_list_of_hits() -> None:
    own = {"id": "s", "text": "t", "similarity": 1, "metadata": None}
    for segments in ([{"id": 3}], [own], "text", []):
        document = Document("text", metadata={"segments": segments, "source": "a"})

        assert to_message_content([document]) == [{"type": "text", "text": "[1] a\ntext"}]
    assert to_message_content([Document("text")]) == [{"type": "text", "text": "[1] a document\ntext"}]


def test_a_page_is_shown_once(rivers: list[Document]) -> None:
    pieces = [Document(text, metadata=rivers[0].metadata) for text in ("The", "Danube")]

    blocks = to_message_content([*pieces, rivers[1], pieces[0]], pages=2)

    assert [block["type"] for block in blocks] == ["text", "image", "text", "text", "image", "text"]
    assert blocks[2]["text"] == "[2] rivers.pdf, page 1\nDanube\n(its picture is shown with [1])"
    assert blocks[5]["text"].endswith("(its picture is shown with [1])")


def test_an_entity_with_segments_and_a_picture_shows_it(grouped: LateInteractionVectorStore) -> None:
    picture = Image.new("RGB", (30, 20), "red")
    grouped.collection.add([Entity("p", image=picture, segments=(Segment("s", "red"), Segment("t", "sea")))])

    blocks = to_message_content(grouped.similarity_search("red"))

    assert [block["type"] for block in blocks] == ["text", "image", "text"]
    assert picture_in(blocks[1]).size == (30, 20)


def test_the_blocks_are_standard_ones(rivers: list[Document]) -> None:
    blocks: list[Any] = to_message_content(rivers[:1])
    human = HumanMessage(content=blocks)
    tool = ToolMessage(content=blocks, tool_call_id="1")

    for message in (human, tool):
        assert [block["type"] for block in message.content_blocks] == ["text", "image"]
        assert message.content_blocks == blocks


def test_pictures_of_tools_can_come_from_the_user(rivers: list[Document]) -> None:
    content: list[Any] = to_message_content(rivers[:2])
    asked = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": name, "type": "tool_call"} for name in "ab"])
    messages: list[BaseMessage] = [
        HumanMessage("Which river?"),
        asked,
        ToolMessage(content, tool_call_id="a", artifact=rivers),
        ToolMessage("nothing", tool_call_id="b"),
        AIMessage("The Danube."),
        ToolMessage([content[1]], tool_call_id="c"),
    ]
    before = [message.model_copy(deep=True) for message in messages]

    changed = pictures_from_user(messages)

    assert [message.type for message in changed] == ["human", "ai", "tool", "tool", "human", "ai", "tool", "human"]
    assert changed[2].content == [content[0], content[2]]
    assert isinstance(changed[2], ToolMessage)
    assert changed[2].artifact == rivers
    assert changed[4].content == [
        {"type": "text", "text": "[1] rivers.pdf, page 1"},
        content[1],
        {"type": "text", "text": "[2] rivers.pdf, page 2"},
        content[3],
    ]
    assert changed[6].content == [{"type": "text", "text": "The pictures follow."}]
    assert changed[7].content == [{"type": "text", "text": "A picture (shown before)"}]
    assert messages == before
    assert pictures_from_user(changed) == changed


def test_a_picture_that_two_tools_give_is_shown_once(rivers: list[Document]) -> None:
    content: list[Any] = to_message_content(rivers[:1])
    messages = [ToolMessage(content, tool_call_id=name) for name in "ab"]

    *_, shown = pictures_from_user(messages)

    assert shown.content == [
        {"type": "text", "text": "[1] rivers.pdf, page 1"},
        content[1],
        {"type": "text", "text": "[1] rivers.pdf, page 1 (shown before)"},
    ]


@pytest.mark.parametrize("budget", [{"pages": -1}, {"pages": True}, {"pixels": 0}, {"pixels": 2.5}])
def test_a_budget_that_is_none_is_refused_by_name(budget: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"{next(iter(budget))} is a number from"):
        to_message_content([], **budget)


def test_providers_take_the_blocks(rivers: list[Document]) -> None:
    openai = pytest.importorskip("langchain_openai", reason="the provider's package is not installed here")
    model = openai.ChatOpenAI(model="any", api_key="none")
    content: list[Any] = [{"type": "text", "text": "Which river?"}, *to_message_content(rivers[:1])]

    (message,) = model._get_request_payload([HumanMessage(content=content)])["messages"]

    assert [part.keys() for part in message["content"]] == [{"type", "text"}, {"type", "text"}, {"type", "image_url"}]
    assert message["content"][2]["image_url"]["url"].startswith("data:image/jpeg;base64,")
