"""The examples with LangChain, run as a user runs them, with a chat model that says what a test tells it to."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

pytest.importorskip("langchain", reason="models are loaded by langchain")
pytest.importorskip("langchain_openai", reason="the server of these tests speaks as OpenAI's")
pytest.importorskip("reportlab", reason="the sample reports are drawn with it")

from examples import langchain_agent, langchain_chatbot, langchain_rag
from examples.langchain_shared import indexed, print_sources
from examples.shared import collection_name
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable
from PIL import Image

from colmilvus import Collection
from colmilvus.langchain import LateInteractionRetriever
from tests import programs
from tests.chat_server import KEY, ChatServer, ToolCalls, pictures, texts
from tests.pdfs import text_pdf
from tests.programs import OF_PROVIDERS, Program, interruptible

EXAMPLES = Path(langchain_rag.__file__).parent
MODEL = ("--model", "openai:scripted")
REPORTS = Path(".demo", "reports")
LAKE = "How many years does water stay in Lake Superior?"

Run: TypeAlias = Callable[..., int]


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
            example.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the examples need of a clone of the repository."""
    clone = tmp_path / "clone"
    shutil.copytree(EXAMPLES, clone / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return clone


def page_of(picture: Image.Image, place: Path, folder: Path) -> str:
    """The id of the page that this is a picture of, of all that an example which was run in this place keeps."""
    return programs.page_of(picture, place / "colmilvus.db", collection_name(folder.resolve()))


def test_the_chain_answers_from_pictures_in_pieces_and_names_its_sources(tmp_path: Path) -> None:
    with ChatServer("For 191 years [1], a long time.") as server:
        command = [str(EXAMPLES / "langchain_rag.py"), LAKE, *MODEL]
        with Program(command, tmp_path, server.environment) as program:
            pieces = iter(["For", "For 191", "For 191 years", "For 191 years [1],", "For 191 years [1], a"])
            server.before_word = lambda: program.wait_for(next(pieces, ""))
            code = program.end()

    (request,) = server.requests
    (title, picture), *others = pictures(request)
    assert (code, server.refused, server.errors) == (0, [], [])
    assert next(pieces, None) is None
    assert program.out == "For 191 years [1], a long time.\n\nSources:\n[1] air-and-water.pdf, page 11\n"
    assert f"are stored in {tmp_path / 'colmilvus.db'}: 39 added, 4 unreadable" in program.err
    assert "Traceback" not in program.err
    assert "Warning" not in program.err
    assert request["stream"] is True
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert texts(request["messages"][1]).startswith(f"{LAKE}\n[1] air-and-water.pdf, page 11\n")
    assert title.startswith("[1] air-and-water.pdf, page 11\n")
    assert page_of(picture, tmp_path, tmp_path / REPORTS) == "air-and-water.pdf#11"
    assert len(others) == 3


def test_the_agent_looks_up_several_things_with_filters_of_its_own(clone: Path) -> None:
    server = ChatServer(
        ToolCalls("search_documents", [{"query": "depth of the Pacific", "file": "air-and-water.pdf", "min_page": 9}]),
        ToolCalls("search_documents", [{"query": "height of Everest"}, {"query": "Everest", "file": "everest.pdf"}]),
        "Everest is the higher one.",
    )
    with server:
        command = ["examples/langchain_agent.py", "Is Everest higher than the Pacific is deep?", *MODEL]
        with Program(command, clone, server.environment) as program:
            code = program.end()

    asked, *shown = server.requests
    assert (code, server.refused, server.errors) == (0, [], [])
    *looked_up, answer = look_ups(program.out)
    assert answer == "Everest is the higher one."
    assert looked_up[0][0] == "depth of the Pacific (file: air-and-water.pdf, min_page: 9)"
    assert set(looked_up[0][1:]) == {f"air-and-water.pdf, page {page}" for page in (9, 10, 11)}
    in_any_order = {query: found for query, *found in looked_up[1:]}
    assert in_any_order["height of Everest"][0] == "world-records.pdf, page 2"
    assert in_any_order["Everest (file: everest.pdf)"] == ["Nothing was found with file='everest.pdf'; try without."]
    (tool,) = asked["tools"]
    assert "4 files, such as air-and-water.pdf, chemical-elements.pdf," in tool["function"]["description"]
    assert pictures(asked) == []
    assert [title for title, _ in pictures(shown[0])] == [
        f"[{n}] {title}" for n, title in enumerate(looked_up[0][1:], 1)
    ]
    assert [message["role"] for message in shown[1]["messages"]] == (
        ["system", "user", "assistant", "tool", "user", "assistant", "tool", "tool", "user"]
    )
    everest = dict(pictures(shown[1]))["[1] world-records.pdf, page 2"]
    assert page_of(everest, clone, clone / REPORTS) == "world-records.pdf#2"
    assert "Traceback" not in program.err


def look_ups(printed: str) -> Iterator[Any]:
    """Each look-up that was printed, its first line and what was found, and then the answer."""
    before, _, answer = printed.rpartition("\n\n")
    for look_up in before.split("Looked up: ")[1:]:
        yield [line.removeprefix("    ") for line in look_up.splitlines()]
    yield answer.rstrip("\n")


def test_the_chatbot_remembers_what_was_said_until_ctrl_c(tmp_path: Path, place: Path) -> None:
    server = ChatServer("Seals [1].", "Where do fish find shelter?", "In reefs [1], not in oaks [2, 7].")
    with server, interruptible():
        command = [str(EXAMPLES / "langchain_chatbot.py"), *MODEL, "--folder", str(place / "files")]
        with Program(command, tmp_path, server.environment) as program:
            for times, question in enumerate(("What do white sharks hunt?", "And where do fish hide from them?"), 1):
                program.wait_for("\nYou: ", times)
                program.type(question)
            program.wait_for("\nYou: ", 3)
            code = program.interrupt()

    first, rewritten, second = (request["messages"] for request in server.requests)
    assert (code, server.refused, server.errors) == (0, [], [])
    sources = ("[1] sea.pdf, page 1\n", "[1] sea.pdf, page 2\n[2] trees.pdf, page 1\n")
    assert program.out.split("\nYou: ")[1:] == [
        f"\nSeals [1].\n\nSources:\n{sources[0]}",
        f"(Searching for: Where do fish find shelter?)\n\nIn reefs [1], not in oaks [2, 7].\n\nSources:\n{sources[1]}",
        "\nGoodbye.\n",
    ]
    assert f"are stored in {tmp_path / 'colmilvus.db'}: 3 added\n" in program.err
    assert "Traceback" not in program.err
    assert texts(first[-1]).startswith("What do white sharks hunt?\n[1] sea.pdf, page 1\n")
    said = [{"role": "user", "content": "What do white sharks hunt?"}, {"role": "assistant", "content": "Seals."}]
    assert rewritten[:-1] == said
    assert rewritten[-1]["content"].endswith(": And where do fish hide from them?")
    assert second[1:-1] == said
    assert texts(second[-1]).startswith("And where do fish hide from them?\n[1] sea.pdf, page 2\n")
    (_, picture), *_ = pictures(server.requests[2])
    assert page_of(picture, tmp_path, place / "files") == "sea.pdf#2"


class ScriptedModel(GenericFakeChatModel):
    """LangChain's model that answers from a script, which also calls tools and keeps what it was asked."""

    asked: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it for each model

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[Any, AIMessage]:  # noqa: ARG002
        return self

    def _generate(self, messages: list[BaseMessage], *rest: Any, **named: Any) -> ChatResult:
        self.asked.append(messages)
        return super()._generate(messages, *rest, **named)


def scripted(*answers: str | AIMessage) -> ScriptedModel:
    return ScriptedModel(messages=iter(answers))


@pytest.fixture
def pages(here: Path) -> Iterator[Collection]:
    with indexed(here / "files", here / "kb.db") as pages:
        yield pages


async def test_the_chain_in_an_event_loop(pages: Collection) -> None:
    model = scripted("Seals [1].")
    chain = langchain_rag.build_chain(LateInteractionRetriever(pages, k=1), model, text_only=False)

    chunks = [chunk async for chunk in chain.astream({"question": "What do white sharks hunt?"})]

    assert "".join(chunk.get("answer", "") for chunk in chunks) == "Seals [1]."
    assert sum("answer" in chunk for chunk in chunks) > 1
    ((_, asked),) = model.asked
    assert [block["type"] for block in asked.content_blocks] == ["text", "text", "image"]


def test_the_agent_is_shown_pictures_by_the_user(pages: Collection) -> None:
    calls = [{"name": "search_documents", "args": {"query": "shelter", "file": "land/trees.pdf"}, "id": "a"}]
    again = [{"name": "search_documents", "args": {"query": "shelter", "file": ["sea.pdf"], "page": 2}, "id": "b"}]
    model = scripted(AIMessage("", tool_calls=calls), AIMessage("", tool_calls=again), "Oaks and reefs.")
    agent = langchain_agent.build_agent(pages, model, text_only=False)

    state = agent.invoke({"messages": [HumanMessage("What gives shelter?")]})

    assert state["messages"][-1].text == "Oaks and reefs."
    kinds = [(message.type, [block["type"] for block in message.content_blocks]) for message in model.asked[-1][1:]]
    look_up = [("ai", ["tool_call"]), ("tool", ["text"]), ("human", ["text", "image"])]
    assert kinds == [("human", ["text"]), *look_up, *look_up]
    assert [message.text for message in model.asked[-1] if message.type == "human"][1:] == (
        ["[1] trees.pdf, page 1", "[1] sea.pdf, page 2"]
    )


def test_the_agent_stops_a_model_that_never_does(pages: Collection, capsys: pytest.CaptureFixture[str]) -> None:
    calls = [{"name": "search_documents", "args": {"query": "sharks"}, "id": "a"}]
    model = scripted(*[AIMessage("", tool_calls=[{**calls[0], "id": f"call {n}"}]) for n in range(50)])

    langchain_agent.answer(langchain_agent.build_agent(pages, model, text_only=True), "Sharks?")

    assert len(model.asked) == langchain_agent.CALLS
    assert not any(block["type"] == "image" for message in model.asked[-1] for block in message.content_blocks)
    printed = capsys.readouterr().out
    assert printed.count("Looked up: sharks\n    sea.pdf, page 1\n") == langchain_agent.CALLS
    assert "limit" in printed.splitlines()[-1]


def test_a_question_of_no_words_does_not_end_a_conversation(
    pages: Collection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = scripted("Seals [1].", "Which birds?", "Owls.", "Which fish?", "None [1].")
    chain = langchain_chatbot.build_chain(LateInteractionRetriever(pages, k=2), model, text_only=True)
    monkeypatch.setattr(langchain_chatbot, "REMEMBERED", 2)
    monkeypatch.setattr("sys.stdin", io.StringIO("???\nWhat do sharks hunt?\nAnd birds?\nAnd fish?\n\nNever asked\n"))

    langchain_chatbot.converse(chain)

    printed = capsys.readouterr().out
    assert "You: the query holds no words: '???'\n" in printed
    assert "(Searching for: Which birds?)" in printed
    assert [message.text for message in model.asked[-1][1:-1]] == ["And birds?", "Owls."]
    assert [sum(block["type"] == "image" for block in asked[-1].content_blocks) for asked in model.asked] == [0] * 5


@pytest.mark.parametrize("typed", ["", "\n", "exit\n", "  Exit \nmore\n"])
def test_the_chatbot_ends_politely(run: Run, capsys: pytest.CaptureFixture[str], typed: str) -> None:
    with ChatServer() as server:
        code = run(langchain_chatbot, *MODEL, "--folder", "files", server=server, typed=typed)

    printed = capsys.readouterr()
    assert (code, server.requests) == (0, [])
    assert printed.out.endswith("You: \nGoodbye.\n")


def test_without_a_model_the_chain_prints_what_one_would_be_asked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    codes = [
        run(langchain_rag, "What do white sharks hunt?", "--folder", "files", *more) for more in ([], ["--text-only"])
    ]

    assert codes == [0, 0]
    printed = capsys.readouterr()
    with_pictures, without = printed.out.split("--- system\n")[1:]
    asked = "--- human\nWhat do white sharks hunt?\n[1] sea.pdf, page 1\nWhite sharks hunt seals.\n"
    assert f"{asked}(picture of sea.pdf, page 1)\n[2] " in with_pictures
    assert f"{asked}(its picture is left out)\n[2] " in without
    assert "unchanged" in printed.err.splitlines()[-2]


def test_answers_come_from_the_folder_that_is_asked_about(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(langchain_rag, "shelter", "--folder", "files")
    run(langchain_rag, "shelter", "--folder", str(here / "files" / "land"))
    whole, part = capsys.readouterr().out.split("--- system\n")[1:]

    assert "sea.pdf" in whole
    assert "sea.pdf" not in part


@pytest.mark.parametrize("example", [langchain_agent, langchain_chatbot])
def test_without_a_model_agent_and_chatbot_say_what_to_type(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str], example: ModuleType
) -> None:
    question = ["question"] if example is langchain_agent else []

    assert run(example, *question, "--db", "none.db") == 2

    name = example.__name__.rpartition(".")[2]
    printed = capsys.readouterr().err
    assert "    pip install langchain langchain-openai\n" in printed
    assert "    pip install langchain langchain-ollama\n" in printed
    for model in ("openai:gpt-5-mini", "ollama:qwen3-vl"):
        assert any(f"examples/{name}.py" in line and line.endswith(f"--model {model}") for line in printed.splitlines())
    assert not (here / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--folder", "nowhere"], "nowhere: there is no such file or folder"),
        (["--model", "nope:x"], "Unable to infer model provider for model='nope:x'"),
        (["--model", "ollama:x"], "langchain-ollama`"),
        (["--model", "openai:scripted"], "OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_stored(
    run: Run,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setitem(sys.modules, "langchain_ollama", None)

    assert run(langchain_rag, "sharks", "--db", "none.db", *arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (here / "none.db").exists()


@pytest.mark.parametrize(
    ("missing", "said"),
    [("langchain.chat_models", "pip install langchain"), ("reportlab.pdfgen.canvas", "pip install reportlab")],
)
def test_a_package_that_is_missing_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, said: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("examples.sample_")]:
        monkeypatch.delitem(sys.modules, name)

    assert run(langchain_agent, "sharks", *MODEL) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("model", "key", "said"),
    [("scripted", "wrong", "Incorrect API key provided: wrong."), ("other", KEY, "The model `other` does not exist")],
)
def test_what_a_provider_refuses_is_said_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str, key: str, said: str
) -> None:
    with ChatServer() as server:
        monkeypatch.setattr(ChatServer, "environment", {**server.environment, "OPENAI_API_KEY": key})
        code = run(langchain_rag, "sharks", "--model", f"openai:{model}", "--folder", "files", server=server)

    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    stored, line = printed.err.splitlines()
    assert "colmilvus.db: " in stored
    assert said in line


def test_a_folder_with_nothing_to_search_is_told_from_one_that_is_not_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (30, 40), "white").save(tmp_path / "scan.png")

    assert run(langchain_rag, "sharks", "--folder", str(tmp_path)) == 2

    assert capsys.readouterr().err.splitlines()[1:] == [
        "Pages without text, such as scans, are unreadable to StaticEmbedder.",
        f"{tmp_path}: there is no page that can be searched",
    ]


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        ("Yes [2].", ["Sources:", "[2] b.pdf, page 2"]),
        ("Yes [2, 1], [9]. See [x] and [2].", ["Sources:", "[1] a.pdf, page 1", "[2] b.pdf, page 2"]),
        ("No [9].", ["[1] a.pdf, page 1", "[2] b.pdf, page 2"]),
        ("No.", ["[1] a.pdf, page 1", "[2] b.pdf, page 2"]),
    ],
)
def test_sources_are_those_that_an_answer_cites(
    capsys: pytest.CaptureFixture[str], answer: str, printed: list[str]
) -> None:
    documents = [Document("", metadata={"source": f"{name}.pdf", "page": n}) for n, name in enumerate("ab", 1)]

    print_sources(answer, documents)

    lines = capsys.readouterr().out.splitlines()
    assert lines[-len(printed) :] == printed
    assert ("cites none" in lines[0]) == answer.startswith("No")


@pytest.mark.parametrize("example", [langchain_rag, langchain_agent, langchain_chatbot])
def test_the_help_has_a_line_to_type_and_all_options(
    run: Run, capsys: pytest.CaptureFixture[str], example: ModuleType
) -> None:
    assert run(example, "--help") == 0

    printed = capsys.readouterr().out
    assert f"    python examples/{example.__name__.rpartition('.')[2]}.py " in printed
    assert all(option in printed for option in ("--model", "--text-only", "--folder", "--db"))
