"""The engine of a path for other machines' programs: a token that stays, TLS, and an address that is chosen."""

from __future__ import annotations

import os
import secrets
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from colmilvus.embedded import folder
from colmilvus.embedded.server import ENGINES, Member
from colmilvus.errors import DatabaseInUse, InvalidInput

__all__ = ["Certificate", "read_token", "served"]

SHORTEST_TOKEN = 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Certificate:
    """The files, in PEM, of a server's certificate and of its private key."""

    certificate: Path
    key: Path

    def credentials(self) -> Any:
        """What gRPC takes. Raises InvalidInput where the files cannot be read, or do not fit together."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
            return grpc.ssl_server_credentials([(self.key.read_bytes(), self.certificate.read_bytes())])
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{self.certificate} and {self.key} are no certificate with its private key, in PEM: {error}"
            ) from error


def read_token(file: Path) -> str:
    """The token in a file, which is made, with a new one, if it is missing.

    Raises InvalidInput where other users can read or change the file, or where it holds no token worth the name.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _checked(file)
    with os.fdopen(descriptor, "w", encoding="ascii") as made:
        made.write(secrets.token_hex(32) + "\n")
    return _checked(file)


def _checked(file: Path) -> str:
    if os.name == "posix" and file.stat().st_mode & OTHERS:
        raise InvalidInput(f"{file} can be read or changed by other users: chmod 600 {file}, and put a new token in it")
    token = file.read_text("utf-8").strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise InvalidInput(
            f"{file} holds no token of at least {SHORTEST_TOKEN} printable ASCII characters; remove it, and a new one "
            "is made"
        )
    return token


@contextmanager
def served(path: Path, host: str, port: int, token: str, certificate: Certificate | None = None) -> Iterator[str]:
    """Answer programs on other machines over gRPC; the uri. At the end calls are finished, and all is flushed.

    A process that has ``path`` open, a real path, hands the engine over and joins it here. Raises DatabaseInUse where
    another one serves it already, or does not answer, and DatabaseError where ``host`` and ``port`` cannot be had.
    """
    credentials = None if certificate is None else certificate.credentials()
    member = ENGINES.take(path, token)
    try:
        engine = _owned(member)
        yield engine.listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", credentials, serves=True)
    finally:
        ENGINES.give_back(member)


def _owned(member: Member) -> Any:
    """The engine, which runs in this process, or does when the process that ran it has handed it over."""
    engine = member.own()
    if engine is None:
        found = folder.read_address(member.path)
        raise DatabaseInUse(
            f"{member.path} is served by process {found.get('pid')} at {found.get('uri')}; end it there first, or use "
            "that address",
            found.get("uri"),
        )
    return engine
