"""A server that speaks OpenAI's chat completions: the answers of a script, and OpenAI's words where it refuses.

What it refuses, and in which words, is what OpenAI has been seen to refuse, or what its reference says.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, TypeAlias

from PIL import Image, UnidentifiedImageError

from tests.local_server import LocalServer

__all__ = ["KEY", "MODELS", "Answer", "ChatServer", "Json", "Refused", "ToolCalls", "pictures", "texts"]

KEY = "the-right-key"
MODEL = "scripted"
MODELS = (MODEL, "gpt-5-mini")  # LlamaIndex takes none for OpenAI that it does not know

Json: TypeAlias = dict[str, Any]

# What a request, and a message of each role, may hold; not all that OpenAI takes, but all that these tests send.
REQUEST = {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature", "n"}
MESSAGES = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {"text": {"type", "text"}, "image_url": {"type", "image_url"}}
DATA_URL = re.compile(r"data:image/(jpeg|png);base64,(.+)")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        super().__init__(message)


@dataclass(frozen=True)
class ToolCalls:
    """An answer that calls a tool once with each of these arguments."""

    name: str
    arguments: Sequence[Json]


Answer: TypeAlias = "str | ToolCalls | Callable[[Json], str | ToolCalls]"


class ChatServer(LocalServer):
    """Gives the answers of a script, one a request, at ``url`` while it is open.

    An answer is a text, calls of a tool, or a function of the request that returns either. ``requests`` are the bodies
    of those that were not refused, ``refused`` what was said to the others. Before each word of a streamed answer but
    the first, ``before_word`` is called.
    """

    def __init__(self, *answers: Answer) -> None:
        super().__init__(_Handler)
        self.url += "/v1"
        self.answers = list(answers)
        self.requests: list[Json] = []
        self.refused: list[str] = []
        self.before_word: Callable[[], object] = lambda: None
        self._calls = 0
        self._lock = threading.Lock()

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a program ask this server where it would ask OpenAI."""
        addresses = {"OPENAI_BASE_URL": self.url, "OPENAI_API_BASE": self.url}  # LlamaIndex knows the older name alone
        return {**addresses, "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}

    def message(self, body: Json) -> Json:
        """The assistant's message that answers a request. Raises Refused."""
        with self._lock:
            _check_request(body)
            self.requests.append(body)
            if not self.answers:
                raise Refused(400, "the script has no answer to this request")
            answer = self.answers.pop(0)
            said = answer(body) if callable(answer) else answer
            if isinstance(said, str):
                return {"role": "assistant", "content": said}
            known = {tool["function"]["name"] for tool in body.get("tools", [])}
            if said.name not in known:
                raise Refused(400, f"the script calls a tool {said.name}, and the request has {known}")
            return {
                "role": "assistant",
                "content": None,
                "tool_calls": [self._call(said, one) for one in said.arguments],
            }

    def _call(self, said: ToolCalls, arguments: Json) -> Json:
        self._calls += 1
        function = {"name": said.name, "arguments": json.dumps(arguments)}
        return {"id": f"call_{self._calls}", "type": "function", "function": function}


def texts(message: Json) -> str:
    """What a message says, its parts one a line."""
    content = message["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def pictures(body: Json) -> list[tuple[str, Image.Image]]:
    """The pictures of a request, each with the text that stands before it."""
    found = []
    for message in body["messages"]:
        before = ""
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part["type"] == "text":
                before = part["text"].removesuffix("\n")
            else:
                found.append((before, _decoded(part["image_url"]["url"])))
    return found


def _check_request(body: Json) -> None:
    if unknown := sorted(body.keys() - REQUEST):
        raise Refused(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
    if body.get("model") not in MODELS:
        message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
        raise Refused(404, message, "model_not_found")
    for tool in body.get("tools", []):
        if not TOOL_NAME.fullmatch(tool["function"]["name"]) or tool["function"]["parameters"]["type"] != "object":
            raise Refused(400, "Invalid 'tools': a name of letters and a schema of an object are expected")
    for number, message in enumerate(body["messages"]):
        _check_message(message, f"messages[{number}]")
    _check_calls(body["messages"])


def _check_message(message: Json, where: str) -> None:
    role = message.get("role")
    if role not in MESSAGES:
        raise Refused(400, f"Invalid value: '{role}'. Supported values are: {', '.join(map(repr, MESSAGES))}.")
    if unknown := sorted(message.keys() - MESSAGES[role]):
        raise Refused(400, f"Unknown parameter: '{where}.{unknown[0]}'.", "unknown_parameter")
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return
    if not isinstance(content, str | list) or content == []:
        raise Refused(400, f"Invalid type for '{where}.content': expected one of a string or array of objects.")
    for number, part in enumerate(content if isinstance(content, list) else []):
        _check_part(part, role, where, f"{where}.content[{number}]")


def _check_part(part: Json, role: str, message: str, where: str) -> None:
    kind = part.get("type")
    if kind not in PARTS:
        raise Refused(400, f"Invalid value: '{kind}'. Supported values are: {', '.join(map(repr, PARTS))}.")
    if unknown := sorted(part.keys() - PARTS[kind]):
        raise Refused(400, f"Unknown parameter: '{where}.{unknown[0]}'.", "unknown_parameter")
    if kind == "text":
        if not isinstance(part["text"], str):
            raise Refused(400, f"Invalid type for '{where}.text': expected a string.")
        return
    if role != "user":
        raise Refused(
            400,
            f"Invalid '{message}'. Image URLs are only allowed for messages with role 'user', but this message with "
            f"role '{role}' contains an image URL.",
            "invalid_value",
        )
    if unknown := sorted(part["image_url"].keys() - {"url", "detail"}):
        raise Refused(400, f"Unknown parameter: '{where}.image_url.{unknown[0]}'.", "unknown_parameter")
    _decoded(part["image_url"]["url"])


def _decoded(url: str) -> Image.Image:
    told = DATA_URL.fullmatch(url)
    if told is None:
        raise Refused(400, "Invalid image URL: a data URL of a JPEG or PNG is expected.", "invalid_image_url")
    try:
        picture = Image.open(BytesIO(base64.b64decode(told[2], validate=True)), formats=[told[1]])
        picture.load()
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        message = "You uploaded an unsupported image. Please make sure your image is valid."
        raise Refused(400, message, "image_parse_error") from error
    return picture


def _check_calls(messages: Sequence[Json]) -> None:
    """Each call of a tool is answered, by messages that stand right behind it, and no other is."""
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise Refused(
                    400,
                    f"Invalid parameter: messages[{number}] with role 'tool' must be a response to a preceding message "
                    "with 'tool_calls'.",
                )
            open_calls.remove(message["tool_call_id"])
            continue
        _check_answered(open_calls)
        open_calls = {call["id"] for call in message.get("tool_calls") or []}
    _check_answered(open_calls)


def _check_answered(open_calls: set[str]) -> None:
    if open_calls:
        raise Refused(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
        )


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with suppress(ConnectionError):
            try:
                message = self.message(body)
            except Refused as error:
                self.server.refused.append(str(error))
                self.send(error.status, {"error": error.error})
                return
            if body.get("stream"):
                self.stream(body, message)
            else:
                self.send(200, _completion(message))

    def message(self, body: Json) -> Json:
        if self.path != "/v1/chat/completions":
            raise Refused(404, f"Invalid URL (POST {self.path})")
        if self.headers["Authorization"] != f"Bearer {KEY}":
            key = self.headers["Authorization"].removeprefix("Bearer ")
            raise Refused(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        return self.server.message(body)

    def send(self, status: int, content: Json) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def stream(self, body: Json, message: Json) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, delta in enumerate(_deltas(message)):
            if number > 1:
                self.server.before_word()
            self.event(_chunk({"index": 0, "delta": delta, "finish_reason": None}))
        self.event(_chunk({"index": 0, "delta": {}, "finish_reason": _finish_reason(message)}))
        if body.get("stream_options", {}).get("include_usage"):
            self.event({**_chunk(), "usage": USAGE})
        self.write(b"data: [DONE]\n\n")
        self.write(b"")

    def event(self, content: Json) -> None:
        self.write(b"data: " + json.dumps(content).encode() + b"\n\n")

    def write(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """The tests look at ``requests``."""


USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}


def _completion(message: Json) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(message)}
    return {"id": "c1", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": USAGE}


def _chunk(*choices: Json) -> Json:
    return {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": list(choices)}


def _finish_reason(message: Json) -> str:
    return "tool_calls" if "tool_calls" in message else "stop"


def _deltas(message: Json) -> Iterator[Json]:
    """A message in pieces: its role, then its words, or its calls with their arguments in two halves."""
    yield {"role": "assistant", "content": message["content"] and ""}
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", message["content"] or ""):
        yield {"content": word}
    for number, call in enumerate(message.get("tool_calls", [])):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        yield {
            "tool_calls": [{"index": number, **call, "function": {**call["function"], "arguments": arguments[:half]}}]
        }
        yield {"tool_calls": [{"index": number, "function": {"arguments": arguments[half:]}}]}
