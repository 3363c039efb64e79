"""Answer a question from the pictures of the pages that are found for it, in a LangChain chain, with file and page.

    pip install '.[embedded,langchain,pdf,static]' langchain langchain-openai reportlab
    python examples/langchain_rag.py "Why is Venus hotter than Mercury?"
    python examples/langchain_rag.py "Why is Venus hotter than Mercury?" --model openai:gpt-5-mini
    python examples/langchain_rag.py "What did we earn in 2024?" --model ollama:qwen3-vl --folder ~/reports

The first shows what a chat model would be asked; nothing leaves this machine. With --model that model answers, and is
sent the pictures and texts of the pages; it needs the package of its provider, here langchain-openai. Without --folder
the files are sample reports, which are drawn into .demo/reports. Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,pdf,static]", "langchain>=1.2", "langchain-openai>=1", "reportlab>=4.2"]
# ///

from __future__ import annotations

import sys
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.langchain_shared import indexed, load_model, options, print_sources
from examples.shared import errors_in_one_line

from colmilvus.langchain import LateInteractionRetriever, to_message_content

PAGES = 4
INSTRUCTIONS = (
    "Answer the question from the numbered pages alone, in a few sentences. After each statement put the number of the "
    "page that it comes from, such as [1]. If the pages do not tell, say so."
)


def to_messages(question: str, pages: Sequence[Document], text_only: bool) -> list[BaseMessage]:
    content = to_message_content(pages, pages=0 if text_only else PAGES)
    return [SystemMessage(INSTRUCTIONS), HumanMessage([{"type": "text", "text": question}, *content])]


def build_chain(
    retriever: LateInteractionRetriever, model: BaseChatModel, text_only: bool
) -> Runnable[dict[str, Any], dict[str, Any]]:
    """From a question to the pages that are found for it, and from both to the answer."""

    def prompt(given: dict[str, Any]) -> list[BaseMessage]:
        return to_messages(given["question"], given["pages"], text_only)

    find = RunnablePassthrough.assign(pages=itemgetter("question") | retriever)
    return find | RunnablePassthrough.assign(answer=RunnableLambda(prompt) | model | StrOutputParser())


def print_answer(chain: Runnable[dict[str, Any], dict[str, Any]], question: str) -> None:
    """Print the answer piece by piece, as it comes, then its sources."""
    pages: list[Document] = []
    answer = ""
    for chunk in chain.stream({"question": question}):
        pages = chunk.get("pages", pages)
        answer += chunk.get("answer", "")
        print(chunk.get("answer", ""), end="", flush=True)
    print("\n")
    print_sources(answer, pages)


def print_prompt(messages: Sequence[BaseMessage]) -> None:
    """Print what a model would be asked, a line in place of each picture."""
    for message in messages:
        print(f"--- {message.type}")
        title = ""
        for block in message.content_blocks:
            if block["type"] == "text":
                title = block["text"].partition("\n")[0].partition("] ")[2]
            print(block["text"] if block["type"] == "text" else f"(picture of {title})")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("question", metavar="QUESTION")
    given = parser.parse_args()
    with errors_in_one_line():
        model = load_model(given.model) if given.model else None
        with indexed(given.folder, given.db) as collection:
            retriever = LateInteractionRetriever(collection, k=PAGES)
            if model:
                print_answer(build_chain(retriever, model, given.text_only), given.question)
            else:
                messages = to_messages(given.question, retriever.invoke(given.question), given.text_only)
                print("Without --model, this is what one would be asked:", file=sys.stderr)
                print_prompt(messages)


if __name__ == "__main__":
    main()
