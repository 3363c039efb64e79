"""What can go wrong, by what the user can do about it.

* ColmilvusError
  + InvalidInput (also a ValueError)
    - InvalidVectors
    - InvalidEntity
    - InvalidQuery
    - InvalidFilter
  + IncompleteAdd (in colmilvus.report)
  + UnreadableFile
  + MissingExtra (also an ImportError)
  + UnusableModel
  + OutOfMemory (also a MemoryError)
  + EmbeddingServiceError
  + Unsupported (also a NotImplementedError)
  + CollectionNotFound (also a LookupError)
  + CollectionMismatch
  + DatabaseError
    - DatabaseInUse
    - DatabaseDamaged
    - ServerError
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from os import PathLike, fspath
from types import FrameType
from typing import ParamSpec, TypeVar

__all__ = [
    "CollectionMismatch",
    "CollectionNotFound",
    "ColmilvusError",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseInUse",
    "EmbeddingServiceError",
    "InvalidEntity",
    "InvalidFilter",
    "InvalidInput",
    "InvalidQuery",
    "InvalidVectors",
    "MissingExtra",
    "OutOfMemory",
    "ServerError",
    "UnreadableFile",
    "Unsupported",
    "UnusableModel",
    "for_another_thread",
    "warn",
]

OURS = ("colmilvus", "contextlib", "langchain_core", "llama_index", "llama_index_instrumentation", "tqdm")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ColmilvusError(Exception):
    """Every error that this package raises on purpose is one of these."""


class InvalidInput(ColmilvusError, ValueError):
    """A value that was passed in cannot be used as it is."""


class InvalidVectors(InvalidInput):
    """A multi-vector has a wrong shape or dimension, a value that is no finite number, or too many vectors."""


class InvalidEntity(InvalidInput):
    """An entity has an id, text or metadata that a Milvus server would not take."""


class InvalidQuery(InvalidInput):
    """A query is blank, of an unknown kind, or asks for what its mode cannot give."""


class InvalidFilter(InvalidInput):
    """A filter has an unknown operator, a value of a wrong kind, or a syntax that Milvus does not read."""


class UnreadableFile(ColmilvusError):
    """A file, or one page of it, cannot be read; ``source``, ``page`` and ``reason`` say which and why.

    ``page`` is 1-based and None where the whole file is meant; ``id`` is the id that the page's entity would have had,
    or the document that its pages would have been part of.
    """

    def __init__(
        self, source: str | PathLike[str], reason: str, *, page: int | None = None, id: str | None = None
    ) -> None:
        self.source = fspath(source)
        self.reason = reason
        self.page = page
        self.id = id
        where = self.source if page is None else f"{self.source}, page {page}"
        super().__init__(f"{where}: {reason}")


class MissingExtra(ColmilvusError, ImportError):
    """A part of this package needs a library that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs the '{extra}' extra: pip install 'colmilvus[{extra}]'")


class UnusableModel(ColmilvusError):
    """A model cannot be had or loaded, its files do not fit together, or it gives no multi-vectors."""


class OutOfMemory(ColmilvusError, MemoryError):
    """Not even one page or text at a time fits into the memory of the device that a model runs on."""


class EmbeddingServiceError(ColmilvusError):
    """A remote service refused to embed, did not answer, or answered with something else; the original is the cause."""


class Unsupported(ColmilvusError, NotImplementedError):
    """What was asked for exists, but not here; the message says where."""


class CollectionNotFound(ColmilvusError, LookupError):
    """The database has no collection of that name."""


class CollectionMismatch(ColmilvusError):
    """A collection exists, but was made with another embedder, dimension, metric or schema."""


class DatabaseError(ColmilvusError):
    """The database, or the server that holds it, cannot do what was asked."""


class DatabaseInUse(DatabaseError):
    """Another process holds the database; ``address`` is where it can be reached, if that is known."""

    def __init__(self, message: str, address: str | None = None) -> None:
        self.address = address
        super().__init__(message)


class DatabaseDamaged(DatabaseError):
    """What lies on disk is not what was written; the message names the file."""


class ServerError(DatabaseError):
    """A Milvus server refused a request or did not answer; the original error is the cause."""


_caller: ContextVar[FrameType | None] = ContextVar("_caller", default=None)


def warn(message: str) -> None:
    """Issue a UserWarning that points to the line of the user's program from which this package was called."""
    frame = _caller.get() or _calling_frame()
    warnings.warn_explicit(
        message,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def for_another_thread(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function as it is to run in another thread: its warnings point to whom they would point here.

    What it returns is for one thread at a time.
    """
    context = copy_context()
    context.run(_caller.set, _caller.get() or _calling_frame())

    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return context.run(function, *args, **kwargs)

    return run


def _calling_frame() -> FrameType:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame = frame.f_back
    return frame
