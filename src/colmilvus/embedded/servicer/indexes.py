"""Calls that make, describe and drop indexes."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import milvus_pb2

from colmilvus.embedded import indexes
from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.naming import check_index_name
from colmilvus.embedded.refusal import LOADED, NO_INDEX, Refused, status
from colmilvus.embedded.schema import TOP_VECTORS
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Indexes"]


class Indexes(Calls):
    """Milvus Lite's calls about indexes, for those on vector sub-fields of structs."""

    def CreateIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        check_index_name(request.index_name)
        name, params = request.index_name or request.field_name, indexes.parameters(request)
        field = request.field_name
        vector = next((v for struct in collection.structs.values() if (v := struct.vector(field))), None)
        if vector is not None:
            plain, params = None, indexes.struct_index(vector, params)
        else:
            plain = _field(field, collection)
            params = indexes.plain_index(plain, params)
        with collection.writing():
            if _is_there(name, field, params, collection):
                return status()
            indexes.for_lite(request, params, name, plain)
            with self._bound(collection):
                return super().CreateIndex(request, context)

    def AlterIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if not request.index_name:
            raise Refused("index name is empty")
        with collection.writing():
            fields = self._indexed(request, collection)
            if not fields:
                raise _none(request)
            notes = collection.notes(fields[0])
            params = indexes.altered(notes["params"], request)
            if collection.loaded_by_user:
                raise Refused(
                    "can't alter index on loaded collection, please release the collection first: "
                    f"collection already loaded[collection={collection.name}]",
                    LOADED,
                )
            collection.note(fields[0], {**notes, "params": params})
        return status()

    def DescribeIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        fields = self._indexed(request, collection)
        if not fields:
            raise _none(request)
        rows = len(collection.snapshot().keys)
        found = [
            indexes.described(collection.notes(field), field, rows, collection.pending_rows(field)) for field in fields
        ]
        descriptions = [milvus_pb2.IndexDescription(**each) for each in found]
        return milvus_pb2.DescribeIndexResponse(status=status(), index_descriptions=descriptions)

    def DropIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        with collection.writing():
            fields = self._indexed(request, collection)
            if not fields:
                return status()  # as a server's DropIndex does: programs drop before they create
            scalars = {field.name for field in collection.proto.fields if field.data_type not in TOP_VECTORS}
            if collection.loaded_by_user and not scalars.issuperset(fields):
                raise Refused(
                    f"vector index cannot be dropped on loaded collection: {collection.name}; release_collection first"
                )
            # Milvus Lite takes a collection for loaded from the start, and drops an index of a released one only.
            collection.release()
            for field in fields:
                collection.drop_index(field)
            collection.load()
        return status()

    @staticmethod
    def _indexed(request: Any, collection: EngineCollection) -> list[str]:
        """The indexed fields that a request means by the name of the index, of the field, or by neither: all."""
        fields = collection.indexed_fields()
        # An AlterIndexRequest knows the name of the index alone.
        if named := getattr(request, "field_name", ""):
            fields = [field for field in fields if field == named]
        if request.index_name:
            fields = [f for f in fields if request.index_name in (f, f"{f}_idx", collection.notes(f)["name"])]
        return fields


def _none(request: Any) -> Refused:
    name = request.index_name or getattr(request, "field_name", "")
    return Refused(f"index not found[indexName={name}]", NO_INDEX)


def _is_there(name: str, field: str, params: dict[str, str], collection: EngineCollection) -> bool:
    """Whether the very same index is there already. Raises Refused where another is in its place."""
    for other in collection.indexed_fields():
        notes = collection.notes(other)
        if notes["name"] == name:
            if other == field and notes["params"] == params:
                return True
            raise Refused("at most one distinct index is allowed per field")
        if other == field:
            raise Refused("CreateIndex failed: creating multiple indexes on same field is not supported")
    return False


def _field(name: str, collection: EngineCollection) -> Any:
    """The plain field that an index is wanted on."""
    if name.split("[")[0] in collection.structs and "[" in name:
        raise Refused(f"the embedded engine has no index on {name}, only on vector sub-fields such as patches[emb]")
    found = next((field for field in collection.proto.fields if field.name == name), None)
    if found is None:
        raise Refused(f"cannot create index on non-exist field: {name}")
    return found
