"""``colmilvus serve``: the database in a folder, for programs on other machines."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import typer

from colmilvus.connection import is_path, without_login
from colmilvus.embedded.durability import ask, check_durability
from colmilvus.embedded.folder import prepare
from colmilvus.embedded.serving import Certificate, read_token, served
from colmilvus.errors import InvalidInput, warn

__all__ = ["serve"]

WAKE = 0.5


def serve(
    db: str,
    host: str,
    port: int,
    token_file: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    durability: str | None = None,
) -> int:
    """Serve the database until a signal comes; the exit code: 130 for Ctrl-C, 0 for SIGTERM."""
    if not is_path(db):
        raise InvalidInput(f"serve takes a folder, and {without_login(db)} is the address of a server")
    if (tls_cert is None) != (tls_key is None):
        raise InvalidInput("--tls-cert and --tls-key go together: a certificate, and its private key")
    certificate = Certificate(Path(tls_cert), Path(tls_key)) if tls_cert and tls_key else None
    if certificate is None and not _is_loopback(host):
        warn(
            f"{host} can be reached from other machines, and without --tls-cert and --tls-key whoever can listen on "
            "the network reads the token and all data"
        )
    path = Path(os.path.realpath(Path(db).expanduser()))
    check_durability(durability)
    prepare(path)
    ask(path, durability)
    file = Path(token_file).expanduser() if token_file else path / "token"
    token = read_token(file)
    with _Stopped() as stopped, served(path, host, port, token, certificate) as uri:
        _tell(db, _public(uri, host), file.absolute(), certificate)
        stopped.wait()
        typer.echo("colmilvus: stopping; once more to stop at once", err=True)
    typer.echo("colmilvus: stopped", err=True)
    return stopped.code


class _Stopped:
    """The first signal is waited for; the second ends the process at once: what was acknowledged is on disk."""

    def __init__(self) -> None:
        self.code = 0
        self._event = threading.Event()

    def __enter__(self) -> _Stopped:
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.code = 130 if number == signal.SIGINT else 0
        if self._event.is_set():
            os._exit(128 + number)
        self._event.set()

    def wait(self) -> None:
        # on Windows no signal is heard within a wait
        while not self._event.wait(WAKE):
            pass


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _public(uri: str, host: str) -> str:
    """The uri as other machines write it, where the host stands for all addresses of this one."""
    return uri.replace(host, socket.gethostname(), 1) if host in ("0.0.0.0", "::") else uri  # noqa: S104 - compared


def _tell(db: str, uri: str, token: Path, certificate: Certificate | None) -> None:
    typer.echo(f"serving {db} at {uri}; stop with Ctrl-C")
    typer.echo(f"the token is in {token}")
    typer.echo("")
    typer.echo(f'client = MilvusClient("{uri}", token=open("{token}").read().strip()', nl=False)
    typer.echo(f', server_pem_path="{certificate.certificate.absolute()}")' if certificate else ")")
    typer.echo(f'pages = Collection("pages", uri="{uri}", token=open("{token}").read().strip())')
    typer.echo("store = LateInteractionVectorStore(pages)")
    if certificate is not None:
        typer.echo("")
        typer.echo("Collection, and the command line, trust a certificate of your own where the environment says so:")
        typer.echo(f"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={certificate.certificate.absolute()}")
