"""Names of collections, aliases, partitions and databases, and what of a server the engine does not have at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from colmilvus.embedded import address, connect
from tests.embedded.pages import FIELD, create, draw, query, rows, schema, search
from tests.embedded.raw import refused


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    """Collections ``pages``, with alias ``al`` and partition ``p``, and ``other``; a database ``d``."""
    client = connect(tmp_path_factory.mktemp("names") / "kb.db")
    create(client, name="pages")
    create(client, name="other")
    client.create_alias("pages", "al")
    client.create_partition("pages", "p")
    client.create_database("d")
    client.insert("pages", rows(draw(1, 3)))
    yield client
    client.close()


HERE = "[database=default]"
NAMES: list[tuple[str, tuple[Any, ...], int, str]] = [
    ("create_alias", ("other", "al"), 1602, f"al is alias to another collection: pages: alias already exist{HERE}"),
    ("create_alias", ("other", "pages"), 1601, f"alias and collection name conflict{HERE}[alias=pages]"),
    ("create_alias", ("nope", "new"), 100, f"collection not found{HERE}[collection=nope]"),
    ("alter_alias", ("pages", "nope"), 1600, f"alias not found{HERE}[alias=nope]"),
    ("alter_alias", ("pages", "other"), 1601, f"alias and collection name conflict{HERE}[alias=other]"),
    ("describe_alias", ("nope",), 1600, f"alias not found{HERE}[alias=nope]"),
    ("drop_alias", ("nope",), 1600, f"alias not found{HERE}[alias=nope]"),
    ("list_aliases", ("nope",), 100, f"collection not found{HERE}[collection=nope]"),
    ("drop_collection", ("al",), 1100, "cannot drop the collection via alias = al"),
    (
        "drop_collection",
        ("pages",),
        1100,
        "unable to drop the collection [pages] because it has associated aliases [al], please remove all aliases",
    ),
    ("rename_collection", ("pages", "other"), 1100, "duplicated new collection name default:other with other collect"),
    ("rename_collection", ("pages", "pages"), 1100, "collection name or database name should be different"),
    ("rename_collection", ("al", "new"), 1100, "unsupported use an alias to rename collection, alias:al"),
    ("rename_collection", ("other", "al"), 1601, f"alias and collection name conflict{HERE}[alias=al]"),
    ("rename_collection", ("nope", "new"), 100, f"collection not found{HERE}[collection=nope]"),
    (
        "create_partition",
        ("pages", "p q"),
        1100,
        "Invalid partition name: p q. Partition name can only contain numbers",
    ),
    ("create_partition", ("nope", "p"), 100, f"collection not found{HERE}[collection=nope]"),
    ("drop_partition", ("pages", "_default"), 1100, "default partition cannot be deleted"),
    (
        "drop_partition",
        ("pages", "p"),
        1100,
        "partition cannot be dropped, partition is loaded, please release it first",
    ),
    ("get_partition_stats", ("pages", "nope"), 200, "partition not found[partition=nope]"),
    ("load_partitions", ("pages", ["nope"]), 200, "partition not found[partition=nope]"),
    ("release_partitions", ("pages", ["nope"]), 200, "partition not found[partition=nope]"),
    ("create_database", ("d",), 1100, "database already exist: d"),
    ("create_database", ("1 d",), 802, "the first character of a database name must be an underscore or letter"),
    ("drop_database", ("nope",), 800, "database not found[database=nope]"),
    ("drop_database", ("default",), 1100, "can not drop default database"),
    ("describe_database", ("nope",), 800, "database not found[database=nope]"),
    *(
        (method, ("nope",), 100, f"collection not found{HERE}[collection=nope]")
        for method in ("describe_collection", "load_collection", "release_collection", "get_collection_stats", "flush")
    ),
    *(
        (method, ("nope",), 100, f"collection not found{HERE}[collection=nope]")
        for method in ("truncate_collection", "compact", "list_partitions", "list_indexes")
    ),
    (
        "alter_collection_properties",
        ("pages", {"collection.ttl.seconds": 60}),
        1100,
        "collection.ttl.seconds is not",
    ),
    (
        "alter_collection_properties",
        ("pages", {"mmap.enabled": True}),
        104,
        "can not alter mmap properties if collection loaded: collection already loaded[collection=pages]",
    ),
    (
        "alter_collection_field",
        ("pages", FIELD, {"mmap.enabled": True}),
        104,
        "can not alter collection field properties if collection loaded",
    ),
    ("alter_collection_field", ("pages", "nope", {"mmap.enabled": True}), 1100, "field not found: nope"),
    (
        "alter_collection_field",
        ("pages", "patches", {"max_capacity": 9}),
        1100,
        "the embedded engine does not alter",
    ),
    (
        "alter_collection_field",
        ("pages", "year", {"colour": 9}),
        1100,
        "colour does not allow update in collection field",
    ),
]


@pytest.mark.parametrize(
    ("method", "given", "code", "said"), NAMES, ids=[f"{i}-{method}" for i, (method, *_) in enumerate(NAMES)]
)
def test_what_a_server_refuses_about_names_is_refused(
    named: MilvusClient, method: str, given: tuple[Any, ...], code: int, said: str
) -> None:
    assert said in refused(getattr(named, method), *given, code=code)


def test_shards_and_partitions_have_a_servers_limits(named: MilvusClient) -> None:
    said = refused(named.create_collection, "new", schema=schema(named), num_shards=17)
    assert said == "maximum shards's number should be limited to 16"
    said = refused(named.create_collection, "new", schema=schema(named), num_partitions=4)
    assert said == "num_partitions should only be specified with partition key field enabled"


def test_what_is_done_already_is_done_again_in_silence(named: MilvusClient) -> None:
    named.create_alias("pages", "al")
    named.create_partition("pages", "p")
    named.drop_partition("pages", "nope")
    named.drop_collection("nope")
    named.release_partitions("pages", [])
    assert named.describe_alias("al") == {"alias": "al", "collection_name": "pages", "db_name": "default"}
    assert named.list_partitions("pages") == ["_default", "p"]
    assert len(search(named, query(1), "al")) == 3


def test_a_database_is_dropped_only_when_empty(client: MilvusClient, path: Path) -> None:
    client.create_database("full")
    uri, token = address(path)
    other = MilvusClient(uri, token=token, db_name="full", dedicated=True)
    create(other)
    said = refused(client.drop_database, "full")
    assert said == "database:full not empty, must drop all collections before drop database"
    other.drop_collection("pages")
    other.close()
    client.drop_database("full")
    assert client.list_databases() == ["default"]


# Every call of MilvusClient that the engine does not do: how it is named, and that pymilvus does not repeat it.
ABSENT: list[tuple[str, tuple[Any, ...], str]] = [
    ("create_user", ("u", "Secret1!"), "CreateCredential"),
    ("list_users", (), "ListCredUsers"),
    ("describe_user", ("u",), "SelectUser"),
    ("drop_user", ("u",), "DeleteCredential"),
    ("update_password", ("u", "Secret1!", "Secret2!"), "UpdateCredential"),
    ("create_role", ("r",), "CreateRole"),
    ("list_roles", (), "SelectRole"),
    ("drop_role", ("r",), "DropRole"),
    ("grant_role", ("u", "r"), "OperateUserRole"),
    ("grant_privilege", ("r", "Global", "*", "*"), "OperatePrivilege"),
    ("create_privilege_group", ("g",), "CreatePrivilegeGroup"),
    ("list_privilege_groups", (), "ListPrivilegeGroups"),
    ("create_resource_group", ("g",), "CreateResourceGroup"),
    ("list_resource_groups", (), "ListResourceGroups"),
    ("describe_replica", ("pages",), "GetReplicas"),
    ("list_loaded_segments", ("pages",), "GetQuerySegmentInfo"),
    ("list_persistent_segments", ("pages",), "GetPersistentSegmentInfo"),
]


@pytest.mark.parametrize(("method", "given", "name"), ABSENT, ids=[method for method, *_ in ABSENT])
def test_what_the_engine_lacks_is_refused_by_name_and_not_repeated(
    named: MilvusClient, method: str, given: tuple[Any, ...], name: str
) -> None:
    if not hasattr(named, method):
        pytest.skip("this pymilvus has no such call")
    started = time.monotonic()
    assert refused(getattr(named, method), *given, code=3000) == f"the embedded engine does not support {name}"
    assert time.monotonic() - started < 5


def test_structs_and_fields_are_neither_added_nor_dropped(named: MilvusClient) -> None:
    said = refused(named.add_collection_field, "pages", "extra", DataType.INT64, nullable=True, code=3000)
    assert said in {
        f"the embedded engine does not support {name}" for name in ("AddCollectionField", "AlterCollectionSchema")
    }
    if not hasattr(named, "add_collection_struct_field"):
        pytest.skip("this pymilvus has no such calls")
    patch = named.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=4)
    given: dict[str, Any] = {"struct_schema": patch, "max_capacity": 3, "nullable": True}
    assert "does not support" in refused(named.add_collection_struct_field, "pages", "more", code=3000, **given)
    assert "does not support" in refused(named.drop_collection_field, "pages", "year", code=3000)


def test_properties_of_fields_are_altered_after_release(client: MilvusClient) -> None:
    create(client)
    client.release_collection("pages")
    for field in ("year", "patches", FIELD):
        client.alter_collection_field("pages", field, {"mmap.enabled": True})
    fields = {field["name"]: field for field in client.describe_collection("pages")["fields"]}
    assert fields["year"]["params"]["mmap_enabled"] is True
    assert fields["patches"]["struct_fields"][0]["params"]["mmap_enabled"] is True
    client.alter_collection_properties("pages", {"mmap.enabled": True})
    client.load_collection("pages")
    client.insert("pages", rows(draw(1, 3)))
    assert len(search(client, query(1))) == 3


def test_mmap_is_taken_wherever_a_server_takes_it(client: MilvusClient) -> None:
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=4, mmap_enabled=True)
    options = {"element_type": DataType.STRUCT, "struct_schema": patch, "max_capacity": 3, "mmap_enabled": True}
    made.add_field("patches", DataType.ARRAY, **options)
    client.create_collection("pages", schema=made, properties={"mmap.enabled": True})
    params = client.prepare_index_params()
    params.add_index(FIELD, index_type="HNSW", metric_type="MAX_SIM", params={"mmap.enabled": True})
    client.create_index("pages", params, sync=False)
    client.load_collection("pages")
    client.insert("pages", [{"id": 1, "patches": [{"emb": [1.0, 0.0, 0.0, 0.0]}]}])
    assert len(search(client, query(1, dim=4))) == 1


def test_upkeep_ends_at_once(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 3)))
    client.flush("pages")
    if hasattr(client, "flush_all"):
        client.flush_all(timeout=5)
    assert client.get_compaction_state(client.compact("pages")) == "Completed"
    client.refresh_load("pages", timeout=5)
    if hasattr(client, "optimize"):
        assert client.optimize("pages", timeout=10).status == "success"
    assert client.run_analyzer("Red plums", {"type": "english"}).tokens == ["red", "plum"]
    client.create_collection("pages", schema=schema(client))
    assert len(search(client, query(1))) == 3
