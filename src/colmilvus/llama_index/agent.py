"""An agent whose model sees the pictures that its tools find, also where only users may show pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock
from llama_index.core.memory import BaseMemory
from llama_index.core.tools import ToolOutput
from llama_index.core.workflow import Context

__all__ = ["PageAgent"]


class PageAgent(FunctionAgent):
    """A FunctionAgent that shows pictures, which tools have found, in a message of the user behind those of the tools.

    OpenAI's chat completions and others take pictures from users alone, and LlamaIndex leaves out those of tools there.
    Before each picture stands the first line of the text that came before it, its number and source; one that was shown
    before, also in an earlier run with the same memory, is not shown again. Numbers begin anew with each look-up: have
    answers cite file and page. It is made as a FunctionAgent is, of a ``create_search_tool`` and an LLM.
    """

    async def handle_tool_call_results(self, ctx: Context, results: list[ToolCallResult], memory: BaseMemory) -> None:
        """Put the texts that tools gave into their messages, and their pictures into one of the user."""
        texts = [result.model_copy(update={"tool_output": _text_of(result.tool_output)}) for result in results]
        await super().handle_tool_call_results(ctx, texts, memory)
        if any(result.return_direct and not result.tool_output.is_error for result in results):
            return  # that is the answer, and no model sees more
        messages: list[ChatMessage] = await ctx.store.get(self.scratchpad_key, default=[])
        earlier = [*await memory.aget_all(), *messages]
        before = [block.image for message in earlier for block in message.blocks if isinstance(block, ImageBlock)]
        shown = [block for result in results for block in _pictures_of(result.tool_output, before)]
        if shown:
            await ctx.store.set(self.scratchpad_key, [*messages, ChatMessage(role="user", blocks=shown)])


def _text_of(output: ToolOutput) -> ToolOutput:
    return output.model_copy(update={"blocks": [TextBlock(text=output.content)]})


def _pictures_of(output: ToolOutput, before: list[Any]) -> Iterator[ContentBlock]:
    """The pictures that were not shown before, each behind the first line of its text; they are added to ``before``."""
    title = ""
    for block in output.blocks:
        if isinstance(block, TextBlock):
            title = block.text.partition("\n")[0]
        elif isinstance(block, ImageBlock) and block.image not in before:
            before.append(block.image)
            yield TextBlock(text=f"{title}\n")
            yield block
