"""Talk about the pages of a folder: a LlamaIndex chat engine that remembers what was said and shows its sources.

    pip install '.[embedded,llama-index,pdf,static]' llama-index-llms-openai reportlab
    python examples/llama_index_chatbot.py --llm openai:gpt-5-mini
    python examples/llama_index_chatbot.py --llm ollama:qwen3-vl --folder ~/reports

A follow-up such as "And how long is its day?" is rewritten into a question that stands alone; the LLM is shown the
pages found for that, with their pictures. It needs the package of its provider, here llama-index-llms-openai, and
llama-index-core 0.14.15 or later. Without --folder the files are sample reports, which are drawn into .demo/reports.
Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "colmilvus[embedded,llama-index,pdf,static]", "llama-index-core>=0.14.15", "llama-index-llms-openai>=0.6",
#   "reportlab>=4.2",
# ]
# ///

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.chat_engine.multi_modal_condense_plus_context import MultiModalCondensePlusContextChatEngine
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle, TextNode

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.llama_index_shared import NO_LLM, indexed, load_llm, options
from examples.shared import CITED, errors_in_one_line, print_sources, typed_questions

from colmilvus.errors import InvalidQuery
from colmilvus.llama_index import LateInteractionIndex, to_content_blocks

PAGES = 3
REMEMBERED = 10  # messages, as long as they have together at most
TOKENS = 3000
INSTRUCTIONS = (
    "Answer from the numbered pages alone, in a few sentences. After each statement put the number of the page that it "
    "comes from, such as [1]. If the pages do not tell, say so. Pictures come in the order of their pages."
)
ASKED = "{query_str}\n{context_str}"


class NumberPages(BaseNodePostprocessor):
    """Makes two nodes of each page: its text with its number, file and page, and, for so many pages, its picture.

    The chat engine shows an LLM pictures or texts of a node, not both.
    """

    pictures: int = PAGES

    def _postprocess_nodes(
        self,
        nodes: list[NodeWithScore],
        query_bundle: QueryBundle | None = None,  # noqa: ARG002
    ) -> list[NodeWithScore]:
        blocks = to_content_blocks(nodes, pages=self.pictures)
        texts = [TextNode(text=block.text) for block in blocks if isinstance(block, TextBlock)]
        pictures = [picture_node(block) for block in blocks if isinstance(block, ImageBlock)]
        return [NodeWithScore(node=node) for node in (*texts, *pictures)]


def picture_node(block: ImageBlock) -> ImageNode:
    return ImageNode(image=block.resolve_image(as_base64=True).read().decode("ascii"), image_mimetype="image/jpeg")


def build_engine(
    index: LateInteractionIndex, llm: LLM, memory: BaseMemory, text_only: bool
) -> MultiModalCondensePlusContextChatEngine:
    return MultiModalCondensePlusContextChatEngine.from_defaults(
        index.as_retriever(similarity_top_k=PAGES),
        multi_modal_llm=llm,
        memory=memory,
        system_prompt=INSTRUCTIONS,
        context_prompt=ASKED,
        node_postprocessors=[NumberPages(pictures=0 if text_only else PAGES)],
    )


async def converse(index: LateInteractionIndex, llm: LLM, text_only: bool) -> None:
    # asyncio's own handler of Ctrl-C would wait until a line is typed.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    memory = ChatMemoryBuffer.from_defaults(token_limit=TOKENS)
    engine = build_engine(index, llm, memory, text_only)
    for question in typed_questions():
        try:
            await print_answer(engine, question)
        except InvalidQuery as error:  # nothing to search for, such as "???"
            print(error)
            continue
        await shorten(memory)


async def print_answer(engine: MultiModalCondensePlusContextChatEngine, question: str) -> None:
    """Print the answer piece by piece, as it comes, and its sources."""
    response = await engine.astream_chat(question)
    search = response.sources[0].raw_input["message"]
    print(f"(Searching for: {search})\n" if search != question else "")
    answer = ""
    async for piece in response.async_response_gen():
        answer += piece
        print(piece, end="", flush=True)
    print("\n")
    print_sources(answer, numbered(response.source_nodes))


def numbered(nodes: list[NodeWithScore]) -> list[str]:
    """File and page of each text that NumberPages has made."""
    first_lines = [each.text.partition("\n")[0] for each in nodes if not isinstance(each.node, ImageNode)]
    return [line.partition("] ")[2] for line in first_lines]


async def shorten(memory: BaseMemory) -> None:
    """Forget what was said long ago, and the numbers in the answer: the next one has other pages under these."""
    messages = await memory.aget_all()
    last = ChatMessage(role="assistant", content=CITED.sub("", messages[-1].content or ""))
    await memory.aset([*messages[-REMEMBERED:-1], last])


def main() -> None:
    parser = options(__doc__)
    given = parser.parse_args()
    if not given.llm:
        parser.exit(2, NO_LLM.format(command="python examples/llama_index_chatbot.py"))
    with errors_in_one_line():
        llm = load_llm(given.llm, given.llm_arg)
        with indexed(given.folder, given.db) as index:
            print('Ask about the pages. An empty line, "exit" or Ctrl-C ends.')
            with suppress(KeyboardInterrupt):
                asyncio.run(converse(index, llm, given.text_only))
            print("\nGoodbye.")


if __name__ == "__main__":
    main()
