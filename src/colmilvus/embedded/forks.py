"""What happens to the engine when a process forks: the new one has its memory, but none of its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["FORKING", "in_child"]

FORKING = threading.RLock()
"""Held while the process forks, and for short while a file or socket is opened that a forked process has to close."""

_IN_CHILD: list[Callable[[], None]] = []


def in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Call the function in every process that is forked from this one, before anything else runs there."""
    _IN_CHILD.append(function)
    return function


def _begin_anew() -> None:
    FORKING.release()
    for function in _IN_CHILD:
        function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=FORKING.acquire, after_in_parent=FORKING.release, after_in_child=_begin_anew)
