"""Processes that each hold one system of the benchmark of the engine, and what they take of memory and disk.

A worker is a fresh process that does what it is told over a pipe and says how long that took, so that two systems can
be asked in turn, the memory of each is its own, and one can be started with nothing in the page cache or within a
control group that ends it when it takes more than a limit.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
GROUP = "colmilvus-benchmark"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Worker:
    """A process that holds one system; every call gives what the system gave, and the seconds that it took there.

    ``peak`` is the most anonymous memory that it had, in MiB, since it was set to 0 last. Raises WorkerEnded where the
    process ended by itself.
    """

    def __init__(self, name: str, folder: Path, *, group: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, name, folder, group), name=name)
        with _environment(ONE_THREAD if name.startswith(("numpy", "qdrant")) else {}):
            self._process.start()
        end.close()
        self.name = name
        self.peak = 0.0
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._answer()

    def __call__(self, method: str, *arguments: Any) -> tuple[Any, float]:
        with suppress(OSError):  # where it has ended, the answer says so
            self._pipe.send((method, arguments))
        return self._answer()

    def anonymous(self) -> float:
        """The anonymous memory of the process in MiB, from smaps_rollup; 0 where the system does not tell."""
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Anonymous:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def close(self) -> None:
        with suppress(OSError):
            self._pipe.send(None)
        self._process.join(60)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._is_over.set()
        self._watcher.join()
        self._pipe.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> tuple[Any, float]:
        try:
            answer, seconds = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(10)
            raise WorkerEnded(f"{self.name} ended with code {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer, seconds

    def _watch(self) -> None:
        """RssAnon twenty times a second, for it is cheap; smaps_rollup, which walks the pages, every two seconds."""
        for number in range(1 << 62):
            self.peak = max(self.peak, self._resident() if number % 40 else self.anonymous())
            if self._is_over.wait(0.05):
                return

    def _resident(self) -> float:
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
        return 0.0


class WorkerEnded(Exception):
    """A worker's process ended by itself, as it does when it takes more memory than its control group gives."""


def _serve(pipe: Connection, name: str, folder: Path, group: Path | None) -> None:
    if group is not None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
    from benchmarks.systems import SYSTEMS

    system = SYSTEMS[name](folder)
    pipe.send((None, 0.0))
    while (told := pipe.recv()) is not None:
        method, arguments = told
        begun = time.perf_counter()
        try:
            answer = getattr(system, method)(*map(_mapped, arguments))
        except Exception as error:  # goes to whoever asked
            answer = RuntimeError(f"{name}: {type(error).__name__}: {error}")
        pipe.send((answer, time.perf_counter() - begun))
    with suppress(Exception):
        system.close()


def _mapped(argument: Any) -> Any:
    """Pages travel as the file that they lie in, with the first and the number of them."""
    if isinstance(argument, Stretch):
        return np.load(argument.file, mmap_mode="r")[argument.first : argument.first + argument.count]
    return argument


class Stretch:
    """Some of the pages in a file of vectors."""

    def __init__(self, file: Path, first: int, count: int) -> None:
        self.file, self.first, self.count = file, first, count


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """A control group whose processes may use ``limit`` bytes of memory in all, page cache too; None without rights."""
    path = _made_group(limit)
    try:
        yield path
    finally:
        if path is not None:
            with suppress(OSError):
                path.rmdir()


def _made_group(limit: int) -> Path | None:
    for parent, file in (
        (Path("/sys/fs/cgroup"), "memory.max"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    ):
        path = parent / GROUP
        if not (parent / "cgroup.procs").exists():
            continue
        with suppress(OSError):
            path.mkdir(exist_ok=True)
            (path / file).write_text(str(limit))
            return path
    return None


def drop_from_page_cache(folder: Path) -> None:
    """Take a folder's files out of the page cache; those that a process has mapped stay."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def bytes_on_disk(folder: Path) -> int:
    """What a folder's files take on disk."""
    found = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            status = file.stat()
            found += getattr(status, "st_blocks", 0) * 512 or status.st_size
    return found


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    return float(np.quantile(values, share)) if values else float("nan")


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of what was measured in turn."""
    return statistics.median([one / other for one, other in zip(ours, theirs, strict=True)])
