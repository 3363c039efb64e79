"""Answer a question from a folder of PDFs in a LangChain chain.

    pip install '.[embedded,langchain,pdf,static]'
    python examples/langchain_retriever.py FOLDER "question"
    python examples/langchain_retriever.py FOLDER "question" --model openai:gpt-5-mini

The first shows what a chat model would be handed; nothing leaves this machine. With --model and a name that LangChain's
init_chat_model knows, that model answers; this needs the package langchain and that of the model's provider, such as
langchain-openai. The pages are stored in the folder colmilvus.db of the working directory;
another run skips what is there.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,pdf,static]"]
# ///

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import ColmilvusError
from colmilvus.langchain import LateInteractionRetriever
from colmilvus.pdf import read_pages

DATABASE = Path("colmilvus.db")
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from these pages alone, and name file and page.\n\n{pages}"), ("user", "{question}")]
)


def format_pages(pages: list[Document]) -> str:
    return "\n\n".join(f"[{p.metadata['source']}, page {p.metadata['page']}]\n{p.page_content}" for p in pages)


def ask(retriever: LateInteractionRetriever) -> Runnable[str, PromptValue]:
    return {"pages": retriever | format_pages, "question": RunnablePassthrough()} | PROMPT


def load_model(name: str) -> BaseChatModel:
    """Raises ImportError without LangChain's models or the provider's package, ValueError for an unknown name."""
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        raise ImportError(
            "--model needs: pip install langchain, and the provider's, such as langchain-openai"
        ) from error
    model: BaseChatModel = init_chat_model(name)
    return model


def answer(folder: str, question: str, model: BaseChatModel | None) -> str:
    found = read_pages(folder)
    print(f"The pages are stored in {DATABASE.absolute()}", file=sys.stderr)
    with Collection("langchain_example", StaticEmbedder(), uri=DATABASE) as pages:
        pages.add(found)
        prompt = ask(LateInteractionRetriever(pages, k=3))
        return (prompt | model | StrOutputParser()).invoke(question) if model else prompt.invoke(question).to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="PDFs and pictures, also in folders inside it")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--model", metavar="PROVIDER:MODEL", help="as LangChain's init_chat_model takes it")
    given = parser.parse_args()
    try:
        model = load_model(given.model) if given.model else None
    except (ImportError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    try:
        print(answer(given.folder, given.question, model))
    except ColmilvusError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
