"""A process killed at any moment, while many threads write and search: what it acknowledged is there, whole."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from colmilvus.embedded import connect
from tests.embedded.pages import count, create, row, stored
from tests.embedded.soaking import Ledger, has_codes, one_round, patches

ROUNDS = 20

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def test_everything_acknowledged_before_a_kill_is_there_and_nothing_is_half_there(tmp_path: Path) -> None:
    path, rng, ledger = tmp_path / "kb.db", random.Random(time.time_ns()), Ledger()
    left = 0
    for turn in range(ROUNDS):
        # Else on a machine that is busy no process may come to an inverted file before it is killed.
        coded = turn % 4 == 1
        ledger.note(one_round(path, turn * 1000, rng.randint(1, 40), rng.uniform(0, 0.05), coded=coded))
        left += has_codes(path)
        ledger.check(path)
    assert ledger.events > ROUNDS * 10
    assert left, "some were killed with inverted files"


def test_a_log_that_outlived_its_flush_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    client = connect(path)
    create(client, "MAX_SIM_IP")
    client.insert("pages", [row(key, patches(key, 1)) for key in range(10)])
    (folder,) = path.rglob("wal")
    logs = {file: file.read_bytes() for file in folder.iterdir() if "data" in file.name}
    client.delete("pages", ids=[3])
    client.close()
    for file, content in logs.items():
        assert not file.exists()
        file.write_bytes(content)
    client = connect(path)
    assert sorted(stored(client)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert count(client) == 9
    client.close()
