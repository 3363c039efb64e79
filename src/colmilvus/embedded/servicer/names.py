"""Calls about aliases, partitions and databases."""

from __future__ import annotations

from typing import Any

from colmilvus.embedded.naming import check_database_name, check_name, check_partition_name
from colmilvus.embedded.refusal import (
    ALIAS_EXISTS,
    ALIAS_IS_COLLECTION,
    NO_ALIAS,
    NO_DATABASE,
    NO_PARTITION,
    Refused,
    status,
)
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Names"]


class Names(Calls):
    """Milvus Lite's calls about aliases, partitions and databases, with a server's rules and words."""

    def CreateAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        check_name(request.alias, "alias")
        database = self._database_name(request, context)
        held = self._aliased(request.alias, database)
        self._check_no_collection(request.alias, database)
        self._require_collection(request.collection_name, database)
        if held is None:
            return super().CreateAlias(request, context)
        if held != self._db.resolve_collection_name(request.collection_name, database_name=database):
            raise Refused(
                f"{request.alias} is alias to another collection: {held}: "
                f"alias already exist[database={database}][alias={request.alias}]",
                ALIAS_EXISTS,
            )
        return status()

    def AlterAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        database = self._database_name(request, context)
        self._check_no_collection(request.alias, database)
        self._require_alias(request.alias, database)
        self._require_collection(request.collection_name, database)
        return super().AlterAlias(request, context)

    def DropAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_alias(request.alias, self._database_name(request, context))
        return super().DropAlias(request, context)

    def DescribeAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        database = self._database_name(request, context)
        self._require_alias(request.alias, database)
        answer = super().DescribeAlias(request, context)
        answer.db_name = database
        return answer

    def ListAliases(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.collection_name:
            self._get_collection(request, context)
        answer = super().ListAliases(request, context)
        answer.db_name = self._database_name(request, context)
        return answer

    def _aliased(self, alias: str, database: str) -> str | None:
        """The collection that the alias stands for."""
        if alias not in self._db.list_aliases(database_name=database):
            return None
        return str(self._db.describe_alias(alias, database_name=database)["collection"])

    def _require_alias(self, alias: str, database: str) -> None:
        if self._aliased(alias, database) is None:
            raise Refused(f"alias not found[database={database}][alias={alias}]", NO_ALIAS)

    def _check_no_collection(self, alias: str, database: str) -> None:
        if alias not in self._db.list_collections(database_name=database):
            return
        raise Refused(f"alias and collection name conflict[database={database}][alias={alias}]", ALIAS_IS_COLLECTION)

    # Partitions

    def CreatePartition(self, request: Any, context: Any) -> Any:  # noqa: N802
        check_partition_name(request.partition_name)
        collection = self._get_collection(request, context)
        if any(field.is_partition_key for field in collection.proto.fields):
            raise Refused("disable create partition if partition key mode is used")
        if collection.has_partition(request.partition_name):
            return status()
        return super().CreatePartition(request, context)

    def DropPartition(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        if any(field.is_partition_key for field in collection.proto.fields):
            raise Refused("disable drop partition if partition key mode is used")
        if request.partition_name == "_default":
            raise Refused("default partition cannot be deleted")
        if not collection.has_partition(request.partition_name):
            return status()
        if collection.loaded_by_user and request.partition_name not in collection.released:
            raise Refused("partition cannot be dropped, partition is loaded, please release it first")
        return super().DropPartition(request, context)

    def GetPartitionStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self._get_collection(request, context).has_partition(request.partition_name):
            raise Refused(f"partition not found[partition={request.partition_name}]", NO_PARTITION)
        return super().GetPartitionStatistics(request, context)

    # Databases

    def CreateDatabase(self, request: Any, context: Any) -> Any:  # noqa: N802
        check_database_name(request.db_name)
        if request.db_name in self._db.list_databases():
            raise Refused(f"database already exist: {request.db_name}")
        return super().CreateDatabase(request, context)

    def DropDatabase(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.db_name
        if name == "default":
            raise Refused("can not drop default database")
        self._require_database(name)
        if self._db.list_collections(database_name=name):
            raise Refused(f"database:{name} not empty, must drop all collections before drop database")
        return super().DropDatabase(request, context)

    def DescribeDatabase(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_database(self._database_name(request, context))
        return super().DescribeDatabase(request, context)

    def AlterDatabase(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_database(self._database_name(request, context))
        return super().AlterDatabase(request, context)

    def _require_database(self, name: str) -> None:
        if name not in self._db.list_databases():
            raise Refused(f"database not found[database={name}]", NO_DATABASE)
