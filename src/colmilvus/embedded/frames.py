"""Messages between processes of one user: frames of a head and a body over a loopback connection.

Before the first, both sides show that they know the token, which itself is never sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
from typing import Any

__all__ = ["Refusal", "greet", "receive", "send", "welcome"]

SIZES = struct.Struct(">IQ")
NONCE = 32
HEAD_BYTES = 1 << 20
CLIENT, SERVER = b"colmilvus 1 client", b"colmilvus 1 server"


class Refusal(ConnectionError):
    """The other side does not know the token, or does not speak like this."""


def send(connection: socket.socket, head: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame."""
    told = json.dumps(head).encode()
    start = SIZES.pack(len(told), len(body)) + told
    if len(body) < 1 << 16:
        connection.sendall(start + body)
    else:
        connection.sendall(start)
        connection.sendall(body)


def receive(connection: socket.socket, limit: int | None = None) -> tuple[dict[str, Any], bytearray] | None:
    """The next frame, None where the other side has closed; Refusal for a body of more than ``limit`` bytes."""
    start = _exactly(connection, SIZES.size)
    if start is None:
        return None
    head_size, body_size = SIZES.unpack(start)
    if head_size > HEAD_BYTES or (limit is not None and body_size > limit):
        raise Refusal(f"a message of {head_size} and {body_size} bytes")
    head, body = _exactly(connection, head_size), _exactly(connection, body_size)
    if head is None or body is None:
        raise ConnectionResetError("the other side closed within a message")
    return json.loads(head), body


def _exactly(connection: socket.socket, size: int) -> bytearray | None:
    """So many bytes, None where the other side closes before the first of them."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = connection.recv_into(view[done:])
        if not count:
            if done:
                raise ConnectionResetError("the other side closed within a message")
            return None
        done += count
    return data


def greet(connection: socket.socket, token: str) -> None:
    """Show an engine that its token is known here. Raises Refusal where it does not show the same, and OSError."""
    theirs = _nonce(connection)
    ours = secrets.token_bytes(NONCE)
    connection.sendall(ours + _proof(token, CLIENT, theirs, ours))
    shown = _exactly(connection, NONCE)
    if shown is None or not hmac.compare_digest(shown, _proof(token, SERVER, theirs, ours)):
        raise Refusal("what answers there is not the engine of this database")


def welcome(connection: socket.socket, token: str) -> None:
    """Let in who knows the token. Raises Refusal for others, and OSError."""
    ours = secrets.token_bytes(NONCE)
    connection.sendall(ours)
    theirs = _nonce(connection)
    shown = _exactly(connection, NONCE)
    if shown is None or not hmac.compare_digest(shown, _proof(token, CLIENT, ours, theirs)):
        raise Refusal("who called does not know the token")
    connection.sendall(_proof(token, SERVER, ours, theirs))


def _nonce(connection: socket.socket) -> bytes:
    found = _exactly(connection, NONCE)
    if found is None:
        raise Refusal("the other side closed before it had said anything")
    return bytes(found)


def _proof(token: str, side: bytes, server: bytes, client: bytes) -> bytes:
    return hmac.new(token.encode(), side + server + client, hashlib.sha256).digest()
