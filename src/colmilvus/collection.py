"""A named set of entities in a Milvus database, with the embedder that it was made with."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from numpy.typing import NDArray
from tqdm import tqdm

from colmilvus.connection import connect, is_path
from colmilvus.embedder import Embedder, Query, SearchMode, preferred_mode
from colmilvus.entity import Entity, Hit, Metric, MultiVector
from colmilvus.errors import CollectionMismatch, CollectionNotFound, ColmilvusError, InvalidInput
from colmilvus.filters import Filter, equal, one_of, to_expression
from colmilvus.images import ImageStore
from colmilvus.ingest import AddReport, Ingest, multi_vector_for
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import StructArrayLayout
from colmilvus.ranking import Fusion
from colmilvus.search import Search
from colmilvus.store import EntityStore

__all__ = ["Collection"]

IDS_IN_A_REQUEST = 500


class Collection:
    """Entities under ids, each with its multi-vector, found by late interaction.

    ``uri`` is a folder for the embedded engine, or the address of a Milvus server. The collection is made if there is
    none; then ``capacity`` (vectors an entity, at most 4096), ``segments``, ``fields`` (metadata keys that become
    typed, indexed columns) and ``analyzer`` (a Milvus analyzer, for searches of the text) are fixed. Without an
    embedder, vectors are passed in ready, and ``dim`` and ``metric`` say what they are. ``images`` is the folder for
    pictures where ``uri`` is a server; the embedded engine keeps them inside its own folder.

    Raises CollectionMismatch where the collection was made with another embedder or other settings,
    CollectionNotFound where there is none and nothing says how to make it, and DatabaseError where the database cannot
    be opened.

    >>> with Collection("letters", dim=2, metric="IP", uri=getfixture("database")) as letters:
    ...     _ = letters.add([Entity("a"), Entity("b")], vectors=[[[1, 0]], [[0, 1]]])
    ...     [(hit.entity.id, hit.score) for hit in letters.search(np.array([[0, 2]]), k=1)]
    [('b', 2.0)]
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder | None = None,
        *,
        uri: str | Path = "colmilvus.db",
        token: str | None = None,
        dim: int | None = None,
        metric: Metric | None = None,
        capacity: int | None = None,
        segments: bool | None = None,
        fields: Mapping[str, type] | None = None,
        analyzer: str | Mapping[str, Any] | None = None,
        images: str | Path | None = None,
        timeout: float = 60.0,
    ) -> None:
        _check_name(name)
        self.name = name
        self.uri = str(uri)
        self.embedder = embedder
        asked = _asked(embedder, dim, metric, capacity, segments, fields, analyzer)
        self._client = connect(uri, token, timeout=timeout)
        try:
            layout = StructArrayLayout.open(self._client, name, timeout=timeout)
            if layout is None:
                layout = self._create(asked, timeout)
            _check_same(name, layout.spec, asked)
        except BaseException:
            self._client.close()
            raise
        folder = Path(uri) / "images" if is_path(uri) else images and Path(images)
        # absolute, because the paths of pictures travel with hits to other working directories
        self._store = EntityStore(layout, ImageStore(folder.absolute() / name) if folder else None)
        self._layout = layout

    def _create(self, asked: Mapping[str, Any], timeout: float) -> StructArrayLayout:
        if "dim" not in asked:
            raise CollectionNotFound(
                f"there is no collection {self.name!r} in {self.uri}; pass an embedder, or dim=, to make it"
            )
        spec = CollectionSpec(**asked)
        try:
            return StructArrayLayout.create(self._client, self.name, spec, timeout=timeout)
        except ColmilvusError:
            made_meanwhile = StructArrayLayout.open(self._client, self.name, timeout=timeout)
            if made_meanwhile is None:
                raise
            return made_meanwhile

    @property
    def dim(self) -> int:
        return self._layout.spec.dim

    @property
    def metric(self) -> Metric:
        return self._layout.spec.metric

    @property
    def spec(self) -> CollectionSpec:
        """What the collection was made with."""
        return self._layout.spec

    def add(
        self,
        entities: Iterable[Entity],
        vectors: Iterable[Any] | None = None,
        *,
        progress: bool | None = None,
    ) -> AddReport:
        """Store entities by id, in batches, and report what became of each.

        An entity that is held unchanged is skipped, one that is held otherwise is replaced. Where entities carry a
        ``version``, those of the same document with another one are removed after the last is stored. ``vectors`` gives
        one multi-vector ``(n, dim)`` for each entity; otherwise the embedder makes them. ``progress`` shows a bar on
        standard error; by default where that is a terminal.

        Raises IncompleteAdd, after all others are stored, where entities were refused for what they hold.
        """
        failures = getattr(entities, "failures", ())
        bar = tqdm(
            _with_vectors(entities, vectors),
            desc=self.name,
            unit=" pages",
            total=operator.length_hint(entities) or None,
            disable=None if progress is None else not progress,
        )
        with bar:
            return Ingest(self._store, self.embedder).run(bar, failures)

    @overload
    def search(
        self,
        query: Query | MultiVector | NDArray[Any],
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion = "min_max",
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[Any] | tuple[Any, ...],
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion = "min_max",
    ) -> list[list[Hit]]: ...

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion = "min_max",
    ) -> list[Hit] | list[list[Hit]]:
        """The ``k`` entities that match best, best first; for a list of queries, one such list for each.

        A query is a text, a picture, or a multi-vector ``(n, dim)``. ``mode`` is "late_interaction" (MaxSim), "text"
        (BM25), or "hybrid" (both, scaled to [0, 1] and averaged; ``fusion="rrf"`` fuses by rank); the one that suits
        the embedder if not given. ``min_similarity`` drops weaker hits, ``per_document`` keeps at most so many of one
        document, and ``exact`` scores the candidates again from their stored vectors.

        Raises InvalidQuery for a blank query and for what a mode cannot give, InvalidFilter for a filter that is not
        understood.
        """
        expression = to_expression(filter, self._layout.spec.fields) if filter else ""
        search = Search(self._layout, self.embedder, k, expression, min_similarity, per_document, exact, fusion)
        several = isinstance(query, list | tuple)
        queries = list(query) if several else [query]
        answers = [
            [self._store_hit(hit) for hit in hits] for hits in search.run(queries, mode or self._mode_for(queries))
        ]
        return answers if several else answers[0]

    def _mode_for(self, queries: Sequence[Any]) -> SearchMode:
        textual = all(isinstance(query, str) for query in queries)
        return preferred_mode(self.embedder) if textual else "late_interaction"

    def _store_hit(self, hit: Hit) -> Hit:
        return Hit(self._store.hydrated(hit.entity), hit.score, hit.similarity, hit.segments)

    def get(self, ids: Sequence[str]) -> list[Entity]:
        """The entities under these ids, in that order; ids that are not held are left out."""
        found: dict[str, Entity] = {}
        for some in _chunks(ids):
            found |= {entity.id: self._store.hydrated(entity) for entity in self._layout.entities(some)}
        return [found[name] for name in ids if name in found]

    def multi_vectors(self, ids: Sequence[str]) -> dict[str, MultiVector]:
        """The vectors of the entities under these ids; ids that are not held are left out."""
        parts = {name: stored.parts for some in _batches(ids) for name, stored in self._layout.stored(some).items()}
        return {name: vectors for name, (vectors, _) in self._layout.multi_vectors(parts).items()}

    def delete(
        self, ids: Sequence[str] | None = None, *, filter: Filter | None = None, document: str | None = None
    ) -> int:
        """Remove entities by id, by filter, or all of one document, with their pictures; return how many there were.

        Raises InvalidInput where none of the three is given, or more than one. Unknown ids are no error.
        """
        if sum(given is not None for given in (ids, filter, document)) != 1 or filter in ({}, ""):
            raise InvalidInput("delete takes ids, or filter=, or document=; to remove everything use drop()")
        if isinstance(ids, str):
            raise InvalidInput(f"delete takes a list of ids: [{ids!r}]")
        if ids is not None:
            expressions = list(_chunks(ids))
        elif document is not None:
            expressions = [equal("document", document)]
        else:
            expressions = [to_expression(filter, self._layout.spec.fields)]
            if not expressions[0]:
                raise InvalidInput(f"the filter {filter!r} matches everything; to remove everything use drop()")
        count = 0
        for expression in expressions:
            count += self._layout.count(expression)
            self._store.delete(expression)
        return count

    def count(self, filter: Filter | None = None) -> int:
        """How many entities there are, or how many match the filter."""
        return self._layout.count(to_expression(filter, self._layout.spec.fields) if filter else "")

    def documents(self) -> dict[str, int]:
        """The documents that entities are part of, with how many entities each has."""
        return self._layout.documents()

    def drop(self) -> None:
        """Remove the collection with all its entities and pictures, and close it."""
        self._layout.drop()
        self._store.drop_pictures()
        self.close()

    def close(self) -> None:
        """Give up the connection; a database on disk is closed with the last collection that uses it."""
        self._client.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        made_with = self._layout.spec.embedder or f"{self.dim} dimensions"
        return f"Collection({self.name!r}, {made_with}, uri={self.uri!r})"


