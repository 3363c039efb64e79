"""Writing an inverted file: learning, coding, merging; each step can be broken off between two portions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.folder import InvertedFolder
from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Codes, Lists
from colmilvus.embedded.inverted.plan import Encode, Limits, Live, Merge, Rebuild, lists_for
from colmilvus.embedded.inverted.quantizer import Quantizer
from colmilvus.embedded.inverted.records import Records
from colmilvus.embedded.inverted.writing import merged, sorted_by_list

__all__ = ["BrokenOff", "Builder"]


class BrokenOff(Exception):
    """The builder was told to stop."""


class Builder:
    """Takes a generation a step further; ``stopped`` is asked between two portions."""

    def __init__(
        self, folder: InvertedFolder, records: Records, kind: str, limits: Limits, stopped: Callable[[], bool]
    ) -> None:
        self._folder = folder
        self._records = records
        self._kind = kind
        self._limits = limits
        self._stopped = stopped

    def take(self, step: Rebuild | Encode | Merge, generation: Generation | None) -> Generation:
        """The generation after this step, written to disk. Raises BrokenOff, OSError."""
        if isinstance(step, Rebuild) or generation is None:
            found = self._rebuilt()
        elif isinstance(step, Encode):
            found = _with(generation, (*generation.parts, *self._parts(step.live, generation.quantizer)))
        else:
            kept = tuple(part for part in generation.parts if part not in step.parts)
            found = _with(generation, kept + self._merged(step.parts, generation.quantizer))
        self.go_on()
        self._folder.commit(found)
        return found

    def _rebuilt(self) -> Generation:
        live = self._records.found()
        lists = lists_for(live.vectors)
        sample = self._records.sample(live, self._kind, lists, self.go_on)
        others = self._records.others(live, self._kind, len(sample))
        quantizer = Quantizer.train(
            self._kind, sample, lists, self.go_on, others=others, subspace=self._records.subspace
        )
        del sample
        self.go_on()
        name = self._folder.save_quantizer(quantizer)
        numbers = (live.vectors, len(live.rows), int(live.rows.max(initial=-1)))
        return Generation(name, quantizer, *numbers, tuple(self._parts(live, quantizer)))

    def _parts(self, live: Live, quantizer: Quantizer) -> Iterator[Lists]:
        """Write the codes of these records, in parts of bounded size."""
        while len(live.rows):
            some = live.first(self._limits.part)
            live = Live(live.rows[len(some.rows) :], live.counts[len(some.rows) :])
            rows: list[NDArray[Any]] = []
            coded: list[Codes] = []
            for portion in self._records.portions(some, self._kind):
                self.go_on()
                lists = quantizer.assign(portion.vectors)
                first = sum(map(len, rows))
                coded.append(Codes(lists, quantizer.encode(portion.vectors, lists), first + portion.members))
                rows.append(portion.rows)
            if rows:
                yield self._written(np.concatenate(rows), quantizer, sorted_by_list(coded))

    def _merged(self, parts: tuple[Lists, ...], quantizer: Quantizer) -> tuple[Lists, ...]:
        alive = self._records.found().rows
        kept = [np.isin(part.rows["row"], alive) for part in parts]
        rows = np.concatenate([part.rows[keep] for part, keep in zip(parts, kept, strict=True)])
        if not len(rows):
            return ()
        positions, first = [], 0
        for keep in kept:
            positions.append(np.where(keep, first + np.cumsum(keep) - 1, -1))
            first += int(keep.sum())
        return (self._written(rows, quantizer, merged(parts, positions)),)

    def _written(self, rows: NDArray[Any], quantizer: Quantizer, codes: Iterable[Codes]) -> Lists:
        self.go_on()
        return Lists.write(self._folder.free_part(), rows, quantizer.shape, self._portions(codes))

    def _portions(self, codes: Iterable[Codes]) -> Iterator[Codes]:
        for some in codes:
            self.go_on()
            yield some

    def go_on(self) -> None:
        """Raise BrokenOff where the builder was told to stop."""
        if self._stopped():
            raise BrokenOff


def _with(generation: Generation, parts: tuple[Lists, ...]) -> Generation:
    numbers = (generation.trained, generation.records, generation.newest)
    return Generation(generation.name, generation.quantizer, *numbers, parts)
