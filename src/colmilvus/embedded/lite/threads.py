"""Milvus Lite's collection made safe for many threads: writes one after the other, each read from one moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from colmilvus.embedded.durability import sync_files, sync_folder, sync_tree
from colmilvus.embedded.lite.checked import CheckedLog, CheckedManifest, seal_indexes
from colmilvus.embedded.lite.names import (
    Collection,
    CollectionNotFoundError,
    build_projection_plan,
    materialize_record,
    project_record,
)
from colmilvus.embedded.lite.snapshot import Moment, Snapshot, Snapshots, replaced, with_replaced
from colmilvus.errors import DatabaseError

__all__ = ["SafeCollection"]

SNAPSHOTS = 8


class SafeCollection(Collection):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's collection, that ends where a write fails part-way, and is then opened again from disk."""

    fields_in_snapshots: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open what lies on disk. Raises OSError and what Milvus Lite raises."""
        self.begin()
        self._opening = True
        super().__init__(*args, **kwargs)
        self._opening = False

    def begin(self) -> None:
        """Add what Milvus Lite's own constructor did not."""
        self._mutex = threading.RLock()
        self._moments = threading.local()
        self._version = 0
        self._snapshots: tuple[int, dict[Any, Snapshot]] = (0, {})
        self._taking = Snapshots()
        self._ended = False
        self._opening = False
        self._failure: Exception | None = None
        self.changed = threading.Event()
        self._next_id: int | None = None
        self.outlives_power: Callable[[], bool] = lambda: False
        self._syncing = threading.Lock()
        self._indexing = threading.Lock()
        self._gathered: list[Any] | None = None
        self._synced = -1

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
        if self._failure is not None:
            error = DatabaseError(
                f"collection {self.name!r} could not be written: {self._failure}; what was acknowledged is on disk, "
                "and the next call reads it from there: repeat this one when there is room"
            )
        return error

    @property
    def ended(self) -> bool:
        """Whether this object was closed, or gave up after a failed write."""
        return self._ended

    def new_ids(self, count: int) -> int:
        """The first of so many ids that no row has, and that nobody is given again, also after a kill.

        As a server makes them: milliseconds, and 18 bits to count within one.
        """
        with self._mutex:
            if self._next_id is None:
                self._next_id = max(self.snapshot().keys, default=-1) + 1
            first = max(self._next_id, int(time.time() * 1000) << 18)
            self._next_id = first + count
            return first

    def insert(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            done = super().insert(*args, **kwargs)
        self.put_on_disk()
        return done

    def upsert(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            done = super().upsert(*args, **kwargs)
        self.put_on_disk()
        return done

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with self.writing():
            done = super().delete(*args, **kwargs)
        self.put_on_disk()
        return done

    def put_on_disk(self) -> None:
        """Have on the disk what was written so far, where it is to outlive a loss of power. Raises OSError.

        Those who ask at once wait for one.
        """
        if not self.outlives_power():
            return
        reached = self._version
        with self._syncing:
            if self._synced >= reached:
                return
            reached = self._version
            if self._synced < 0:
                sync_tree(Path(self.data_dir))
            else:
                self.sync_log()
            self._synced = reached

    def sync_log(self) -> None:
        """Have the write-ahead log on the disk. Raises OSError."""
        folder = Path(self.data_dir, "wal")
        sync_files(folder.iterdir())
        sync_folder(folder, folder.parent)

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

    def drop_partition(self, partition_name: str) -> None:
        with self.writing():
            found = self.snapshot(None, [partition_name])
            others = {key for key, _, partition in replaced(found.parts) if partition != partition_name}
            # Else what its rows have replaced in other partitions would come back.
            self.delete([key for key in found.keys if key in others])
            super().drop_partition(partition_name)
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
            closing = not self._ended
            if closing:
                self._ended = True
                super().close()
        self._bg_executor.shutdown()
        if closing:
            # Without it, the next opening makes the indexes again.
            with suppress(OSError):
                seal_indexes(Path(self._data_dir))

    def abandon(self) -> None:
        """Close without a flush; the logs on disk keep what was acknowledged."""
        with self._mutex:
            if not self._ended:
                self._end(self._wal)
        self.close()

    def _end(self, log: Any) -> None:
        self._ended = self._bg_closed = True
        self._bg_executor.shutdown(wait=False, cancel_futures=True)
        _let_go(log)

    def leave(self) -> None:
        """Close the logs as they are, and wait for nobody: the threads that write may be another process's."""
        self._ended = self._bg_closed = True
        _let_go(self._wal)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """End the collection where a write fails: only what lies on disk is then sure to be whole."""
        log = self._wal
        try:
            yield
        except Exception as error:
            self._failure = error
            self._end(log)
            raise self.gone() from error

    def _insert_with_partition_key(self, records: list[dict[str, Any]]) -> list[Any]:
        # Milvus Lite makes a write of each bucket, of which a kill or a read in between would see some; and of two rows
        # of a key in different buckets, the one in the later bucket would stay, not the later one.
        last = {record[self._pk_name]: record for record in records}
        gathered: list[Any] = []
        self._gathered = gathered
        try:
            super()._insert_with_partition_key(list(last.values()))
        finally:
            self._gathered = None
        (batch,) = pa.Table.from_batches([op.batch for op in gathered]).combine_chunks().to_batches()
        self._apply(replace(gathered[0], batch=batch))
        return [record[self._pk_name] for record in records]

    def _apply(self, op: Any) -> None:
        if self._gathered is not None:
            self._gathered.append(op)
            return
        with self._whole():
            super()._apply(op)
        self._changed()

    def _should_flush(self) -> bool:
        # A flush at opening would make a database on a full disk unreadable; the next write sees to it.
        return not self._opening and bool(super()._should_flush())

    def _trigger_flush(self) -> None:
        with self._maintenance_lock, self._whole():
            super()._trigger_flush()
            self._changed()

    def _build_or_load_segment_index(self, *args: Any, **kwargs: Any) -> None:
        # A load would read the file that the background is in the middle of writing.
        with self._indexing:
            super()._build_or_load_segment_index(*args, **kwargs)

    def _schedule_bg_maintenance(self) -> None:
        # Compaction can wait for the next opening where the program is ending and its pools are closed.
        with suppress(RuntimeError):
            super()._schedule_bg_maintenance()

    def _wait_for_bg(self, timeout: float | None = None) -> None:
        # Closing its pools, the ending program has waited for what was in them.
        with suppress(RuntimeError):
            super()._wait_for_bg(timeout)

    def _changed(self) -> None:
        self._version += 1
        self.changed.set()

    @property
    def version(self) -> int:
        """A number that grows with every change of the rows and of the files that they lie in."""
        return self._version

    # Reads, each from one moment

    @property
    def _memtable(self) -> Any:
        moment = getattr(self._moments, "now", None)
        return self.__dict__["_memtable"] if moment is None else moment.memtable

    @_memtable.setter
    def _memtable(self, memtable: Any) -> None:
        self.__dict__["_memtable"] = memtable

    @property
    def _wal(self) -> Any:
        return self.__dict__["_wal"]

    @_wal.setter
    def _wal(self, log: Any) -> None:
        self.__dict__["_wal"] = CheckedLog.adopt(log)

    @property
    def _manifest(self) -> Any:
        return self.__dict__["_manifest"]

    @_manifest.setter
    def _manifest(self, manifest: Any) -> None:
        self.__dict__["_manifest"] = CheckedManifest.adopt(manifest)

    def _read_snapshot(self) -> tuple[tuple[Any, ...], Any]:
        moment = getattr(self._moments, "now", None)
        return super()._read_snapshot() if moment is None else (moment.segments, moment.deletions)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if getattr(self._moments, "now", None) is not None:
            yield
            return
        with self._maintenance_lock:
            if self._failure is not None:
                raise self.gone()
            self._moments.now = Moment(self.__dict__["_memtable"], *super()._read_snapshot())
        try:
            yield
        finally:
            self._moments.now = None

    @contextmanager
    def _reading_from(self, partitions: Sequence[str] | None) -> Iterator[None]:
        """Keep one moment, where what another partition has a newer row of counts as deleted.

        Of named partitions Milvus Lite reads these alone, and takes such a row for the last of its key.
        """
        with self._reading():
            held = self._moments.now
            if partitions:
                parts = self._take(None, [], None).parts
                self._moments.now = replace(held, deletions=with_replaced(held.deletions, parts))
            try:
                yield
            finally:
                self._moments.now = held

    def get(self, pks: list[Any], partition_names: list[str] | None = None, *args: Any, **kwargs: Any) -> Any:
        with self._reading_from(partition_names):
            return super().get(pks, partition_names, *args, **kwargs)

    def query(
        self,
        expr: str | None = None,
        output_fields: list[str] | None = None,
        partition_names: list[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
        timezone: str | None = None,
        order_by_pk: bool = False,
    ) -> list[dict[str, Any]]:
        """As Milvus Lite's own, which reads all rows anew for each page of an iterator; here only if they changed."""
        self._require_loaded()
        plan = build_projection_plan(output_fields, self._schema, api_kind="query")
        found = self.snapshot(expr, partition_names, timezone)
        order: Sequence[int] = range(len(found.keys))
        if order_by_pk:
            order = sorted(order, key=list(found.keys).__getitem__)
        chosen = order[offset : None if limit is None else offset + limit]
        return [project_record(materialize_record(found.places[at]), self._schema, plan) for at in chosen]

    def _num_entities(self, partition_names: list[str] | None) -> int:
        return len(self.snapshot(None, partition_names).keys)

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
        plan = self._indexed_filter_plan(compiled)
        return self._taking.take(moment, compiled, plan, partitions, self.fields_in_snapshots)


def _let_go(log: Any) -> None:
    log.let_go()
    # Closed below their buffers: what a full disk did not take must not come after all, once there is room.
    for file in (log._data_sink, log._delta_sink):
        if file is not None:
            file.raw.close()
