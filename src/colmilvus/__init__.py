"""Late-interaction retrieval on Milvus: PDF pages in, ranked pages out."""

from colmilvus.collection import Collection
from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, Hit, MultiVector, Segment
from colmilvus.ingest import AddReport, Problem
from colmilvus.maxsim import maxsim

__version__ = "0.1.0"

__all__ = [
    "AddReport",
    "Collection",
    "Embedder",
    "Entity",
    "Hit",
    "MultiVector",
    "Problem",
    "Segment",
    "Unreadable",
    "maxsim",
]
