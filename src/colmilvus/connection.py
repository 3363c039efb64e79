"""From a URI to a client of Milvus: a folder for the embedded engine, an address for a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from colmilvus.errors import ServerError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = ["connect", "is_path"]


def is_path(uri: str | Path) -> bool:
    """Whether the URI names a folder, for the embedded engine, and not a server."""
    return "://" not in str(uri)


def connect(uri: str | Path, token: str | None, *, timeout: float) -> MilvusClient:
    """A client that is ready. Raises DatabaseError where the folder or the server cannot be opened."""
    if is_path(uri):
        from colmilvus import embedded

        return embedded.connect(uri)
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    try:
        return MilvusClient(str(uri), token=token or "", timeout=timeout)
    except MilvusException as error:
        raise ServerError(f"cannot reach a Milvus server at {uri}: {error.message}; is it running?") from error
