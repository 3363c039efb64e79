"""Answer a question from a folder of PDFs in a LlamaIndex query engine.

    pip install '.[embedded,llama-index,pdf,static]'
    python examples/llama_index_retriever.py FOLDER "question"

LlamaIndex's MockLLM stands where your model goes: it answers with the prompt that it was given, so that you see what
yours would read; nothing leaves this machine. The pages are stored in the folder colmilvus.db of the working directory;
another run skips what is there.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,llama-index,pdf,static]"]
# ///

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import ColmilvusError
from colmilvus.llama_index import LateInteractionRetriever
from colmilvus.pdf import read_pages

DATABASE = Path("colmilvus.db")


def answer(pages: Collection, question: str, llm: LLM) -> RESPONSE_TYPE:
    retriever = LateInteractionRetriever(pages, similarity_top_k=3)
    return RetrieverQueryEngine.from_args(retriever, llm=llm).query(question)


def ask(folder: str, question: str) -> RESPONSE_TYPE:
    found = read_pages(folder)
    print(f"The pages are stored in {DATABASE.absolute()}", file=sys.stderr)
    with Collection("llama_index_example", StaticEmbedder(), uri=DATABASE) as pages:
        pages.add(found)
        return answer(pages, question, MockLLM())  # your own goes here: OpenAI(...), Anthropic(...), Ollama(...)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="PDFs and pictures, also in folders inside it")
    parser.add_argument("question", metavar="QUESTION")
    given = parser.parse_args()
    try:
        response = ask(given.folder, given.question)
    except ColmilvusError as error:
        parser.exit(2, f"{error}\n")
    print(response)
    for found in response.source_nodes:
        print(f"{found.score:.2f}  {found.metadata['source']}, page {found.metadata['page']}")


if __name__ == "__main__":
    main()
