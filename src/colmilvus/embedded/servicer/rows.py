"""Calls that write, delete and read rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded.limits import check_bytes
from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.naming import check_undeclared
from colmilvus.embedded.outputs import Outputs
from colmilvus.embedded.queries import COUNT, check_no_partition_key, check_query, fill_filter
from colmilvus.embedded.refusal import NO_PARTITION, Refused, status
from colmilvus.embedded.schema import row_field
from colmilvus.embedded.servicer.calls import Calls, timestamp
from colmilvus.embedded.servicer.numbers import number_rows
from colmilvus.embedded.vectors import Record, StoreClosed
from colmilvus.embedded.wire import check_columns, records

__all__ = ["Rows"]


class Rows(Calls):
    """Milvus Lite's calls about rows, for rows with structs."""

    def Insert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        _check_partition(request, collection)
        _check_given(request, collection)
        with self._stored(request, collection), self._bound(collection):
            number_rows(request, collection, context)
            return super().Insert(request, context)

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        _check_partition(request, collection)
        _check_keys(request, collection)
        if request.partial_update:
            return self._update(request, context, collection)
        if not collection.proto.autoID:
            _check_given(request, collection)
        with self._stored(request, collection), self._bound(collection):
            if collection.proto.autoID:
                return super().Upsert(request, context)
            # Milvus Lite's upsert merges; its insert replaces the row of the key, as a server's upsert does.
            answer = super().Insert(request, context)
        answer.upsert_cnt, answer.insert_cnt = answer.insert_cnt, 0
        return answer

    def _update(self, request: Any, context: Any, collection: EngineCollection) -> Any:
        """Upsert the given fields, and keep the others."""
        for data in request.fields_data:
            if "[" in data.field_name:
                raise Refused(
                    f"partial struct update is not supported for struct sub-field '{data.field_name}'; "
                    "use the whole struct field instead"
                )
        for operation in getattr(request, "field_ops", []):
            if operation.op:
                raise Refused(f"field_ops on {operation.field_name} are not supported by the embedded engine")
        if collection.structs:
            collection.require_loaded()
        with self._stored(request, collection), self._bound(collection):
            answer = super().Upsert(request, context)
        missing = next((name for name in collection.structs if row_field(name) in answer.status.reason), None)
        if missing:
            raise Refused(f"structFieldSchema({missing}) has no corresponding fieldData pass in")
        return answer

    @contextmanager
    def _stored(self, request: Any, collection: EngineCollection) -> Iterator[None]:
        """Write the struct columns of a request to their stores and leave the numbers of their records in it.

        No record of these is collected before the end of the block, when a row refers to it, or none will.
        """
        new = self._struct_columns(request, collection)
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

    def _struct_columns(self, request: Any, collection: EngineCollection) -> dict[str, list[Record]]:
        """Take the records out of the struct columns of a request."""
        given = {data.field_name: data for data in request.fields_data if data.field_name in collection.structs}
        check_undeclared(request.fields_data, collection.structs, collection.proto.fields)
        check_columns([data for data in request.fields_data if data.field_name not in given], collection.proto.fields)
        new = {
            name: records(given[name], struct, request.num_rows)
            for name, struct in collection.structs.items()
            if name in given
        }
        for index in reversed(range(len(request.fields_data))):
            if request.fields_data[index].field_name in given:
                del request.fields_data[index]
        return new

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if not request.expr.strip():
            raise Refused(f"delete plan can't be empty or always true : {request.expr}")
        partitions = [request.partition_name] if request.partition_name else []
        _check_partition(request, collection)
        fill_filter(request, "expr", collection)
        with collection.writing():
            keys = self._extract_pks_from_expr(request.expr, collection)
            if keys is None and collection.structs:
                collection.require_loaded()
            # Milvus Lite would delete keys of other partitions too.
            by_keys = keys is not None and not partitions
            found = keys if by_keys else list(collection.snapshot(request.expr, partitions).keys)
            collection.delete(found)
            count = len(found if keys is None else keys)
        return milvus_pb2.MutationResult(status=status(), delete_cnt=count, timestamp=timestamp())

    def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        params = check_query(request, collection)
        if COUNT in request.output_fields:
            return self._count(request, collection, params)
        outputs = Outputs.of(list(request.output_fields) or ["*"], collection)
        del request.output_fields[:]
        request.output_fields.extend(outputs.lite)
        with collection.reading_records(), self._bound(collection):
            answer = super().Query(request, context)
            if not answer.status.code:
                outputs.fill(answer.fields_data, answer.output_fields, collection)
                if collection.structs:
                    check_bytes("query", answer.fields_data)
                answer.session_ts = timestamp()
        return answer

    def _count(self, request: Any, collection: EngineCollection, params: dict[str, str]) -> Any:
        collection.require_loaded()
        found = collection.snapshot(request.expr, request.partition_names, params.get("timezone"))
        data = schema_pb2.FieldData(field_name=COUNT, type=schema_pb2.Int64)
        data.scalars.long_data.data.append(len(found.keys))
        return milvus_pb2.QueryResults(
            status=status(),
            fields_data=[data],
            collection_name=collection.name,
            output_fields=[COUNT],
            session_ts=timestamp(),
        )


def _check_partition(request: Any, collection: EngineCollection) -> None:
    """Refuse a partition that the collection does not have, or that its partition key chooses."""
    name = request.partition_name
    check_no_partition_key(name, collection)
    if name and not collection.has_partition(name):
        raise Refused(f"partition not found[partition={name}]", NO_PARTITION)


def _check_given(request: Any, collection: EngineCollection) -> None:
    """Refuse rows without a field that they need."""
    if request.num_rows <= 0:
        raise Refused("num_rows should be greater than 0: invalid parameter[expected=invalid num_rows][actual=0]")
    given = {data.field_name for data in request.fields_data}
    if collection.structs and collection.proto.autoID and collection.pk_field in given and not _takes_keys(collection):
        raise Refused(
            "can not assign primary field data when auto id enabled and allow_insert_auto_id is false "
            f"{collection.pk_field}"
        )
    for name in collection.structs:
        if name not in given:
            raise Refused(f"required struct array field '{name}' is missing in insert data")
    for field in collection.proto.fields:
        free = field.nullable or field.default_value.WhichOneof("data") or field.is_function_output or field.autoID
        if not free and field.name not in given:
            raise Refused(f"fieldSchema({field.name}) has no corresponding fieldData pass in")


def _takes_keys(collection: EngineCollection) -> bool:
    """Whether rows may come with keys of their own though the database gives keys."""
    properties = collection.schema.properties
    return str(properties.get("allow_insert_auto_id", "")).lower() == "true"


def _check_keys(request: Any, collection: EngineCollection) -> None:
    """Refuse an upsert without keys, or with one twice."""
    data = next((data for data in request.fields_data if data.field_name == collection.pk_field), None)
    if data is None:
        if collection.structs or not collection.proto.autoID:
            raise Refused(f"must assign pk when upsert, primary field: {collection.pk_field}")
        return
    keys = data.scalars.long_data.data or data.scalars.string_data.data
    if len(set(keys)) < len(keys):
        raise Refused("duplicate primary keys are not allowed in the same batch")
