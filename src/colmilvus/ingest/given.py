"""What a caller gives to be added: entities, maybe read ahead, maybe with ready vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidInput, InvalidVectors
from colmilvus.ingest.embedding import multi_vector_for

__all__ = ["reading", "with_vectors"]


def reading(entities: Iterable[Entity]) -> AbstractContextManager[Iterable[Entity]]:
    """The entities as their reader reads them ahead, if it can; an iterable of the caller's own is read as it is."""
    read_ahead = getattr(entities, "read_ahead", None)
    return nullcontext(entities) if read_ahead is None else closing(read_ahead())


def with_vectors(
    entities: Iterable[Entity], vectors: Iterable[Any] | None
) -> Iterator[tuple[Entity, MultiVector | InvalidVectors | None]]:
    if vectors is None:
        for entity in entities:
            yield entity, None
        return
    missing = object()
    given = iter(vectors)
    count = 0
    for count, entity in enumerate(entities, start=1):
        value = next(given, missing)
        if value is missing:
            raise InvalidInput(f"vectors has {count - 1} items, entities has more: one multi-vector for each entity")
        yield entity, multi_vector_for(entity, value)
    if next(given, missing) is not missing:
        raise InvalidInput(f"vectors has more than {count} items, entities has {count}: one multi-vector each")
