"""The channels over which pymilvus talks to the engine of a path, wherever it runs at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, NoReturn

import grpc
from pymilvus.exceptions import MilvusException

from colmilvus.embedded.dispatch import Metadata, Reply
from colmilvus.embedded.server import Member
from colmilvus.errors import DatabaseError

__all__ = ["AsyncChannel", "Channel", "Unreachable"]

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Unreachable(MilvusException, DatabaseError):  # type: ignore[misc]  # pymilvus has no types
    """No engine can be reached or started; what pymilvus lets through, and its callers expect."""

    def __init__(self, error: DatabaseError) -> None:
        MilvusException.__init__(self, message=str(error))

    def __str__(self) -> str:
        return str(self.message)


class Ended(grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A call that is over."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def code(self) -> grpc.StatusCode:
        return CODES[self._reply.code]

    def details(self) -> str:
        return self._reply.details

    def initial_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Callable[[], None]) -> bool:  # noqa: ARG002
        return False


class Failed(Ended, grpc.RpcError, grpc.Future):  # type: ignore[misc]  # grpc has no types
    """A call that came to no answer."""

    def cancelled(self) -> bool:
        return False

    def running(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002
        raise self

    def exception(self, timeout: float | None = None) -> Failed:  # noqa: ARG002
        return self

    def traceback(self, timeout: float | None = None) -> Any:  # noqa: ARG002
        return self.__traceback__

    def add_done_callback(self, function: Callable[[Any], None]) -> None:
        function(self)

    def __str__(self) -> str:
        return f"{self.code()}: {self.details()}"


class Begun(grpc.Future, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A call that goes on in another thread."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def cancel(self) -> bool:
        return self._future.cancel()

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def running(self) -> bool:
        return self._future.running()

    def done(self) -> bool:
        return self._future.done()

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._future.result(timeout)
        except FutureTimeout:
            raise grpc.FutureTimeoutError from None

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._future.exception(timeout)

    def traceback(self, timeout: float | None = None) -> Any:
        error = self._future.exception(timeout)
        return None if error is None else error.__traceback__

    def add_done_callback(self, function: Callable[[Any], None]) -> None:
        self._future.add_done_callback(lambda _: function(self))

    def code(self) -> grpc.StatusCode:
        error = self._future.exception()
        return error.code() if isinstance(error, Failed) else grpc.StatusCode.UNKNOWN if error else grpc.StatusCode.OK

    def details(self) -> str:
        error = self._future.exception()
        return error.details() if isinstance(error, Failed) else str(error or "")

    def initial_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def is_active(self) -> bool:
        return not self._future.done()

    def time_remaining(self) -> None:
        return None

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._future.add_done_callback(lambda _: callback())
        return True


class Unary(grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]  # grpc has no types
    """One method, as pymilvus calls it."""

    def __init__(self, member: Member, method: str, write: Callable[[Any], bytes], read: Callable[[Any], Any]) -> None:
        self._member = member
        self._method = method.rsplit("/", 1)[-1]
        self._write, self._read = write, read

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **_: Any) -> Any:
        return self.with_call(request, timeout, metadata)[0]

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = None, **_: Any) -> Any:
        try:
            reply = self._member.exchange(self._method, _plain(metadata), self._write(request), timeout)
        except DatabaseError as error:
            raise Unreachable(error) from error
        if reply.code:
            raise Failed(reply)
        return self._read(bytes(reply.payload)), Ended(reply)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = None, **_: Any) -> Begun:
        return Begun(self.begun(request, timeout, metadata))

    def begun(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Future[Any]:
        """The answer to come, from another thread."""
        return self._member.workers.submit(self, request, timeout, metadata)


class Channel(grpc.Channel):  # type: ignore[misc]  # grpc has no types
    """What pymilvus takes for a channel of gRPC; no part of gRPC that a fork would break is behind it."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Unary:
        return Unary(self._member, method, request_serializer, response_deserializer)

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        return _unsupported(method)

    stream_unary = stream_stream = unary_stream

    def subscribe(self, callback: Callable[[Any], None], try_to_connect: bool | None = False) -> None:  # noqa: ARG002
        callback(grpc.ChannelConnectivity.READY)

    def unsubscribe(self, callback: Callable[[Any], None]) -> None:
        """Nothing: whoever has subscribed was told once."""

    def close(self) -> None:
        """Nothing: the client that made the channel leaves the engine."""

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class AsyncChannel:
    """The same for pymilvus's asynchronous client: each call waits in another thread."""

    def __init__(self, member: Member) -> None:
        self._member = member
        # pymilvus adds its headers here; whoever has the member needs none.
        self._unary_unary_interceptors: list[Any] = []

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Callable[..., Any]:
        unary = Unary(self._member, method, request_serializer, response_deserializer)

        async def call(request: Any, *, timeout: float | None = None, metadata: Any = None, **_: Any) -> Any:
            return await asyncio.wrap_future(unary.begun(request, timeout, metadata))

        return call

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        return _unsupported(method)

    stream_unary = stream_stream = unary_stream

    async def channel_ready(self) -> None:
        """Nothing: the engine is found by the first call."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: ARG002
        return grpc.ChannelConnectivity.READY

    async def close(self, grace: float | None = None) -> None:
        """Nothing: the client that made the channel leaves the engine."""


def _plain(metadata: Iterable[tuple[str, Any]] | None) -> Metadata:
    return [(key, value.decode() if isinstance(value, bytes) else str(value)) for key, value in metadata or ()]


def _unsupported(method: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"the embedded engine does not support {method}")

    return refuse
