"""Whether the process has read from the disk lately, as the system counts it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from colmilvus.embedded import disk
from colmilvus.embedded.disk import Disk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a file is put out of memory by a call of Linux")

SIZE = 8 << 20


def read_cold(path: Path) -> None:
    """Read a file from the disk itself."""
    with path.open("r+b", buffering=0) as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(1 << 20):
            pass


def blocks_read() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock


def test_reading_is_noticed_and_forgotten_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LATELY", 0.05)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    watched = Disk()
    assert watched.read_lately()  # nobody knows better at first
    deadline = time.monotonic() + 30
    while watched.read_lately():  # other threads of the tests may read
        assert time.monotonic() < deadline
        time.sleep(0.06)
    before = blocks_read()
    read_cold(path)
    if blocks_read() == before:
        # As where it lies in memory alone: no page is asked for ahead there, and none has to be.
        pytest.skip("this file system does not count what is read from it")
    assert watched.read_lately()
    monkeypatch.setattr(disk, "LATELY", 60.0)
    assert watched.read_lately()  # for a while


def test_what_is_in_memory_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LATELY", 0.05)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    watched = Disk()
    for _ in range(100):  # one of them is enough: other threads of the tests may read from the disk meanwhile
        watched.read_lately()
        time.sleep(0.06)
        path.read_bytes()
        if not watched.read_lately():
            return
    pytest.fail("what lies in memory was taken for read from the disk a hundred times")
