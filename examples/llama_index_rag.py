"""Answer a question from the pictures of the pages that are found for it, in a LlamaIndex query engine.

    pip install '.[embedded,llama-index,pdf,static]' llama-index-llms-openai reportlab
    python examples/llama_index_rag.py "Why is Venus hotter than Mercury?"
    python examples/llama_index_rag.py "Why is Venus hotter than Mercury?" --llm openai:gpt-5-mini
    python examples/llama_index_rag.py "What did we earn in 2024?" --llm ollama:qwen3-vl --folder ~/reports

The first shows what an LLM would be asked; nothing leaves this machine. With --llm that model answers, and is sent the
pictures and texts of the pages; it needs the package of its provider, here llama-index-llms-openai. Without --folder
the files are sample reports, which are drawn into .demo/reports. Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,llama-index,pdf,static]", "llama-index-llms-openai>=0.6", "reportlab>=4.2"]
# ///

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.llms import LLM
from llama_index.core.llms.llm import astream_chat_response_to_tokens, stream_chat_response_to_tokens
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.llama_index_shared import content, indexed, load_llm, options, titles
from examples.shared import errors_in_one_line, print_sources

PAGES = 4
INSTRUCTIONS = (
    "Answer the question from the numbered pages alone, in a few sentences. After each statement put the number of the "
    "page that it comes from, such as [1]. If the pages do not tell, say so."
)


class PageQueryEngine(CustomQueryEngine):
    """Shows an LLM the pages that are found for a question, each with its number, text and picture, and streams."""

    retriever: BaseRetriever
    llm: LLM
    text_only: bool = False

    def custom_query(self, query_str: str) -> StreamingResponse:
        pages = self.retriever.retrieve(query_str)
        said = self.llm.stream_chat(to_messages(query_str, pages, self.text_only))
        return StreamingResponse(stream_chat_response_to_tokens(said), source_nodes=pages)

    async def acustom_query(self, query_str: str) -> AsyncStreamingResponse:
        pages = await self.retriever.aretrieve(query_str)
        said = await self.llm.astream_chat(to_messages(query_str, pages, self.text_only))
        return AsyncStreamingResponse(await astream_chat_response_to_tokens(said), source_nodes=pages)


def to_messages(question: str, pages: Sequence[NodeWithScore], text_only: bool) -> list[ChatMessage]:
    asked = ChatMessage(role="user", blocks=content(question, pages, 0 if text_only else PAGES))
    return [ChatMessage(role="system", content=INSTRUCTIONS), asked]


def print_answer(engine: PageQueryEngine, question: str) -> None:
    """Print the answer piece by piece, as it comes, then its sources."""
    response = engine.query(question)
    assert isinstance(response, StreamingResponse)
    answer = ""
    for piece in response.response_gen:
        answer += piece
        print(piece, end="", flush=True)
    print("\n")
    print_sources(answer, titles(response.source_nodes))


def print_prompt(messages: Sequence[ChatMessage]) -> None:
    """Print what an LLM would be asked, a line in place of each picture."""
    for message in messages:
        print(f"--- {message.role.value}")
        for block in message.blocks:
            print(block.text.rstrip() if isinstance(block, TextBlock) else "(its picture)")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("question", metavar="QUESTION")
    given = parser.parse_args()
    with errors_in_one_line():
        llm = load_llm(given.llm, given.llm_arg) if given.llm else None
        with indexed(given.folder, given.db) as index:
            retriever = index.as_retriever(similarity_top_k=PAGES)
            if llm:
                print_answer(PageQueryEngine(retriever=retriever, llm=llm, text_only=given.text_only), given.question)
            else:
                messages = to_messages(given.question, retriever.retrieve(given.question), given.text_only)
                print("Without --llm, this is what one would be asked:", file=sys.stderr)
                print_prompt(messages)


if __name__ == "__main__":
    main()
