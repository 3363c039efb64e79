"""A process that is killed in the middle of a call; forked, where that is possible, from one that has imported all."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable

from colmilvus.embedded import connect

__all__ = ["KILLED", "end_of", "killed_at"]

KILLED = 9


def killed_at(path: str, step: int, call: str) -> None:
    """Run a call of the client of a folder, and end the process at the nth step that changes a file or a folder."""
    client = connect(path)
    left = step

    def counted(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event not in ("os.remove", "os.rename", "os.rmdir", "os.mkdir") and not (
            event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        ):
            return
        left -= 1
        if left == 0:
            os._exit(KILLED)

    sys.addaudithook(counted)
    exec(call, {"client": client})
    os._exit(0)


def end_of(target: Callable[..., None], *args: object) -> int | None:
    """The exit code of a process that runs the function; None where it has not ended after 100 s."""
    if sys.platform == "win32":
        process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    else:
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload([__name__, "pymilvus", "milvus_lite"])
        process = forking.Process(target=target, args=args)
    process.start()
    process.join(100)
    code: int | None = process.exitcode
    process.kill()
    return code
