"""What every call needs: the collection that it is about, and the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from colmilvus.embedded.lite import EngineCollection, EngineDatabase, MilvusServicer

__all__ = ["Calls", "timestamp"]


class Calls(MilvusServicer):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's servicer, whose handlers can be told which collection to work on."""

    def __init__(self, database: EngineDatabase) -> None:
        super().__init__(database)
        self._call = threading.local()

    def _get_collection(self, request: Any, context: Any) -> EngineCollection:
        bound: EngineCollection | None = getattr(self._call, "collection", None)
        return bound or super()._get_collection(request, context)

    @contextmanager
    def _bound(self, collection: EngineCollection) -> Iterator[None]:
        """Let Milvus Lite's own handler work on this very collection, though it be replaced meanwhile."""
        self._call.collection = collection
        try:
            yield
        finally:
            self._call.collection = None


def timestamp() -> int:
    """Now, as Milvus writes it: milliseconds, and 18 bits to count within one."""
    return int(time.time() * 1000) << 18
