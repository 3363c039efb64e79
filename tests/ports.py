"""Ports for servers that cannot choose one themselves and tell which it was."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import count

__all__ = ["free_port"]

# Below those that systems give to outgoing connections (from 32,768 up), which may take any of theirs at any moment.
FIRST, PORTS = 10_000, 20_000
EACH = 200


def free_port() -> int:
    """A port that nothing listens on, and that no other process of the tests is given while a server starts on it."""
    return next(_free)


def _free_ports() -> Iterator[int]:
    # Each process begins elsewhere: what is free when two look at once would be taken when the second server starts.
    for number in count(os.getpid() * EACH):
        port = FIRST + number % PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_free = _free_ports()
