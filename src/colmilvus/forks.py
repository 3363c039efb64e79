"""What a process that is forked has to begin anew: the threads that held a lock are not there to let it go."""

from __future__ import annotations

import os
import sys
import weakref
from _thread import RLock
from collections.abc import Callable

__all__ = ["Lock", "in_child"]


def in_child(function: Callable[[], object]) -> None:
    """Call the function in every process that is forked from this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


class Lock(RLock):  # type: ignore[misc]  # its stub says final, and it is not
    """A lock that a thread may enter again; in a forked process it is free, unless the thread that forked has it.

    >>> lock = Lock()
    >>> with lock, lock:
    ...     print("held")
    held
    """

    # Python's own, as it is: no interrupt can come between its taking and the block that it is taken for.

    def __init__(self) -> None:
        _LOCKS.add(self)


_LOCKS: weakref.WeakSet[Lock] = weakref.WeakSet()


def _begin_anew() -> None:
    for lock in list(_LOCKS):
        if not lock._is_owned():  # type: ignore[attr-defined]  # as in Python's own threading and logging
            lock._at_fork_reinit()  # type: ignore[attr-defined]
    bars = sys.modules.get("tqdm")
    if bars is not None:  # a bar takes its lock even where it is not shown
        bars.tqdm.set_lock(RLock())


in_child(_begin_anew)
