"""Calls that load and release collections and their partitions."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import common_pb2

from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.refusal import NO_INDEX, NO_PARTITION, Refused, status
from colmilvus.embedded.schema import TOP_VECTORS
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Loading"]


class Loading(Calls):
    """Milvus Lite's calls about loading, and those for single partitions, which it lacks."""

    def LoadCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        answer = self._load(collection, request, context)
        if not answer.code:
            collection.released = set()
        return answer

    def LoadPartitions(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        names = _named(request, collection)
        released = collection.released if collection.loaded_by_user else set(collection.list_partitions())
        answer = self._load(collection, request, context)
        if not answer.code:
            collection.released = released - names
        return answer

    def _load(self, collection: EngineCollection, request: Any, context: Any) -> Any:
        _check_indexed(collection)
        with self._bound(collection):
            answer = super().LoadCollection(request, context)
        collection.loaded_by_user = not answer.code
        return answer

    def ReleaseCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        collection.loaded_by_user = False
        with self._bound(collection):
            return super().ReleaseCollection(request, context)

    def ReleasePartitions(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if not collection.loaded_by_user:
            return status()
        collection.released = collection.released | _named(request, collection)
        if collection.released.issuperset(collection.list_partitions()):
            return self.ReleaseCollection(request, context)
        return status()

    def GetLoadingProgress(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = super().GetLoadingProgress(request, context)
        answer.refresh_progress = answer.progress
        return answer

    def GetLoadState(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = super().GetLoadState(request, context)
        if request.partition_names and answer.state == common_pb2.LoadState.LoadStateLoaded:
            collection = self._get_collection(request, context)
            if collection.released.intersection(_named(request, collection)):
                answer.state = common_pb2.LoadState.LoadStateNotLoad
        return answer


def _named(request: Any, collection: EngineCollection) -> set[str]:
    """The partitions that the request names. Raises Refused for one that is none, and for a partition key's."""
    if any(field.is_partition_key for field in collection.proto.fields):
        raise Refused("disable load and release partitions if partition key mode is used")
    for name in request.partition_names:
        if not collection.has_partition(name):
            raise Refused(f"partition not found[partition={name}]", NO_PARTITION)
    return set(request.partition_names)


def _check_indexed(collection: EngineCollection) -> None:
    """Refuse to load a collection with structs that has vectors without an index."""
    if not collection.structs:
        return
    fields = [field.name for field in collection.proto.fields if field.data_type in TOP_VECTORS]
    fields += [vector.field for struct in collection.structs.values() for vector in struct.vectors]
    indexed = collection.indexed_fields()
    if not indexed:
        raise Refused(f"index not found[collection={collection.name}]", NO_INDEX)
    bare = [field for field in fields if field not in indexed]
    if bare:
        raise Refused(f"there is no vector index on field: [{' '.join(bare)}], please create index firstly")
