"""The Milvus protocol: what Milvus Lite lacks or gets wrong is answered here, every other call is Milvus Lite's own."""

from __future__ import annotations

from colmilvus.embedded.servicer.collections import Collections
from colmilvus.embedded.servicer.indexes import Indexes
from colmilvus.embedded.servicer.rows import Rows
from colmilvus.embedded.servicer.searches import Searches
from colmilvus.embedded.servicer.texts import Texts

__all__ = ["EngineServicer"]


class EngineServicer(Collections, Rows, Searches, Indexes, Texts):
    """Milvus Lite's servicer, extended by arrays of structs and MAX_SIM metrics."""
