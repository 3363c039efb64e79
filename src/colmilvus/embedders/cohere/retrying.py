"""How often, and after which pauses, a request that failed is sent again."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from colmilvus.embedders.cohere.connection import Connection

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

__all__ = ["Patience", "status_of"]

ATTEMPTS = 8
SHORTEST = 0.5
"""The least part of its length that a pause takes; the rest is left to chance, so that calls come back apart."""


class Patience:
    """Up to 8 attempts with at most ``max_wait`` seconds of pauses between them; 0 tries once.

    Each pause is up to twice as long as the one before. Where the service says how long to wait, that long; what it
    says beyond ``max_wait`` is not waited for.
    """

    def __init__(self, connection: Connection, max_wait: float) -> None:
        self._connection = connection
        self._max_wait = max_wait

    def retrying(self, given_up: threading.Event) -> Retrying:
        """What calls a function again where that may help; it stops, and wakes up, when the event is set.

        The error of the last attempt is raised as it is.
        """
        import tenacity

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=self._pause,
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(ATTEMPTS),
                tenacity.stop_when_event_set(given_up),
                self._has_run_out,  # type: ignore[arg-type]  # a function does
            ),
            sleep=tenacity.sleep_using_event(given_up),
            reraise=True,
        )

    def _pause(self, state: RetryCallState) -> float:
        asked = self._asked_pause(state)
        if asked > 0:
            return min(asked * random.uniform(1, 1.1), self._max_wait - state.idle_for)  # noqa: S311
        # 1, 2, 4 ... 64 of 127 parts: together all of max_wait at most
        longest = self._max_wait * 2.0 ** (state.attempt_number - 1) / (2.0 ** (ATTEMPTS - 1) - 1)
        return min(longest * random.uniform(SHORTEST, 1), self._max_wait - state.idle_for)  # noqa: S311

    def _has_run_out(self, state: RetryCallState) -> bool:
        return state.idle_for >= self._max_wait or state.idle_for + self._asked_pause(state) > self._max_wait

    def _asked_pause(self, state: RetryCallState) -> float:
        """The seconds that the service asks to wait; 0 where it says nothing."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, Exception) or status_of(error) is None:
            return 0.0
        return _retry_after(self._connection.headers(error))


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error stands for; None where there was no answer."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    import httpx

    status = status_of(error)
    if status is not None:
        return status in (408, 429, 499) or status >= 500  # for 499, request cancelled, Cohere says: try again
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of a Retry-After header, which holds them or a date; 0 where there is none that can be read."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
