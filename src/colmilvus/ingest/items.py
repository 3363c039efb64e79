"""What comes in: taken in batches, checked, and compared with what is held already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from colmilvus.digest import digest_of
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidVectors
from colmilvus.gathering import in_order, merged, narrowed
from colmilvus.layouts.checks import check_entity
from colmilvus.store import EntityStore

__all__ = ["Given", "Item", "batches", "changed", "checked"]

Given: TypeAlias = tuple[Entity, "MultiVector | InvalidVectors | None"]
"""An entity with the vectors that were passed for it, what is wrong with them, or None where they are to be made."""

READY_BYTES = 32 << 20
"""Bytes of ready vectors after which a batch ends: four batches are under way at once."""


@dataclass(frozen=True)
class Item:
    """An entity that is to be stored; of one with segments that is held already, with those that are new.

    ``is_held`` says that it has no new ones, and only its text, picture or metadata are to be stored. ``digest`` is
    None where segments that are held are left out.
    """

    entity: Entity
    vectors: MultiVector | InvalidVectors | None
    digest: str | None
    is_held: bool = False


def batches(entities: Iterable[Given], size: Callable[[], int]) -> Iterator[list[Given] | Exception]:
    """Batches, each of the size that is wanted when it is begun, or of READY_BYTES, in which no id comes twice.

    An error of the source comes last, after what came before it.
    """
    batch: list[Given] = []
    ids: set[str] = set()
    wanted, weight = size(), 0
    stream = iter(entities)
    while True:
        try:
            given = next(stream)
        except StopIteration:
            break
        except Exception as error:
            yield batch
            yield error
            return
        name = repr(getattr(given[0], "id", None))
        if len(batch) >= wanted or weight >= READY_BYTES or name in ids:
            yield batch
            batch, ids, wanted, weight = [], set(), size(), 0
        batch.append(given)
        ids.add(name)
        weight += given[1].vectors.nbytes if isinstance(given[1], MultiVector) else 0
    yield batch


def checked(given: Given, store: EntityStore) -> Item:
    """The entity as it would be stored.

    Raises InvalidInput where a server would not take it, and UnreadableFile for a picture file that cannot be read.
    """
    check_entity(given[0], store.layout.spec)
    entity, vectors = in_order(*given)
    return Item(entity, vectors, digest_of(entity, vectors))


def changed(items: Sequence[Item], store: EntityStore) -> list[Item]:
    """Those that are not held as they are; of entities with segments what is new in them."""
    stored = store.layout.stored([item.entity.id for item in items])
    different = [
        item
        for item in items
        if (before := stored.get(item.entity.id)) is None
        or before.digest != item.digest
        or store.lacks_picture(item.entity, before)
    ]
    merging = [
        item.entity.id
        for item in different
        if item.entity.segments
        and item.vectors is None
        and (before := stored.get(item.entity.id))
        and before.version == item.entity.version
    ]
    held = {entity.id: entity for entity in store.layout.entities(merging)} if merging else {}
    compared = (_new(item, held.get(item.entity.id), store) for item in different)
    return [item for item in compared if item is not None]


def _new(item: Item, held: Entity | None, store: EntityStore) -> Item | None:
    """What is new in an entity with segments; None where nothing is."""
    if held is None or not held.segments:
        return item
    known = {segment.id: segment for segment in held.segments}
    new = tuple(segment for segment in item.entity.segments if known.get(segment.id) != segment)
    if not new and merged(held, replace(item.entity, image=store.reference(item.entity.image))) == held:
        return None
    if len(new) == len(item.entity.segments):
        return item
    return replace(item, entity=narrowed(item.entity, new), digest=None, is_held=not new)
