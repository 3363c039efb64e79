"""So many runs of one event loop at a time that it is not held up by their beginnings."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig

__all__ = ["RetrieverInTurns"]

AT_ONCE = 64
"""More than asyncio's own pool of threads (at most 32) can search; a run costs the loop about a third of a millisecond
before its search begins, and a thousand that begin together would stop it for that long at a stretch."""

_turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
"""By the id of the loop, and only while somebody waits: a semaphore holds its loop."""


class RetrieverInTurns(BaseRetriever):
    """A retriever of which any number of calls can be awaited at once; they wait for one another by event loop."""

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """The documents for a question, found in a thread; the event loop goes on meanwhile."""
        turns = _turns.setdefault(id(asyncio.get_running_loop()), asyncio.Semaphore(AT_ONCE))
        async with turns:
            return await super().ainvoke(input, config, **kwargs)
