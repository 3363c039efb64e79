"""Writing an inverted file: learning, coding, merging; each step can be broken off between two portions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.folder import InvertedFolder
from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.library import faiss, selector
from colmilvus.embedded.inverted.lists import Lists
from colmilvus.embedded.inverted.plan import Encode, Limits, Live, Merge, Rebuild, lists_for
from colmilvus.embedded.inverted.quantizer import Quantizer
from colmilvus.embedded.inverted.records import Records

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
        self.writing = threading.Lock()
        """Held while files are written; who sets ``stopped`` and then holds it once can be sure that none will be."""

    def take(self, step: Rebuild | Encode | Merge, generation: Generation | None) -> Generation:
        """The generation after this step, written to disk. Raises BrokenOff, OSError."""
        if isinstance(step, Rebuild) or generation is None:
            found = self._rebuilt()
        elif isinstance(step, Encode):
            found = _with(generation, (*generation.parts, *self._parts(step.live, generation.quantizer)))
        else:
            kept = tuple(part for part in generation.parts if part not in step.parts)
            found = _with(generation, kept + self._merged(step.parts, generation.quantizer))
        with self.writing:
            self._go_on()
            self._folder.commit(found)
        return found

    def _rebuilt(self) -> Generation:
        live = self._records.found()
        sample = self._records.sample(live, self._kind)
        self._go_on()
        quantizer = Quantizer.train(self._kind, sample, lists_for(live.vectors))
        del sample
        with self.writing:
            self._go_on()
            name = self._folder.save_quantizer(quantizer)
        numbers = (live.vectors, len(live.rows), int(live.rows.max(initial=-1)))
        return Generation(name, quantizer, *numbers, tuple(self._parts(live, quantizer)))

    def _parts(self, live: Live, quantizer: Quantizer) -> Iterator[Lists]:
        """Write the codes of these records, in parts of bounded size."""
        while len(live.rows):
            some = live.first(self._limits.part)
            live = Live(live.rows[len(some.rows) :], live.counts[len(some.rows) :])
            index = quantizer.empty_index()
            rows: list[NDArray[Any]] = []
            for portion in self._records.portions(some, self._kind):
                self._go_on()
                quantizer.add(index, portion.vectors, portion.numbers)
                rows.append(portion.rows)
            if rows:
                yield self._written(index, np.concatenate(rows), quantizer)

    def _merged(self, parts: tuple[Lists, ...], quantizer: Quantizer) -> tuple[Lists, ...]:
        alive = self._records.found().rows
        rows = np.concatenate([part.rows for part in parts])
        rows = rows[np.isin(rows["row"], alive)]
        if not len(rows):
            return ()
        index = quantizer.empty_index()
        keep = selector(rows["row"].astype(np.int64))
        for part in parts:
            self._go_on()
            part.require()
            index.invlists.merge_from(part.in_memory(), 0)
        index.ntotal = sum(index.invlists.list_size(number) for number in range(quantizer.lists))
        index.remove_ids(faiss.IDSelectorNot(keep))
        return (self._written(index, rows, quantizer),)

    def _written(self, index: Any, rows: NDArray[Any], quantizer: Quantizer) -> Lists:
        with self.writing:
            self._go_on()
            return Lists.write(self._folder.free_part(), index, rows, quantizer)

    def _go_on(self) -> None:
        if self._stopped():
            raise BrokenOff


def _with(generation: Generation, parts: tuple[Lists, ...]) -> Generation:
    numbers = (generation.trained, generation.records, generation.newest)
    return Generation(generation.name, generation.quantizer, *numbers, parts)
