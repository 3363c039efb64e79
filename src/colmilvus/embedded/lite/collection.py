"""Milvus Lite's collection with what the engine adds: structs, their stores and searches, its own analyzers."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded.analyzers import TermAnalyzer, create_analyzer
from colmilvus.embedded.filters import Filter
from colmilvus.embedded.inverted import InvertedFile
from colmilvus.embedded.lite import filters
from colmilvus.embedded.lite.names import (
    BM25Expr,
    CollectionNotLoadedError,
    FunctionType,
    build_projection_plan,
    materialize_record,
    project_record,
)
from colmilvus.embedded.lite.snapshot import Snapshot
from colmilvus.embedded.lite.space import Space
from colmilvus.embedded.lite.text import K1, B, TextIndex
from colmilvus.embedded.lite.threads import SafeCollection
from colmilvus.embedded.nearest import nearest, ordered
from colmilvus.embedded.schema import Struct, Vector, read_structs, row_field
from colmilvus.embedded.vectors import Column, VectorStore
from colmilvus.errors import DatabaseDamaged

__all__ = ["ANN_RATIO", "NOTES", "REQUEST", "EngineCollection", "analyzer_params", "pack_query"]

REQUEST = "[request]"
FILTERS = 256
NOTES = "[index]"
# How many times the limit a server takes of the nearest vectors of each query vector, unless the request says.
ANN_RATIO = 3.0
NAMED = 10
KINDS = {"MAX_SIM": "COSINE", "MAX_SIM_COSINE": "COSINE", "MAX_SIM_IP": "IP", "MAX_SIM_L2": "L2"}

logger = logging.getLogger(__name__)


class EngineCollection(SafeCollection):
    """A collection of the engine; ``request`` is what it was made with, ``proto`` its schema as the user wrote it."""

    @classmethod
    def adopt(cls, collection: Any) -> EngineCollection:
        """Turn a collection that Milvus Lite has just made or opened into the engine's. Raises DatabaseDamaged."""
        collection.__class__ = cls
        collection.stores = {}
        collection.begin()
        try:
            collection.begin_structs()
        except BaseException:
            collection.close()
            raise
        return collection  # type: ignore[no-any-return]  # its class was just set

    def begin(self) -> None:
        super().begin()
        self._inverted: dict[str, InvertedFile] = {}
        self._inverted_lock = threading.Lock()
        self._rests = False

    def begin_structs(self) -> None:
        """Read the schema, open the stores, and load what a server would hold loaded."""
        self.request = milvus_pb2.CreateCollectionRequest()
        self.request.ParseFromString(base64.b64decode(self._schema.properties.get(REQUEST, "")))
        self.proto = schema_pb2.CollectionSchema.FromString(self.request.schema)
        self.structs = read_structs(self.proto)
        self.fields_in_snapshots = tuple(row_field(name) for name in self.structs)
        self.stores: dict[str, VectorStore] = {}
        for i, struct in enumerate(self.structs.values()):
            columns = [Column(vector.dim, vector.dtype) for vector in struct.vectors]
            self.stores[struct.name] = VectorStore(Path(self.data_dir, "structs", str(i)), columns, len(struct.scalars))
        self._check_rows()
        self._use_analyzers()
        self._read_filter = lru_cache(FILTERS)(self._new_filter)
        self.space = Space(self)
        self.released: set[str] = set()
        self.loaded_by_user = bool(self._index_specs)
        if self.loaded_by_user:
            self._load_again()
        for field in self._index_specs:
            self._follow(field)

    def _load_again(self) -> None:
        try:
            self.load()
        except Exception:
            logger.exception("collection %s could not be loaded; load_collection says why", self.name)

    def _check_rows(self) -> None:
        live = self.snapshot()
        for name, store in self.stores.items():
            rows = live.rows[row_field(name)]
            lost = np.flatnonzero(~store.holds(rows))
            if len(lost):
                keys = ", ".join(repr(live.keys[at]) for at in lost[:NAMED])
                more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
                raise DatabaseDamaged(
                    f"collection {self.name!r} has lost {name!r} of {len(lost)} of its {len(rows)} rows, of those with "
                    f"{self.pk_field} {keys}{more}: {store.faults()}; put the files back as they were, or drop the "
                    "collection and add its documents again"
                )

    def _use_analyzers(self) -> None:
        params = {field.name: analyzer_params(field) for field in self.proto.fields}
        self.texts: dict[str, TextIndex] = {}
        operators = self._ingestion_chain.operators if self._ingestion_chain else []
        for function, operator in zip(self._schema.functions, operators, strict=True):
            if function.function_type == FunctionType.BM25:
                analyzer = create_analyzer(params.get(function.input_field_names[0]))
                field = function.output_field_names[0]
                self._bm25_analyzers[field], self.texts[field] = analyzer, TextIndex(field)
                operator._expr = BM25Expr(analyzer)

    # Filters

    def check_filter(self, expression: str) -> None:
        """Raise Refused where a server would not take the expression."""
        if expression.strip():
            self._compile_filter(expression)

    def _compile_filter(self, expr_str: str, timezone: str | None = None) -> Filter:
        chosen: Filter | None = getattr(self._moments, "chosen", None)
        return chosen or self._read_filter(expr_str, self._effective_timezone(timezone))

    @contextmanager
    def _chosen(self, expression: str | None, timezone: str | None) -> Iterator[None]:
        """Let the expression be evaluated once here, where Milvus Lite would evaluate it for each unflushed row."""
        if expression:
            matching = self._take(expression, [], timezone).keys
            condition = self._compile_filter(expression, timezone).condition
            self._moments.chosen = filters.Chosen(condition, self.pk_field, frozenset(matching))
        try:
            yield
        finally:
            self._moments.chosen = None

    def _new_filter(self, expression: str, timezone: str | None) -> Filter:
        def analyzer_of(name: str) -> TermAnalyzer:
            field = next(field for field in self.proto.fields if field.name == name)
            return create_analyzer(analyzer_params(field))

        return filters.read(expression, self._schema, timezone, analyzer_of)

    def _indexed_filter_plan(self, compiled_filter: Any) -> None:
        """Milvus Lite's indexes on scalars answer its own filters only, and Arrow is as fast."""

    def rest(self) -> None:
        """Do no work in the background any more, and wait a second or two for what is under way."""
        for store in self.stores.values():
            store.ending.set()
        with self._inverted_lock:
            self._rests = True
        for inverted in tuple(self._inverted.values()):
            inverted.close()

    def close(self) -> None:
        self.rest()
        super().close()
        for store in self.stores.values():
            store.close()

    @contextmanager
    def reading_records(self) -> Iterator[None]:
        """Let no record go that a row refers to which is seen inside the block."""
        with ExitStack() as held:
            for store in self.stores.values():
                held.enter_context(store.reading())
            yield

    def leave(self) -> None:
        super().leave()
        for inverted in tuple(self._inverted.values()):
            inverted.leave()

    # Searches

    def vector(self, field: str | None) -> Vector | None:
        """The struct's vector sub-field that a search on ``field`` means, if it means one."""
        if not field:
            field = self._resolve_anns_field(None)
        return next((found for struct in self.structs.values() if (found := struct.vector(field))), None)

    def struct_of(self, vector: Vector) -> Struct:
        return next(struct for struct in self.structs.values() if vector in struct.vectors)

    def metric(self, field: str) -> str | None:
        """The metric that the index on ``field`` was made with, as its maker wrote it."""
        spec = self._index_specs.get(field)
        return None if spec is None else str(self.notes(field)["params"]["metric_type"])

    def notes(self, field: str) -> dict[str, Any]:
        """What CreateIndex was told: the ``name`` of the index on ``field`` and its ``params``."""
        spec = self._index_specs[field]
        params = {"index_type": spec.index_type, "metric_type": spec.metric_type}
        return dict(spec.build_params.get(NOTES, {"name": field, "params": params}))

    def note(self, field: str, notes: dict[str, Any]) -> None:
        """Keep other ``notes`` of the index on ``field``."""
        with self._maintenance_lock:
            spec = self._index_specs[field]
            spec = replace(spec, build_params={**spec.build_params, NOTES: notes})
            self._index_specs[field] = spec
            self._manifest.set_index_spec(spec)
            self._manifest.save()

    @property
    def load_state(self) -> str:
        """As Milvus Lite has it; one with structs is released until it is loaded, as on a server."""
        return "released" if self.structs and not self.loaded_by_user else str(super().load_state)

    def require_loaded(self) -> None:
        """Raise Milvus Lite's error where the collection is released."""
        self._require_loaded()

    def _require_loaded(self) -> None:
        if self.load_state != "loaded":
            raise CollectionNotLoadedError(f"collection not loaded[collection={self.name}]: load_collection first")

    def indexed_fields(self) -> list[str]:
        return list(self._index_specs)

    def _resolve_anns_field(self, anns_field: str | None) -> str:
        sparse = [f.name for f in self._schema.fields if f.dtype.name == "SPARSE_FLOAT_VECTOR"]
        if not anns_field and self._vector_name is None and len(sparse) == 1:
            return str(sparse[0])
        return str(super()._resolve_anns_field(anns_field or None))

    def resolve_search_metric(self, anns_field: str | None = None, metric_type: str | None = None) -> str:
        vector = self.vector(anns_field)
        if vector is None:
            return str(super().resolve_search_metric(anns_field, metric_type))
        return "L2" if self.metric(vector.field) == "MAX_SIM_L2" else "IP"

    def search(self, query_vectors: list[Any], **options: Any) -> list[list[dict[str, Any]]]:
        vector = self.vector(options.get("anns_field"))
        if vector is not None:
            ratio = float((options.get("search_params") or {}).get("retrieval_ann_ratio", ANN_RATIO))
            with self.reading_records():
                return self._search_struct(vector, query_vectors, options, ratio)
        if self.resolve_search_metric(options.get("anns_field"), options.get("metric_type")) == "BM25":
            return list(super().search(query_vectors, **_with_negative_bounds(options)))
        with self._reading_from(options.get("partition_names")):
            return list(super().search(query_vectors, **options))

    def _search_sparse(self, query_vectors: list[Any], vector_field: str, **options: Any) -> list[list[dict[str, Any]]]:
        if vector_field not in self.texts:
            with self._chosen(options["expr"], options["timezone"]):
                return list(super()._search_sparse(query_vectors, vector_field, **options))
        queries = self._prepare_sparse_queries(query_vectors, vector_field)
        found = self.snapshot(options["expr"], options["partition_names"], options["timezone"])
        spec = self._index_specs.get(vector_field)
        params = spec.build_params if spec else {}
        k1, b = float(params.get("bm25_k1", K1)), float(params.get("bm25_b", B))
        plan = build_projection_plan(options["output_fields"], self._schema, api_kind="search")
        hits = []
        for line in self.texts[vector_field].scores(found.parts, queries, k1, b):
            with_words = np.flatnonzero(line)
            best = with_words[ordered(line[with_words], 0, options["top_k"], ascending=False)]
            hits.append([self._hit(found, i, -line[i], plan) for i in best])
        return hits

    def _search_struct(
        self, vector: Vector, queries: list[str], options: dict[str, Any], ratio: float = ANN_RATIO
    ) -> list[list[dict[str, Any]]]:
        self._require_loaded()
        found = self.snapshot(options.get("expr"), options.get("partition_names"), options.get("timezone"))
        struct = self.struct_of(vector)
        store, rows = self.stores[struct.name], found.rows[row_field(struct.name)]
        filled = np.flatnonzero(store.counts(rows))
        lists = [unpack_query(query, vector) for query in queries]
        kind = KINDS[self.metric(vector.field) or "MAX_SIM"]
        window = (options.get("offset", 0), options["top_k"])
        plan = build_projection_plan(options.get("output_fields"), self._schema, api_kind="search")
        best = nearest(store, vector.column, rows[filled], lists, kind, window, self.inverted_file(vector), ratio)
        return [[self._hit(found, filled[at], score, plan) for at, score in zip(*line, strict=True)] for line in best]

    def inverted_file(self, vector: Vector) -> InvertedFile | None:
        """The inverted file of an indexed vector sub-field, opened at its first use."""
        metric = self.metric(vector.field)
        if metric is None or self.ended:
            return None
        with self._inverted_lock:
            found = self._inverted.get(vector.field)
            if found is None and self._rests:
                return None
            if found is None:
                struct, kind = self.struct_of(vector), KINDS[metric]
                store = self.stores[struct.name]
                path = store.folder / f"inverted-{vector.column}"
                found = InvertedFile(path, store, vector.column, vector.dim, kind, lambda: self._rows_of(struct))
                self._inverted[vector.field] = found
            return found

    def _rows_of(self, struct: Struct) -> NDArray[np.int64]:
        return self.snapshot().rows[row_field(struct.name)]

    def pending_rows(self, field: str) -> int:
        """How many records of an indexed vector sub-field are compared exactly until their codes are written."""
        vector = next((found for struct in self.structs.values() if (found := struct.vector(field))), None)
        inverted = None if vector is None else self.inverted_file(vector)
        if vector is None or inverted is None:
            return 0
        with self.reading_records():
            return inverted.pending(self._rows_of(self.struct_of(vector)))

    def _changed(self) -> None:
        super()._changed()
        for inverted in tuple(self._inverted.values()):
            inverted.wake()

    def create_index(self, field: str, *args: Any, **kwargs: Any) -> None:
        super().create_index(field, *args, **kwargs)
        self._follow(field)

    def _follow(self, field: str) -> None:
        """Have the inverted file of an index on a vector sub-field follow what is written from now on."""
        vector = next((found for struct in self.structs.values() if (found := struct.vector(field))), None)
        if vector is not None:
            self.inverted_file(vector)

    def drop_index(self, field: str, *args: Any, **kwargs: Any) -> None:
        super().drop_index(field, *args, **kwargs)
        with self._inverted_lock:
            inverted = self._inverted.pop(field, None)
        if inverted is not None:
            inverted.discard()

    def _hit(self, found: Snapshot, at: int, score: np.floating[Any], plan: Any) -> dict[str, Any]:
        entity = project_record(materialize_record(found.places[at]), self._schema, plan)
        return {"id": found.keys[at], "distance": float(score), "entity": entity}


def unpack_query(text: str, vector: Vector) -> NDArray[Any]:
    """The query vectors ``(n, dim)`` that ``pack_query`` wrote."""
    return np.frombuffer(base64.b64decode(text), vector.dtype).reshape(-1, vector.dim)


def pack_query(raw: bytes) -> bytes:
    """An embedding list as the text that Milvus Lite's decoder lets through."""
    return base64.b64encode(raw)


def _with_negative_bounds(options: dict[str, Any]) -> dict[str, Any]:
    # Milvus Lite compares the bounds with the negative of a BM25 score.
    bounds = {name: -options[name] for name in ("radius", "range_filter") if options.get(name) is not None}
    return {**options, **bounds}


def analyzer_params(field: Any) -> dict[str, Any] | None:
    """The ``analyzer_params`` of a field message."""
    written = next((pair.value for pair in field.type_params if pair.key == "analyzer_params"), None)
    return json.loads(written) if written else None
