"""The vectors of documents that were removed, for when they are added again.

LangChain's indexing, in its mode "incremental", removes after each batch what it has not yet seen of the batch's
sources, and adds it again with the next batches: of a file of 300 pages, in batches of 100, every run would embed 200
anew, although nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colmilvus.collection import Collection
from colmilvus.embedder import Embedder, Unreadable, WrappedEmbedder
from colmilvus.entity import Entity, MultiVector
from colmilvus.forks import Lock
from colmilvus.images import reference_of

__all__ = ["RecallingEmbedder", "RemovedVectors"]

BYTES = 256 << 20
"""Bytes of vectors that are remembered: about five hundred pages of ColPali."""
READ_AT_ONCE = 200


class RemovedVectors:
    """Vectors of entities and segments that were removed last, up to 256 MiB; safe to be used by several threads."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    def remember(self, collection: Collection, ids: Sequence[str], segments: Sequence[str]) -> None:
        """Read the vectors of entities, and of segments, that are about to be removed; not more than are remembered."""
        wanted = list(dict.fromkeys([*ids, *collection.parents(segments)]))
        whole, single, read = set(ids), set(segments), 0
        for start in range(0, len(wanted), READ_AT_ONCE):
            for entity, vectors in collection.with_vectors(wanted[start : start + READ_AT_ONCE]).values():
                self._keep(dict(_rows(entity, vectors, None if entity.id in whole else single)))
                read += vectors.vectors.nbytes
            if read >= BYTES:
                return

    def _keep(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        with self._lock:
            for key, vectors in rows.items():
                self._bytes += vectors.nbytes - self._discard(key)
                self._vectors[key] = vectors
            while self._bytes > BYTES:
                self._bytes -= self._vectors.popitem(last=False)[1].nbytes

    def _discard(self, key: str) -> int:
        vectors = self._vectors.pop(key, None)
        return 0 if vectors is None else vectors.nbytes

    def take(self, entity: Entity) -> MultiVector | None:
        """The vectors of an entity that is the same as one that was removed, None where any are not known."""
        # where pictures are not kept, the metadata still name the picture, and are compared anyway
        is_kept = entity.image is not None and "image" not in entity.metadata
        picture = Path(reference_of(entity.image)).name if is_kept and entity.image is not None else ""
        keys = [_key(entity, index) for index in range(len(entity.segments))] or [_key(entity, None, picture)]
        with self._lock:
            if not all(key in self._vectors for key in keys):
                return None
            rows = [self._vectors[key] for key in keys]
            self._bytes -= sum(self._discard(key) for key in keys)
        owners = np.repeat(np.arange(len(rows)), [len(part) for part in rows]) if entity.segments else None
        return MultiVector(np.concatenate(rows), owners)


class RecallingEmbedder(WrappedEmbedder):
    """An embedder that is asked only for what was not removed just now."""

    def __init__(self, embedder: Embedder, removed: RemovedVectors) -> None:
        super().__init__(embedder)
        self._removed = removed

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """One multi-vector for each entity, in order."""
        known = [self._removed.take(entity) for entity in entities]
        asked = [entity for entity, vectors in zip(entities, known, strict=True) if vectors is None]
        answers = list(self.embedder.embed_entities(asked)) if asked else []
        if len(answers) != len(asked):
            return answers  # which whoever asked refuses
        rest = iter(answers)
        return [next(rest) if vectors is None else vectors for vectors in known]


def _rows(entity: Entity, vectors: MultiVector, segments: set[str] | None) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The vectors of an entity, or of those of its segments, under what they are known by."""
    if not entity.segments or vectors.segments is None:
        kept = "" if entity.image is None else Path(str(entity.image)).name  # as a collection gives it back
        yield _key(entity, None, kept), vectors.vectors
        return
    for index, segment in enumerate(entity.segments):
        if segments is None or segment.id in segments:
            yield _key(entity, index), vectors.vectors[vectors.segments == index]


def _key(entity: Entity, segment: int | None, picture: str = "") -> str:
    """What is the same for the same entity, or the same segment of the same parent, before and after it is kept."""
    told: list[object] = [entity.id]
    if segment is None:
        told += [entity.text, entity.document, picture, dict(entity.metadata)]
    else:
        part = entity.segments[segment]
        told += [part.id, part.text, dict(part.metadata)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
