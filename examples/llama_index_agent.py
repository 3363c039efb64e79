"""Let a LlamaIndex agent answer a question that takes several look-ups, such as one that compares two things.

    pip install '.[embedded,llama-index,pdf,static]' llama-index-llms-openai reportlab
    python examples/llama_index_agent.py "Is the Pacific deeper than Everest is high?" --llm openai:gpt-5-mini
    python examples/llama_index_agent.py "How did our sales change since 2020?" --llm ollama:qwen3-vl --folder ~/reports

The LLM calls a search tool as often as it needs, with words and, if it likes, files and pages of its choice; it sees
texts and pictures of the pages found. One that cannot call functions works as a ReActAgent, which reads texts alone.
Each look-up is printed, then the answer and the pages that it names. The LLM needs the package of its provider, here
llama-index-llms-openai. Without --folder the files are sample reports, which are drawn into .demo/reports. Another run
stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,llama-index,pdf,static]", "llama-index-llms-openai>=0.6", "reportlab>=4.2"]
# ///

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.agent.workflow import AgentStream, ReActAgent, ToolCallResult
from llama_index.core.llms import LLM
from llama_index.core.tools import ToolOutput

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.llama_index_shared import NO_LLM, indexed, load_llm, options, titles
from examples.shared import errors_in_one_line

from colmilvus import Collection
from colmilvus.llama_index import PageAgent, create_search_tool

PAGES = 3
CALLS = 10
INSTRUCTIONS = (
    "Answer from what the search finds, and from nothing else. Look up one thing at a time, again with other words if "
    "need be. Name file and page after each statement, such as [report.pdf, page 9]. What you cannot find, say so."
)


def build_agent(pages: Collection, llm: LLM, text_only: bool) -> PageAgent | ReActAgent:
    files = list(pages.documents())
    search = create_search_tool(
        pages,
        description=f"Search the pages of {len(files)} files, such as {', '.join(files[:20])}.",
        similarity_top_k=PAGES,
        model_filters={"file": str, "page": int},
        pages=0 if text_only else PAGES,
    )
    kind = PageAgent if llm.metadata.is_function_calling_model else ReActAgent
    return kind(tools=[search], llm=llm, system_prompt=INSTRUCTIONS)


async def answer(agent: PageAgent | ReActAgent, question: str) -> None:
    """Print each look-up when it is done, the answer, as it comes unless there are thoughts in it, and its sources."""
    found: list[str] = []
    streams = isinstance(agent, PageAgent)
    run = agent.run(user_msg=question, max_iterations=CALLS)
    async for event in run.stream_events():
        if isinstance(event, ToolCallResult):
            found += print_look_up(event.tool_kwargs, event.tool_output)
        elif isinstance(event, AgentStream) and streams:
            print(event.delta, end="", flush=True)
    said = str(await run)
    print("\n" if streams else f"{said}\n")
    print_named(said, list(dict.fromkeys(found)))


def print_look_up(arguments: dict[str, Any], output: ToolOutput) -> list[str]:
    """Print a look-up, and return file and page of what it has found."""
    chosen = [f"{name}: {value}" for name, value in arguments.items() if name != "query" and value is not None]
    found = titles(output.raw_output) if isinstance(output.raw_output, list) else []
    print("Looked up:", arguments.get("query"), *([f"({', '.join(chosen)})"] if chosen else []))
    for line in found or [" ".join(output.content.split())]:
        print(f"    {line}")
    print()
    return found


def print_named(said: str, found: Sequence[str]) -> None:
    """Print the pages that an answer names, or, if it names none, all that were found for it."""
    named = [title for title in found if re.search(re.escape(title) + r"(?!\d)", said)]
    if found:
        print("Sources:" if named else "Sources (the answer names no page; these were found):")
    for title in named or found:
        print(title)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("question", metavar="QUESTION")
    given = parser.parse_args()
    if not given.llm:
        parser.exit(2, NO_LLM.format(command='python examples/llama_index_agent.py "question"'))
    with errors_in_one_line():
        llm = load_llm(given.llm, given.llm_arg)
        with indexed(given.folder, given.db) as index:
            agent = build_agent(index.collection, llm, given.text_only)
            asyncio.run(answer(agent, given.question))


if __name__ == "__main__":
    main()
