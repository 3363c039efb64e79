"""Calls that make, describe, rename, alter and drop collections."""

from __future__ import annotations

import base64
from typing import Any

from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from colmilvus.embedded.analyzers import create_analyzer
from colmilvus.embedded.lite import REQUEST, EngineCollection, MilvusLiteError, analyzer_params
from colmilvus.embedded.naming import check_name
from colmilvus.embedded.refusal import ALIAS_IS_COLLECTION, LOADED, Refused, status
from colmilvus.embedded.schema import completed, schema_for_lite
from colmilvus.embedded.schema_rules import check_schema
from colmilvus.embedded.servicer.calls import Calls, timestamp
from colmilvus.errors import DatabaseDamaged, MissingExtra

__all__ = ["Collections"]

MMAP = "mmap.enabled"
UNALTERABLE = ("max_length", "max_capacity", "enable_analyzer", "analyzer_params", "field.description", "warmup")
# What a server heeds and the engine does not.
UNHEEDED = {
    "collection.ttl.seconds": "its rows do not expire",
    "ttl_field": "its rows do not expire",
    "partitionkey.isolation": "it would let a search through that names no key",
}
MOST_SHARDS = 16


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
        check_name(request.collection_name)
        check_schema(proto, request.collection_name)
        _check_properties(request.properties)
        if proto.struct_array_fields:
            _check_shape(request, proto)
        for field in proto.fields:
            _check_analyzer(field)
        kept = milvus_pb2.CreateCollectionRequest()
        kept.CopyFrom(request)
        kept.schema = completed(proto).SerializeToString()
        if self._exists(request, kept, context):
            return status()
        request.schema = schema_for_lite(proto).SerializeToString()
        request.properties.add(key=REQUEST, value=base64.b64encode(kept.SerializeToString()).decode())
        return super().CreateCollection(request, context)

    def _exists(self, request: Any, kept: Any, context: Any) -> bool:
        """Whether the very same collection is there already. Raises Refused where another has its name."""
        name, database = request.collection_name, self._database_name(request, context)
        if name in self._db.list_aliases(database_name=database):
            raise _conflict(database, name, "please choose a unique name: ")
        if not self._db.has_collection(name, database_name=database):
            return False
        held = self._db.get_collection(name, database_name=database)
        if _made_alike(held.request, kept):
            return True
        raise Refused(f"create duplicate collection with different parameters, collection: {name}")

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
        check_name(request.newName)
        old, new = request.oldName, request.newName
        database = self._database_name(request, context)
        aliases = self._db.list_aliases(database_name=database)
        if request.newDBName and request.newDBName != database:
            raise Refused("the embedded engine does not move collections to other databases")
        if old == new:
            raise Refused("collection name or database name should be different")
        if old in aliases:
            raise Refused(f"unsupported use an alias to rename collection, alias:{old}")
        if new in aliases:
            raise _conflict(database, new)
        self._require_collection(old, database)
        if self._db.has_collection(new, database_name=database):
            raise Refused(f"duplicated new collection name {database}:{new} with other collection name or alias")
        return super().RenameCollection(request, context)

    def ShowCollections(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Name all collections, also those that cannot be opened, which would be a failure of the call with Lite."""
        database = self._database_name(request, context)
        names = self._db.list_collections(database_name=database)
        if request.collection_names:
            names = [name for name in names if name in set(request.collection_names)]
        loaded = [self._is_loaded(name, database) for name in names]
        return milvus_pb2.ShowCollectionsResponse(
            status=status(),
            collection_names=names,
            inMemory_percentages=[100 * each for each in loaded],
            query_service_available=loaded,
            shards_num=[1] * len(names),
        )

    def _is_loaded(self, name: str, database: str) -> bool:
        try:
            return bool(self._db.get_collection(name, database_name=database).load_state == "loaded")
        except (DatabaseDamaged, OSError, MilvusLiteError):
            return False

    def DropCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        name, database = request.collection_name, self._database_name(request, context)
        if name in self._db.list_aliases(database_name=database):
            raise Refused(f"cannot drop the collection via alias = {name}")
        if self._db.has_collection(name, database_name=database):
            aliases = self._db.list_aliases(name, database_name=database)
            if aliases:
                raise Refused(
                    f"unable to drop the collection [{name}] because it has associated aliases [{' '.join(aliases)}], "
                    "please remove all aliases before dropping the collection"
                )
        return super().DropCollection(request, context)

    def TruncateCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_collection(request.collection_name, self._database_name(request, context))
        return super().TruncateCollection(request, context)

    def GetCollectionStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_collection(request.collection_name, self._database_name(request, context))
        return super().GetCollectionStatistics(request, context)

    def AlterCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        _check_properties(request.properties)
        changed = {*(pair.key for pair in request.properties), *getattr(request, "delete_keys", [])}
        if collection.structs and MMAP in changed:
            _check_released(collection, "can not alter mmap properties if collection loaded")
        return super().AlterCollection(request, context)

    def AlterCollectionField(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        field = _field(collection, request.field_name)
        changed = {pair.key: pair.value for pair in request.properties}
        for name in (*changed, *request.delete_keys):
            if name in UNALTERABLE:
                raise Refused(f"the embedded engine does not alter {name} of field {request.field_name}")
            if name != MMAP:
                raise Refused(f"{name} does not allow update in collection field param")
        _check_released(collection, "can not alter collection field properties if collection loaded")
        kept = {pair.key: pair.value for pair in field.type_params if pair.key not in request.delete_keys} | changed
        del field.type_params[:]
        for name, value in kept.items():
            field.type_params.add(key=name, value=value)
        collection.request.schema = collection.proto.SerializeToString()
        made = base64.b64encode(collection.request.SerializeToString()).decode()
        database = self._database_name(request, context)
        self._db.alter_collection_properties(collection.name, properties={REQUEST: made}, database_name=database)
        return status()

    def AllocTimestamp(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return milvus_pb2.AllocTimestampResponse(status=status(), timestamp=timestamp())


def _conflict(database: str, alias: str, hint: str = "") -> Refused:
    return Refused(f"{hint}alias and collection name conflict[database={database}][alias={alias}]", ALIAS_IS_COLLECTION)


def _made_alike(one: Any, other: Any) -> bool:
    """Whether two requests ask for the same collection."""
    names = ("schema", "shards_num", "consistency_level", "num_partitions")
    pairs = [sorted((pair.key, pair.value) for pair in each.properties) for each in (one, other)]
    return all(getattr(one, name) == getattr(other, name) for name in names) and pairs[0] == pairs[1]


def _field(collection: EngineCollection, name: str) -> Any:
    """The message of a field, a struct or a sub-field."""
    structs = collection.proto.struct_array_fields
    fields = {field.name: field for field in (*collection.proto.fields, *structs)}
    fields |= {f"{struct.name}[{field.name}]": field for struct in structs for field in struct.fields}
    if name not in fields:
        raise Refused(f"field not found: {name}")
    return fields[name]


def _check_released(collection: EngineCollection, said: str) -> None:
    if collection.loaded_by_user:
        raise Refused(f"{said}: collection already loaded[collection={collection.name}]", LOADED)


def _check_shape(request: Any, proto: Any) -> None:
    """Refuse numbers of shards and partitions that a server would not take."""
    if request.shards_num > MOST_SHARDS:
        raise Refused(f"maximum shards's number should be limited to {MOST_SHARDS}")
    if request.num_partitions and not any(field.is_partition_key for field in proto.fields):
        raise Refused("num_partitions should only be specified with partition key field enabled")


def _check_properties(properties: Any) -> None:
    """Refuse properties of a collection that a server would heed and the engine would not."""
    for pair in properties:
        if pair.key in UNHEEDED and pair.value.lower() != "false":
            raise Refused(f"the property {pair.key} is not supported by the embedded engine: {UNHEEDED[pair.key]}")
