"""Long runs leak nothing: memory, open files and threads are flat, where the engine runs and where it is joined."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from colmilvus.embedded import connect
from tests.embedded.pages import create, draw, query, rows, search
from tests.embedded.processes import Program, program

__all__ = ["check_flat"]

# open files, threads, and bytes that are in memory
MEASURE = (
    "(len(os.listdir('/proc/self/fd')), threading.active_count(), "
    "int(__import__('pathlib').Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE'))"
)
GROWTH = 8 << 20


def check_flat(client: MilvusClient, owner: Program, searches: int) -> None:
    """Search so often, and find both processes as they were after the first fifth."""
    create(client)
    client.insert("pages", rows(draw(1, 20)))
    sizes = []
    for part in range(5):
        for number in range(searches // 5):
            search(client, query(number % 7))
            if number % 50 == 0:
                connect(owner.path).close()
        if part in (0, 4):
            sizes.append((owner(MEASURE), here()))
    for before, after in zip(*sizes, strict=True):
        assert after[:2] == before[:2]
        assert after[2] <= before[2] + GROWTH


def here() -> tuple[int, int, int]:
    found: tuple[int, int, int] = eval(MEASURE, {"os": os, "threading": threading})
    return found


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_searches_leave_memory_files_and_threads_as_they_were(path: Path) -> None:
    with program(path) as owner:
        client = connect(path)
        check_flat(client, owner, 1000)
        client.close()
