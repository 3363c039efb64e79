"""Keys for what is written: the first row of an entity stays where it is, and no other row has any of them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from colmilvus.filters import all_of, one_of
from colmilvus.layouts.flat.keys import Place, first_key
from colmilvus.layouts.portions import IDS, batches
from colmilvus.layouts.table import FIRST, Table

__all__ = ["places_for"]


def places_for(table: Table, ids: Sequence[str], held: Collection[str]) -> dict[str, Place]:
    """A place for a new writing of each of these entities; ``held`` are those that the table was seen to hold."""
    firsts = _first_keys(table, ids, held)
    places: dict[str, Place] = {}
    while waiting := [name for name in firsts if name not in places]:
        tried = {name: Place.drawn(firsts[name]) for name in waiting}
        taken = {place.key(1) for place in places.values()} | table.taken([place.key(1) for place in tried.values()])
        for name, place in tried.items():
            if place.key(1) not in taken:
                places[name] = place
                taken.add(place.key(1))
    return places


def _first_keys(table: Table, ids: Sequence[str], held: Collection[str]) -> dict[str, int]:
    found = _own(table, [name for name in ids if name in held])
    for attempt in itertools.count():
        tried = {name: first_key(name, table.tenant, attempt) for name in ids if name not in found}
        taken = {*found.values()} | table.taken(list(tried.values()))
        for name, key in tried.items():
            if key not in taken:
                found[name] = key
                taken.add(key)
        waiting = [name for name in tried if name not in found]
        if not waiting:
            break
        found |= _own(table, waiting)  # which another process may have written by now
    return found


def _own(table: Table, ids: Sequence[str]) -> dict[str, int]:
    """The keys of the first rows of the entities that are there."""
    asked = (all_of(one_of("id", some), FIRST) for some in batches(ids, IDS))
    return {row["id"]: row["key"] for each in asked for row in table.read(each, ["id"])}
