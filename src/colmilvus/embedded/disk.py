"""Whether this process has had to read from the disk lately, so that asking for pages ahead is worth its time."""

from __future__ import annotations

import sys
import time

__all__ = ["Disk"]

LATELY = 2.0
"""Seconds."""


class Disk:
    """Remembers when the process last read from the disk, as far as the system counts it."""

    def __init__(self) -> None:
        self._count = -1
        self._read = 0.0

    def read_lately(self) -> bool:
        """Whether anything was read in the last two seconds, as seen by those who asked; yes at the first time."""
        count, now = _reads(), time.monotonic()
        if count != self._count:
            self._count, self._read = count, now
        return now - self._read < LATELY


if sys.platform == "win32":

    def _reads() -> int:
        return 0

else:
    import resource

    def _reads() -> int:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        # Faults tell where reading is not counted: by a network, or by a machine around this one.
        return usage.ru_inblock + usage.ru_majflt
