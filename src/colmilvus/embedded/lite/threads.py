"""Milvus Lite's collection made safe for many threads: writes one after the other, each read from one moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from colmilvus.embedded.lite.names import Collection, CollectionNotFoundError
from colmilvus.embedded.lite.snapshot import Moment, Snapshot, take

__all__ = ["SafeCollection"]

SNAPSHOTS = 8


class SafeCollection(Collection):  # type: ignore[misc]  # Milvus Lite has no types
    """A collection that Milvus Lite has made or opened, and whose class was then set to this one."""

    fields_in_snapshots: tuple[str, ...] = ()

    def begin(self) -> None:
        """Add what Milvus Lite's own constructor did not."""
        self._mutex = threading.RLock()
        self._moments = threading.local()
        self._version = 0
        self._snapshots: tuple[int, dict[Any, Snapshot]] = (0, {})
        self._ended = False

    # Writes, one after the other

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep every other write to this collection out."""
        with self._mutex:
            if self._ended:
                raise self.gone()
            yield

    def gone(self) -> Exception:
        """What to raise where this object is no longer the collection of its name."""
        error: Exception = CollectionNotFoundError(
            f"collection {self.name!r} was dropped, renamed or emptied meanwhile"
        )
        return error

    def insert(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            return super().insert(*args, **kwargs)

    def upsert(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            return super().upsert(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            return super().delete(*args, **kwargs)

    def flush(self) -> None:
        with self.writing():
            super().flush()

    def create_index(self, *args: Any, **kwargs: Any) -> None:
        with self.writing():
            super().create_index(*args, **kwargs)

    def drop_index(self, *args: Any, **kwargs: Any) -> None:
        with self.writing():
            super().drop_index(*args, **kwargs)

    def create_partition(self, *args: Any, **kwargs: Any) -> None:
        with self.writing():
            super().create_partition(*args, **kwargs)

    def drop_partition(self, *args: Any, **kwargs: Any) -> None:
        with self.writing():
            super().drop_partition(*args, **kwargs)
            self._changed()

    def alter_properties(self, *args: Any, **kwargs: Any) -> None:
        with self.writing():
            super().alter_properties(*args, **kwargs)

    def load(self) -> None:
        with self.writing():
            super().load()

    def release(self) -> None:
        with self.writing():
            super().release()

    def close(self) -> None:
        with self._mutex:
            if not self._ended:
                self._ended = True
                super().close()

    def _apply(self, op: Any) -> None:
        super()._apply(op)
        self._changed()

    def _trigger_flush(self) -> None:
        with self._maintenance_lock:
            super()._trigger_flush()
            self._changed()

    def _schedule_bg_maintenance(self) -> None:
        # Compaction can wait for the next opening where the program is ending and its pools are closed.
        with suppress(RuntimeError):
            super()._schedule_bg_maintenance()

    def _changed(self) -> None:
        self._version += 1

    # Reads, each from one moment

    @property
    def _memtable(self) -> Any:
        moment = getattr(self._moments, "now", None)
        return self.__dict__["_memtable"] if moment is None else moment.memtable

    @_memtable.setter
    def _memtable(self, memtable: Any) -> None:
        self.__dict__["_memtable"] = memtable

    def _read_snapshot(self) -> tuple[tuple[Any, ...], Any]:
        moment = getattr(self._moments, "now", None)
        return super()._read_snapshot() if moment is None else (moment.segments, moment.deletions)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if getattr(self._moments, "now", None) is not None:
            yield
            return
        with self._maintenance_lock:
            self._moments.now = Moment(self.__dict__["_memtable"], *super()._read_snapshot())
        try:
            yield
        finally:
            self._moments.now = None

    def get(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return super().get(*args, **kwargs)

    def query(self, *args: Any, **kwargs: Any) -> Any:
        with self._reading():
            return super().query(*args, **kwargs)

    def _num_entities(self, partition_names: list[str] | None) -> int:
        with self._reading():
            return int(super()._num_entities(partition_names))

    def snapshot(
        self, expr: str | None = None, partitions: Sequence[str] | None = None, timezone: str | None = None
    ) -> Snapshot:
        """The live rows that match; the same object as long as nothing was written."""
        held = self._snapshots
        if held[0] != self._version:
            held = self._snapshots = (self._version, {})
        key = (expr, tuple(partitions or ()), timezone)
        found = held[1].get(key)
        if found is None:
            with self._reading():
                found = self._take(expr, list(partitions or ()), timezone)
            if len(held[1]) < SNAPSHOTS:
                held[1][key] = found
        return found

    def _take(self, expr: str | None, partitions: list[str], timezone: str | None) -> Snapshot:
        compiled = self._compile_filter(expr, timezone=timezone) if expr else None
        moment = Moment(self._memtable, *self._read_snapshot())
        return take(moment, compiled, self._indexed_filter_plan(compiled), partitions, list(self.fields_in_snapshots))
