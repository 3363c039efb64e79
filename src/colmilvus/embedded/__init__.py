"""The embedded engine: Milvus Lite, extended by arrays of structs and MAX_SIM, in this process and on local disk.

Code written with pymilvus for a Milvus server runs on it unchanged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, overload

from colmilvus.embedded.durability import ask, check_durability

if TYPE_CHECKING:
    from pymilvus import AsyncMilvusClient, MilvusClient

__all__ = ["address", "connect"]


Durability: TypeAlias = Literal["process", "power"]


@overload
def connect(
    path: str | os.PathLike[str], *, asynchronous: Literal[False] = False, durability: Durability | None = None
) -> MilvusClient: ...
@overload
def connect(
    path: str | os.PathLike[str], *, asynchronous: Literal[True], durability: Durability | None = None
) -> AsyncMilvusClient: ...
def connect(
    path: str | os.PathLike[str], *, asynchronous: bool = False, durability: Durability | None = None
) -> MilvusClient | AsyncMilvusClient:
    """A ready pymilvus MilvusClient of the database in the folder ``path``, which is made if it is missing.

    With ``asynchronous`` an AsyncMilvusClient; it opens the folder before it is returned, as the other does.

    The engine runs in the process that opens the path first. Every other process joins it, and when it ends, by
    whatever cause, the one that makes the next call takes over; calls that were on their way are made again. A process
    that is forked joins afresh: it can use the clients that it inherits. Within a process all clients of a path share
    what is there, and leave with the last one that is closed or no longer used.

    What is acknowledged outlives the end of a process, by whatever cause and without ``close()``. With
    ``durability="power"`` it outlives a loss of power too: a write is answered when it is on the disk, which takes the
    disk's time. That holds for the database, whoever opens it, until it is opened with "process"; None leaves it.

    Raises InvalidInput for another durability, DatabaseError where the parent folder is missing, ``path`` is no
    database of this kind or cannot be written, DatabaseInUse where another process holds it and does not answer,
    DatabaseDamaged where ``format.json`` in it cannot be read, and MissingExtra without Milvus Lite. Damage in a
    collection is the answer to the calls that meet it.
    """
    from colmilvus.embedded import clients

    check_durability(durability)
    found = Path(os.path.realpath(path))
    client = clients.connect_asynchronous(found) if asynchronous else clients.connect(found)
    ask(found, durability)
    return client


def address(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The uri and the token under which the engine of ``path`` answers other clients over gRPC, in whatever process.

    It holds until the process that runs the engine ends. gRPC asks the proxy that ``http_proxy`` names for this address
    too, and the proxy cannot reach it. Where that is set, other clients need
    ``grpc_options={"grpc.enable_http_proxy": 0}``, or ``127.0.0.1`` in ``no_proxy``.

    Raises DatabaseError where this process has not opened ``path``.
    """
    from colmilvus.embedded import server

    return server.address(Path(os.path.realpath(path)))
