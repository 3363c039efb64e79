"""A server that speaks Cohere's /v2/embed: its limits, its words of refusal, and whatever goes wrong on the way.

What it refuses, and in which words, is that of Cohere's documentation. The vector of a text is the sum of those of its
words, so that texts with words in common are near one another; the vector of a picture is given by its data URI.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from socket import SHUT_RDWR
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.local_server import LocalServer

KEY = "the-right-key"
DIMENSIONS = {
    "embed-v4.0": 1536,
    "embed-english-v3.0": 1024,
    "embed-multilingual-v3.0": 1024,
    "embed-multilingual-light-v3.0": 384,
    "private-model": 7,
}
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")

Json: TypeAlias = dict[str, Any]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


def vector_of(text: str, dim: int) -> NDArray[np.float32]:
    """The vector that the server gives for a text or for the data URI of a picture."""
    words = [text] if text.startswith("data:") else text.split()
    total = np.sum([_word(word, dim) for word in words], axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


@lru_cache(maxsize=4096)
def _word(word: str, dim: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dim)


class CohereServer(LocalServer):
    """Answers at ``url`` while it is open.

    ``requests`` are the bodies of those that came in. ``faults`` are taken one a request, None for an answer as it
    should be; ``always`` for every one that has none. ``delay`` is the seconds that a request takes, by its body, and
    ``most_at_once`` how many were there together. A text has at most ``most_words``.
    """

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[Json] = []
        self.headers: list[Mapping[str, str]] = []
        self.times: list[float] = []
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.delay: Callable[[Json], float] = lambda _: 0.0
        self.most_words = 1000
        self.too_long = "too many tokens: total number of tokens in the prompt cannot exceed {most} - received {words}."
        self.most_at_once = 0
        self._present = 0
        self._lock = threading.Lock()

    def arrived(self, body: Json, headers: Mapping[str, str]) -> Fault | None:
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self._present += 1
            self.most_at_once = max(self.most_at_once, self._present)
            return self.faults.popleft() if self.faults else self.always

    def left(self) -> None:
        with self._lock:
            self._present -= 1

    def answer(self, body: Json) -> Json:
        model = body.get("model", "")
        if model not in DIMENSIONS:
            raise Refused(404, f"model '{model}' not found, make sure the correct model ID was used.")
        if "embedding_types" not in body:
            raise Refused(400, "embedding_types parameter is required")
        if body.get("input_type") not in INPUT_TYPES:
            raise Refused(400, "invalid request: valid input_type must be provided with the provided model")
        contents, billed = self._contents(body, old="v3" in model)
        dim = body.get("output_dimension", DIMENSIONS[model])
        rows = [[float(value) for value in vector_of(content, dim)] for content in contents]
        return {
            "id": "b5a07e0f",
            "embeddings": {"float": rows},
            "texts": body.get("texts", []),
            "meta": {"api_version": {"version": "2"}, "billed_units": billed},
            "response_type": "embeddings_by_type",
        }

    def _contents(self, body: Json, old: bool) -> tuple[list[str], Json]:
        if old and "output_dimension" in body:
            raise Refused(400, "invalid request: output_dimension is not supported with the provided model")
        if sum(kind in body for kind in ("texts", "images", "inputs")) != 1:
            raise Refused(400, "invalid request: exactly one of texts, images or inputs must be provided")
        if "texts" in body:
            return self._texts(body, body["texts"])
        parts = [part for one in body.get("inputs", []) for part in one["content"]]
        if parts and all(part["type"] == "text" for part in parts):
            return self._texts(body, [" ".join(part["text"] for part in one["content"]) for one in body["inputs"]])
        if old and parts:
            raise Refused(400, "invalid request: inputs with pictures are not supported with the provided model")
        uris = _pictures(body, old)
        pixels = [_pixels(uri) for uri in uris]
        return uris, {"images": len(uris), "image_tokens": sum(pixels) // 784}

    def _texts(self, body: Json, texts: list[str]) -> tuple[list[str], Json]:
        if len(texts) > 96:
            raise Refused(400, f"invalid request: total number of texts must be at most 96 - received {len(texts)}")
        if body["input_type"] == "image":
            raise Refused(400, "invalid request: images must be used with input_type=image")
        for index, text in enumerate(texts):
            if not text.strip():
                raise Refused(400, f"invalid request: inputs contains an element that is empty at index {index}")
            words = len(text.split())
            if words > self.most_words and body.get("truncate", "END") == "NONE":
                raise Refused(400, self.too_long.format(most=self.most_words, words=words))
        cut = [" ".join(text.split()[: self.most_words]) for text in texts]
        return cut, {"input_tokens": sum(len(text.split()) for text in cut)}


def _pictures(body: Json, old: bool) -> list[str]:
    if "images" in body:
        if body["input_type"] != "image":
            raise Refused(400, "invalid request: images must be used with input_type=image")
        if old and len(body["images"]) > 1:
            raise Refused(400, "invalid request: total number of images must be at most 1")
        uris: list[str] = body["images"]
        # the newer model has been seen to make one vector of all of them
        return uris if old else [" ".join(uris)]
    if len(body["inputs"]) > 96 or body["input_type"] == "image":
        raise Refused(400, "invalid request: at most 96 inputs, and another input_type than image")
    contents = [part for one in body["inputs"] for part in one["content"]]
    assert all(part["type"] == "image_url" for part in contents)
    return [part["image_url"]["url"] for part in contents]


def _pixels(uri: str) -> int:
    head, _, encoded = uri.partition(",")
    content = base64.b64decode(encoded, validate=True)
    if head != "data:image/jpeg;base64" or len(uri) > 5_000_000:
        raise Refused(400, "invalid request: images must be data URIs of up to 5MB")
    with Image.open(BytesIO(content), formats=["JPEG"]) as picture:
        picture.load()
        return int(picture.width * picture.height)


class _Handler(BaseHTTPRequestHandler):
    server: CohereServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        fault = self.server.arrived(body, dict(self.headers))
        try:
            time.sleep(self.server.delay(body))
            with suppress(ConnectionError):
                if fault is None:
                    self.respond(body, length)
                else:
                    fault(self, body)
        finally:
            self.server.left()

    def respond(self, body: Json, length: int) -> None:
        try:
            if self.path != "/v2/embed":
                raise Refused(404, "404 page not found")
            if self.headers["Authorization"] != f"Bearer {KEY}":
                raise Refused(401, "invalid api token")
            if length > 20_000_000:
                raise Refused(413, "request entity too large")
            self.send(200, self.server.answer(body))
        except Refused as error:
            self.send(error.status, {"id": "f00", "message": error.message})

    def send(self, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        html = isinstance(content, str)
        encoded = str(content).encode() if html else json.dumps(content).encode()
        self.send_response(HTTPStatus(status) if status in HTTPStatus._value2member_map_ else status)
        self.send_header("Content-Type", "text/html" if html else "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: object) -> None:
        """The tests look at ``requests``."""


Fault: TypeAlias = Callable[[_Handler, Json], None]


def refusing(status: int, message: str = "no", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.send(status, {"message": message}, named)


def html(status: int = 200) -> Fault:
    return lambda handler, _: handler.send(status, "<html><body>A page\n of   some proxy</body></html>")


def answering(change: Callable[[Json], object]) -> Fault:
    """The right answer with something changed in it."""

    def answer(handler: _Handler, body: Json) -> None:
        handler.send(200, change(handler.server.answer(body)))

    return answer


def breaking_off(handler: _Handler, body: Json) -> None:
    """Half an answer, and the connection is gone."""
    encoded = json.dumps(handler.server.answer(body)).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(encoded)))
    handler.end_headers()
    handler.wfile.write(encoded[: len(encoded) // 2])
    handler.wfile.flush()
    handler.connection.shutdown(SHUT_RDWR)
    handler.close_connection = True
