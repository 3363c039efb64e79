"""Talk about the pages of a folder: a LangChain chatbot that remembers what was said and shows where answers come from.

    pip install '.[embedded,langchain,pdf,static]' langchain langchain-openai reportlab
    python examples/langchain_chatbot.py --model openai:gpt-5-mini
    python examples/langchain_chatbot.py --model ollama:qwen3-vl --folder ~/reports

A follow-up such as "And how long is its day?" is rewritten into a question that stands alone; the model is shown the
pages found for that, with their pictures. It needs the package of its provider, here langchain-openai. Without --folder
the files are sample reports, which are drawn into .demo/reports. Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,pdf,static]", "langchain>=1.2", "langchain-openai>=1", "reportlab>=4.2"]
# ///

from __future__ import annotations

import sys
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableBranch, RunnableLambda, RunnablePassthrough

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.langchain_shared import NO_MODEL, indexed, load_model, options, print_sources
from examples.shared import CITED, errors_in_one_line, typed_questions

from colmilvus.errors import InvalidQuery
from colmilvus.langchain import LateInteractionRetriever, to_message_content

PAGES = 3
REMEMBERED = 10  # messages
INSTRUCTIONS = (
    "Answer from the numbered pages alone, in a few sentences. After each statement put the number of the page that it "
    "comes from, such as [1]. If the pages do not tell, say so."
)
REWRITE = "Rewrite this question so that it can be understood alone, and reply with nothing else: {question}"
Chain = Runnable[dict[str, Any], dict[str, Any]]


def build_chain(retriever: LateInteractionRetriever, model: BaseChatModel, text_only: bool) -> Chain:
    """From a question and the messages before it to what to search for, the pages found for that, and the answer."""

    def to_messages(given: dict[str, Any]) -> list[BaseMessage]:
        content = to_message_content(given["pages"], pages=0 if text_only else PAGES)
        question = {"type": "text", "text": given["question"]}
        return [SystemMessage(INSTRUCTIONS), *given["history"], HumanMessage([question, *content])]

    rewrite = ChatPromptTemplate([("placeholder", "{history}"), ("user", REWRITE)])
    stand_alone = RunnableBranch((itemgetter("history"), rewrite | model | StrOutputParser()), itemgetter("question"))
    return (
        RunnablePassthrough.assign(search=stand_alone)
        | RunnablePassthrough.assign(pages=itemgetter("search") | retriever)
        | RunnablePassthrough.assign(answer=RunnableLambda(to_messages) | model | StrOutputParser())
    )


def converse(chain: Chain) -> None:
    history: list[BaseMessage] = []
    for question in typed_questions():
        try:
            answer = print_answer(chain, question, history)
        except InvalidQuery as error:  # nothing to search for, such as "???"
            print(error)
            continue
        history += [HumanMessage(question), AIMessage(answer)]
        del history[:-REMEMBERED]


def print_answer(chain: Chain, question: str, history: list[BaseMessage]) -> str:
    """Print the answer piece by piece, as it comes, and its sources; return it without the numbers of its pages."""
    search, pages, answer = "", [], ""
    for chunk in chain.stream({"question": question, "history": history}):
        search += chunk.get("search", "")
        if "pages" in chunk:
            pages = chunk["pages"]
            print(f"(Searching for: {search})\n" if search != question else "")
        answer += chunk.get("answer", "")
        print(chunk.get("answer", ""), end="", flush=True)
    print("\n")
    print_sources(answer, pages)
    return CITED.sub("", answer)  # the next answer has other pages under these numbers


def main() -> None:
    parser = options(__doc__)
    given = parser.parse_args()
    if not given.model:
        parser.exit(2, NO_MODEL.format(command="python examples/langchain_chatbot.py"))
    with errors_in_one_line():
        model = load_model(given.model)
        with indexed(given.folder, given.db) as pages:
            print('Ask about the pages. An empty line, "exit" or Ctrl-C ends.')
            with suppress(KeyboardInterrupt):
                converse(build_chain(LateInteractionRetriever(pages, k=PAGES), model, given.text_only))
            print("\nGoodbye.")


if __name__ == "__main__":
    main()
