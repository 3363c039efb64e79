"""The tool with which an agent searches: what the model is shown, what it may ask, and in LlamaIndex's own agents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import SimpleDirectoryReader
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    TextBlock,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import (
    ImageNode,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.tools import ToolOutput, adapt_to_async_tool
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters
from pydantic import PrivateAttr

from colmilvus import Collection, Entity
from colmilvus.errors import InvalidFilter, InvalidInput, InvalidQuery, Unsupported
from colmilvus.llama_index import (
    LateInteractionVectorStore,
    PageAgent,
    PageReader,
    SearchTool,
    create_search_tool,
    to_citations,
    to_content_blocks,
)
from tests.colours import png
from tests.llama_index.pictures import is_same, picture, pictures_of, texts_of
from tests.pdfs import text_pdf
from tests.words import WordEmbedder

if TYPE_CHECKING:  # early versions of 0.14 have no such class
    from llama_index.core.base.llms.types import BaseContentBlock

PAGES = [
    Entity("a#1", "red sea", document="a", metadata={"source": "a.pdf", "page": 1, "year": 2023, "lang": "en"}),
    Entity("a#2", "red bird", document="a", metadata={"source": "a.pdf", "page": 2, "year": 2024, "lang": "de"}),
    Entity("b#1", "red tree", document="b", metadata={"source": "b.pdf", "page": 1, "year": 2025, "lang": "en"}),
]
SMALL = "0 0 250 800"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add(PAGES)
        yield collection


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Three pages of words with a picture each."""
    with Collection("photos", WordEmbedder(), uri=tmp_path_factory.mktemp("photos") / "kb.db") as collection:
        collection.add(
            [
                Entity(colour, f"{colour} sea", image=picture(colour, (40, 40)), metadata={"source": f"{colour}.png"})
                for colour in ("red", "green", "blue")
            ]
        )
        yield collection


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("shelf", WordEmbedder(), uri=tmp_path_factory.mktemp("shelf") / "kb.db") as collection:
        yield collection


@pytest.fixture
def notes(shelf: Collection) -> Collection:
    """An empty collection."""
    shelf.clear()
    return shelf


