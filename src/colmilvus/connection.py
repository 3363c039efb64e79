"""From a place to a client of Milvus: a folder for the embedded engine, an address for a server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args
from urllib.parse import unquote, urlsplit

from colmilvus.errors import InvalidInput

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = [
    "TIMEOUT",
    "Connection",
    "Consistency",
    "Durability",
    "Place",
    "Server",
    "connect",
    "is_path",
    "outlives_power",
    "without_login",
]

Consistency: TypeAlias = Literal["Strong", "Session", "Bounded", "Eventually"]
Durability: TypeAlias = Literal["process", "power"]

SCHEMES = ("http", "https", "tcp", "unix")
TIMEOUT = 180.0
ATTEMPT, CONNECTING = 1 / 3, 1 / 6
"""Shares of a timeout that keep the whole within it, at worst.

That is one attempt whose connection breaks at its end, then two threads that make another one after the other, and a
second attempt; or one attempt to insert, and two to do it otherwise.
"""
HOST_AND_PORT = re.compile(r"([^/]*@)?[\w.-]+:\d+")


@dataclass(frozen=True)
class Server:
    """A Milvus server, and how to log in there, where an address alone does not do: it stands in place of ``uri``.

    ``token`` is one, or "user:password", which ``user`` and ``password`` stand for too, as does an address such as
    "http://user:password@host:19530"; ``uri`` is then the address alone. ``ca`` is a PEM file with the certificate that
    the server's is signed by, itself where it is self-signed, and ``server_name`` the name in it where the address has
    another; ``certificate`` and ``key`` are PEM files of one's own, where the server asks for them. ``consistency`` is
    Milvus's level: with "Session" reads find all that this process has written, "Strong" finds what others had written
    before too, and "Bounded" and "Eventually" may find older states, sooner.

    Raises InvalidInput where they do not go together.
    """

    uri: str
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    db_name: str = ""
    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = field(default=None, repr=False)
    server_name: str | None = None
    consistency: Consistency = "Session"

    def __post_init__(self) -> None:
        _check(self.uri)
        if is_path(self.uri):
            raise InvalidInput(f"{self.uri!r} is a folder, which needs no Server(...): pass it as it is")
        self._take_login()
        if self.token and (self.user or self.password):
            raise InvalidInput("a server takes a token, or user and password, not both")
        if bool(self.user) != bool(self.password):
            raise InvalidInput("user and password go together; one of them is missing")
        if bool(self.certificate) != bool(self.key):
            raise InvalidInput("certificate and key, of one's own, go together; one of them is missing")
        if self.certificate and not self.ca:
            raise InvalidInput("with certificate and key, ca= names the certificate that the server's is signed by")
        if (self.ca or self.server_name) and not self.uri.startswith("https://"):
            raise InvalidInput(f"TLS needs an address that begins with https://, not {self.shown!r}")
        for what, file in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if file is not None and not Path(file).is_file():
                raise InvalidInput(f"{what}={str(file)!r} is no file; it is to hold a certificate or key in PEM")
        if self.consistency not in get_args(Consistency):
            raise InvalidInput(f"consistency is one of {', '.join(get_args(Consistency))}, not {self.consistency!r}")

    def _take_login(self) -> None:
        """Have the login of an address in its own place, so that the address can be shown."""
        parts = urlsplit(self.uri)
        if parts.username is None:
            return
        if self.token or self.user or self.password:
            raise InvalidInput("the address has a login of its own; leave it out there, or token=, user= and password=")
        object.__setattr__(self, "uri", without_login(self.uri))
        object.__setattr__(self, "user", unquote(parts.username))
        object.__setattr__(self, "password", unquote(parts.password or ""))

    @cached_property
    def shown(self) -> str:
        """The address with the database's name."""
        return self.uri + (f"/{self.db_name}" if self.db_name else "")

    def client(self, timeout: float) -> MilvusClient:
        from pymilvus import MilvusClient

        # a new channel connects anew, and does not wait with those before it, the longer the more of them failed
        options: dict[str, Any] = {"grpc_options": {"grpc.use_local_subchannel_pool": 1}}
        if self.ca is not None:
            options["ca_pem_path" if self.certificate else "server_pem_path"] = str(self.ca)
        if self.certificate is not None:
            options |= {"client_pem_path": str(self.certificate), "client_key_path": str(self.key)}
        if self.server_name is not None:
            options["server_name"] = self.server_name
        return MilvusClient(
            self.uri,
            user=self.user or "",
            password=self.password or "",
            db_name=self.db_name,
            token=self.token or "",
            timeout=CONNECTING * timeout,
            # pymilvus would share one that another Server(...) made, whatever certificates that was told to trust
            dedicated=True,
            **options,
        )


Place: TypeAlias = Union[str, Path, Server, "MilvusClient"]
"""Where a database is: a folder, the address of a server, a Server, or a client that is ready."""


