"""Processes that open a database beside the test; forked, where that is possible, from one that has imported all."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from colmilvus.embedded import address, connect

__all__ = ["Program", "program"]


def run(path: str, told: Connection) -> None:
    """Open the database, and evaluate one expression after the other until there are no more, or none for a minute."""
    faulthandler.dump_traceback_later(60, exit=True)
    names = {"address": address, "client": connect(path), "path": path}
    names |= {"os": os, "signal": signal, "sys": sys, "threading": threading, "time": time}
    told.send("ready")
    with suppress(EOFError):
        while True:
            expression = told.recv()
            faulthandler.dump_traceback_later(60, exit=True)
            told.send(eval(expression, names))


class Program:
    """A process with a ``client`` of the path, which answers expressions."""

    def __init__(self, path: Path, *, waits: bool = True, work: Callable[[str, Connection], None] = run) -> None:
        self.path = path
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["colmilvus.embedded.clients", __name__])
        self._heard, told = context.Pipe()
        self.process = context.Process(target=work, args=(str(path), told))
        self.process.start()
        told.close()
        if waits:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        assert self.answer() == "ready"

    def ask(self, expression: str) -> None:
        """Begin to evaluate an expression there."""
        self._heard.send(expression)

    def answer(self) -> Any:
        """What was asked for."""
        return self._heard.recv()

    def __call__(self, expression: str) -> Any:
        self.ask(expression)
        return self.answer()

    def end(self) -> int:
        """Let it end by itself, without closing anything; its exit code."""
        self._heard.close()
        self.process.join(30)
        return int(self.process.exitcode)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(30)
        self._heard.close()


@contextmanager
def program(path: Path, work: Callable[[str, Connection], None] = run) -> Iterator[Program]:
    """One of these, killed at the end if it is still there."""
    found = Program(path, work=work)
    try:
        yield found
    finally:
        found.kill()
