"""Kills a writer at random moments and checks what it leaves, as often as it is told: ``make soak``.

Then many processes work at once, and one searches 10,000 times, in every way. ``make soak ROUNDS=0`` does these alone.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.embedded.soaking import Ledger, one_round
from tests.embedded.test_concurrency import run
from tests.embedded.test_leaks import grown


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


def soak_many(seconds: float, searches: int) -> None:
    """Many processes at once for so long, owners of the engine being killed; then so many searches in a row."""
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        run(Path(folder, "many.db"), seconds, 5)
        sizes = grown(Path(folder, "flat.db"), searches)
    print(f"{seconds:.0f} s of many processes, {searches:,} searches: nothing lost, nothing grown", flush=True)  # noqa: T201
    for name, (before, after) in zip(("the engine's process", "the one that searched"), sizes, strict=True):
        print(f"{name}: after a fifth {before}, after all {after}", flush=True)  # noqa: T201


if __name__ == "__main__":
    soak(int(sys.argv[1]))
    soak_many(60, 10_000)
