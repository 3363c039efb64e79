"""Kills a writer at random moments and checks what it leaves, as often as it is told: ``make soak``."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.embedded.soaking import Ledger, one_round


def soak(rounds: int) -> None:
    """Kill and check as often as that, in a folder that is kept where a check fails."""
    path, ledger, seed = Path(tempfile.mkdtemp(prefix="soak")) / "kb.db", Ledger(), time.time_ns()
    print(f"{path}, seed {seed}", flush=True)  # noqa: T201
    rng, started = random.Random(seed), time.monotonic()
    for turn in range(rounds):
        ledger.note(one_round(path, turn * 1000, rng.randint(1, 100), rng.uniform(0, 0.3)))
        ledger.check(path)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(  # noqa: T201
            f"round {turn + 1}: {ledger.events} events, {size:,} bytes, {time.monotonic() - started:.0f} s", flush=True
        )


if __name__ == "__main__":
    soak(int(sys.argv[1]))
