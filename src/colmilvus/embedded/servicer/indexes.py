"""Calls that make, describe and drop indexes."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded import indexes
from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.refusal import NO_INDEX, Refused, status
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Indexes"]


class Indexes(Calls):
    """Milvus Lite's calls about indexes, for those on vector sub-fields of structs."""

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
