"""Answer a question from a folder of PDFs in a LangChain chain.

Run ``python examples/langchain_retriever.py FOLDER "question"`` to see what a chat model would be handed; nothing
leaves this machine. With ``--model`` and a name that LangChain's ``init_chat_model`` knows, such as
``openai:gpt-5-mini``, that model answers; this needs ``pip install langchain`` and the package of its provider.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,pdf,static]"]
# ///

from __future__ import annotations

import argparse

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.langchain import LateInteractionRetriever
from colmilvus.pdf import read_pages

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from these pages alone, and name file and page.\n\n{pages}"), ("user", "{question}")]
)


def format_pages(pages: list[Document]) -> str:
    return "\n\n".join(f"[{p.metadata['source']}, page {p.metadata['page']}]\n{p.page_content}" for p in pages)


def ask(retriever: LateInteractionRetriever) -> Runnable[str, PromptValue]:
    return {"pages": retriever | format_pages, "question": RunnablePassthrough()} | PROMPT


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer a question from a folder of PDFs with LangChain.")
    parser.add_argument("folder")
    parser.add_argument("question")
    parser.add_argument("--model", help="provider:model, as init_chat_model takes it")
    given = parser.parse_args()
    with Collection("langchain_example", StaticEmbedder(), uri="colmilvus.db") as pages:
        pages.add(read_pages(given.folder))
        prompt = ask(LateInteractionRetriever(pages, k=3))
        if given.model is None:
            print(prompt.invoke(given.question).to_string())
            return
        from langchain.chat_models import init_chat_model

        print((prompt | init_chat_model(given.model) | StrOutputParser()).invoke(given.question))


if __name__ == "__main__":
    main()
