"""What every call needs: the collection that it is about, and the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from colmilvus.embedded.lite import CollectionNotFoundError, EngineCollection, EngineDatabase, MilvusServicer

__all__ = ["Calls", "timestamp"]


class Calls(MilvusServicer):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's servicer, whose handlers can be told which collection to work on."""

    def __init__(self, database: EngineDatabase) -> None:
        super().__init__(database)
        self._call = threading.local()

    def _get_collection(self, request: Any, context: Any) -> EngineCollection:
        bound: EngineCollection | None = getattr(self._call, "collection", None)
        if bound is not None:
            return bound
        try:
            found: EngineCollection = super()._get_collection(request, context)
            return found
        except CollectionNotFoundError:
            # Milvus Lite's own handlers, which may have asked, know this kind of error.
            raise _missing(request.collection_name, self._database_name(request, context)) from None

    def _require_collection(self, name: str, database: str) -> None:
        """Raise CollectionNotFoundError where the database has none of the name or alias."""
        real = self._db.resolve_collection_name(name, database_name=database)
        if not self._db.has_collection(real, database_name=database):
            raise _missing(name, database)

    @contextmanager
    def _bound(self, collection: EngineCollection) -> Iterator[None]:
        """Let Milvus Lite's own handler work on this very collection, though it be replaced meanwhile."""
        self._call.collection = collection
        try:
            yield
        finally:
            self._call.collection = None


def _missing(name: str, database: str) -> CollectionNotFoundError:
    return CollectionNotFoundError(f"collection not found[database={database}][collection={name}]")


def timestamp() -> int:
    """Now, as Milvus writes it: milliseconds, and 18 bits to count within one."""
    return int(time.time() * 1000) << 18
