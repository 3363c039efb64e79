"""The embedded engine: Milvus Lite, extended by arrays of structs and MAX_SIM, in this process and on local disk.

Code written with pymilvus for a Milvus server runs on it unchanged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = ["address", "connect"]


def connect(path: str | os.PathLike[str]) -> MilvusClient:
    """A ready pymilvus MilvusClient of the database in the folder ``path``, which is made if it is missing.

    The engine starts in this process with the first client of a path, is shared by all others, and stops when the
    last one is closed or no longer used. Nothing is lost without ``close()``: what was acknowledged is on disk.

    A process that is forked cannot use the clients that it inherits: every call raises DatabaseError. The same holds
    for the clients of a folder that was removed while it was open, once it is connected to again.

    Raises DatabaseError where the parent folder is missing, ``path`` is no database of this kind or cannot be written,
    DatabaseInUse where another process holds it, DatabaseDamaged where ``format.json`` in it cannot be read, and
    MissingExtra without Milvus Lite. Damage in a collection is the answer to the calls that meet it.
    """
    from colmilvus.embedded import server

    return server.connect(Path(os.path.realpath(path)))


def address(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The uri and the token of the engine that this process runs for ``path``, for other clients.

    gRPC asks the proxy that ``http_proxy`` names for this address too, and the proxy cannot reach it. Where that is
    set, other clients need ``grpc_options={"grpc.enable_http_proxy": 0}``, or ``127.0.0.1`` in ``no_proxy``.

    Raises DatabaseError where this process runs none.
    """
    from colmilvus.embedded import server

    return server.address(Path(os.path.realpath(path)))
