"""The thread of an engine that gives the space of deleted and replaced rows back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

__all__ = ["Housekeeping"]

TICK_SECONDS = 0.25

logger = logging.getLogger(__name__)


class Space(Protocol):
    """What belongs to one collection."""

    def give_back(self) -> bool:
        """Give back what can be by now; whether nothing is left to do until something changes."""


class Housekeeping:
    """Looks at every space again and again until nothing is left to do; setting ``changed`` wakes it."""

    def __init__(self, spaces: Callable[[], Iterable[Space]]) -> None:
        self.changed = threading.Event()
        self._spaces = spaces
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="colmilvus-housekeeping", daemon=True)
        self._thread.start()

    def stop(self, *, wait: bool) -> None:
        """End after the present look at a collection."""
        self._stopped.set()
        self.changed.set()
        if wait:
            self._thread.join()

    def _work(self) -> None:
        done = False
        while not self._stopped.is_set():
            self.changed.wait(None if done else TICK_SECONDS)
            self.changed.clear()
            done = True
            for space in self._spaces():
                if self._stopped.is_set():
                    return
                done &= _give_back(space)
            # However much is written, there is no more than one look in this time.
            self._stopped.wait(TICK_SECONDS)


def _give_back(space: Space) -> bool:
    try:
        return space.give_back()
    except Exception:
        logger.exception("space could not be given back")
        return True
