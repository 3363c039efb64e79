"""One number for all that an entity holds, so that what is stored already and has not changed is left alone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.images import image_key

__all__ = ["digest_of"]


def digest_of(entity: Entity, vectors: object = None) -> str:
    """The same for the same entity, and for other vectors another, where they were passed in ready.

    Raises UnreadableFile where the entity's picture is a file that cannot be read.
    """
    told: dict[str, Any] = {
        "text": entity.text,
        "image": None if entity.image is None else image_key(entity.image),
        "document": entity.document,
        "version": entity.version,
        "segments": [_told(segment) for segment in entity.segments],
        "metadata": dict(entity.metadata),
        **({"internal": dict(entity.internal)} if entity.internal else {}),
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    if isinstance(vectors, MultiVector):
        digest.update(vectors.vectors.tobytes())
        digest.update(b"" if vectors.segments is None else vectors.segments.tobytes())
    return digest.hexdigest()


def _told(segment: Segment) -> list[Any]:
    own = [dict(segment.internal)] if segment.internal else []
    return [segment.id, segment.text, dict(segment.metadata), *own]