@dataclass(frozen=True)
class Connection:
    """A client of one database.

    ``shown`` is what to call the database in messages, ``folder`` where it lies, for the embedded engine; ``timeout``
    is the most that a request may take, in seconds, with all that is done about a connection that breaks.
    """

    client: MilvusClient
    shown: str
    timeout: float
    folder: Path | None = None
    consistency: Consistency = "Session"
    is_own: bool = True

    @property
    def attempt(self) -> float:
        """The most that one attempt at a request may take, in seconds."""
        return self.timeout if self.folder is not None else ATTEMPT * self.timeout

    def close(self) -> None:
        """Give it up, unless somebody else made the client."""
        if self.is_own:
            self.client.close()

    def pictures(self, name: str) -> Path | None:
        """The folder of a collection's pictures, where the database is a folder.

        It is absolute, because the paths of pictures travel with hits to other working directories.
        """
        return None if self.folder is None else self.folder.absolute() / "images" / name

    def place(self, name: str) -> str:
        """What tells a collection from all others, in whatever way the path of the database was written."""
        pictures = self.pictures(name)
        return f"{self.shown} {name}" if pictures is None else os.path.realpath(pictures)


def connect(
    place: Place, token: str | None = None, *, timeout: float, durability: Durability | None = None
) -> Connection:
    """A connection that is ready; ``timeout`` in seconds, ``durability`` as of ``colmilvus.embedded.connect``.

    Raises InvalidInput for what is neither a folder nor a server, for a second token, and for a durability of a server;
    DatabaseError where a folder cannot be opened, ServerError where a server cannot be reached or refuses the login.
    """
    _prepare_client()
    if not isinstance(place, Server) and is_path(place):
        _check(str(place))
        from colmilvus import embedded

        folder = Path(str(place)).expanduser()
        return Connection(embedded.connect(folder, durability=durability), str(place), timeout, folder)
    if durability is not None:
        raise InvalidInput("durability is for a folder: what a server keeps, its own configuration says; leave it out")
    from colmilvus.requests import request

    if not isinstance(place, str | Server):
        return _ready(place, token, timeout)
    server = _server(place, token)
    with request("connect", at=server.shown, timeout=timeout):
        return Connection(server.client(timeout), server.shown, timeout, consistency=server.consistency)


def _prepare_client() -> None:
    """Have pymilvus look for SciPy now: of threads that do so at once, with their first requests, one may fail."""
    from pymilvus.client import utils

    scipy = getattr(utils, "SciPyHelper", None)
    if scipy is not None:
        scipy.is_scipy_sparse(None)


def _ready(client: Any, token: str | None, timeout: float) -> Connection:
    from pymilvus import MilvusClient

    from colmilvus.requests import request

    if not isinstance(client, MilvusClient):
        raise InvalidInput(f"uri is a folder, an address, a Server or a MilvusClient, not {client!r}")
    if token is not None:
        raise InvalidInput("a client that is ready has a token of its own; leave token= out")
    with request("use the client"):
        address = str(client._get_connection().server_address)
    return Connection(client, address, timeout, is_own=False)


def _server(place: str | Server, token: str | None) -> Server:
    if isinstance(place, str):
        return Server(place, token)
    if token is None:
        return place
    if place.token or place.user:
        raise InvalidInput("the Server(...) has a login of its own; leave token= out")
    return replace(place, token=token)


def is_path(place: Any) -> bool:
    """Whether a folder is named, for the embedded engine, and not a server."""
    return isinstance(place, Path) or (isinstance(place, str) and "://" not in place)


def outlives_power(folder: Path) -> bool:
    """Whether what the database in a folder acknowledges is to outlive a loss of power."""
    from colmilvus.embedded import durability

    return durability.outlives_power(folder)


def _check(uri: str) -> None:
    if not uri.strip():
        raise InvalidInput("uri is a folder, such as 'kb.db', or the address of a Milvus server; it is blank")
    if HOST_AND_PORT.fullmatch(uri):
        bare = uri.rpartition("@")[2]
        raise InvalidInput(f"{bare!r} looks like a server's address; write 'http://{bare}'")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return
    shown = without_login(uri)
    if scheme not in SCHEMES:
        raise InvalidInput(f"{shown!r} is neither a folder nor an address that begins with {', '.join(SCHEMES)}")
    host, at, _ = rest.rpartition("@")
    if at and any(sign in host for sign in "/?#@"):
        raise InvalidInput(f"in the login of an address, of {shown!r}, / ? # and @ are written %2F %3F %23 and %40")
    try:
        urlsplit(uri).port  # noqa: B018  # it is read on asking
    except ValueError:
        raise InvalidInput(f"the address {shown!r} has no number for its port") from None


def without_login(uri: str) -> str:
    """A folder, or an address as it may be shown."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else uri
