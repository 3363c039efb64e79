"""One row a vector, for servers without arrays of structs: candidates by single vectors, then exact MaxSim.

Each vector of a query finds the rows nearest to it. From their scores comes the most and the least that the MaxSim of
every entity among them may be: what a query vector did not find lies behind the last row that it did find. Those that
may be among the best are fetched whole and compared exactly.

Sources: Milvus, "Use ColPali for Multi-Modal Retrieval with Milvus", for the rows; Lee et al., "Rethinking the Role of
Token Retrieval in Multi-Vector Retrieval" (XTR), NeurIPS 2023, for the estimates.
"""

from __future__ import annotations

from colmilvus.layouts.flat.layout import FlatLayout
from colmilvus.layouts.flat.schema import VECTOR

__all__ = ["VECTOR", "FlatLayout"]
