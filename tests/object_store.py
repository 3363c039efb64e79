"""An object store on this machine that speaks S3's protocol, and fsspec told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest
from fsspec.config import conf
from moto.server import ThreadedMotoServer

__all__ = ["forbidding_store", "made_bucket", "running_store", "told_to_fsspec"]

FORBIDDEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"""


@contextmanager
def running_store() -> Iterator[str]:
    """The address of a store that takes what it is given."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def forbidding_store() -> Iterator[str]:
    """The address of a store that lets nobody in."""

    class Forbidding(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", str(len(FORBIDDEN)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(FORBIDDEN)

        do_PUT = do_HEAD = do_GET  # noqa: N815 # as the library names it

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def told_to_fsspec(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have s3:// mean this store, as a file in ~/.config/fsspec would."""
    settings = {
        "endpoint_url": endpoint,
        "key": "someone",
        "secret": "a secret key",
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    monkeypatch.setitem(conf, "s3", settings)


def made_bucket(name: str) -> str:
    """The address of a new, empty bucket."""
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"
