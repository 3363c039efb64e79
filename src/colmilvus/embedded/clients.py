"""The clients that keep an engine running, or stay joined to one, until they are closed or no longer used."""

from __future__ import annotations

import asyncio
import copy
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymilvus import AsyncMilvusClient, MilvusClient
from pymilvus.client.cache import GlobalCache
from pymilvus.client.connection_manager import ConnectionManager

from colmilvus.embedded.channel import AsyncChannel, Channel
from colmilvus.embedded.forks import in_child
from colmilvus.embedded.server import ENGINES, Member
from colmilvus.errors import DatabaseError

__all__ = ["AsyncClient", "Client", "connect", "connect_asynchronous"]


class Gone:
    """Stands for the connection of a client that has lost its folder: whatever is asked of it raises DatabaseError."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise DatabaseError(self._reason)


class Served:
    """What the clients of an engine have in common: they leave it once, and can be ended by others."""

    _handler: Any
    _leave: Any
    _member: Member

    def _join(self, member: Member, connection: Any) -> None:
        """Be one of the member's clients until closed or no longer used; ``connection`` can be closed after that."""
        self._leave = weakref.finalize(self, _leave_later, connection, member)
        self._leave.atexit = False
        self._member = member
        member.clients.add(self)

    def end(self, reason: str) -> None:
        """Answer every later call with a DatabaseError; nothing is closed."""
        self._leave.detach()
        self._handler = Gone(reason)

    @property
    def _ended(self) -> bool:
        return isinstance(getattr(self, "_handler", None), Gone)


class Client(Served, MilvusClient):  # type: ignore[misc]  # pymilvus has no types
    """A MilvusClient that is served by the engine of a path until it is closed or no longer used."""

    def __init__(self, member: Member) -> None:
        super().__init__(uri=member.name, dedicated=True, channel=Channel(member))
        # A copy has the same connection, and can still close it when this object is gone.
        self._connection = copy.copy(self)
        self._join(member, self._connection)

    def close(self) -> None:
        """Close the connection; an engine of this process stops, once flushed, with its last client."""
        if self._ended:
            return
        left = getattr(self, "_leave", None)
        super().close()
        if left is not None and left.detach():
            _leave(self._connection, self._member)


class AsyncClient(Served, AsyncMilvusClient):  # type: ignore[misc]  # pymilvus has no types
    """An AsyncMilvusClient that is served by the engine of a path until it is closed or no longer used."""

    def __init__(self, member: Member) -> None:
        super().__init__(uri=member.name, dedicated=True, channel=AsyncChannel(member))
        self._join(member, None)

    async def close(self) -> None:
        """Close the connection; an engine of this process stops, once flushed, with its last client."""
        if self._ended:
            return
        await super().close()
        if self._leave.detach():
            await asyncio.to_thread(_leave, None, self._member)


def connect(path: Path) -> Client:
    """A client of the engine of ``path``, a real path."""
    member = ENGINES.take(path)
    try:
        return Client(member)
    except BaseException:
        ENGINES.give_back(member)
        raise


def connect_asynchronous(path: Path) -> AsyncClient:
    """An asynchronous client of the engine of ``path``, a real path."""
    member = ENGINES.take(path)
    try:
        return AsyncClient(member)
    except BaseException:
        ENGINES.give_back(member)
        raise


def _leave_later(connection: Any, member: Member) -> None:
    # Garbage may be collected in any thread, the engine's own among them, and with any lock held.
    with suppress(RuntimeError):
        threading.Thread(target=_leave, args=(connection, member), name="colmilvus-engine-stop").start()


def _leave(connection: Any, member: Member) -> None:
    if connection is not None:
        MilvusClient.close(connection)
    ENGINES.give_back(member)


@in_child
def _renew_locks() -> None:
    """Replace the locks of pymilvus that a thread of the parent may have held when this process was forked."""
    ConnectionManager.get_instance()._lock = threading.RLock()
    for region in (GlobalCache.schema, GlobalCache.collection_ts):
        region._lock = threading.Lock()
