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
from os import PathLike, fspath

__all__ = [
    "CollectionMismatch",
    "CollectionNotFound",
    "ColmilvusError",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseInUse",
    "InvalidEntity",
    "InvalidFilter",
    "InvalidInput",
    "InvalidQuery",
    "InvalidVectors",
    "MissingExtra",
    "ServerError",
    "UnreadableFile",
    "Unsupported",
    "warn",
]

OURS = ("colmilvus", "contextlib", "tqdm")


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


def warn(message: str) -> None:
    """Issue a UserWarning that points to the line of the user's program from which this package was called."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
