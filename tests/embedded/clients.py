"""One way to call MilvusClient and AsyncMilvusClient, which have the same names."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymilvus import AsyncMilvusClient, MilvusClient

from colmilvus.embedded import address, connect


class Blocking:
    """An AsyncMilvusClient whose calls are waited for."""

    def __init__(self, uri: str, token: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._connect(uri, token))

    async def _connect(self, uri: str, token: str) -> Any:
        return AsyncMilvusClient(uri, token=token)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return found if not inspect.iscoroutinefunction(found) else lambda *a, **k: self._wait(found(*a, **k))

    def _wait(self, call: Any) -> Any:
        return self._loop.run_until_complete(call)

    def close(self) -> None:
        self._wait(self._client.close())
        self._loop.close()


@contextmanager
def client_of(path: Path, kind: str) -> Iterator[Any]:
    """A client of the folder's engine: ``sync`` or ``async``."""
    owner = connect(path)
    uri, token = address(path)
    client: Any = MilvusClient(uri, token=token, dedicated=True) if kind == "sync" else Blocking(uri, token)
    try:
        yield client
    finally:
        client.close()
        owner.close()
