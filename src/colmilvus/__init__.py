"""Late-interaction retrieval on Milvus: PDF pages in, ranked pages out."""

from colmilvus.collection import Collection
from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, Hit, MultiVector, Segment
from colmilvus.gathering import group
from colmilvus.maxsim import maxsim
from colmilvus.report import AddReport, IncompleteAdd, Problem

__version__ = "0.1.0"

__all__ = [
    "AddReport",
    "Collection",
    "Embedder",
    "Entity",
    "Hit",
    "IncompleteAdd",
    "MultiVector",
    "Problem",
    "Segment",
    "Unreadable",
    "group",
    "maxsim",
]
