"""Multi-vectors kept on disk, so that what was embedded once is not embedded again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from colmilvus.embedder import Embedder, Query, SearchMode, Setting, Unreadable, identity, preferred_mode, reads_images
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidInput, warn
from colmilvus.forks import Lock
from colmilvus.images import image_key

__all__ = ["CachedEmbedder", "cached"]

ROOM = 0.9
"""What is left of the bytes that a cache may have, when the oldest go."""
BLIND = 0.1
"""What part of those bytes a process adds before it looks what others have added."""
ABANDONED = 3600.0
"""Seconds after which a file that is still being written is one of a process that was killed."""

Item = TypeVar("Item", Entity, Query)


def cached(embedder: Embedder, folder: str | os.PathLike[str], *, max_bytes: int | None = None) -> CachedEmbedder:
    """The same embedder, which looks into a folder before it embeds, and keeps there what it has embedded.

    A multi-vector is found again by what was embedded (the texts, as they are cut; the picture) and by the embedder's
    name, dims, metric and settings: model, revision, pooling, precision, library versions. Several processes may share
    a folder. With ``max_bytes`` those that were not used for longest are removed when there are more; each process
    looks after every tenth of them that it has written, so that several may be above by a tenth each. Without, nothing
    is removed.

    Raises InvalidInput for a ``max_bytes`` that is no number from 1, and OSError where the folder cannot be made.
    """
    return CachedEmbedder(embedder, Path(folder), max_bytes)


class CachedEmbedder:
    """What ``cached`` gives: an embedder like the one inside it, which is its ``embedder``."""

    def __init__(self, embedder: Embedder, folder: Path, max_bytes: int | None) -> None:
        if max_bytes is not None and (isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1):
            raise InvalidInput(f"max_bytes is a number of bytes from 1, or None; got {max_bytes!r}")
        self.embedder = embedder
        self._store = _Store(folder, max_bytes)
        about = {
            "name": embedder.name,
            "dim": embedder.dim,
            "metric": embedder.metric,
            "settings": dict(identity(embedder.settings)),
        }
        self._about = json.dumps(about, sort_keys=True)

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def dim(self) -> int:
        return self.embedder.dim

    @property
    def metric(self) -> Metric:
        return self.embedder.metric

    @property
    def settings(self) -> Mapping[str, Setting]:
        return self.embedder.settings

    @property
    def mode(self) -> SearchMode:
        return preferred_mode(self.embedder)

    @property
    def reads_images(self) -> bool:
        return reads_images(self.embedder)

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """One multi-vector for each entity, in order, from the folder where it is there; Unreadable as the embedder."""
        keys = [self._key("entity", self._told(entity)) for entity in entities]
        return self._completed(entities, keys, self.embedder.embed_entities)

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One multi-vector for each query, in order, from the folder where it is there."""
        keys = [self._key("query", query if isinstance(query, str) else [image_key(query)]) for query in queries]
        return self._completed(queries, keys, self.embedder.embed_queries)

    def _completed(self, items: Sequence[Any], keys: Sequence[str], embed: Any) -> list[Any]:
        found: dict[str, Any] = {key: kept for key in dict.fromkeys(keys) if (kept := self._store.get(key)) is not None}
        missing: dict[str, Any] = {}
        for key, item in zip(keys, items, strict=True):
            if key not in found:
                missing.setdefault(key, item)
        answers = embed(list(missing.values())) if missing else []
        for key, answer in zip(missing, answers, strict=True):
            found[key] = answer
            if not isinstance(answer, Unreadable):
                self._store.put(key, MultiVector.of(answer))
        return [found[key] for key in keys]

    def _told(self, entity: Entity) -> list[Any]:
        """What an entity has to embed."""
        looks = getattr(self.embedder, "reads_images", True)  # one that says nothing may look at pictures
        picture = image_key(entity.image) if looks and entity.image is not None else None
        texts_of = getattr(self.embedder, "texts_of", None)  # an embedder that cuts texts says into what
        texts = texts_of(entity) if texts_of else [entity.text, [segment.text for segment in entity.segments]]
        return [texts, picture]

    def _key(self, kind: str, content: Any) -> str:
        return hashlib.sha256(f"{self._about}\n{kind}\n{json.dumps(content)}".encode()).hexdigest()


class _Store:
    """Multi-vectors as files, each under its key, and whole or not at all."""

    def __init__(self, folder: Path, max_bytes: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._unseen = max_bytes or 0  # looked at after the first
        self._lock = Lock()

    def get(self, key: str) -> MultiVector | None:
        """What is kept under a key; a file that is damaged counts as none."""
        path = self._path(key)
        try:
            with path.open("rb") as content:
                vectors, owners = (np.load(content, allow_pickle=False) for _ in range(2))
            if self._max_bytes is not None:
                with suppress(OSError):  # of another user
                    os.utime(path)
            return MultiVector(vectors, owners if owners.size else None)
        except OSError:  # not there, or not to be read just now
            return None
        except (ValueError, EOFError):
            with suppress(OSError):
                path.unlink()
            return None

    def put(self, key: str, vectors: MultiVector) -> None:
        """Keep a multi-vector; where the disk has no room, it is only not kept, and that is told."""
        owners = np.empty(0, np.int32) if vectors.segments is None else vectors.segments
        path = self._path(key)
        temporary = path.with_name(f".{uuid4().hex}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as content:
                np.save(content, vectors.vectors)
                np.save(content, owners)
                size = content.tell()
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            warn(f"multi-vectors are not kept in {self._folder}: {error}")
        else:
            self._grow(size)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npy"

    def _grow(self, size: int) -> None:
        if self._max_bytes is None:
            return
        with self._lock:
            self._unseen += size
            if self._unseen > BLIND * self._max_bytes:
                self._shrink(self._max_bytes)
                self._unseen = 0

    def _shrink(self, max_bytes: int) -> None:
        """Remove what was not used for longest, where there is too much, and what killed processes left."""
        files = sorted(self._files("*.npy"), reverse=True)
        held = sum(size for _, size, _ in files)
        while files and held > ROOM * max_bytes:
            _, size, path = files.pop()
            path.unlink(missing_ok=True)
            held -= size
        for used, _, path in self._files(".*.part"):
            if time.time() - used > ABANDONED:
                path.unlink(missing_ok=True)

    def _files(self, pattern: str) -> list[tuple[float, int, Path]]:
        """When each file was used last, its bytes, and its path; those that others remove meanwhile are left out."""
        found = []
        for path in self._folder.glob(f"??/{pattern}"):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            found.append((state.st_mtime, state.st_size, path))
        return found
