"""Answer a question from a folder of PDFs in a LlamaIndex query engine.

Run ``python examples/llama_index_retriever.py FOLDER "question"``. LlamaIndex's MockLLM stands where your model goes:
it answers with the prompt that it was given, so that you see what yours would read; nothing leaves this machine.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,llama-index,pdf,static]"]
# ///

from __future__ import annotations

import argparse

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.llama_index import LateInteractionRetriever
from colmilvus.pdf import read_pages


def answer(pages: Collection, question: str, llm: LLM) -> RESPONSE_TYPE:
    retriever = LateInteractionRetriever(pages, similarity_top_k=3)
    return RetrieverQueryEngine.from_args(retriever, llm=llm).query(question)


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer a question from a folder of PDFs with LlamaIndex.")
    parser.add_argument("folder")
    parser.add_argument("question")
    given = parser.parse_args()
    llm = MockLLM()  # your own goes here: OpenAI(...), Anthropic(...), Ollama(...)
    with Collection("llama_index_example", StaticEmbedder(), uri="colmilvus.db") as pages:
        pages.add(read_pages(given.folder))
        response = answer(pages, given.question, llm)
    print(response)
    for found in response.source_nodes:
        print(f"{found.score:.2f}  {found.metadata['source']}, page {found.metadata['page']}")


if __name__ == "__main__":
    main()
