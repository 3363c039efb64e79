"""A program that ends without closing, while the engine works in the background: it ends cleanly, and costs nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from colmilvus import Collection, MultiVector

QUIET = "set()\n"
ROOT = Path(__file__).parents[2]
# What runs last when Python ends: a thread that is in a library's code after it may abort the process.
BEGIN = """
import atexit, sys, threading, time
BACKGROUND = {"colmilvus-housekeeping", "colmilvus-inverted-file"}
atexit.register(lambda: print(BACKGROUND & {thread.name for thread in threading.enumerate()}))
import numpy as np
from colmilvus import Collection, Entity
from colmilvus.embedded import connect
from colmilvus.embedded.inverted import lists, plan, quantizer

path, words = sys.argv[1], np.random.default_rng(3).standard_normal((200, 32)).astype(np.float32)
"""
# Learning takes a second, in the middle of which the program ends.
LEARNS = """
plan.SCANNED_BYTES, plan.VECTORS_A_LIST, quantizer.ROUNDS = 12 << 20, 64, 60
pages = Collection("pages", uri=path, dim=32)
random = np.random.default_rng(4)
drawn = (words[random.integers(200, size=400)] + random.standard_normal((400, 32), np.float32) for _ in range(300))
pages.add((Entity(str(n)) for n in range(300)), vectors=drawn, progress=False)
time.sleep(float(sys.argv[2]))
"""
INDEXED = """
plan.SCANNED_BYTES = 1 << 20
pages = Collection("pages", uri=path, dim=32)
random = np.random.default_rng(4)
drawn = (words[random.integers(200, size=100)] + random.standard_normal((100, 32), np.float32) for _ in range(300))
pages.add((Entity(str(n)) for n in range(300)), vectors=drawn, progress=False)
client = connect(path)
while any(client.describe_index("pages", name).get("pending_index_rows") for name in client.list_indexes("pages")):
    time.sleep(0.05)
client.close()
pages.close()
"""
# Files are compared with their checksums a few bytes at a time, so that the program ends before they are.
COMPARES = """
plan.SCANNED_BYTES = 1 << 20
lists.READ = 64
pages = Collection("pages", uri=path, dim=32)
assert pages.count() == 300
"""

# A third of the pages is deleted, and the others are copied, slowly, when the program ends.
COPIES = """
from colmilvus.embedded import collecting, vectors
from colmilvus.embedded.lite import space

vectors.SEGMENT_BYTES, collecting.LEAST_BYTES, collecting.CHUNK_BYTES = 1 << 20, 1 << 10, 1 << 12
space.QUIET_SECONDS = space.PAUSE_SECONDS = 0.1
copied, copy = threading.Event(), collecting.Collecting._copy_chunk

def slowly(self, *arguments):
    copied.set()
    time.sleep(0.2)
    return copy(self, *arguments)

collecting.Collecting._copy_chunk = slowly
pages = Collection("pages", uri=path, dim=32)
pages.add((Entity(str(n)) for n in range(900)), vectors=(words[:20] for _ in range(900)), progress=False)
pages.delete([str(n) for n in range(0, 900, 3)])
assert copied.wait(30)
print("copying", flush=True)
sys.argv[2:] or sys.exit()
began = time.monotonic()
pages.close()
print(time.monotonic() - began < 5)
"""


def run(program: str, path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + program, str(path), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def indexes(path: Path) -> dict[str, int]:
    """When each file of the inverted file was written."""
    return {file.name: file.stat().st_mtime_ns for file in path.rglob("*") if file.suffix in {".codes", ".rows"}}


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0])
def test_in_the_middle_of_learning(tmp_path: Path, seconds: float) -> None:
    ended = run(LEARNS, tmp_path / "kb.db", seconds)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, QUIET, "")


def test_while_the_inverted_file_is_compared_with_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    written = run(INDEXED, path)
    assert written.returncode == 0, written.stderr
    before = indexes(path)
    assert before
    ended = run(COMPARES, path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, QUIET, "")
    assert indexes(path) == before


@pytest.mark.parametrize("closes", [False, True])
def test_while_space_is_given_back(tmp_path: Path, closes: bool) -> None:
    path, began = tmp_path / "kb.db", time.monotonic()
    ended = run(COPIES, path, *["closes"] * closes)
    said = "copying\n" + "True\n" * closes + QUIET
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
    assert time.monotonic() - began < 30, "the copy alone takes minutes"
    with Collection("pages", uri=path, dim=32) as pages:
        assert pages.count() == 600
        assert len(pages.search(MultiVector(np.ones((1, 32))), k=600)) == 600, "every vector is read and checked"
