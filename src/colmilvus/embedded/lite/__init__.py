"""Milvus Lite as the engine uses it: the one room that knows its private names.

What Milvus Lite 3.2.2 lacks is added to its own classes: writes of a collection one after the other, first openings one
after the other, reads from one moment, a server's filters, collections that come back loaded, the engine's analyzers,
and the stores of array-of-structs fields. ``self_test`` says what another version of Milvus Lite no longer has.
"""

from __future__ import annotations

from colmilvus.embedded.lite.collection import ANN_RATIO, NOTES, REQUEST, EngineCollection, analyzer_params, pack_query
from colmilvus.embedded.lite.database import EngineDatabase
from colmilvus.embedded.lite.filters import install as install_filters
from colmilvus.embedded.lite.names import (
    CollectionNotFoundError,
    DataDirLockedError,
    MilvusLiteError,
    MilvusServicer,
    decode_hybrid_function_score,
    self_test,
    to_status_kwargs,
)

__all__ = [
    "ANN_RATIO",
    "NOTES",
    "REQUEST",
    "CollectionNotFoundError",
    "DataDirLockedError",
    "EngineCollection",
    "EngineDatabase",
    "MilvusLiteError",
    "MilvusServicer",
    "analyzer_params",
    "decode_hybrid_function_score",
    "install_filters",
    "pack_query",
    "self_test",
    "to_status_kwargs",
]
