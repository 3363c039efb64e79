"""Calls that keep a database: flush and compact."""

from __future__ import annotations

from typing import Any

from pymilvus.grpc_gen import common_pb2, milvus_pb2

from colmilvus.embedded.refusal import status
from colmilvus.embedded.servicer.calls import Calls, timestamp

__all__ = ["Upkeep"]


class Upkeep(Calls):
    """Milvus Lite's calls of upkeep, and those that it lacks and a program of pymilvus may make."""

    def Flush(self, request: Any, context: Any) -> Any:  # noqa: N802
        database = self._database_name(request, context)
        for name in request.collection_names:
            self._require_collection(name, database)
        return super().Flush(request, context)

    def FlushAll(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        for database in self._db.list_databases():
            for name in self._db.list_collections(database_name=database):
                self._db.get_collection(name, database_name=database).flush()
        return milvus_pb2.FlushAllResponse(status=status(), flush_all_ts=timestamp())

    def GetFlushAllState(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return milvus_pb2.GetFlushAllStateResponse(status=status(), flushed=True)

    def ManualCompaction(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.collection_name:
            self._get_collection(request, context)
        return super().ManualCompaction(request, context)

    def GetCompactionStateWithPlans(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return milvus_pb2.GetCompactionPlansResponse(status=status(), state=common_pb2.CompactionState.Completed)
