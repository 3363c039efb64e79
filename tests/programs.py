"""Examples as programs in processes of their own, and what they keep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colmilvus import Collection

__all__ = ["OF_PROVIDERS", "Program", "interruptible", "page_of"]

OF_PROVIDERS = ("LANGCHAIN", "LANGSMITH", "LLAMA_INDEX", "OPENAI")
"""How variables of the environment begin that would tell an example to ask somebody else."""
UNWANTED = (*OF_PROVIDERS, "PYTHONPATH", "PYTHONUNBUFFERED")


class Program:
    """An example in a process of its own: what it has printed up to now, and what it is told."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
        self.out = self.err = ""
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**kept, **environment, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=("out", self.process.stdout)),
            threading.Thread(target=self._read, args=("err", self.process.stderr)),
        ]

    def __enter__(self) -> Program:
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.end()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()

    def _read(self, name: str, stream: IO[str]) -> None:
        while character := stream.read(1):
            setattr(self, name, getattr(self, name) + character)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Returns when this is the last that was printed, for so many times."""
        until = time.monotonic() + 60
        while not (self.out.endswith(text) and self.out.count(text) >= times):
            assert time.monotonic() < until, f"{text!r} was not printed, but {self.out!r} and {self.err!r}"
            assert self.process.poll() is None or self.out.endswith(text), self.err
            time.sleep(0.01)

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def interrupt(self) -> int:
        """Ctrl-C; again if it came just before the program waited for a line, which does not hear it then."""
        for _ in range(3):
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=15)
                break
        return self.end()

    def end(self) -> int:
        """The code with which it ends; all that it printed is read then."""
        code = self.process.wait(timeout=60)
        for reader in self._readers:
            reader.join()
        return code


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches programs started here, also where this one runs in the background and has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def page_of(picture: Image.Image, database: Path, collection: str) -> str:
    """The id of the page that this is a picture of, of all that an example has kept in a collection."""
    with Collection(collection, uri=database) as pages:
        kept = pages.get([f"{name}#{page}" for name in pages.documents() for page in range(1, 12)])
    apart = {page.id: float(np.abs(in_grey(picture) - in_grey(Image.open(str(page.image)))).mean()) for page in kept}
    nearest, second, *_ = sorted(apart, key=lambda name: apart[name])
    assert apart[nearest] < apart[second] / 5
    return nearest


def in_grey(picture: Image.Image) -> NDArray[np.float64]:
    with picture:
        return np.asarray(picture.convert("L").resize((500, 700)), dtype=float)
