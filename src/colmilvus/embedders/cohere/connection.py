"""The client that talks to Cohere, the caller's own or one that is made here."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from colmilvus.errors import EmbeddingServiceError, InvalidInput, MissingExtra

if TYPE_CHECKING:
    import httpx
    from cohere import ClientV2, EmbedByTypeResponse

__all__ = ["Connection"]


class Connection:
    """A ``cohere.ClientV2`` and the headers of what it was answered; its own client is closed with it.

    Raises MissingExtra without the ``cohere`` extra, and InvalidInput for a client together with a key or an address,
    for no key, for one that no request can carry, and for an address that is none.
    """

    def __init__(self, client: ClientV2 | None, api_key: str | None, base_url: str | None) -> None:
        try:
            import cohere
            import tenacity  # noqa: F401 - what is missing is to be said here, not at the first failure
        except ImportError as error:
            raise MissingExtra("CohereEmbedder", "cohere") from error
        self._last = _LastAnswer()
        if client is None:
            self._client = self._own_client(_key(api_key), base_url)
        elif api_key is not None or base_url is not None:
            raise InvalidInput("client= has a key and an address of its own; leave api_key= and base_url= out")
        elif not isinstance(client, cohere.ClientV2):
            raise InvalidInput(f"client is a cohere.ClientV2; got {type(client).__name__}")
        else:
            self._client = client

    def embed(self, request: Mapping[str, Any], timeout: float) -> EmbedByTypeResponse:
        """Send one request once; ``timeout`` is in seconds. Raises what cohere and httpx raise, but never the key."""
        import httpx

        once = {"max_retries": 0, "timeout_in_seconds": timeout}  # repeated in one place only, by Patience
        try:
            return self._client.embed(**request, request_options=once)  # type: ignore[arg-type]  # floats are taken
        except httpx.LocalProtocolError:  # it quotes the header that holds the key
            raise EmbeddingServiceError("no request can be sent with the key of the client; check it") from None

    def headers(self, error: Exception) -> Mapping[str, str]:
        """The headers of the answer that an error stands for, as far as they are known."""
        return getattr(error, "headers", None) or self._last.headers

    def _own_client(self, key: str, base_url: str | None) -> ClientV2:
        import cohere
        import httpx

        http = httpx.Client(follow_redirects=True, event_hooks={"response": [self._last.note]})
        weakref.finalize(self, http.close)
        return cohere.ClientV2(key, httpx_client=http, **_address(base_url))


class _LastAnswer(threading.local):
    """The headers of the last answer in this thread: the errors of cohere 5.15 do not carry them."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    def note(self, response: httpx.Response) -> None:
        self.headers = response.headers


def _key(given: str | None) -> str:
    key = (given or os.environ.get("CO_API_KEY") or os.environ.get("COHERE_API_KEY") or "").strip()
    if not key:
        raise InvalidInput("CohereEmbedder needs a key: pass api_key=, or set the environment variable CO_API_KEY")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidInput("the key holds characters that no key has; check api_key=, or CO_API_KEY")
    return key


def _address(base_url: str | None) -> dict[str, Any]:
    """What tells the client its address; nothing for Cohere's own."""
    import httpx

    if base_url is None:
        base_url = os.environ.get("CO_API_URL")  # cohere itself reads it once, when it is imported
    if base_url is None:
        return {}
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(f"base_url is an address such as https://api.cohere.com; got {base_url!r}")
    return {"base_url": base_url.rstrip("/")}  # cohere 5.15 would ask for //v2/embed
