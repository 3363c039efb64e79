"""Primary keys of flat rows: one integer says whose a row is, of which writing, and which of its rows.

A server finds, sorts and passes on tens of thousands of integers in half to three quarters of the time of texts. From
the highest bit: the family of the entity, which its id and tenant tell; the writing; the part. The first row of an
entity has part 0, and in the place of the writing more of what its id tells, so that it is always under the same key.
Other rows are under another key with each writing: one that is cut short leaves those of the one before as they were.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from colmilvus.layouts.tenants import Tenant

__all__ = ["MOST_PARTS", "Place", "families", "first_key", "part_key", "parts", "writings"]

FAMILY_BITS, WRITING_BITS, PART_BITS = 26, 18, 19
MOST_PARTS = 1 << PART_BITS
"""Vectors of one entity at most."""

Keys = TypeVar("Keys", int, NDArray[np.int64])


def first_key(id: str, tenant: Tenant | None = None, attempt: int = 0) -> int:
    """The key of an entity's first row.

    Of a million entities two have the same in one case of 35: the later one takes that of the next attempt.
    """
    told = "\0".join([str(attempt), tenant.name if tenant else "", id]).encode()
    number = int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") >> (64 - FAMILY_BITS - WRITING_BITS)
    return number << PART_BITS


def part_key(writing: Keys, part: int) -> Keys:
    """The key of a row that is not the first."""
    return (writing << PART_BITS) + part


class Place(NamedTuple):
    """Where the rows of one writing of an entity lie."""

    first: int
    writing: int

    @classmethod
    def drawn(cls, first: int) -> Place:
        """Another one with each call, of the entity whose first row has this key."""
        return cls(first, families(first) << WRITING_BITS | secrets.randbits(WRITING_BITS))

    def key(self, part: int) -> int:
        return part_key(self.writing, part) if part else self.first

    @property
    def needs(self) -> tuple[int, int]:
        """The keys of the first two rows: where none but the entity's own has these, none has any of the others."""
        return self.key(0), self.key(1)


def writings(keys: Keys) -> Keys:
    """The writings of rows that are not the first."""
    return keys >> PART_BITS


def parts(keys: Keys) -> Keys:
    """Which rows of their entities these are."""
    return keys & (MOST_PARTS - 1)


def families(keys: Keys) -> Keys:
    """Alike for all rows of an entity, and next to never for those of two."""
    return keys >> (PART_BITS + WRITING_BITS)
