"""Calls that write, delete and read rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded.filters import filled
from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.naming import check_undeclared
from colmilvus.embedded.outputs import Outputs
from colmilvus.embedded.refusal import Refused, status
from colmilvus.embedded.schema import row_field
from colmilvus.embedded.searches import check_filter, check_partitions, check_query
from colmilvus.embedded.servicer.calls import Calls, timestamp
from colmilvus.embedded.vectors import Record, StoreClosed
from colmilvus.embedded.wire import check_columns, records

__all__ = ["Rows"]


class Rows(Calls):
    """Milvus Lite's calls about rows, for rows with structs."""

    def Insert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with self._stored(request, collection, optional=False), self._bound(collection):
            return super().Insert(request, context)

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with self._stored(request, collection, optional=request.partial_update), self._bound(collection):
            answer = super().Upsert(request, context)
        missing = next((name for name in collection.structs if row_field(name) in answer.status.reason), None)
        if missing:
            raise Refused(f"fieldSchema({missing}) has no corresponding fieldData pass in")
        return answer

    @contextmanager
    def _stored(self, request: Any, collection: EngineCollection, *, optional: bool) -> Iterator[None]:
        """Write the struct columns of a request to their stores and leave the numbers of their records in it.

        No record of these is collected before the end of the block, when a row refers to it, or none will.
        """
        new = self._struct_columns(request, collection, optional=optional)
        with ExitStack() as underway:
            for name, rows in new.items():
                store = collection.stores[name]
                try:
                    numbers = store.append(rows)
                except StoreClosed:
                    raise collection.gone() from None
                underway.callback(store.settle, numbers)
                data = request.fields_data.add(field_name=row_field(name), type=schema_pb2.Int64)
                data.scalars.long_data.data.extend(numbers)
            yield

    def _struct_columns(self, request: Any, collection: EngineCollection, *, optional: bool) -> dict[str, list[Record]]:
        """Take the records out of the struct columns of a request."""
        given = {data.field_name: data for data in request.fields_data if data.field_name in collection.structs}
        check_undeclared(request.fields_data, collection.structs, collection.proto.fields)
        check_columns([data for data in request.fields_data if data.field_name not in given], collection.proto.fields)
        new: dict[str, list[Record]] = {}
        for struct in collection.structs.values():
            if struct.name in given:
                new[struct.name] = records(given[struct.name], struct, request.num_rows)
            elif not optional:
                raise Refused(f"fieldSchema({struct.name}) has no corresponding fieldData pass in")
        for index in reversed(range(len(request.fields_data))):
            if request.fields_data[index].field_name in given:
                del request.fields_data[index]
        return new

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if not request.expr.strip():
            raise Refused("delete plan can't be empty or always true")
        partitions = [request.partition_name] if request.partition_name else []
        check_partitions(partitions, collection)
        request.expr = filled(request.expr, request.expr_template_values)
        check_filter(request.expr, collection)
        with collection.writing():
            keys = self._extract_pks_from_expr(request.expr, collection)
            if keys is None:
                keys = collection.snapshot(request.expr, partitions).keys
            count = collection.delete(keys, partition_name=request.partition_name or None)
        return milvus_pb2.MutationResult(status=status(), delete_cnt=count, timestamp=timestamp())

    def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        params = check_query(request, collection)
        if "count(*)" in request.output_fields:
            return self._count(request, collection, params)
        outputs = Outputs.of(list(request.output_fields) or ["*"], collection)
        del request.output_fields[:]
        request.output_fields.extend(outputs.lite)
        with collection.reading_records(), self._bound(collection):
            answer = super().Query(request, context)
            if not answer.status.code:
                outputs.fill(answer.fields_data, answer.output_fields, collection)
                answer.session_ts = timestamp()
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
            session_ts=timestamp(),
        )
