"""From what was typed to an open collection; nothing is made that is not asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from colmilvus.cli.embedders import FORMS, Choice, as_remembered, make_remembered
from colmilvus.collection import Collection
from colmilvus.connection import TIMEOUT, connect, is_path, without_login
from colmilvus.embedder import Embedder
from colmilvus.errors import CollectionMismatch, CollectionNotFound, DatabaseError

__all__ = ["Database"]


@dataclass(frozen=True)
class Database:
    """A folder of the embedded engine or the address of a server.

    A server's token is read from the first of the environment variables that is there.
    """

    uri: str
    variables: tuple[str, ...] = ("COLMILVUS_TOKEN",)

    @property
    def shown(self) -> str:
        """What to call it in messages."""
        return without_login(self.uri)

    @property
    def token(self) -> str | None:
        if is_path(self.uri):
            return None
        return next((os.environ[name] for name in self.variables if name in os.environ), None)

    @property
    def bytes_on_disk(self) -> int | None:
        """The size of all files in the folder, None for a server."""
        if not is_path(self.uri):
            return None
        return sum(path.stat().st_size for path in Path(self.uri).rglob("*") if path.is_file())

    def create_or_open(self, collection: str, embedder: Embedder) -> Collection:
        return Collection(collection, embedder, uri=self.uri, token=self.token)

    def open(self, collection: str, images: str | None = None) -> Collection:
        """A collection that is there, without an embedder.

        Raises DatabaseError where there is no database, CollectionNotFound where it has no such collection.
        """
        self.check_there()
        try:
            return Collection(collection, uri=self.uri, token=self.token, images=images)
        except CollectionNotFound:
            others = ", ".join(self.collections()) or "none"
            raise CollectionNotFound(
                f"there is no collection {collection!r} in {self.shown} (it has: {others}); "
                f"make it with: colmilvus index PATH --db {self.shown} --collection {collection}"
            ) from None

    @contextmanager
    def open_for_search(self, collection: str, named: Choice | None) -> Iterator[Collection]:
        """A collection that is there, with the embedder that is named, else with the one that it was made with.

        Raises CollectionMismatch where it was made with an embedder that has no name here.
        """
        # open until the end: to open the engine again takes time
        with self.open(collection) as there, self.create_or_open(collection, _chosen(there, named)) as ready:
            yield ready

    def open_to_index(self, collection: str, named: Choice | None) -> Collection:
        """A collection to add to, which is made if there is none.

        With the embedder that is named, else with the one that it was made with, else with the static one.
        """
        if self.holds(collection):
            with self.open(collection) as there:
                return self.create_or_open(collection, _chosen(there, named))
        return self.create_or_open(collection, (named or Choice("static")).make())

    def collections(self) -> list[str]:
        """The names of all collections. Raises DatabaseError where there is no database."""
        self.check_there()
        database = connect(self.uri, self.token, timeout=TIMEOUT)
        try:
            return sorted(database.client.list_collections(timeout=TIMEOUT))
        finally:
            database.close()

    def holds(self, collection: str) -> bool:
        """Whether there is a database, and in it such a collection."""
        return self.is_there and collection in self.collections()

    @property
    def is_there(self) -> bool:
        """False for a path without a database, which to open would make one."""
        return not is_path(self.uri) or _is_filled(Path(self.uri))

    def check_there(self) -> None:
        """Raise DatabaseError for a path without a database."""
        if not self.is_there:
            raise DatabaseError(
                f"there is no database at {self.shown}; make one with: colmilvus index PATH --db {self.shown}"
            )


def _chosen(collection: Collection, named: Choice | None) -> Embedder:
    return as_remembered(named, collection.spec).make() if named else _remembered(collection)


def _remembered(collection: Collection) -> Embedder:
    """The embedder that a collection was made with, which is told unless it is the one that is taken anyhow."""
    found = make_remembered(collection.name, collection.spec)
    if found is None:
        made_with = collection.spec.embedder
        what = f"embedder {made_with!r}" if made_with else "vectors of your own"
        raise CollectionMismatch(
            f"collection {collection.name!r} was made with {what}, and the command line has: {FORMS}; use it from "
            f"Python, with Collection({collection.name!r}, ..., uri={collection.uri!r}), or search its words with "
            "--mode text"
        )
    choice, embedder = found
    if choice.kind != "static":
        typer.echo(f"colmilvus: with the embedder of collection {collection.name}, --embedder {choice}", err=True)
    return embedder


def _is_filled(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))
