"""The examples with LlamaIndex, run as a user runs them, with an LLM that says what a test tells it to."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

pytest.importorskip("reportlab", reason="the sample reports are drawn with it")
pytest.importorskip(
    "llama_index.core.chat_engine.multi_modal_condense_plus_context",
    reason="the chatbot and these tests need llama-index-core 0.14.15",
)

from examples import llama_index_agent, llama_index_chatbot, llama_index_rag, llama_index_shared, two_frameworks
from examples.llama_index_shared import content, indexed, load_llm
from examples.shared import collection_name
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from PIL import Image

from colmilvus.llama_index import LateInteractionIndex
from tests.chat_server import KEY, ChatServer, ToolCalls, pictures, texts
from tests.llama_index.scripted import Caller, Speaker
from tests.pdfs import text_pdf
from tests.programs import OF_PROVIDERS, Program, interruptible, page_of

EXAMPLES = Path(llama_index_rag.__file__).parent
LLM = ("--llm", "openai:gpt-5-mini")
REPORTS = Path(".demo", "reports")
LAKE = "How many years does water stay in Lake Superior?"

Run: TypeAlias = Callable[..., int]

# LlamaIndex's agents, of themselves
pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecationWarning", "ignore:is_running called:DeprecationWarning"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of a user, in which examples run in this process; their database stays."""
    place = tmp_path_factory.mktemp("place")
    files = place / "files"
    (files / "land").mkdir(parents=True)
    (files / "sea.pdf").write_bytes(text_pdf(["White sharks hunt seals.", "Coral reefs shelter fish."]))
    (files / "land" / "trees.pdf").write_bytes(text_pdf(["Old oaks shelter birds."]))
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    for name in os.environ:
        if name.startswith(OF_PROVIDERS):
            monkeypatch.delenv(name)
    return place


