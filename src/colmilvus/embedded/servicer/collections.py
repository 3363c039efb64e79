"""Calls that make, describe, rename, load and release collections."""

from __future__ import annotations

import base64
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded.analyzers import create_analyzer
from colmilvus.embedded.lite import REQUEST, analyzer_params
from colmilvus.embedded.naming import check_name
from colmilvus.embedded.refusal import Refused, status
from colmilvus.embedded.schema import check_schema, completed, schema_for_lite
from colmilvus.embedded.servicer.calls import Calls, timestamp
from colmilvus.errors import MissingExtra

__all__ = ["Collections"]


def _check_analyzer(field: Any) -> None:
    given = {pair.key: pair.value for pair in field.type_params}
    if given.get("multi_analyzer_params"):
        raise Refused(
            f"multi_analyzer_params of field {field.name} are not supported by the embedded engine; "
            "give analyzer_params, and a field of its own to each language"
        )
    if given.get("enable_analyzer", "").lower() == "true":
        try:
            create_analyzer(analyzer_params(field))
        except MissingExtra as missing:
            raise Refused(f"the analyzer of field {field.name} cannot be made: {missing}") from missing


class Collections(Calls):
    """Milvus Lite's calls about collections, for schemas with structs."""

    def CreateCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        proto = schema_pb2.CollectionSchema.FromString(request.schema)
        check_name(request.collection_name, "collection")
        check_schema(proto)
        for field in proto.fields:
            _check_analyzer(field)
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
        return milvus_pb2.AllocTimestampResponse(status=status(), timestamp=timestamp())

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
