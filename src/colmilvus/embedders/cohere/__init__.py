"""An embedder on Cohere's API: one vector a segment, piece of text or picture, and words as a query."""

from __future__ import annotations

from colmilvus.embedders.cohere.embedder import CohereEmbedder
from colmilvus.embedders.cohere.service import Usage

__all__ = ["CohereEmbedder", "Usage"]