@pytest.fixture
def run(here: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: ARG001 - it is run there
    """Runs an example with these arguments in this process, and returns the code with which it ends."""

    def run(example: ModuleType, *arguments: str, server: ChatServer | None = None, typed: str = "") -> int:
        for name, value in (server.environment if server else {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["example", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            with interruptible():
                example.main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        return 0

    return run


@pytest.fixture
def needs_openai() -> None:
    pytest.importorskip("llama_index.llms.openai", reason="the server of these tests speaks as OpenAI's")


@pytest.fixture
def index(here: Path) -> Iterator[LateInteractionIndex]:
    with indexed(here / "files", here / "kb.db") as index:
        yield index


def kept_page(picture: Image.Image, place: Path, folder: Path) -> str:
    """The id of the page that this is a picture of, of all that an example which was run in this place keeps."""
    return page_of(picture, place / "colmilvus.db", collection_name(folder.resolve(), "llama_index"))


def kinds(message: ChatMessage) -> list[str]:
    return [block.block_type for block in message.blocks]


@pytest.mark.usefixtures("needs_openai")
def test_the_query_engine_answers_from_pictures_in_pieces_and_names_its_sources(tmp_path: Path) -> None:
    with ChatServer("For 191 years [1], a long time.") as server:
        command = [str(EXAMPLES / "llama_index_rag.py"), LAKE, *LLM]
        with Program(command, tmp_path, server.environment) as program:
            pieces = iter(["For", "For 191", "For 191 years", "For 191 years [1],", "For 191 years [1], a"])
            server.before_word = lambda: program.wait_for(next(pieces, ""))
            code = program.end()

    assert (code, server.refused, server.errors) == (0, [], []), program.err
    (request,) = server.requests
    (title, picture), *others = pictures(request)
    assert next(pieces, None) is None
    assert program.out == "For 191 years [1], a long time.\n\nSources:\n[1] air-and-water.pdf, page 11\n"
    assert program.err.splitlines() == [
        f"The pages of {tmp_path / REPORTS} are stored in {tmp_path / 'colmilvus.db'}: 39 of 43",
        "Pages without text, such as scans, are unreadable to StaticEmbedder.",
    ]
    assert request["stream"] is True
    assert [message["role"] for message in request["messages"]] == ["developer", "user"]
    assert texts(request["messages"][1]).startswith(f"{LAKE}\n\n[1] air-and-water.pdf, page 11\n")
    assert "[1] air-and-water.pdf, page 11\n" in title
    assert kept_page(picture, tmp_path, tmp_path / REPORTS) == "air-and-water.pdf#11"
    assert [text.partition("] ")[0] for text, _ in others] == ["[2", "[3", "[4"]


@pytest.mark.usefixtures("needs_openai")
def test_the_agent_looks_up_several_things_with_filters_of_its_own(tmp_path: Path, place: Path) -> None:
    shelter = [{"query": "birds", "file": "land/trees.pdf"}, {"query": "owls", "file": "owls.pdf"}]
    server = ChatServer(
        ToolCalls("search_documents", [{"query": "sharks", "file": ["sea.pdf"], "max_page": 1}]),
        ToolCalls("search_documents", shelter),
        "Seals [sea.pdf, page 1], not owls.",
    )
    with server:
        command = [str(EXAMPLES / "llama_index_agent.py"), "What do sharks hunt?", *LLM, "--folder"]
        with Program([*command, str(place / "files")], tmp_path, server.environment) as program:
            code = program.end()

    assert (code, server.refused, server.errors) == (0, [], []), program.err
    assert len(program.err.splitlines()) == 1
    asked, once, twice = server.requests
    first, *others = program.out.split("Looked up: ")[1:]
    assert first == "sharks (file: ['sea.pdf'], max_page: 1)\n    sea.pdf, page 1\n\n"
    assert sorted(each.partition("\n\n")[0] for each in others) == [
        "birds (file: land/trees.pdf)\n    trees.pdf, page 1",
        "owls (file: owls.pdf)\n    Nothing was found with file='owls.pdf'; try without.",
    ]
    assert program.out.endswith("\n\nSeals [sea.pdf, page 1], not owls.\n\nSources:\nsea.pdf, page 1\n")
    (tool,) = asked["tools"]
    assert tool["function"]["description"] == "Search the pages of 2 files, such as land/trees.pdf, sea.pdf."
    assert [title for title, _ in pictures(once)] == ["[1] sea.pdf, page 1"]
    assert [title for title, _ in pictures(twice)] == ["[1] sea.pdf, page 1", "[1] trees.pdf, page 1"]
    assert kept_page(pictures(twice)[1][1], tmp_path, place / "files") == "land/trees.pdf#1"
    look_up = ["assistant", "tool", "user"]
    assert [each["role"] for each in twice["messages"]][1:] == ["user", *look_up, "assistant", "tool", "tool", "user"]


@pytest.mark.usefixtures("needs_openai")
def test_the_chatbot_remembers_what_was_said_until_ctrl_c(tmp_path: Path, place: Path) -> None:
    server = ChatServer("Seals [1].", "Where do fish find shelter?", "In reefs [1], not in oaks [2, 7].")
    with server, interruptible():
        command = [str(EXAMPLES / "llama_index_chatbot.py"), *LLM, "--folder", str(place / "files")]
        with Program(command, tmp_path, server.environment) as program:
            for times, question in enumerate(("What do white sharks hunt?", "And where do fish hide from them?"), 1):
                program.wait_for("\nYou: ", times)
                program.type(question)
            program.wait_for("\nYou: ", 3)
            code = program.interrupt()

    assert (code, server.refused, server.errors) == (0, [], []), program.err
    assert len(program.err.splitlines()) == 1
    sources = ("[1] sea.pdf, page 1\n", "[1] sea.pdf, page 2\n[2] trees.pdf, page 1\n")
    assert program.out.split("\nYou: ")[1:] == [
        f"\nSeals [1].\n\nSources:\n{sources[0]}",
        f"(Searching for: Where do fish find shelter?)\n\nIn reefs [1], not in oaks [2, 7].\n\nSources:\n{sources[1]}",
        "\nGoodbye.\n",
    ]
    first, rewritten, second = (request["messages"] for request in server.requests)
    assert texts(first[-1]).startswith("What do white sharks hunt?\n[1] sea.pdf, page 1\n")
    assert "user: What do white sharks hunt?\nassistant: Seals.\n" in texts(rewritten[-1])
    assert "Follow Up Input: And where do fish hide from them?" in texts(rewritten[-1])
    assert [(each["role"], texts(each)) for each in second[1:-1]] == [
        ("user", "What do white sharks hunt?"),
        ("assistant", "Seals."),
    ]
    assert texts(second[-1]).startswith("And where do fish hide from them?\n[1] sea.pdf, page 2\n")
    shown = [picture for _, picture in pictures(server.requests[2])]
    pages = [kept_page(picture, tmp_path, place / "files") for picture in shown]
    assert (pages[0], sorted(pages)) == ("sea.pdf#2", ["land/trees.pdf#1", "sea.pdf#1", "sea.pdf#2"])


def interrupt() -> None:
    """Ctrl-C in this process, when what has come is printed and before more comes."""
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)


@pytest.mark.usefixtures("needs_openai")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("example", "code", "printed"),
    [(llama_index_rag, 130, "Seals"), (llama_index_agent, 130, "Seals"), (llama_index_chatbot, 0, "Seals\nGoodbye.\n")],
)
def test_ctrl_c_while_an_answer_comes_ends_it(
    run: Run, capsys: pytest.CaptureFixture[str], example: ModuleType, code: int, printed: str
) -> None:
    question = [] if example is llama_index_chatbot else ["sharks"]
    with ChatServer("Seals [1].") as server:
        server.before_word = interrupt
        ended = run(example, *question, *LLM, "--folder", "files", server=server, typed="sharks\n")

    said = capsys.readouterr()
    assert (ended, said.out.endswith(printed)) == (code, True), said.out
    assert len(said.err.splitlines()) == 1
    gc.collect()  # connections that LlamaIndex leaves open


async def test_the_query_engine_in_an_event_loop(index: LateInteractionIndex) -> None:
    llm = Speaker(answers=["Seals [1]."])
    engine = llama_index_rag.PageQueryEngine(retriever=index.as_retriever(similarity_top_k=1), llm=llm)

    response = await engine.aquery("What do white sharks hunt?")

    assert isinstance(response, AsyncStreamingResponse)
    assert [piece async for piece in response.async_response_gen()] == ["Seals", " [1]."]
    assert [node.node_id for node in response.source_nodes] == ["sea.pdf#1"]
    ((_, asked),) = llm.asked
    assert kinds(asked) == ["text", "text", "image"]


def test_texts_stay_apart_in_llms_that_join_them(index: LateInteractionIndex) -> None:
    pages = index.as_retriever(similarity_top_k=3).retrieve("shelter")

    blocks = content("Which?", pages, 0)

    joined = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    assert [line[:3] for line in joined.splitlines() if line.startswith("[")] == ["[1]", "[2]", "[3]"]
    assert joined.startswith("Which?\n[1] ")
    assert [type(each) for each in content("Which?", pages, 1)] == [
        TextBlock,
        TextBlock,
        ImageBlock,
        TextBlock,
        TextBlock,
    ]


def called(**arguments: Any) -> ChatMessage:
    call = ToolCallBlock(tool_call_id="a", tool_name="search_documents", tool_kwargs=arguments)
    return ChatMessage(role="assistant", blocks=[call])


async def test_the_agent_is_shown_each_picture_once_by_the_user(
    index: LateInteractionIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    last = ChatMessage(role="assistant", content="Oaks, as land/trees.pdf says on page 1.")
    llm = Caller([called(query="shelter", file="land/trees.pdf"), called(query="oaks", max_page=1), called(), last])
    agent = llama_index_agent.build_agent(index.vector_store.client, llm, text_only=False)

    await llama_index_agent.answer(agent, "What gives shelter?")

    shown = [(message.role.value, kinds(message)) for message in llm.asked[-1][1:]]
    assert [each for each in shown if each[0] == "user"] == [
        ("user", ["text"]),
        ("user", ["text", "image"]),
        ("user", ["text", "image"]),
    ]
    assert [blocks for role, blocks in shown if role == "tool"] == [["text"]] * 3
    printed = capsys.readouterr().out
    assert "Looked up: None\n    The arguments do not fit: query: Field required.\n" in printed
    assert "Sources (the answer names no page; these were found):\ntrees.pdf, page 1\nsea.pdf, page 1\n" in printed


async def test_the_agent_stops_an_llm_that_never_does(
    index: LateInteractionIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = Caller([called(query="sharks")] * 50)
    agent = llama_index_agent.build_agent(index.vector_store.client, llm, text_only=True)

    with pytest.raises(Exception, match="Max iterations of 10 reached"):
        await llama_index_agent.answer(agent, "Sharks?")

    assert len(llm.asked) == llama_index_agent.CALLS
    assert not any("image" in kinds(message) for message in llm.asked[-1])
    assert capsys.readouterr().out.count("Looked up: sharks\n    sea.pdf, page 1\n") == llama_index_agent.CALLS - 1


async def test_an_llm_that_calls_no_functions_reasons_and_acts(
    index: LateInteractionIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    act = 'Thought: I look.\nAction: search_documents\nAction Input: {"query": "sharks", "file": "sea.pdf", "page": 1}'
    llm = Speaker(answers=[act, "Thought: I can answer.\nAnswer: Seals [sea.pdf, page 1]."])

    await llama_index_agent.answer(llama_index_agent.build_agent(index.vector_store.client, llm, False), "Sharks?")

    looked_up = "Looked up: sharks (file: sea.pdf, page: 1)\n    sea.pdf, page 1\n\n"
    assert capsys.readouterr().out == f"{looked_up}Seals [sea.pdf, page 1].\n\nSources:\nsea.pdf, page 1\n"
    assert "White sharks hunt seals." in str(llm.asked[1])


async def test_a_question_of_no_words_does_not_end_a_conversation(
    index: LateInteractionIndex, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = Speaker(answers=["Seals [1].", "Which birds?", "Owls.", "Which fish?", "None [1]."])
    monkeypatch.setattr(llama_index_chatbot, "REMEMBERED", 2)
    monkeypatch.setattr("sys.stdin", io.StringIO("???\nWhat do sharks hunt?\nAnd birds?\nAnd fish?\n\nNever asked\n"))

    with interruptible():
        await llama_index_chatbot.converse(index, llm, text_only=True)

    printed = capsys.readouterr().out
    assert "You: the query holds no words: '???'\n" in printed
    assert "(Searching for: Which birds?)" in printed
    *_, last = llm.asked
    assert [message.content for message in last[1:-1]] == ["And birds?", "Owls."]
    assert kinds(last[-1]) == ["text"]
    assert "(its picture is left out)" in str(last[-1].content)


@pytest.mark.parametrize("typed", ["", "\n", "  Exit \nmore\n"])
def test_the_chatbot_ends_politely(run: Run, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    speaker = ("--llm", "tests.llama_index.scripted:Speaker")

    assert run(llama_index_chatbot, *speaker, "--folder", "files", typed=typed) == 0

    assert capsys.readouterr().out.endswith("You: \nGoodbye.\n")


def test_without_an_llm_the_query_engine_prints_what_one_would_be_asked(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(here / "files" / "land")
    codes = [run(llama_index_rag, "What do white sharks hunt?", "--folder", *more) for more in (["files"], [folder])]
    codes += [run(llama_index_rag, "What do white sharks hunt?", "--folder", "files", "--text-only")]

    assert codes == [0, 0, 0]
    printed = capsys.readouterr()
    with_pictures, of_part, without = printed.out.split("--- system\n")[1:]
    asked = "--- user\nWhat do white sharks hunt?\n[1] sea.pdf, page 1\nWhite sharks hunt seals.\n"
    assert f"{asked}(its picture)\n[2] " in with_pictures
    assert f"{asked}(its picture is left out)\n[2] " in without
    assert "sea.pdf" not in of_part


@pytest.mark.parametrize("example", [llama_index_agent, llama_index_chatbot])
def test_without_an_llm_agent_and_chatbot_say_what_to_type(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str], example: ModuleType
) -> None:
    question = ["question"] if example is llama_index_agent else []

    assert run(example, *question, "--db", "none.db") == 2

    name = example.__name__.rpartition(".")[2]
    printed = capsys.readouterr().err
    for provider, model in (("openai", "gpt-5-mini"), ("ollama", "qwen3-vl")):
        assert f"    pip install llama-index-llms-{provider}\n" in printed
        assert any(f"{name}.py" in line and f"--llm {provider}:{model}" in line for line in printed.splitlines())
    assert not (here / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--folder", "nowhere"], "nowhere: there is no such file or folder"),
        (["--llm", "nope:x"], "--llm nope:... needs: pip install llama-index-llms-nope"),
        (["--llm", "gpt-5-mini"], "--llm is PROVIDER:MODEL, such as openai:gpt-5-mini"),
        (["--llm", "llama_index.core.llms:Nope"], "has no attribute 'Nope'"),
        (["--llm", "nope.llms:Nope"], "No module named 'nope'"),
        (["--llm", "llama_index.core.llms:MockLLM", "--llm-arg", "max_tokens"], "--llm-arg is NAME=VALUE"),
        (["--llm", "llama_index.core.llms:MockLLM", "--llm-arg", "nope=1"], "unexpected keyword argument 'nope'"),
        ([*LLM], "export OPENAI_API_KEY=..."),
        (["--llm", "openai:nope", "--llm-arg", "api_key=any"], "Unknown model 'nope'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_stored(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    if "openai" in str(arguments):
        pytest.importorskip("llama_index.llms.openai")

    assert run(llama_index_rag, "sharks", "--db", "none.db", *arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert len(line) < 500
    assert not (here / "none.db").exists()


@pytest.mark.usefixtures("needs_openai")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("example", [llama_index_rag, llama_index_agent, llama_index_chatbot])
def test_what_a_provider_refuses_is_said_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], example: ModuleType
) -> None:
    question = [] if example is llama_index_chatbot else ["sharks"]
    with ChatServer() as server:
        monkeypatch.setattr(ChatServer, "environment", {**server.environment, "OPENAI_API_KEY": "wrong"})
        code = run(example, *question, *LLM, "--folder", "files", server=server, typed="sharks\n")

    assert (code, server.refused) == (2, ["Incorrect API key provided: wrong."])
    stored, line = capsys.readouterr().err.splitlines()
    assert "colmilvus.db: " in stored
    assert "Incorrect API key provided: wrong." in line
    assert KEY not in line
    gc.collect()  # connections that LlamaIndex leaves open


def test_an_llm_has_the_arguments_that_are_given() -> None:
    llm = load_llm("tests.llama_index.scripted:Speaker", ["name=my model", 'answers=["yes"]'])
    mock = load_llm("llama_index.core.llms:MockLLM", ["max_tokens=3"])

    assert isinstance(llm, Speaker)
    assert (llm.name, llm.answers) == ("my model", ["yes"])
    assert isinstance(mock, MockLLM)
    assert mock.max_tokens == 3


@pytest.mark.parametrize(("provider", "made"), [("caller", "Caller"), ("other", "MockFunctionCallingLLM")])
def test_of_several_classes_the_one_called_as_its_provider_is_taken(
    monkeypatch: pytest.MonkeyPatch, provider: str, made: str
) -> None:
    from tests.llama_index import scripted

    monkeypatch.setattr(scripted, "__all__", ["ChatMessage", "MockFunctionCallingLLM", "Caller", "Speaker"])

    assert llama_index_shared._llm_class(scripted, provider).__name__ == made


def test_a_folder_with_nothing_to_search_is_told_from_one_that_is_not_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (30, 40), "white").save(tmp_path / "scan.png")

    assert run(llama_index_rag, "sharks", "--folder", str(tmp_path)) == 2

    assert capsys.readouterr().err.splitlines()[1:] == [
        "Pages without text, such as scans, are unreadable to StaticEmbedder.",
        f"{tmp_path}: there is no page that can be searched",
    ]


async def test_the_chat_engine_shows_texts_of_pages_beside_their_pictures(index: LateInteractionIndex) -> None:
    llm = Speaker(answers=["Seals [1]."])
    engine = llama_index_chatbot.build_engine(index, llm, ChatMemoryBuffer.from_defaults(), text_only=False)

    response = await engine.astream_chat("What do white sharks hunt?")

    assert [piece async for piece in response.async_response_gen()] == ["Seals", " [1]."]
    assert llama_index_chatbot.numbered(response.source_nodes)[0] == "sea.pdf, page 1"
    ((_, asked),) = llm.asked
    assert kinds(asked) == ["image", "image", "image", "text"]
    assert str(asked.content).startswith("What do white sharks hunt?\n[1] sea.pdf, page 1\nWhite sharks hunt seals.\n")


def test_both_frameworks_find_the_same_in_what_either_has_stored(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("langchain_core")

    codes = [run(two_frameworks, "Who hunts seals?", "--folder", "files") for _ in range(2)]

    printed = capsys.readouterr()
    assert codes == [0, 0]
    by_langchain, by_llama_index = printed.out.split("\nStored by ")[1:3]
    assert by_langchain.startswith("LangChain, asked by both: Who hunts seals?\n")
    assert by_llama_index.startswith("LlamaIndex, ")
    for found in (by_langchain, by_llama_index):
        best, *others = found.splitlines()[2:]
        name, one, other, *_ = best.split()
        assert (name, one) == ("sea.pdf#1", other)
        assert best.endswith("the same: 24 characters, source, page, page_label, total_pages, and a picture")
        assert len(others) == 2
    assert run(two_frameworks, "--folder", "nowhere", "--db", "none.db") == 2
    assert not Path("none.db").exists()


@pytest.mark.parametrize("example", [llama_index_rag, llama_index_agent, llama_index_chatbot, two_frameworks])
def test_the_help_has_a_line_to_type_and_all_options(
    run: Run, capsys: pytest.CaptureFixture[str], example: ModuleType
) -> None:
    assert run(example, "--help") == 0

    printed = capsys.readouterr().out
    assert f"    python examples/{example.__name__.rpartition('.')[2]}.py" in printed
    of_llm = () if example is two_frameworks else ("--llm", "--llm-arg", "--text-only")
    assert all(option in printed for option in (*of_llm, "--folder", "--db"))
