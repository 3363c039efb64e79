"""The Milvus protocol: what Milvus Lite lacks or gets wrong is answered here, every other call is Milvus Lite's own."""

from __future__ import annotations

from colmilvus.embedded.servicer.collections import Collections
from colmilvus.embedded.servicer.indexes import Indexes
from colmilvus.embedded.servicer.loading import Loading
from colmilvus.embedded.servicer.names import Names
from colmilvus.embedded.servicer.rows import Rows
from colmilvus.embedded.servicer.searches import Searches
from colmilvus.embedded.servicer.texts import Texts
from colmilvus.embedded.servicer.upkeep import Upkeep

__all__ = ["EngineServicer"]


class EngineServicer(Collections, Loading, Names, Rows, Searches, Indexes, Texts, Upkeep):
    """Milvus Lite's servicer, extended by arrays of structs and MAX_SIM metrics."""