def _with_vectors(
    entities: Iterable[Entity], vectors: Iterable[Any] | None
) -> Iterator[tuple[Entity, MultiVector | ColmilvusError | None]]:
    if vectors is None:
        for entity in entities:
            yield entity, None
        return
    missing = object()
    given = iter(vectors)
    count = 0
    for count, entity in enumerate(entities, start=1):
        value = next(given, missing)
        if value is missing:
            raise InvalidInput(f"vectors has {count - 1} items, entities has more: one multi-vector for each entity")
        yield entity, multi_vector_for(entity, value)
    if next(given, missing) is not missing:
        raise InvalidInput(f"vectors has more than {count} items, entities has {count}: one multi-vector each")


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_IN_A_REQUEST):
        yield ids[start : start + IDS_IN_A_REQUEST]


def _chunks(ids: Sequence[str]) -> Iterator[str]:
    return (one_of("id", some) for some in _batches(ids))


def _check_name(name: str) -> None:
    if not (isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= 255):
        raise InvalidInput(
            f"a collection's name has letters, digits and underscores, does not start with a digit and has at most "
            f"255 characters; {name!r} does not fit"
        )


def _asked(
    embedder: Embedder | None,
    dim: int | None,
    metric: Metric | None,
    capacity: int | None,
    segments: bool | None,
    fields: Mapping[str, type] | None,
    analyzer: str | Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the caller said about the collection; what was left open is left out."""
    asked: dict[str, Any] = {
        "dim": dim,
        "metric": metric,
        "capacity": capacity,
        "segments": segments,
        "fields": fields,
        "analyzer": {"type": analyzer} if isinstance(analyzer, str) else analyzer,
    }
    if embedder is not None:
        if dim not in (None, embedder.dim) or metric not in (None, embedder.metric):
            raise InvalidInput(f"embedder {embedder.name!r} has dim and metric of its own; leave dim= and metric= out")
        own = {"dim": embedder.dim, "metric": embedder.metric, "embedder": embedder.name}
        asked |= {**own, "settings": dict(embedder.settings)}
    return {name: value for name, value in asked.items() if value is not None}


def _check_same(name: str, spec: CollectionSpec, asked: Mapping[str, Any]) -> None:
    for what in sorted(asked, key=lambda what: what != "embedder"):
        value, stored = asked[what], getattr(spec, what)
        if what == "settings":
            _check_settings(name, spec, value)
        elif stored != value:
            raise CollectionMismatch(
                f"collection {name!r} was made with {what}={stored!r}, not {value!r}; "
                "open it with the same, or take another name"
            )


def _check_settings(name: str, spec: CollectionSpec, settings: Mapping[str, Any]) -> None:
    differing = {key for key in {*spec.settings, *settings} if spec.settings.get(key) != settings.get(key)}
    told = ", ".join(f"{key}={spec.settings.get(key)!r}, now {settings.get(key)!r}" for key in sorted(differing))
    versions = {key for key in differing if key.endswith("_version")}
    if differing - versions:
        raise CollectionMismatch(
            f"collection {name!r} was made by embedder {spec.embedder!r} with other settings: {told}; "
            "their vectors do not compare: use the same settings, or take another name"
        )
    if versions:
        warnings.warn(f"collection {name!r} was made with another library version: {told}", stacklevel=4)
