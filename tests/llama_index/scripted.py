"""An LLM that says what a test tells it to: one class that speaks only, and one that calls functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
)
from llama_index.core.llms import CustomLLM, LLMMetadata
from pydantic import Field, PrivateAttr

try:
    from llama_index.core.llms.mock import MockFunctionCallingLLM
except ImportError:
    pytest.skip("this llama-index-core has no LLM to script that calls functions", allow_module_level=True)

__all__ = ["Caller", "Speaker"]


class Speaker(CustomLLM):
    """Gives its answers one by one, in words; ``asked`` are the messages, or prompts, that it was sent."""

    answers: list[str] = Field(default_factory=list)
    name: str = "speaker"
    _asked: list[Any] = PrivateAttr(default_factory=list)

    @property
    def asked(self) -> list[Any]:
        return self._asked

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, model_name=self.name)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        self._asked.append(prompt)
        return CompletionResponse(text=self.answers.pop(0))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        raise NotImplementedError

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:  # noqa: ARG002
        self._asked.append([message.model_copy(deep=True) for message in messages])
        words = self.answers.pop(0).split(" ")
        for number, word in enumerate(words):
            said = ChatMessage(role="assistant", content=" ".join(words[: number + 1]))
            yield ChatResponse(message=said, delta=f" {word}" if number else word)


class Caller(MockFunctionCallingLLM):
    """Gives its messages one by one, which may call tools; ``asked`` are the messages that it was sent."""

    _asked: list[list[ChatMessage]] = PrivateAttr(default_factory=list)

    def __init__(self, answers: Sequence[ChatMessage]) -> None:
        super().__init__(is_chat_model=True)
        left = list(answers)

        def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
            self._asked.append([message.model_copy(deep=True) for message in messages])
            return left.pop(0)

        self.response_generator = answer

    @property
    def asked(self) -> list[list[ChatMessage]]:
        return self._asked