def chunk(document: str, name: str, text: str, **metadata: str) -> TextNode:
    node = TextNode(id_=name, text=text, metadata=metadata)
    node.relationships = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return node


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Chunks of one document are one entity."""
    folder = tmp_path_factory.mktemp("books")
    with Collection("books", WordEmbedder(), uri=folder / "kb.db", segments=True) as collection:
        LateInteractionVectorStore(collection, group_by="ref_doc_id").add(
            [
                chunk("x", "x-1", "red sea", file_path="/books/x.pdf", page_label="1"),
                chunk("x", "x-2", "red bird", file_path="/books/x.pdf", page_label="7"),
                chunk("y", "y-1", "dog", file_path="/other/x.pdf"),
            ]
        )
        yield collection


def said_in(blocks: Iterable[BaseContentBlock]) -> list[str]:
    """The texts, without the line break that keeps each from the next."""
    return [text.removesuffix("\n") for text in texts_of(blocks)]


def found_by(output: ToolOutput) -> list[str]:
    return [each.node_id for each in output.raw_output]


class TestOutput:
    async def test_blocks_are_for_the_model_and_nodes_for_the_program(self, pages: Collection) -> None:
        tool = create_search_tool(pages, similarity_top_k=2)

        output = tool.call(query="red bird")

        assert isinstance(output, ToolOutput)
        assert said_in(output.blocks)[0] == "[1] a.pdf, page 2\nred bird"
        assert [text.endswith("\n") for text in texts_of(output.blocks)] == [True, False]
        assert output.content.startswith("[1] a.pdf, page 2\nred bird\n\n[2] ")
        assert [each.score for each in output.raw_output] == [2.0, 1.0]
        assert (output.tool_name, output.raw_input, output.is_error) == (
            *("search_documents", {"query": "red bird"}, False),
        )
        for same in (tool("red bird"), tool(query="red bird"), await tool.acall(query="red bird")):
            assert (same.blocks, same.raw_output) == (output.blocks, output.raw_output)

    def test_a_picture_follows_the_text_of_its_page(self, photos: Collection) -> None:
        output = create_search_tool(photos, similarity_top_k=2)(query="green sea")

        assert [type(block).__name__ for block in output.blocks] == ["TextBlock", "ImageBlock"] * 2
        assert said_in(output.blocks)[0] == "[1] green.png\ngreen sea"
        assert is_same(pictures_of(output.blocks)[0], picture("green"))
        image = output.blocks[1]
        assert isinstance(image, ImageBlock)
        assert image.image_mimetype == "image/jpeg"

    def test_pictures_stay_within_the_budget(self, photos: Collection) -> None:
        output = create_search_tool(photos, pages=2, pixels=100)(query="sea")

        assert [type(block).__name__ for block in output.blocks] == ["TextBlock", "ImageBlock"] * 2 + ["TextBlock"]
        assert [image.size for image in pictures_of(output.blocks)] == [(10, 10)] * 2
        assert said_in(output.blocks)[2].endswith("\n(its picture is left out)")
        assert len(output.raw_output) == 3
        assert pictures_of(create_search_tool(photos, pages=0)(query="sea").blocks) == []

    def test_pages_of_the_reader_are_told_with_file_and_page(self, notes: Collection, tmp_path: Path) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea", "green tree"], media_box=SMALL))
        LateInteractionVectorStore(notes).add(PageReader().load_data(tmp_path))

        output = create_search_tool(notes, similarity_top_k=1)(query="green tree")

        assert said_in(output.blocks) == ["[1] rivers.pdf, page 2\ngreen tree"]
        assert [image.size for image in pictures_of(output.blocks)] == [(521, 1667)]

    def test_what_llama_indexs_own_readers_say_of_the_source_is_told(self, notes: Collection, tmp_path: Path) -> None:
        (tmp_path / "sky.txt").write_text("blue sky")
        documents = SimpleDirectoryReader(input_files=[tmp_path / "sky.txt"]).load_data()
        named = TextNode(text="red dog", metadata={"file_name": "dogs.pdf", "page_label": "iv"})
        LateInteractionVectorStore(notes).add([*documents, named])

        assert create_search_tool(notes, similarity_top_k=1)(query="blue sky").content == "[1] sky.txt\nblue sky"
        assert (
            create_search_tool(notes, similarity_top_k=1)(query="red dog").content == "[1] dogs.pdf, page iv\nred dog"
        )

    def test_nothing_found_is_said(self, pages: Collection, notes: Collection) -> None:
        tool = create_search_tool(pages, model_filters={"year": int})

        assert tool(query="red", year=1999).content == "Nothing was found with year=1999; try without."
        output = create_search_tool(notes)(query="red")
        assert (output.content, output.raw_output) == ("Nothing was found; try other words.", [])


class TestSegments:
    def test_each_chunk_of_a_document_has_a_number_and_a_page(self, books: Collection) -> None:
        output = create_search_tool(books, similarity_top_k=2)(query="red bird")

        assert said_in(output.blocks) == [
            "[1] /books/x.pdf, page 7\nred bird",
            "[2] /books/x.pdf, page 1\nred sea",
            "[3] /other/x.pdf\ndog",
        ]
        assert found_by(output) == ["x", "y"]

    def test_so_many_of_the_best_are_shown(self, books: Collection) -> None:
        output = create_search_tool(books, best_segments=1, similarity_top_k=1)(query="red bird")

        assert output.content == "[1] x.pdf, page 7\nred bird"
        assert create_search_tool(books, best_segments=None)(query="red bird").content.count("[") == 3


class TestArguments:
    @pytest.mark.parametrize(
        ("chosen", "expected"),
        [
            ({}, ["a#1", "a#2", "b#1"]),
            ({"year": 2024}, ["a#2"]),
            ({"year": "2024"}, ["a#2"]),
            ({"year": [2023, 2025]}, ["a#1", "b#1"]),
            ({"min_year": 2024}, ["a#2", "b#1"]),
            ({"min_year": 2024, "max_year": 2024, "lang": "de"}, ["a#2"]),
            ({"lang": ["en"], "max_year": 2024}, ["a#1"]),
            ({"lang": None}, ["a#1", "a#2", "b#1"]),
        ],
    )
    def test_the_model_may_filter_by_what_is_declared(
        self, pages: Collection, chosen: dict[str, Any], expected: list[str]
    ) -> None:
        tool = create_search_tool(pages, model_filters={"year": int, "lang": str})

        assert sorted(found_by(tool(query="red", **chosen))) == expected

    def test_filters_are_declared_in_the_schema(self, pages: Collection) -> None:
        tool = create_search_tool(pages, model_filters={"year": int, "lang": str, "draft": bool})
        function = tool.metadata.to_openai_tool()["function"]
        properties = function["parameters"]["properties"]

        assert function["name"] == "search_documents"
        assert "'pages'" in function["description"]
        assert list(properties) == ["query", "year", "min_year", "max_year", "lang", "draft"]
        assert function["parameters"]["required"] == ["query"]
        assert "year" in properties["min_year"]["description"]
        assert "9223372036854775" not in json.dumps(function)
        assert json.loads(tool.metadata.fn_schema_str) == function["parameters"]

    def test_name_and_description_may_be_given(self, pages: Collection) -> None:
        metadata = create_search_tool(pages, name="rivers", description="Finds rivers.").metadata

        assert (metadata.name, metadata.description, metadata.return_direct) == ("rivers", "Finds rivers.", False)

    @pytest.mark.parametrize(
        "fixed",
        [
            {"source": "a.pdf"},
            'document == "a"',
            MetadataFilters(filters=[MetadataFilter(key="source", value="a.pdf")]),
        ],
    )
    def test_what_is_fixed_stays_fixed(self, pages: Collection, fixed: Any) -> None:
        tool = create_search_tool(pages, filters=fixed)

        assert sorted(found_by(tool(query="red"))) == ["a#1", "a#2"]
        refused = tool(query="red", source="b.pdf")
        assert refused.content == "The arguments do not fit: source: Extra inputs are not permitted."
        assert refused.raw_output == []

    def test_what_is_fixed_is_joined_with_what_the_model_chooses(self, pages: Collection) -> None:
        fixed = MetadataFilters(filters=[MetadataFilter(key="source", value="a.pdf")])
        tool = create_search_tool(pages, filters=fixed, model_filters={"year": int})

        assert found_by(tool(query="red", year=2024)) == ["a#2"]
        assert found_by(tool(query="red", year=2025)) == []
        assert len(found_by(create_search_tool(pages, per_document=1)(query="red"))) == 2
        assert found_by(create_search_tool(pages, mode="text")(query="bird")) == ["a#2"]

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({}, "query: Field required"),
            ({"query": 3}, "query: Input should be a valid string"),
            ({"query": "red", "year": "last"}, "year"),
            ({"query": "red", "min_year": 2**70}, "min_year"),
            ({"query": "red", "colour": "blue"}, "colour: Extra inputs are not permitted"),
        ],
    )
    async def test_wrong_arguments_are_answered(self, pages: Collection, arguments: dict[str, Any], told: str) -> None:
        tool = create_search_tool(pages, model_filters={"year": int})

        for output in (tool(**arguments), await tool.acall(**arguments)):
            assert output.content.startswith("The arguments do not fit: ")
            assert told in output.content
            assert (output.raw_input, output.raw_output) == (arguments, [])

    async def test_a_question_that_cannot_be_searched_for_is_answered(self, pages: Collection) -> None:
        tool = create_search_tool(pages)

        for output in (tool(query=" "), await tool.acall(query="")):
            assert output.content == "the query is blank; ask with at least one word."
            assert output.raw_output == []

    def test_a_source_may_be_named_as_it_is_shown(self, notes: Collection) -> None:
        notes.add([Entity(path, "red", metadata={"source": path}) for path in ("/a/boats.pdf", "/b/boats.pdf")])
        tool = create_search_tool(notes, model_filters={"source": str})

        assert sorted(found_by(tool(query="red", source="boats.pdf"))) == ["/a/boats.pdf", "/b/boats.pdf"]
        assert found_by(tool(query="red", source="/b/boats.pdf")) == ["/b/boats.pdf"]

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"similarity_top_k": 0}, InvalidQuery, "similarity_top_k is a number"),
            ({"per_document": 0}, InvalidQuery, "per_document is a number"),
            ({"pages": -1}, InvalidInput, "pages is a number"),
            ({"pixels": 0}, InvalidInput, "pixels is a number"),
            ({"filters": {"a": {"$near": 1}}}, InvalidFilter, "unknown operator"),
            ({"filters": "year >"}, InvalidFilter, "year"),
            ({"filters": 3}, InvalidFilter, "filters is MetadataFilters, a dict or a Milvus expression, not int"),
            ({"model_filters": {"tags": list}}, InvalidInput, "'tags' is of bool, int, float or str"),
            ({"model_filters": {"page number": int}}, InvalidInput, "'page number' cannot be an argument"),
            ({"mode": "svm"}, InvalidQuery, "mode is one of"),
            ({"best_segments": 0}, InvalidInput, "best_segments is a number from 1"),
            ({"model_filters": {"class": str}}, InvalidInput, "'class' cannot be an argument"),
            ({"model_filters": {"ctx": str}}, InvalidInput, "'ctx' cannot be an argument"),
            ({"model_filters": {"input": str}}, InvalidInput, "'input' cannot be an argument"),
            ({"model_filters": {"query": str}}, InvalidInput, "two arguments of the tool would be called 'query'"),
            ({"filters": 'document == "a"', "model_filters": {"year": int}}, InvalidInput, "write it as a dict"),
        ],
    )
    def test_wrong_arguments_are_refused_when_it_is_made(
        self, pages: Collection, arguments: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said):
            create_search_tool(pages, **arguments)

    def test_an_operator_that_milvus_lacks_is_refused_when_it_is_made(self, pages: Collection) -> None:
        operator = FilterOperator.TEXT_MATCH_INSENSITIVE
        insensitive = MetadataFilter(key="lang", value="EN", operator=operator)
        with pytest.raises(Unsupported, match="TEXT_MATCH_INSENSITIVE on 'lang'"):
            create_search_tool(pages, filters=MetadataFilters(filters=[insensitive]))

    def test_it_is_made_of_a_collection(self, pages: Collection) -> None:
        with pytest.raises(InvalidInput, match=r"this takes a Collection, such as store\.collection"):
            create_search_tool(LateInteractionVectorStore(pages))  # type: ignore[arg-type]  # the mistake


class TestContentBlocks:
    def test_nodes_of_any_retriever_are_shown(self, tmp_path: Path) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"], media_box=SMALL))
        (tmp_path / "red.png").write_bytes(png("red"))
        (page,) = PageReader(dpi=72).load_data(tmp_path / "rivers.pdf")
        image = ImageNode(text="a photo", image_path=str(tmp_path / "red.png"), metadata={"file_name": "red.png"})
        text = TextNode(id_="the id", text="words")

        blocks = to_content_blocks([NodeWithScore(node=node) for node in (page, image, text)])

        assert said_in(blocks) == ["[1] rivers.pdf, page 1\nred sea", "[2] red.png\na photo", "[3] the id\nwords"]
        assert [type(block).__name__ for block in blocks] == ["TextBlock", "ImageBlock"] * 2 + ["TextBlock"]
        assert [found.size for found in pictures_of(blocks)] == [(250, 800), (4, 4)]

    def test_a_page_is_shown_once(self, tmp_path: Path) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea", "dog"], media_box=SMALL))
        first, second = (NodeWithScore(node=page) for page in PageReader().load_data(tmp_path))

        blocks = to_content_blocks([first, second, first], pages=2)

        assert len(pictures_of(blocks)) == 2
        assert said_in(blocks)[2].endswith("(its picture is shown with [1])")

    def test_a_picture_that_cannot_be_read_is_left_out_with_a_warning(self) -> None:
        gone = ImageNode(text="red", image_path="/missing/red.png", metadata={"source": "red.png"})
        with pytest.warns(UserWarning, match=r"a picture is left out: /missing/red\.png: there is no such file"):
            (block,) = to_content_blocks([NodeWithScore(node=gone)])

        assert said_in([block]) == ["[1] red.png\nred\n(its picture is left out)"]

    def test_nothing_is_shown_of_nothing_and_a_budget_is_a_number(self) -> None:
        assert to_content_blocks([]) == []
        with pytest.raises(InvalidInput, match="pages is a number from 0"):
            to_content_blocks([], pages=-1)


class CallingLLM(FunctionCallingLLM):
    """Says what stands in its script, the arguments of a call of the tool or an answer, and remembers what it hears."""

    script: list[Any]
    _heard: list[list[ChatMessage]] = PrivateAttr(default_factory=list)

    @property
    def heard(self) -> list[list[ChatMessage]]:
        return self._heard

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True, is_chat_model=True)

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:  # noqa: ARG002
        self._heard.append(list(messages))
        said = self.script[len(self._heard) - 1]
        calls = [] if isinstance(said, str) else [said]
        content = said if isinstance(said, str) else ""
        message = ChatMessage(role="assistant", content=content, additional_kwargs={"calls": calls})
        return ChatResponse(message=message)

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: ARG002 - LlamaIndex's signature
        **kwargs: Any,  # noqa: ARG002
    ) -> list[ToolSelection]:
        calls = response.message.additional_kwargs["calls"]
        return [ToolSelection(tool_id="1", tool_name="search_documents", tool_kwargs=call) for call in calls]

    def _prepare_chat_with_tools(self, *_: Any, chat_history: Any = None, tools: Any = (), **__: Any) -> Any:
        assert [tool.metadata.name for tool in tools] == ["search_documents"]
        return {"messages": list(chat_history or [])}

    def _unasked(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    chat = stream_chat = complete = stream_complete = _unasked
    acomplete = astream_chat = astream_complete = _unasked


class WritingLLM(CustomLLM):
    """Writes what stands in its script, and remembers what it reads."""

    script: list[str]
    _read: list[str] = PrivateAttr(default_factory=list)

    @property
    def read(self) -> list[str]:
        return self._read

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        self._read.append(prompt)
        return CompletionResponse(text=self.script[len(self._read) - 1])

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield self.complete(prompt, formatted, **kwargs)


async def run(agent: FunctionAgent | ReActAgent, question: str) -> str:
    return str(await agent.run(user_msg=question))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of LlamaIndex's own agents
class TestAgents:
    async def test_a_function_agent_hands_text_and_pictures_to_its_model(self, photos: Collection) -> None:
        llm = CallingLLM(script=[{"query": "green sea"}, "It is green [1]."])
        agent = FunctionAgent(tools=[create_search_tool(photos, similarity_top_k=2)], llm=llm, streaming=False)

        answer = await run(agent, "What colour is it?")

        assert answer == "It is green [1]."
        shown = llm.heard[1][-1]
        assert (shown.role.value, shown.additional_kwargs["tool_call_id"]) == ("tool", "1")
        assert said_in(shown.blocks)[0] == "[1] green.png\ngreen sea"
        assert len(pictures_of(shown.blocks)) == 2
        assert is_same(pictures_of(shown.blocks)[0], picture("green"))

    async def test_a_function_agent_may_filter_and_ask_again(self, pages: Collection) -> None:
        script = [{"query": ""}, {"query": "red", "years": 3}, {"query": "red", "year": 2025}, "A tree."]
        llm = CallingLLM(script=script)
        agent = FunctionAgent(tools=[create_search_tool(pages, model_filters={"year": int})], llm=llm, streaming=False)

        assert await run(agent, "What is red?") == "A tree."
        assert [messages[-1].content for messages in llm.heard[1:]] == [
            "the query is blank; ask with at least one word.",
            "The arguments do not fit: years: Extra inputs are not permitted.",
            "[1] b.pdf, page 1\nred tree",
        ]

    async def test_a_react_agent_hands_the_text_to_its_model(self, photos: Collection) -> None:
        call = 'Thought: I look.\nAction: search_documents\nAction Input: {"query": "green sea"}'
        llm = WritingLLM(script=[call, "Thought: I know.\nAnswer: It is green [1]."])
        agent = ReActAgent(tools=[create_search_tool(photos, similarity_top_k=1)], llm=llm, streaming=False)

        assert await run(agent, "What colour is it?") == "It is green [1]."
        assert "Search the documents of the collection 'photos'" in llm.read[0]
        assert "Observation: [1] green.png\ngreen sea" in llm.read[1]

    def test_it_is_an_asynchronous_tool_of_llama_index(self, pages: Collection) -> None:
        tool = create_search_tool(pages)

        assert isinstance(tool, SearchTool)
        assert adapt_to_async_tool(tool) is tool

    async def test_a_page_agent_shows_pictures_once_as_a_user(self, photos: Collection) -> None:
        script = [{"query": "green sea"}, "Green.", {"query": "green sea"}, "Still green."]
        llm = CallingLLM(script=script)
        agent = PageAgent(tools=[create_search_tool(photos, similarity_top_k=1)], llm=llm, streaming=False)
        memory = ChatMemoryBuffer.from_defaults(token_limit=1_000_000)

        for question in ("What colour is it?", "And now?"):
            await agent.run(user_msg=question, memory=memory)

        tool, user = llm.heard[1][-2:]
        assert (tool.role.value, user.role.value) == ("tool", "user")
        assert (said_in(tool.blocks), pictures_of(tool.blocks)) == (["[1] green.png\ngreen sea"], [])
        assert said_in(user.blocks) == ["[1] green.png"]
        assert is_same(pictures_of(user.blocks)[0], picture("green"))
        again = llm.heard[3]
        assert (again[-1].role.value, sum(len(pictures_of(message.blocks)) for message in again)) == ("tool", 1)


def test_citations_name_what_the_blocks_number(tmp_path: Path) -> None:
    (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"], media_box=SMALL))
    (page,) = PageReader(dpi=72).load_data(tmp_path / "rivers.pdf")
    nodes = [NodeWithScore(node=page), NodeWithScore(node=TextNode(id_="the id", text="words"))]

    first, second = to_citations(nodes)

    assert (first.title, first.additional_location_info) == ("rivers.pdf, page 1", {"page": 1})
    assert first.source == f"{(tmp_path / 'rivers.pdf').as_uri()}#page=1"
    assert (second.title, second.source, second.cited_content) == ("the id", "the id", TextBlock(text="words"))
