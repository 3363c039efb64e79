"""Keys for what is written: the first row of an entity stays where it is, and no other row has any of them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from colmilvus.layouts.flat.keys import Place, first_key
from colmilvus.layouts.flat.reading import first_rows
from colmilvus.layouts.table import Table

__all__ = ["places_for"]


def places_for(table: Table, ids: Sequence[str], held: Collection[str]) -> dict[str, Place]:
    """A place for a new writing of each of these entities; ``held`` are those that the table was seen to hold."""
    own = _first_keys(table, [name for name in ids if name in held])
    places: dict[str, Place] = {}
    for attempt in itertools.count():
        waiting = [name for name in ids if name not in places]
        if not waiting:
            break
        if attempt:
            own |= _first_keys(table, waiting)  # which another process may have written by now
        tried = {name: Place.drawn(own.get(name, first_key(name, table.tenant, attempt))) for name in waiting}
        taken = {key for place in places.values() for key in place.needs}
        taken |= table.taken([key for place in tried.values() for key in place.needs])
        for name, place in tried.items():
            if taken.isdisjoint({*place.needs} - {own.get(name)}):
                places[name] = place
                taken.update(place.needs)
    return places


def _first_keys(table: Table, ids: Sequence[str]) -> dict[str, int]:
    return {row["id"]: row["key"] for row in first_rows(table, ids, ["id"])}
