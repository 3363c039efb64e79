"""Late-interaction retrieval on Milvus: PDF pages in, ranked pages out."""

from colmilvus.collection import Collection
from colmilvus.connection import Server
from colmilvus.copying import CopyReport
from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, Hit, MultiVector, Segment
from colmilvus.gathering import group
from colmilvus.maxsim import maxsim
from colmilvus.report import AddReport, IncompleteAdd, Problem

__version__ = "0.1.0"

__all__ = [
    "AddReport",
    "Collection",
    "CopyReport",
    "Embedder",
    "Entity",
    "Hit",
    "IncompleteAdd",
    "MultiVector",
    "Problem",
    "Segment",
    "Server",
    "Unreadable",
    "group",
    "maxsim",
]
