"""All rows of some entities in one answer: which are whose, and their vectors as one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.entity import Metric, MultiVector
from colmilvus.filters import all_of, one_of
from colmilvus.layouts.flat.keys import MOST_PARTS, part_key
from colmilvus.layouts.flat.schema import VECTOR
from colmilvus.layouts.portions import ANSWER_BYTES, IDS, batches, weighed
from colmilvus.layouts.table import FIRST, Row, Table
from colmilvus.maxsim import similarities

__all__ = ["Portion", "answer_bytes", "first_rows", "portions", "vectors_in"]

BESIDE_VECTOR = 20
"""Bytes of a row in an answer beside its vector: its key, and the number of its segment, about."""


def first_rows(table: Table, ids: Sequence[str], fields: Sequence[str], expression: str = "") -> list[Row]:
    """The first rows of the entities under these ids, of those that match."""
    asked = (all_of(one_of("id", some), FIRST, expression) for some in batches(ids, IDS))
    return [row for each in asked for row in table.read(each, fields)]


@dataclass(frozen=True)
class Portion:
    """Rows with keys and scalars alone, their vectors ``(rows, dim)``, and where those of each entity are, in order."""

    rows: Sequence[Row]
    vectors: NDArray[np.float32]
    places: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, answer: Sequence[Row], first: Mapping[str, Row]) -> Portion:
        """Of what pymilvus answered; ``first`` has the first row of each entity, which says what writing counts."""
        # Not as the list iterates, which reads the vectors of each row number by number.
        rows = list(list.__iter__(answer)) if isinstance(answer, list) else list(answer)
        keys = np.array([row["key"] for row in rows], np.int64)
        order = np.argsort(keys)
        firsts, of_writing = (np.array([row[name] for row in first.values()], np.int64) for name in ("key", "writing"))

        def runs(least: NDArray[np.int64], most: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
            begins, ends = np.searchsorted(keys, least, "left", order), np.searchsorted(keys, most, "right", order)
            yield from (order[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True))

        further = runs(part_key(of_writing, 1), part_key(of_writing, MOST_PARTS - 1))
        of_each = zip(first, runs(firsts, firsts), further, strict=True)
        places = {name: np.concatenate(both) for name, *both in of_each}
        own = {name: found for name, found in places.items() if len(found)}
        return cls(rows, vectors_in(answer, VECTOR), own)

    def matches(self, query: MultiVector, metric: Metric) -> dict[str, NDArray[np.float64]]:
        """Of each entity the best match for each vector of the query, whose sum is its MaxSim."""
        best = np.min if metric == "L2" else np.max
        return {
            name: best(similarities(query, self.vectors[places], metric), axis=1)
            for name, places in self.places.items()
        }

    def rows_of(self, name: str) -> list[Row]:
        return [self.rows[at] for at in self.places[name].tolist()]


def portions(
    table: Table,
    sizes: Mapping[str, Sequence[int]],
    fields: Sequence[str],
    first: Mapping[str, Row],
    dim: int,
) -> Iterator[Portion]:
    """All rows of these entities, those of another writing than that of their first row left out."""
    for some in weighed(sizes, lambda name: answer_bytes(sizes[name], dim), ANSWER_BYTES):
        answer = table.answer(one_of("id", some), [VECTOR, *fields])
        yield Portion.of(answer, {name: first[name] for name in some})


def answer_bytes(sizes: Sequence[int], dim: int) -> int:
    """About what the rows of an entity take in an answer: vectors and texts of segments, and a key in each row."""
    return sum(sizes) + sum(sizes) // (4 * dim) * BESIDE_VECTOR


def vectors_in(answer: Sequence[Row], field: str) -> NDArray[np.float32]:
    """The vectors of an answer, copied as bytes; row by row where the inside of pymilvus is not as expected."""
    for column in getattr(answer, "_lazy_field_data", ()):
        packed = _packed(column.vectors.float_vector) if column.field_name == field and len(answer) else None
        if packed is not None and len(packed) % len(answer) == 0:
            return packed.reshape(len(answer), -1)
    return np.array([row[field] for row in answer], np.float32)


def _packed(message: Any) -> NDArray[np.float32] | None:
    """The numbers of a FloatArray: its bytes without tag and length, None where it has others."""
    sent, size = message.SerializeToString(), 4 * len(message.data)
    if not size < len(sent) <= size + 11 or sent[0] != 0x0A:
        return None
    return np.frombuffer(sent, "<f4", offset=len(sent) - size).astype(np.float32, copy=False)
