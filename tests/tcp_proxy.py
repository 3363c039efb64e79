"""A network that is slow, that cuts connections and that swallows what is sent, between a client and a server."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

from typing_extensions import Self

__all__ = ["Network"]

CHUNK = 1 << 16


class Network:
    """Passes on what is sent to ``port`` to another port of this machine, and back, while it is open.

    ``delay`` is how many seconds each piece is under way; ``cut`` how probable it is that a piece ends its connection
    instead of arriving, as drawn from ``seed``; ``is_silent`` has everything that is sent disappear; ``is_mute`` has
    new connections made and never answered.
    """

    def __init__(self, server: int, seed: int = 0) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = int(self._listener.getsockname()[1])
        self.delay = 0.0
        self.cut = 0.0
        self.is_silent = False
        self.is_mute = False
        self.cuts = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def cut_all(self) -> None:
        """End all connections at once."""
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if self.is_mute:
                    threading.Thread(target=self._swallow, args=(client,), daemon=True).start()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._server), 5)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._open |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _swallow(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        with suppress(OSError), client:
            while client.recv(CHUNK):
                pass
        with self._lock:
            self._open.remove(client)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while (piece := source.recv(CHUNK)) and not self._is_cut():
                time.sleep(self.delay)
                if not self.is_silent:
                    target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the other direction ends too, and then both are closed
        with self._lock:
            if {source, target} <= self._open:
                self._open -= {source, target}
            else:
                source.close()
                target.close()

    def _is_cut(self) -> bool:
        with self._lock:
            is_cut = self._random.random() < self.cut
            self.cuts += is_cut
        return is_cut
