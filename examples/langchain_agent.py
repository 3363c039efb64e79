"""Let a LangChain agent answer a question that takes several look-ups, such as one that compares two things.

    pip install '.[embedded,langchain,pdf,static]' langchain langchain-openai reportlab
    python examples/langchain_agent.py "Is the Pacific deeper than Everest is high?" --model openai:gpt-5-mini
    python examples/langchain_agent.py "How did our sales change since 2020?" --model ollama:qwen3-vl --folder ~/reports

The model calls a search tool as often as it needs, with words and, if it likes, files and pages of its choice; it sees
texts and pictures of the pages found. Each look-up is printed, then the answer. The model must be able to call tools,
and needs the package of its provider, here langchain-openai. Without --folder the files are sample reports, which are
drawn into .demo/reports. Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,pdf,static]", "langchain>=1.2", "langchain-openai>=1", "reportlab>=4.2"]
# ///

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.langchain_shared import NO_MODEL, indexed, load_model, options
from examples.shared import errors_in_one_line

from colmilvus import Collection
from colmilvus.langchain import create_search_tool, pictures_from_user, to_citations

PAGES = 3
CALLS = 10
INSTRUCTIONS = (
    "Answer from what the search finds, and from nothing else. Look up one thing at a time, again with other words if "
    "need be. Name file and page after each statement, such as [report.pdf, page 9]. What you cannot find, say so."
)


def build_agent(pages: Collection, model: BaseChatModel, text_only: bool) -> Any:
    # Not at the top, where a missing package would end the program before load_model says what to install.
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelCallLimitMiddleware, wrap_model_call

    # OpenAI's chat completions and others take pictures from a user alone, not from a tool.
    @wrap_model_call
    def show_pictures(request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request.override(messages=pictures_from_user(request.messages)))

    files = list(pages.documents())
    search = create_search_tool(
        pages,
        description=f"Search the pages of {len(files)} files, such as {', '.join(files[:20])}.",
        k=PAGES,
        filters={"file": str, "page": int},
        pages=0 if text_only else PAGES,
    )
    middleware: list[Any] = [show_pictures, ModelCallLimitMiddleware(run_limit=CALLS)]
    return create_agent(model, [search], system_prompt=INSTRUCTIONS, middleware=middleware)


def answer(agent: Any, question: str) -> None:
    """Print each look-up when it is done, and in the end the answer."""
    calls: dict[str, dict[str, Any]] = {}
    said = ""
    for step in agent.stream({"messages": [HumanMessage(question)]}, stream_mode="updates"):
        for message in [message for update in step.values() for message in (update or {}).get("messages", [])]:
            if isinstance(message, ToolMessage):
                print_look_up(calls[message.tool_call_id], message)
            elif isinstance(message, AIMessage):
                calls |= {str(call["id"]): call["args"] for call in message.tool_calls}
                said = message.text
    print(f"\n{said}")


def print_look_up(arguments: dict[str, Any], result: ToolMessage) -> None:
    chosen = [f"{name}: {value}" for name, value in arguments.items() if name != "query" and value is not None]
    found = [str(citation["title"]) for citation in to_citations(result.artifact or [])]
    print("Looked up:", arguments.get("query"), *([f"({', '.join(chosen)})"] if chosen else []))
    for line in found or [" ".join(result.text.split())]:
        print(f"    {line}")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("question", metavar="QUESTION")
    given = parser.parse_args()
    if not given.model:
        parser.exit(2, NO_MODEL.format(command='python examples/langchain_agent.py "question"'))
    with errors_in_one_line():
        model = load_model(given.model)
        with indexed(given.folder, given.db) as pages:
            answer(build_agent(pages, model, given.text_only), given.question)


if __name__ == "__main__":
    main()
