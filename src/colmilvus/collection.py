"""A named set of entities in a Milvus database, with the embedder that it was made with."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from numpy.typing import NDArray
from tqdm import tqdm

from colmilvus.connection import Durability, connect, is_path, outlives_power, place_of
from colmilvus.embedder import Embedder, Query, SearchMode, preferred_mode
from colmilvus.entity import DType, Entity, Hit, Metric, MultiVector
from colmilvus.errors import CollectionNotFound, ColmilvusError, InvalidInput
from colmilvus.filters import Filter, equal, to_expression
from colmilvus.images import ImageStore
from colmilvus.ingest import Ingest
from colmilvus.ingest.given import reading, with_vectors
from colmilvus.layouts.checks import check_entity, id_list
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import StructArrayLayout
from colmilvus.opening import asked, check_embedder, check_name
from colmilvus.ranking import Fusion, diverse
from colmilvus.report import AddReport
from colmilvus.search import Search, check_number, check_relevance, check_similarity, is_vectors
from colmilvus.store import EntityStore

__all__ = ["Collection"]


class Collection:
    """Entities under ids, each with its multi-vector, found by late interaction.

    ``uri`` is a folder for the embedded engine, or the address of a Milvus server. The collection is made if there is
    none; then ``capacity`` (vectors an entity, at most 4096), ``segments``, ``fields`` (metadata keys that become
    typed, indexed columns), ``analyzer`` (for searches of the text: a language, such as "korean", or Milvus's
    parameters) and ``dtype`` are fixed: with "float16" every number is rounded to the nearest one of 16 bits, and
    vectors take half the space. Without an embedder, vectors are passed in ready, and ``dim`` and ``metric`` say what
    they are. ``images`` is the folder for pictures where ``uri`` is a server; the embedded engine keeps them inside.
    What it stores with ``durability="power"`` outlives a loss of power too, until it is opened with "process".

    Raises CollectionMismatch where the collection was made with another embedder or other settings,
    CollectionNotFound where there is none and nothing says how to make it, and DatabaseError where the database cannot
    be opened.

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
        uri: str | Path = "colmilvus.db",
        token: str | None = None,
        dim: int | None = None,
        metric: Metric | None = None,
        dtype: DType | None = None,
        capacity: int | None = None,
        segments: bool | None = None,
        fields: Mapping[str, type] | None = None,
        analyzer: str | Mapping[str, Any] | None = None,
        images: str | Path | None = None,
        durability: Durability | None = None,
        timeout: float = 60.0,
    ) -> None:
        check_name(name)
        check_embedder(embedder)
        self.name = name
        self.uri = str(uri)
        self.embedder = embedder
        told = asked(embedder, dim, metric, capacity, segments, fields, analyzer, dtype)
        self._client = connect(uri, token, timeout=timeout, durability=durability)
        try:
            layout = StructArrayLayout.open(self._client, name, timeout=timeout) or self._create(told, timeout)
            layout.spec.check_same(name, told)
            self._layout = layout
            pictures, place = place_of(uri, name, images)
            kept = ImageStore(pictures, lambda: is_path(uri) and outlives_power(uri)) if pictures else None
            self._store = EntityStore(layout, kept, place)
        except BaseException:
            self._client.close()
            raise

    def _create(self, told: Mapping[str, Any], timeout: float) -> StructArrayLayout:
        if "dim" not in told:
            raise CollectionNotFound(
                f"there is no collection {self.name!r} in {self.uri}; pass an embedder, or dim=, to make it"
            )
        spec = CollectionSpec(**told)
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
    def place(self) -> str:
        """Which collection of which database this is, in whatever way the path of a database on disk was written."""
        return self._store.place

    @property
    def keeps_images(self) -> bool:
        """Whether pictures are kept: always by the embedded engine, for a server where ``images`` names a folder."""
        return self._store.keeps_images

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
        embedder: Embedder | None = None,
    ) -> AddReport:
        """Store entities by id, in batches, and report what became of each.

        An entity that is held unchanged is skipped, one that is held otherwise is replaced. An entity with segments is
        merged with what is held of it: segments of the same id are replaced, others added, unless its ``version`` is
        another. Where entities carry a ``version``, those of the same document with another one are removed after the
        last is stored. ``vectors`` gives one multi-vector ``(n, dim)`` for each entity; otherwise the embedder makes
        them; ``embedder`` is asked in place of the collection's own, whose equal it is, such as one that keeps what it
        made. ``progress`` shows a bar on standard error, with entities a second and the time left; by default where
        that is a terminal.

        While the embedder works, the pictures of what comes next are drawn, and what came before is stored; after an
        error or an interrupt that too is stored.

        Raises IncompleteAdd, after all others are stored, where entities were refused for what they hold.
        """
        if isinstance(entities, Entity):
            raise InvalidInput(f"add takes a list of entities: add([entity]), not the entity {entities.id!r} alone")
        if isinstance(entities, str | bytes | os.PathLike):
            raise InvalidInput(f"add takes entities; for the pages of files: add(read_pages({str(entities)!r}))")
        check_embedder(embedder)
        self._layout.spec.check_same(self.name, asked(embedder))
        failures = getattr(entities, "failures", ())
        is_shown = sys.stderr.isatty() if progress is None else progress
        total = (operator.length_hint(entities) or None) if is_shown else None
        bar = tqdm(desc=self.name, unit=" pages", total=total, disable=not is_shown)
        with bar, reading(entities) as source:
            report = Ingest(self._store, embedder or self.embedder, bar.update).run(
                with_vectors(source, vectors), failures
            )
            bar.total = bar.n  # pages that could not be read were counted in beforehand
            return report

    def check(self, entity: Entity) -> None:
        """Raise InvalidEntity where ``add`` would refuse the entity for what it holds; nothing is embedded or sent."""
        check_entity(entity, self._layout.spec)

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
        fusion: Fusion | None = None,
        weight: float | None = None,
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
        fusion: Fusion | None = None,
        weight: float | None = None,
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
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The ``k`` entities that match best, best first; for a list of queries, one such list for each.

        A query is a text, a picture, or a multi-vector ``(n, dim)``. ``mode`` is "late_interaction" (MaxSim), "text"
        (BM25 over the entities' own text, or where they have none their segments'; in more than 64 KB of these a word
        counts once), or "hybrid" (both, scaled to [0, 1] and averaged; ``fusion="rrf"`` fuses by rank; ``weight``, from
        0 to 1, is the part of late interaction, one half if not given); the one that suits the embedder if not given.
        ``min_similarity`` drops weaker hits, ``per_document`` keeps at most so many of one document, and ``exact``
        scores the candidates of a server's index again from their stored vectors. An entity in several parts is scored
        over all of them.

        Raises InvalidQuery for a blank query and for what a mode cannot give, InvalidFilter for a filter that is not
        understood, and InvalidVectors for query vectors of another dimension.
        """
        several = isinstance(query, list | tuple) and not is_vectors(query)
        queries = list(query) if several else [query]
        search = self._search(k, filter, min_similarity, per_document, exact, fusion, weight)
        answers = search.run(queries, mode or self._mode_for(queries))
        shown = [[replace(hit, entity=self._store.hydrated(hit.entity)) for hit in hits] for hits in answers]
        return shown if several else shown[0]

    def check_search(
        self,
        k: int = 10,
        *,
        filter: Filter | None = None,
        mode: SearchMode | None = None,
        min_similarity: float | None = None,
        per_document: int | None = None,
        exact: bool = False,
        fusion: Fusion | None = None,
        weight: float | None = None,
    ) -> None:
        """Raise what ``search`` would raise for these arguments, whatever text is asked; nothing is asked."""
        search = self._search(k, filter, min_similarity, per_document, exact, fusion, weight)
        search.check(mode or preferred_mode(self.embedder))
        if mode != "text":
            search.check_embedder()

    def _search(
        self,
        k: int,
        filter: Filter | None,
        min_similarity: float | None,
        per_document: int | None,
        exact: bool,
        fusion: Fusion | None,
        weight: float | None,
    ) -> Search:
        expression = "" if filter is None else to_expression(filter, self._layout.spec.fields)
        k = operator.index(k) if hasattr(k, "__index__") and not isinstance(k, bool) else k
        return Search(self._layout, self.embedder, k, expression, min_similarity, per_document, exact, fusion, weight)

    def search_diverse(
        self,
        query: Query | MultiVector | NDArray[Any],
        k: int = 10,
        *,
        candidates: int = 50,
        relevance: float = 0.5,
        filter: Filter | None = None,
        per_document: int | None = None,
    ) -> list[Hit]:
        """``k`` of the ``candidates`` that match best by late interaction, so that they do not repeat each other.

        The next is the one with the largest ``relevance`` x similarity - (1 - ``relevance``) x likeness to one that is
        chosen already, where two are alike by the cosine of the means of their vectors. The first is the best match.
        ``relevance`` is from 0 to 1; with 1 this is ``search``. What was removed meanwhile is left out.

        Raises InvalidQuery for the metric L2, which has no similarity, and what ``search`` raises.

        Source: Carbonell and Goldstein, "The Use of MMR", SIGIR 1998.
        """
        check_similarity("a diverse search", "late_interaction", self.metric)
        check_relevance(relevance)
        check_number("k", k)
        check_number("candidates", candidates)
        hits = self.search(query, max(k, candidates), filter=filter, mode="late_interaction", per_document=per_document)
        vectors = self.multi_vectors([hit.entity.id for hit in hits])
        there = [hit for hit in hits if hit.entity.id in vectors]
        chosen = diverse(
            [hit.similarity or 0.0 for hit in there],
            [vectors[hit.entity.id] for hit in there],
            k,
            relevance,
        )
        return [there[index] for index in chosen]

    def _mode_for(self, queries: Sequence[Any]) -> SearchMode:
        textual = all(isinstance(query, str) for query in queries)
        return preferred_mode(self.embedder) if textual else "late_interaction"

    def get(self, ids: Sequence[str] | None = None, *, filter: Filter | None = None) -> list[Entity]:
        """The entities under these ids that are held, in that order, or those that match a filter, all with ``{}``."""
        if (ids is None) == (filter is None):
            raise InvalidInput("get takes ids or filter=; for everything get(filter={})")
        wanted = self.ids(filter) if ids is None else id_list(ids)
        found = {entity.id: self._store.hydrated(entity) for entity in self._layout.entities(wanted)}
        return [found[name] for name in wanted if name in found]

    def ids(self, filter: Filter | None = None) -> list[str]:
        """The ids of the entities that match the filter, of all without one; their order is not their age."""
        return self._layout.ids(to_expression(filter, self._layout.spec.fields))

    def with_vectors(self, ids: Sequence[str]) -> dict[str, tuple[Entity, MultiVector]]:
        """The entities under these ids, each with its vectors; ids that are not held are left out."""
        sizes = {name: stored.sizes for name, stored in self._layout.stored(id_list(ids)).items()}
        found = self._layout.contents(sizes) if sizes else {}
        return {name: (self._store.hydrated(entity), vectors) for name, (entity, vectors) in found.items()}

    def multi_vectors(self, ids: Sequence[str]) -> dict[str, MultiVector]:
        """The vectors of the entities under these ids; ids that are not held are left out."""
        return {name: vectors for name, (_, vectors) in self.with_vectors(ids).items()}

    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the entities that hold any of these segments, each with the ids of those that it holds."""
        return self._layout.parents(id_list(segments)) if self._layout.spec.segments else {}

    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of those of these entities that are held, each with the ids of its segments."""
        return self._layout.segment_ids(id_list(ids)) if self._layout.spec.segments else {}

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | None = None,
        document: str | None = None,
        segments: Sequence[str] | None = None,
    ) -> int:
        """Remove entities by id, by filter, or all of one document, with their pictures; return how many there were.

        ``segments`` removes segments by id out of whatever entities have them, or with ``ids`` out of these alone, and
        leaves their others; an entity goes with its last one. Raises InvalidInput where none of the four is given, or
        more than one, ids beside segments excepted. Unknown ids are no error.
        """
        if sum(given is not None for given in (ids if segments is None else None, filter, document, segments)) != 1:
            raise InvalidInput("delete takes ids, or filter=, document= or segments=; to remove everything use clear()")
        if segments is not None:
            if not self._layout.spec.segments:
                return 0
            return self._store.delete_segments(id_list(segments), None if ids is None else id_list(ids))
        if ids is not None:
            return self._store.delete(id_list(ids))
        if document is not None:
            return self._store.delete_matching(equal("document", document))
        expression = to_expression(filter, self._layout.spec.fields)
        if not expression:
            raise InvalidInput(f"the filter {filter!r} matches everything; to remove everything use clear()")
        return self._store.delete_matching(expression)

    def count(self, filter: Filter | None = None) -> int:
        """How many entities there are, or how many match the filter."""
        return self._layout.count("" if filter is None else to_expression(filter, self._layout.spec.fields))

    def documents(self) -> dict[str, int]:
        """The documents that entities are part of, with how many entities each has."""
        return self._layout.documents()

    def clear(self) -> None:
        """Remove all entities with their pictures; the collection stays as it was made, and open."""
        self._store.clear()

    def drop(self) -> None:
        """Remove the collection with all its entities and pictures, and close it."""
        self._store.drop()
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
