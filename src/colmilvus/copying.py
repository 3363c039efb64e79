"""What one collection holds, put into another: nothing is embedded, and everything is read back and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import DatabaseError
from colmilvus.layouts.checks import check_entity, check_vectors
from colmilvus.layouts.layout import Stored
from colmilvus.layouts.portions import within
from colmilvus.layouts.precision import rounded
from colmilvus.layouts.rows import Record
from colmilvus.store import EntityStore

__all__ = ["CopyReport", "copy_entities"]

Content = tuple[Entity, MultiVector]


@dataclass(frozen=True)
class CopyReport:
    """How many entities were copied, and how many were there already, the same in every number.

    ``pictures`` were copied with them or were there; ``without_picture`` have one in the source and none in the target,
    which keeps none or could not be given a file that is gone.
    """

    copied: int = 0
    unchanged: int = 0
    pictures: int = 0
    without_picture: int = 0

    @property
    def total(self) -> int:
        return self.copied + self.unchanged

    def __add__(self, other: CopyReport) -> CopyReport:
        return CopyReport(
            self.copied + other.copied,
            self.unchanged + other.unchanged,
            self.pictures + other.pictures,
            self.without_picture + other.without_picture,
        )

    def __str__(self) -> str:
        told = f"{self.copied} entities copied, {self.unchanged} were there already"
        if self.pictures:
            told += f", {self.pictures} with pictures"
        return told + (f", {self.without_picture} without their picture" if self.without_picture else "")


def copy_entities(
    source: EntityStore, target: EntityStore, collection: str, progress: Callable[[int], object]
) -> CopyReport:
    """Put all that ``source`` holds into ``target``; of an id that is there the content is replaced, others stay.

    Cut short, it goes on where it was called again. Raises InvalidEntity and InvalidVectors for what the target cannot
    hold, before it stores any of the portion, and DatabaseError, with ids, where what is read back is not what was
    written, or where not everything that the source counts was found in it.
    """
    report = CopyReport()
    for page in source.layout.held():
        there = target.layout.stored(list(page))
        for ids in within({name: stored.sizes for name, stored in page.items()}):
            report += _portion(source, target, {name: page[name] for name in ids}, there)
            progress(len(ids))
    counted = source.layout.count()
    if report.total != counted:
        raise DatabaseError(
            f"collection {collection!r} changed while it was copied: {report.total} entities were, it holds {counted}; "
            "copy it again, which copies what is new"
        )
    return report


def _portion(
    source: EntityStore, target: EntityStore, held: Mapping[str, Stored], there: Mapping[str, Stored]
) -> CopyReport:
    given = source.layout.contents({name: stored.sizes for name, stored in held.items()})
    expected = {name: _expected(content, source, target) for name, content in given.items()}
    same = _same(expected, target, {name: there[name] for name in expected if name in there}, held)
    missing = [name for name in expected if name not in same]
    records = [Record(*expected[name], {"digest": held[name].digest}) for name in missing]
    for record in records:
        check_entity(replace(record.entity, image=None), target.layout.spec)
        check_vectors(record.entity, record.vectors, target.layout.spec)
    if records:
        target.put(records, source)
        written = {name: expected[name] for name in missing}
        wrong = sorted(written.keys() - _same(written, target, target.layout.stored(missing), held))
        if wrong:
            raise DatabaseError(
                f"{len(wrong)} entities do not read back as they were written, such as {wrong[0]!r}; is somebody else "
                "writing to the target? Copy again when nobody is"
            )
    pictured = [name for name, (entity, _) in given.items() if entity.image is not None]
    kept = sum(expected[name][0].image is not None for name in pictured)
    return CopyReport(len(missing), len(same), kept, len(pictured) - kept)


def _expected(content: Content, source: EntityStore, target: EntityStore) -> Content:
    """What the target is to hold: of a picture the reference, if it keeps pictures and the file is there."""
    entity, vectors = content
    reference = entity.image if isinstance(entity.image, str) else None
    keeps = target.keeps_images and reference is not None and source.has_picture(reference)
    told = f"entity {entity.id[:80]!r}"
    return replace(entity, image=reference if keeps else None), rounded(vectors, target.layout.spec.dtype, told)


def _same(
    expected: Mapping[str, Content], target: EntityStore, there: Mapping[str, Stored], held: Mapping[str, Stored]
) -> set[str]:
    """The ids under which the target holds what is expected, and the digest of the source."""
    alike = {name: stored.sizes for name, stored in there.items() if stored.digest == held[name].digest}
    found = target.layout.contents(alike) if alike else {}
    return {
        name
        for name, content in found.items()
        if _equal(content, expected[name]) and (content[0].image is None or target.has_picture(str(content[0].image)))
    }


def _equal(one: Content, other: Content) -> bool:
    mine, yours = one[1], other[1]
    return one[0] == other[0] and np.array_equal(mine.vectors, yours.vectors) and _owners(mine) == _owners(yours)


def _owners(vectors: MultiVector) -> list[int]:
    return [] if vectors.segments is None else vectors.segments.tolist()
