"""A named set of entities in a Milvus database, with the embedder that it was made with."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from colmilvus.connection import TIMEOUT, Connection, Durability, Place, connect, outlives_power
from colmilvus.copying import CopyReport, copy_entities
from colmilvus.embedder import Embedder
from colmilvus.entity import DType, Metric
from colmilvus.errors import CollectionMismatch, InvalidInput, warn
from colmilvus.image_store import ImageStore, place_below
from colmilvus.layouts.choosing import LayoutName
from colmilvus.layouts.foreign import Names
from colmilvus.layouts.layout import Layout
from colmilvus.layouts.table import Table
from colmilvus.layouts.tenants import check_tenant_name
from colmilvus.opening import asked, check_embedder, check_name, open_foreign, open_or_create
from colmilvus.store import EntityStore
from colmilvus.writing import Writing

__all__ = ["Collection"]


class Collection(Writing):
    """Entities under ids, each with its multi-vector, found by late interaction.

    ``uri`` is a folder for the embedded engine, the address of a Milvus server, a ``Server`` with a login or
    certificates, or a pymilvus ``MilvusClient`` that is ready. The collection is made if there is none; then
    ``capacity`` (vectors an entity, at most 4096), ``segments``, ``fields`` (metadata keys that become typed, indexed
    columns), ``analyzer`` (for searches of the text: a language, such as "korean", or Milvus's parameters),
    ``tenant_field``, ``index`` and ``dtype`` are fixed: with "float16" every number is rounded to the nearest one of 16
    bits, and vectors take half the space. Without an embedder, vectors are passed in ready, and ``dim`` and ``metric``
    say what they are. ``images`` is where pictures are kept if ``uri`` is a server, a folder or the address of one in
    an object store, such as "s3://bucket/pages" (with fsspec's keys and settings, and its package for that store); the
    embedded engine keeps them inside.

    ``layout`` is "struct_array", a row an entity, or "flat", a row a vector, for servers that can do no better; if not
    given it is what the server can do. ``index`` says how a server indexes the vectors, such as
    ``{"index_type": "HNSW", "params": {"M": 30}}``, and ``search_params`` what searches tell its index, such as
    ``{"ef": 400}``. With ``tenant_field`` a collection holds many tenants, each read and written by what ``for_tenant``
    gives; the field is a column of that name, and Milvus's partition key.
    ``timeout`` is the most that a request to a server takes, in seconds, attempts and new connections included.
    What it stores with ``durability="power"`` outlives a loss of power too, until it is opened with "process".

    Raises CollectionMismatch where the collection was made with another embedder or other settings,
    CollectionNotFound where there is none and nothing says how to make it, and DatabaseError where the database cannot
    be opened.

    >>> from colmilvus import Entity, MultiVector
    >>> with Collection("letters", dim=2, metric="IP", uri="kb.db") as letters:
    ...     _ = letters.add([Entity("a"), Entity("b")], vectors=[[[1, 0]], [[0, 1]]])
    ...     [(hit.entity.id, hit.score) for hit in letters.search(MultiVector([[0, 2]]), k=1)]
    [('b', 2.0)]
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder | None = None,
        *,
        uri: Place = "colmilvus.db",
        token: str | None = None,
        dim: int | None = None,
        metric: Metric | None = None,
        dtype: DType | None = None,
        capacity: int | None = None,
        segments: bool | None = None,
        fields: Mapping[str, type] | None = None,
        analyzer: str | Mapping[str, Any] | None = None,
        images: str | Path | None = None,
        layout: LayoutName | None = None,
        index: Mapping[str, Any] | None = None,
        search_params: Mapping[str, Any] | None = None,
        tenant_field: str | None = None,
        durability: Durability | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        check_name(name)
        check_embedder(embedder)
        told = asked(embedder, dim, metric, capacity, segments, fields, analyzer, dtype, index, tenant_field)
        connection = connect(uri, token, timeout=timeout, durability=durability)
        self._open(name, embedder, connection, told, layout, images, search_params or {})

    @classmethod
    def open(
        cls,
        name: str,
        embedder: Embedder | None = None,
        *,
        struct: str,
        vector: str,
        id: str | None = None,
        text: str | None = None,
        document: str | None = None,
        metadata: str | None = None,
        uri: Place = "colmilvus.db",
        token: str | None = None,
        search_params: Mapping[str, Any] | None = None,
        timeout: float = TIMEOUT,
    ) -> Collection:
        """A collection that another program made, with the names that its fields have; nothing can be added to it.

        ``struct`` is the array of structs and ``vector`` the embedding list in it. ``id``, the primary key if not
        given, ``text`` and ``document`` become those of entities; the other scalar fields, and what a JSON field named
        by ``metadata`` holds, become metadata, by which filters find them.

        Raises CollectionNotFound where there is none, CollectionMismatch, with what there is, for fields that are not
        there or of another kind, and for vectors of another dimension or metric than the embedder's.
        """
        check_embedder(embedder)
        connection = connect(uri, token, timeout=timeout)
        names = Names(struct, vector, id, text, document, metadata)
        opened = cls.__new__(cls)
        opened._begin(
            name, embedder, connection, lambda: open_foreign(Table(connection, name, search_params or {}), names)
        )
        if embedder is not None and (embedder.dim, embedder.metric) != (opened.dim, opened.metric):
            opened.close()
            raise CollectionMismatch(
                f"collection {name!r} has vectors of {opened.dim} dimensions to compare by {opened.metric}; embedder "
                f"{embedder.name!r} makes {embedder.dim} for {embedder.metric}"
            )
        return opened

    def _begin(
        self,
        name: str,
        embedder: Embedder | None,
        connection: Connection,
        layout: Callable[[], Layout],
        images: str | Path | None = None,
    ) -> None:
        self.name = name
        self.embedder = embedder
        self.tenant: str | None = None
        self.uri = connection.shown
        self._connection = connection
        try:
            named = place_below(images, name) if images else None
            self._layout = layout()
            self._store = self._store_of(self._layout, connection.pictures(name) or named)
        except BaseException:
            connection.close()
            raise

    def _open(
        self,
        name: str,
        embedder: Embedder | None,
        connection: Connection,
        told: Mapping[str, Any],
        layout: LayoutName | None,
        images: str | Path | None,
        search_params: Mapping[str, Any],
    ) -> None:
        table = Table(connection, name, search_params)
        self._begin(name, embedder, connection, lambda: open_or_create(table, told, layout), images)

    def _store_of(self, layout: Layout, pictures: str | Path | None) -> EntityStore:
        folder = self._connection.folder
        kept = ImageStore(pictures, lambda: folder is not None and outlives_power(folder)) if pictures else None
        return EntityStore(layout, kept, self._connection.place(self.name))

    def for_tenant(self, name: str) -> Collection:
        """What one tenant has in this collection: it reads and writes nothing else, whatever filters and ids say.

        Ids are the tenant's own: another may use the same. It lasts as long as this collection is open; closing it does
        nothing. Raises InvalidInput for a collection that was made without ``tenant_field``.
        """
        if self.spec.tenant_field is None or self.tenant is not None:
            whose = f"is {self.tenant!r}'s alone" if self.tenant else "was made without tenant_field="
            raise InvalidInput(f"collection {self.name!r} {whose}; tenants are of a collection made with tenant_field=")
        check_tenant_name(name)
        view = copy.copy(self)
        view.tenant = name
        view._connection = dataclasses.replace(self._connection, is_own=False)
        view._layout = self._layout.for_tenant(name)
        view._store = self._store.for_tenant(name, view._layout)
        return view

    def tenants(self) -> dict[str, int]:
        """The tenants that have entities here, with how many entities each has."""
        return self._layout.tenants()

    @property
    def place(self) -> str:
        """Which collection of which database this is, in whatever way the path of a database on disk was written."""
        return self._store.place

    @property
    def keeps_images(self) -> bool:
        """Whether pictures are kept: always by the embedded engine, for a server where ``images`` names a place."""
        return self._store.keeps_images

    def copy_to(
        self,
        uri: Place,
        name: str | None = None,
        *,
        token: str | None = None,
        images: str | Path | None = None,
        layout: LayoutName | None = None,
        dtype: DType | None = None,
        progress: bool | None = None,
        timeout: float = TIMEOUT,
    ) -> CopyReport:
        """Put everything into the collection ``name`` of another database, with pictures, and without embedding.

        The collection is made as this one was, under the same name if none is given, with ``images``, ``layout`` and
        ``dtype`` as they may differ; one that is there has to be alike. What is there already is left, so that a copy
        that was cut short goes on; what was written is read back, and compared number by number. ``progress`` is that
        of ``add``. A server keeps pictures where ``images`` says; else they stay behind, with a warning.

        Raises CollectionMismatch where the target is not alike, DatabaseError where what is read back is something
        else, or this collection changed meanwhile.
        """
        check_name(name or self.name)
        told = {field.name: getattr(self.spec, field.name) for field in dataclasses.fields(self.spec)}
        told["dtype"] = dtype or self.spec.dtype
        if not self.spec.index:
            del told["index"]  # any will do
        target = Collection.__new__(Collection)
        target._open(name or self.name, self.embedder, connect(uri, token, timeout=timeout), told, layout, images, {})
        with target:
            report = self._copied_to(target, sys.stderr.isatty() if progress is None else progress)
        if report.without_picture:
            advice = "images= names a folder or an object store to keep them in"
            if target.keeps_images:
                advice = (
                    "their files are gone" if self.keeps_images else "open this collection with images= to have them"
                )
            warn(f"{report.without_picture} entities have no picture in {target.uri}; {advice}")
        return report

    def _copied_to(self, target: Collection, is_shown: bool) -> CopyReport:
        if target.place == self.place:
            raise InvalidInput(
                f"that would copy collection {self.name!r} to itself; give another place, or another name"
            )
        if self.spec.tenant_field is None or self.tenant is not None:
            pairs = [(self._store, target._store)]
        else:
            views = [(self.for_tenant(tenant), target.for_tenant(tenant)) for tenant in self.tenants()]
            pairs = [(own._store, other._store) for own, other in views]
        total = sum(own.layout.count() for own, _ in pairs) if is_shown else None
        with tqdm(desc=self.name, unit=" pages", total=total, disable=not is_shown) as bar:
            copied = [copy_entities(own, other, self.name, bar.update) for own, other in pairs]
        return sum(copied, CopyReport())

    def drop(self) -> None:
        """Remove the collection with all its entities and pictures, and close it."""
        if self.tenant is not None:
            raise InvalidInput(
                f"drop would remove all tenants of {self.name!r}; clear() removes what {self.tenant!r} has"
            )
        self._store.drop()
        self.close()

    def close(self) -> None:
        """Give up the connection; a database on disk is closed with the last collection that uses it."""
        self._connection.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        made_with = self._layout.spec.embedder or f"{self.dim} dimensions"
        shown = f"Collection({self.name!r}, {made_with}, uri={self.uri!r})"
        return shown if self.tenant is None else f"{shown}.for_tenant({self.tenant!r})"
