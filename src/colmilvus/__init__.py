"""Late-interaction retrieval on Milvus: PDF pages in, ranked pages out."""

from colmilvus.embedder import Embedder, Unreadable
from colmilvus.entity import Entity, Hit, MultiVector, Segment
from colmilvus.maxsim import maxsim

__version__ = "0.1.0"

__all__ = ["Embedder", "Entity", "Hit", "MultiVector", "Segment", "Unreadable", "maxsim"]
