"""From a URI to a client of Milvus: a folder for the embedded engine, an address for a server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from colmilvus.errors import InvalidInput, ServerError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = ["Durability", "connect", "is_path", "outlives_power", "place_of"]

Durability: TypeAlias = Literal["process", "power"]

SCHEMES = ("http", "https", "tcp", "unix")
HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")


def is_path(uri: str | Path) -> bool:
    """Whether the URI names a folder, for the embedded engine, and not a server."""
    return "://" not in str(uri)


def connect(
    uri: str | Path, token: str | None, *, timeout: float, durability: Durability | None = None
) -> MilvusClient:
    """A client that is ready; ``timeout`` in seconds, ``durability`` as of ``colmilvus.embedded.connect``.

    Raises InvalidInput for what is neither a folder nor the address of a server, and for a durability of a server, and
    DatabaseError where it cannot be opened.
    """
    _check(str(uri))
    if is_path(uri):
        from colmilvus import embedded

        return embedded.connect(Path(uri).expanduser(), durability=durability)
    if durability is not None:
        raise InvalidInput(f"durability is for a folder: what {uri} keeps, its own configuration says; leave it out")
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    try:
        return MilvusClient(str(uri), token=token or "", timeout=timeout)
    except MilvusException as error:
        if "token" in error.message:
            raise ServerError(f"{uri} was reached, but refused the token: {error.message}") from error
        raise ServerError(f"cannot reach a Milvus server at {uri}: {error.message}; is it running?") from error


def place_of(uri: str | Path, name: str, images: str | Path | None) -> tuple[Path | None, str]:
    """The folder of a collection's pictures, absolute, if it keeps any, and what tells it from other collections."""
    if not is_path(uri):
        return Path(images).absolute() / name if images else None, f"{uri} {name}"
    # absolute, because the paths of pictures travel with hits to other working directories
    pictures = Path(uri).expanduser().absolute() / "images" / name
    return pictures, os.path.realpath(pictures)


def outlives_power(uri: str | Path) -> bool:
    """Whether what the database in a folder acknowledges is to outlive a loss of power."""
    from colmilvus.embedded import durability

    return durability.outlives_power(Path(uri).expanduser())


def _check(uri: str) -> None:
    if not uri.strip():
        raise InvalidInput("uri is a folder, such as 'kb.db', or the address of a Milvus server; it is blank")
    if HOST_AND_PORT.fullmatch(uri):
        raise InvalidInput(f"{uri!r} looks like a server's address; write 'http://{uri}'")
    scheme, separator, _ = uri.partition("://")
    if separator and scheme not in SCHEMES:
        raise InvalidInput(f"{uri!r} is neither a folder nor an address that begins with {', '.join(SCHEMES)}")
