"""The Milvus protocol: what Milvus Lite lacks or gets wrong is answered here, every other call is Milvus Lite's own."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded import indexes
from colmilvus.embedded.analyzers import create_analyzer
from colmilvus.embedded.lite import (
    REQUEST,
    EngineCollection,
    EngineDatabase,
    MilvusServicer,
    analyzer_params,
    decode_hybrid_function_score,
)
from colmilvus.embedded.naming import check_name, check_undeclared
from colmilvus.embedded.outputs import Outputs
from colmilvus.embedded.refusal import NO_INDEX, Refused, status
from colmilvus.embedded.schema import check_schema, completed, row_field, schema_for_lite
from colmilvus.embedded.searches import check_filter, check_partitions, check_query, prepare_hybrid, prepare_search
from colmilvus.embedded.vectors import StoreClosed
from colmilvus.embedded.wire import check_columns, records

__all__ = ["EngineServicer"]


class EngineServicer(MilvusServicer):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's servicer, extended by arrays of structs and MAX_SIM metrics."""

    def __init__(self, database: EngineDatabase) -> None:
        super().__init__(database)
        self._call = threading.local()

    def _get_collection(self, request: Any, context: Any) -> EngineCollection:
        bound: EngineCollection | None = getattr(self._call, "collection", None)
        return bound or super()._get_collection(request, context)

    @contextmanager
    def _bound(self, collection: EngineCollection) -> Iterator[None]:
        """Let Milvus Lite's own handler work on this very collection, though it be replaced meanwhile."""
        self._call.collection = collection
        try:
            yield
        finally:
            self._call.collection = None

    # Collections

    def CreateCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        proto = schema_pb2.CollectionSchema.FromString(request.schema)
        check_name(request.collection_name, "collection")
        check_schema(proto)
        for field in proto.fields:
            if any(pair.key == "enable_analyzer" and pair.value.lower() == "true" for pair in field.type_params):
                create_analyzer(analyzer_params(field))
        kept = milvus_pb2.CreateCollectionRequest()
        kept.CopyFrom(request)
        kept.schema = completed(proto).SerializeToString()
        request.schema = schema_for_lite(proto).SerializeToString()
        request.properties.add(key=REQUEST, value=base64.b64encode(kept.SerializeToString()).decode())
        return super().CreateCollection(request, context)

    def DescribeCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with self._bound(collection):
            answer = super().DescribeCollection(request, context)
        if answer.status.code or not collection.request.schema:
            return answer
        answer.schema.CopyFrom(collection.proto)
        answer.schema.name = answer.collection_name
        answer.consistency_level = collection.request.consistency_level
        answer.shards_num = collection.request.shards_num or 1
        answer.db_name = self._database_name(request, context)
        answer.aliases.extend(self._db.list_aliases(collection.name, database_name=answer.db_name))
        kept = [pair for pair in answer.properties if pair.key != REQUEST]
        del answer.properties[:]
        answer.properties.extend(kept)
        return answer

    def RenameCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        check_name(request.newName, "collection")
        return super().RenameCollection(request, context)

    def CreateAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        check_name(request.alias, "collection alias")
        return super().CreateAlias(request, context)

    def AllocTimestamp(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return milvus_pb2.AllocTimestampResponse(status=status(), timestamp=_timestamp())

    # Rows

    def Insert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        self._store_structs(request, collection, optional=False)
        with self._bound(collection):
            return super().Insert(request, context)

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        self._store_structs(request, collection, optional=request.partial_update)
        with self._bound(collection):
            answer = super().Upsert(request, context)
        missing = next((name for name in collection.structs if row_field(name) in answer.status.reason), None)
        if missing:
            raise Refused(f"fieldSchema({missing}) has no corresponding fieldData pass in")
        return answer

    def _store_structs(self, request: Any, collection: EngineCollection, *, optional: bool) -> None:
        """Write the struct columns of a request to their stores and leave the numbers of their records in it."""
        given = {data.field_name: data for data in request.fields_data if data.field_name in collection.structs}
        check_undeclared(request.fields_data, collection.structs, collection.proto.fields)
        check_columns([data for data in request.fields_data if data.field_name not in given], collection.proto.fields)
        new = {}
        for struct in collection.structs.values():
            if struct.name in given:
                new[struct.name] = records(given[struct.name], struct, request.num_rows)
            elif not optional:
                raise Refused(f"fieldSchema({struct.name}) has no corresponding fieldData pass in")
        for index in reversed(range(len(request.fields_data))):
            if request.fields_data[index].field_name in given:
                del request.fields_data[index]
        for name, rows in new.items():
            data = request.fields_data.add(field_name=row_field(name), type=schema_pb2.Int64)
            try:
                data.scalars.long_data.data.extend(collection.stores[name].append(rows))
            except StoreClosed:
                raise collection.gone() from None

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if not request.expr.strip():
            raise Refused("delete plan can't be empty or always true")
        partitions = [request.partition_name] if request.partition_name else []
        check_partitions(partitions, collection)
        check_filter(request.expr, collection)
        with collection.writing():
            keys = self._extract_pks_from_expr(request.expr, collection)
            if keys is None:
                keys = collection.snapshot(request.expr, partitions).keys
            count = collection.delete(keys, partition_name=request.partition_name or None)
        return milvus_pb2.MutationResult(status=status(), delete_cnt=count, timestamp=_timestamp())

    def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        params = check_query(request, collection)
        if "count(*)" in request.output_fields:
            return self._count(request, collection, params)
        outputs = Outputs.of(list(request.output_fields) or ["*"], collection)
        del request.output_fields[:]
        request.output_fields.extend(outputs.lite)
        with self._bound(collection):
            answer = super().Query(request, context)
        if not answer.status.code:
            outputs.fill(answer.fields_data, answer.output_fields, collection)
            answer.session_ts = _timestamp()
        return answer

    def _count(self, request: Any, collection: EngineCollection, params: dict[str, str]) -> Any:
        collection.require_loaded()
        found = collection.snapshot(request.expr, request.partition_names, params.get("timezone"))
        data = schema_pb2.FieldData(field_name="count(*)", type=schema_pb2.Int64)
        data.scalars.long_data.data.append(len(found.keys))
        return milvus_pb2.QueryResults(
            status=status(),
            fields_data=[data],
            collection_name=collection.name,
            output_fields=["count(*)"],
            session_ts=_timestamp(),
        )

    # Searches

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        prepare_search(request, collection)
        answer = self._searched(super().Search, request, context, collection)
        if not answer.status.code and _ranks_by_bm25(request, collection):
            scores = [-score for score in answer.results.scores]
            del answer.results.scores[:]
            answer.results.scores.extend(scores)
        return answer

    def HybridSearch(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        prepare_hybrid(request, collection)
        return self._searched(super().HybridSearch, request, context, collection)

    def _searched(self, handler: Any, request: Any, context: Any, collection: EngineCollection) -> Any:
        outputs = Outputs.of(request.output_fields, collection)
        del request.output_fields[:]
        request.output_fields.extend(outputs.lite)
        with self._bound(collection):
            answer = handler(request, context)
        if not answer.status.code:
            outputs.fill(answer.results.fields_data, answer.results.output_fields, collection)
        return answer

    # Indexes

    def CreateIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        field, params = request.field_name, indexes.parameters(request)
        struct = any(found.vector(field) for found in collection.structs.values())
        if struct:
            params = indexes.struct_index(field, params)
        elif any(field == name or field.startswith(f"{name}[") for name in collection.structs):
            raise Refused(
                f"the embedded engine has no index on {field}, only on vector sub-fields such as patches[emb]"
            )
        name = request.index_name or field
        with collection.writing():
            if field in collection.indexed_fields() and collection.notes(field) == {"name": name, "params": params}:
                return status()
            sparse = not struct and any(
                f.name == field and f.data_type == schema_pb2.SparseFloatVector for f in collection.proto.fields
            )
            indexes.for_lite(request, params, name, sparse=sparse, struct=struct)
            with self._bound(collection):
                return super().CreateIndex(request, context)

    def DescribeIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        fields = self._indexed(request, collection)
        if not fields:
            raise Refused(f"index not found[indexName={request.index_name or request.field_name}]", NO_INDEX)
        rows = len(collection.snapshot().keys)
        found = [indexes.described(collection.notes(field), field, rows) for field in fields]
        descriptions = [milvus_pb2.IndexDescription(**each) for each in found]
        return milvus_pb2.DescribeIndexResponse(status=status(), index_descriptions=descriptions)

    def DropIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with collection.writing():
            fields = self._indexed(request, collection)
            if not fields:
                return status()  # as a server's DropIndex does: programs drop before they create
            free = not collection.loaded_by_user
            if free:
                collection.release()
            for field in fields:
                collection.drop_index(field)
            if free:
                collection.load()
        return status()

    @staticmethod
    def _indexed(request: Any, collection: EngineCollection) -> list[str]:
        """The indexed fields that a request means by the name of the index, of the field, or by neither: all."""
        fields = collection.indexed_fields()
        if request.field_name:
            fields = [field for field in fields if field == request.field_name]
        if request.index_name:
            fields = [f for f in fields if request.index_name in (f, f"{f}_idx", collection.notes(f)["name"])]
        return fields

    def LoadCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with self._bound(collection):
            answer = super().LoadCollection(request, context)
        collection.loaded_by_user = not answer.code
        return answer

    def ReleaseCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        collection.loaded_by_user = False
        with self._bound(collection):
            return super().ReleaseCollection(request, context)


def _ranks_by_bm25(request: Any, collection: EngineCollection) -> bool:
    """Whether the scores are BM25's own, which Milvus Lite gives the wrong sign, and no reranker's."""
    field = next((pair.value for pair in request.search_params if pair.key == "anns_field"), None)
    if collection.resolve_search_metric(field or None) != "BM25" or list(getattr(request, "function_chains", [])):
        return False
    return decode_hybrid_function_score(request.function_score).get("rerank") is None


def _timestamp() -> int:
    """Now, as Milvus writes it: milliseconds, and 18 bits to count within one."""
    return int(time.time() * 1000) << 18
