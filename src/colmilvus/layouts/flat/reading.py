"""All rows of some entities in one answer: which are whose, and their vectors as one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.entity import Metric, MultiVector
from colmilvus.layouts.flat.rows import Key
from colmilvus.layouts.flat.schema import VECTOR
from colmilvus.layouts.table import Row
from colmilvus.layouts.tenants import Tenant
from colmilvus.maxsim import similarities

__all__ = ["Portion", "vectors_in"]


@dataclass(frozen=True)
class Portion:
    """Rows with keys and scalars alone, their vectors ``(rows, dim)``, and where those of each entity are, in order."""

    rows: Sequence[Row]
    vectors: NDArray[np.float32]
    places: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, answer: Sequence[Row], writings: Mapping[str, str], tenant: Tenant | None = None) -> Portion:
        """Of what pymilvus answered; rows of another writing than the one that counts for an entity are left out."""
        # Not as the list iterates, which reads the vectors of each row number by number.
        rows = list(list.__iter__(answer)) if isinstance(answer, list) else list(answer)
        ends: dict[str, list[tuple[int, int]]] = {}
        for at, row in enumerate(rows):
            part, _, rest = row["key"].partition("/")
            ends.setdefault(rest, []).append((int(part), at))
        own: dict[str, list[tuple[int, int]]] = {}
        for rest, places in ends.items():
            key = Key.of(f"{places[0][0]}/{rest}", tenant)
            if key.part == 0 or key.writing == writings[key.id]:
                own.setdefault(key.id, []).extend(places)
        in_order = {name: np.array([at for _, at in sorted(places)]) for name, places in own.items()}
        return cls(rows, vectors_in(answer, VECTOR), in_order)

    def scores(self, query: MultiVector, metric: Metric) -> dict[str, float]:
        """The MaxSim of each entity."""
        matches = similarities(query, self.vectors, metric)
        best = np.min if metric == "L2" else np.max
        return {name: float(best(matches[:, places], axis=1).sum()) for name, places in self.places.items()}

    def rows_of(self, name: str) -> list[Row]:
        return [self.rows[at] for at in self.places[name].tolist()]


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
    return np.frombuffer(sent, "<f4", offset=len(sent) - size).astype(np.float32)
