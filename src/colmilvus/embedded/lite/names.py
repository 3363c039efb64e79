"""The private names of Milvus Lite 3.2.2 that the engine stands on, and a test that they are there."""

from __future__ import annotations

from typing import Any

from colmilvus.errors import MissingExtra, Unsupported

try:
    from milvus_lite.adapter.grpc.errors import to_status_kwargs
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from milvus_lite.engine.collection import Collection
    from milvus_lite.engine.projection import build_projection_plan, project_record
    from milvus_lite.exceptions import CollectionNotFoundError, DataDirLockedError, MilvusLiteError
    from milvus_lite.function.expr.bm25_expr import BM25Expr
    from milvus_lite.rerank.boost import decode_hybrid_function_score
    from milvus_lite.schema.types import FunctionType
    from milvus_lite.search.assembler import materialize_record
    from milvus_lite.search.bitmap import build_valid_mask
    from milvus_lite.search.filter import evaluate_mask
    from milvus_lite.search.indexed_filter import evaluate_segment_filter
    from milvus_lite.storage.manifest import Manifest
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = [
    "ATTRIBUTES",
    "METHODS",
    "BM25Expr",
    "Collection",
    "CollectionNotFoundError",
    "DataDirLockedError",
    "FunctionType",
    "Manifest",
    "MilvusLite",
    "MilvusLiteError",
    "MilvusServicer",
    "build_projection_plan",
    "build_valid_mask",
    "decode_hybrid_function_score",
    "evaluate_mask",
    "evaluate_segment_filter",
    "materialize_record",
    "project_record",
    "self_test",
    "to_status_kwargs",
]

METHODS: dict[Any, str] = {
    MilvusLite: """create_collection get_collection drop_collection rename_collection truncate_collection
        restore_snapshot alter_collection_properties drop_database close list_aliases
        resolve_collection_name has_collection _collection_dir""",
    Manifest: "load active_wal_number",
    Collection: """insert upsert delete flush create_index drop_index create_partition drop_partition load release
        alter_properties close get query search resolve_search_metric load_state pk_field name data_dir
        _apply _trigger_flush _schedule_bg_maintenance _num_entities _read_snapshot _segments_snapshot
        _compile_filter _indexed_filter_plan _require_loaded _resolve_anns_field""",
    MilvusServicer: """CreateCollection DescribeCollection Insert Upsert Delete Query Search HybridSearch CreateIndex
        DescribeIndex DropIndex LoadCollection ReleaseCollection
        _get_collection _database_name _extract_pks_from_expr""",
}
ATTRIBUTES: dict[Any, str] = {
    MilvusLite: "_collections",
    Collection: """_memtable _schema _index_specs _vector_name _maintenance_lock _bm25_analyzers _ingestion_chain
        _load_state""",
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
