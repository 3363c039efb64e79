"""A hub of models on this machine: what the Hugging Face hub answers to a download, from folders."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "serve_hub"]


@dataclass
class Hub:
    """``models`` maps a name to its revisions, each a folder; ``gated`` names ask for a consent that nobody gave.

    ``asked`` lists the paths that were asked for.
    """

    models: Mapping[str, Mapping[str, Path]]
    gated: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def commit(self, name: str, revision: str) -> str | None:
        """The commit that a branch, tag or commit means."""
        commits = {branch: hashlib.sha1(f"{name} {branch}".encode()).hexdigest() for branch in self.models[name]}
        return commits.get(revision) or next((commit for commit in commits.values() if commit == revision), None)

    def folder(self, name: str, commit: str) -> Path:
        return next(folder for branch, folder in self.models[name].items() if self.commit(name, branch) == commit)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[Hub]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(path)
        parts = path.removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        if name not in self.hub.models:
            self._refuse(404, "RepoNotFound")
        elif name in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif (commit := self.hub.commit(name, rest[1])) is None:
            self._refuse(404, "RevisionNotFound")
        elif path.startswith("api/models/"):
            self._send(json.dumps(self._listing(name, commit, rest[0])).encode(), with_body, commit)
        else:
            self._send_file(self.hub.folder(name, commit) / "/".join(rest[2:]), commit, with_body)

    def _listing(self, name: str, commit: str, kind: str) -> object:
        folder = self.hub.folder(name, commit)
        files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
        if kind == "tree":
            return [
                {"type": "file", "path": path, "size": file.stat().st_size, "oid": _etag(file)}
                for path, file in files.items()
            ]
        return {"_id": "1", "id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]}

    def _send_file(self, file: Path, commit: str, with_body: bool) -> None:
        if file.is_file():
            self._send(file.read_bytes(), with_body, commit, _etag(file))
        else:
            self._refuse(404, "EntryNotFound")

    def _send(self, body: bytes, with_body: bool, commit: str, etag: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", commit)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def serve_hub(hub: Hub) -> Iterator[Hub]:
    """Serve the hub on a free port of this machine, until the end of the block."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
