"""The private names of Milvus Lite 3.2.2 that the engine stands on, and a test that they are there."""

from __future__ import annotations

from typing import Any

from colmilvus.errors import MissingExtra, Unsupported

try:
    from milvus_lite.adapter.grpc.errors import to_status_kwargs
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import SCHEMA_FILENAME, MilvusLite
    from milvus_lite.engine import collection as collections
    from milvus_lite.engine.collection import Collection
    from milvus_lite.engine.compaction import CompactionManager
    from milvus_lite.engine.projection import build_projection_plan, project_record
    from milvus_lite.exceptions import (
        CollectionAlreadyExistsError,
        CollectionNotFoundError,
        CollectionNotLoadedError,
        DatabaseNotEmptyError,
        DatabaseNotFoundError,
        DataDirLockedError,
        MilvusLiteError,
    )
    from milvus_lite.function.expr.bm25_expr import BM25Expr
    from milvus_lite.rerank.boost import decode_hybrid_function_score
    from milvus_lite.schema.persistence import load_schema, save_schema
    from milvus_lite.schema.types import FunctionType
    from milvus_lite.schema.validation import validate_schema
    from milvus_lite.search import filter as filters
    from milvus_lite.search.assembler import materialize_record
    from milvus_lite.search.bitmap import build_valid_mask
    from milvus_lite.search.filter import evaluate_mask
    from milvus_lite.search.filter.eval import python_backend
    from milvus_lite.search.indexed_filter import evaluate_segment_filter
    from milvus_lite.storage.data_file import read_data_file, write_data_file
    from milvus_lite.storage.delta_index import DeltaIndex
    from milvus_lite.storage.manifest import Manifest
    from milvus_lite.storage.memtable import MemTable
    from milvus_lite.storage.segment import Segment
    from milvus_lite.storage.wal import WAL
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = [
    "ATTRIBUTES",
    "METHODS",
    "SCHEMA_FILENAME",
    "WAL",
    "BM25Expr",
    "Collection",
    "CollectionAlreadyExistsError",
    "CollectionNotFoundError",
    "CollectionNotLoadedError",
    "DataDirLockedError",
    "DatabaseNotEmptyError",
    "DatabaseNotFoundError",
    "FunctionType",
    "Manifest",
    "MilvusLite",
    "MilvusLiteError",
    "MilvusServicer",
    "Segment",
    "build_projection_plan",
    "build_valid_mask",
    "collections",
    "decode_hybrid_function_score",
    "evaluate_mask",
    "evaluate_segment_filter",
    "filters",
    "load_schema",
    "materialize_record",
    "project_record",
    "python_backend",
    "read_data_file",
    "save_schema",
    "self_test",
    "to_status_kwargs",
    "validate_schema",
    "write_data_file",
]

METHODS: dict[Any, str] = {
    MilvusLite: """create_collection get_collection drop_collection rename_collection truncate_collection
        alter_collection_properties create_database drop_database list_databases alter_database_properties
        drop_database_properties create_alias alter_alias drop_alias list_aliases close resolve_collection_name
        has_collection _aliases _save_aliases _database_properties _check_open _require_database _validate_name
        _collection_dir _collections_root _database_staging_root _database_dir
        _aliases_path _load_aliases _database_properties_path _load_database_properties
        _write_database_properties_file _normalize_database_properties
        _database_has_collections _normalize_database_name _validate_database_name has_database""",
    Manifest: """load save set_index_spec active_wal_number get_all_data_files remove_data_files get_all_delta_files
        remove_delta_files add_data_file add_delta_file _to_payload""",
    WAL: "write_insert write_delete close_and_delete data_path delta_path number",
    DeltaIndex: "frozen_copy",
    Segment: "num_rows",
    CompactionManager: "_pick_unique_seq_range _gc_tombstones",
    Collection: """insert upsert delete flush create_index drop_index create_partition drop_partition has_partition
        list_partitions load release
        alter_properties close get query search resolve_search_metric load_state pk_field name schema data_dir
        _insert_with_partition_key
        _apply _should_flush _trigger_flush _schedule_bg_maintenance _wait_for_bg _num_entities
        _read_snapshot _segments_snapshot _compile_filter _indexed_filter_plan _effective_timezone _require_loaded
        _build_or_load_segment_index _refresh_segment_cache _resolve_anns_field _search_sparse
        _prepare_sparse_queries""",
    filters: "evaluate evaluate_mask compile_filter",
    python_backend: "_eval_row",
    collections: "_row_matches_filter",
    MilvusServicer: """CreateCollection ShowCollections DescribeCollection RenameCollection DropCollection
        AlterCollection AlterCollectionField CreateAlias AlterAlias DropAlias DescribeAlias ListAliases CreatePartition
        DropPartition GetPartitionStatistics GetCollectionStatistics TruncateCollection
        CreateDatabase DropDatabase DescribeDatabase AlterDatabase Insert Upsert Delete
        Query Search HybridSearch CreateIndex AlterIndex DescribeIndex DropIndex LoadCollection LoadPartitions
        GetLoadingProgress GetLoadState ReleaseCollection ReleasePartitions
        Flush FlushAll GetFlushAllState ManualCompaction GetCompactionStateWithPlans RunAnalyzer
        _get_collection _database_name _extract_pks_from_expr""",
}
ATTRIBUTES: dict[Any, str] = {
    MilvusLite: "_data_dir _aliases_by_db _database_properties_by_db _collections _closed _lock_fd _lock_path",
    Collection: """_memtable _schema _index_specs _vector_name _maintenance_lock _bm25_analyzers _ingestion_chain
        _load_state _wal _bg_executor _bg_closed _manifest _delta_index _segment_cache _compaction_mgr
        _recovered_wal_bytes""",
    DeltaIndex: "_map",
    Segment: "partition pks seqs",
    MemTable: "_insert_batches _pk_index _delete_index _pk_name _lock",
    WAL: "_data_sink _delta_sink _data_size_bytes _delta_size_bytes wal_dir",
    Manifest: "_partitions",
}


def self_test() -> None:
    """Raise Unsupported, naming what is gone, where the installed Milvus Lite is not what the engine was built on."""
    gone = []
    for kind, names in METHODS.items():
        gone += [f"{kind.__name__}.{name}" for name in names.split() if not hasattr(kind, name)]
    for kind, names in ATTRIBUTES.items():
        set_by_init = kind.__init__.__code__.co_names
        gone += [f"{kind.__name__}.{name}" for name in names.split() if name not in set_by_init]
    if gone:
        raise Unsupported(f"this version of milvus-lite lacks {', '.join(gone)}: pip install 'milvus-lite>=3.2.2,<3.3'")
