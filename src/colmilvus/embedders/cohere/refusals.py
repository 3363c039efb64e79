"""What is said of a request that came to nothing: how often it was tried, what Cohere answered, and what to do."""

from __future__ import annotations

import re
from textwrap import shorten
from typing import Any

from colmilvus.embedders.cohere.retrying import status_of
from colmilvus.errors import EmbeddingServiceError

__all__ = ["TooLong", "refusal"]

TOO_LONG = re.compile(
    r"too (many tokens|long|large)|exceeds?\b.*\b(token|length|limit|maximum)|(token|length|maximum)\w*\b.*\bexceed"
    r"|longer than|maximum (context|input|sequence|token)|(context|input|sequence|token) (length|limit)",
    re.IGNORECASE | re.DOTALL,
)
"""Cohere documents "too many tokens: ..." only; proxies and other hosts of its models word it in their own ways."""
ADVICE = {
    401: "check api_key=, or the environment variable CO_API_KEY",
    403: "check that the key may use this model",
    404: "check model=, and base_url= if there is one",
    429: "lower concurrency=, raise max_wait=, or use a key with a higher rate limit",
}
LATER = "try again later, or raise max_wait="


class TooLong(EmbeddingServiceError):
    """An input, or all of a request together, is longer than the model or the service takes."""


def refusal(error: Exception, what: str, tried: int) -> EmbeddingServiceError:
    """The error to raise for ``what``, such as "3 texts with 'embed-v4.0'", after so many attempts."""
    status = status_of(error)
    times = "once" if tried == 1 else f"{tried} times"
    start = f"Cohere did not embed {what}, tried {times}:"
    if status is None:
        return EmbeddingServiceError(f"{start} {_failure(error)}")
    message = _message(getattr(error, "body", None))
    if status < 400:
        return EmbeddingServiceError(f"{start} it answered with something else than JSON: {message!r}; check base_url=")
    kind = TooLong if status == 413 or (status in (400, 422) and TOO_LONG.search(message)) else EmbeddingServiceError
    advice = ADVICE.get(status, LATER if status in (408, 499) or status >= 500 else "")
    did = "refused the key with" if status == 401 else "answered"
    return kind(f"{start} it {did} status {status}, {message!r}{advice and '; '}{advice}")


def _failure(error: Exception) -> str:
    """What came in the way of an answer."""
    import httpx

    name = type(error).__name__
    if isinstance(error, httpx.HTTPError):
        return f"no answer came ({name}: {error}); check the network, and base_url= if there is one, or raise timeout="
    return f"its answer could not be read ({name}: {error})"


def _message(body: Any) -> str:
    """Cohere's own words, ``{"message": ...}``, or the beginning of whatever was answered."""
    words = body.get("message", body) if isinstance(body, dict) else body
    return shorten(str(words), 300, placeholder=" ...")
