"""Gives the space of deleted and replaced rows back: Milvus Lite's files of texts, and the stores of vectors."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from colmilvus.embedded.collecting import Collecting
from colmilvus.embedded.durability import sync_files, sync_folder
from colmilvus.embedded.lite.names import read_data_file, write_data_file
from colmilvus.embedded.places import Integers
from colmilvus.embedded.schema import row_field
from colmilvus.embedded.vectors import StoreClosed

if TYPE_CHECKING:
    from colmilvus.embedded.lite.collection import EngineCollection

__all__ = ["Space"]

# While others write, half of the space may be dead; once they have been quiet for a while, a fifth.
BUSY_SHARE = 0.5
QUIET_SHARE = 0.2
QUIET_SECONDS = 3.0
PAUSE_SECONDS = 1.0
PART_OF_TIME = 1
LEAST_BYTES = 1 << 20
LOG_BYTES = 16 << 20
RETRY_SECONDS = 60

logger = logging.getLogger(__name__)


class Space:
    """The space of one collection, looked after by one thread."""

    def __init__(self, collection: EngineCollection) -> None:
        self._collection = collection
        self._stores = {row_field(name): Collecting(store) for name, store in collection.stores.items()}
        self._seen = -1
        self._changed = self._next = time.monotonic()
        self._done: tuple[int, float] = (-1, 1.0)
        self._finished = True

    def give_back(self) -> bool:
        """Give back what can be by now; whether nothing is left to do until something is written."""
        try:
            return self._give_back()
        except StoreClosed:
            return True
        except Exception as error:
            if self._collection.ended:
                return True
            logger.warning("collection %s: space is given back later, because %s", self._collection.name, error)
            self._next = time.monotonic() + RETRY_SECONDS
            return False

    def _give_back(self) -> bool:
        now, version = time.monotonic(), self._collection.version
        if version != self._seen:
            self._seen, self._changed = version, now
        share = QUIET_SHARE if now - self._changed >= QUIET_SECONDS else BUSY_SHARE
        if not self._finished and now >= self._next:
            self._finish()
        if self._done[0] != version or self._done[1] > share:
            if now < self._next:
                return False
            self._pass(share)
            self._done = (version, share)
            self._next = time.monotonic() + max(PAUSE_SECONDS, PART_OF_TIME * (time.monotonic() - now))
        return self._finished and self._done == (self._collection.version, QUIET_SHARE)

    def _pass(self, share: float) -> None:
        if self._log_is_spent(share):
            self._collection.flush()
        self._rewrite_files(share)
        for field, collecting in self._stores.items():
            self._finished = False
            collecting.run(lambda field=field: self._live(field), self._settle, share)  # type: ignore[misc]
        self._finish()

    def _finish(self) -> None:
        done = [collecting.finish() for collecting in self._stores.values()]
        self._finished = all(done)

    def _live(self, field: str) -> Integers:
        return np.unique(self._collection.snapshot().rows[field])

    def _settle(self) -> None:
        """Have on the disk what makes rows dead: without it, they would come back with a loss of power."""
        self._collection.sync_log()
        for store in self._collection.stores.values():
            store.sync()

    # Milvus Lite's files

    def _log_is_spent(self, share: float) -> bool:
        """Whether so many rows of a long write-ahead log are dead that a flush makes it short."""
        collection = self._collection
        if collection._recovered_wal_bytes + collection._wal.size_bytes < LOG_BYTES:
            return False
        memtable = collection._memtable
        written = sum(batch.num_rows for batch in list(memtable._insert_batches))
        living = sum(len(part.live) for part in collection.snapshot().parts if part.holder is memtable)
        return bool(living < (1 - share) * written)

    def _rewrite_files(self, share: float) -> None:
        living = {id(part.holder): part.live for part in self._collection.snapshot().parts}
        for key, segment in list(self._collection._segment_cache.items()):
            # A segment that came after the snapshot is looked at next time.
            if (live := living.get(id(segment))) is None:
                continue
            spent = 1 - len(live) / segment.num_rows
            if spent > share and spent * Path(segment.file_path).stat().st_size >= LEAST_BYTES:
                self._settle()
                _rewrite(self._collection, key, segment, live)


def _rewrite(collection: Any, key: tuple[str, str], segment: Any, live: Integers) -> None:
    """Let a new file with the living rows take the place of one of Milvus Lite's; a kill leaves either."""
    partition, name = key
    manifest, folder = collection._manifest, Path(collection.data_dir, "partitions", partition)
    with collection._maintenance_lock:
        if collection.ended or collection._segment_cache.get(key) is not segment:
            return
        new = _written(collection, folder, read_data_file(segment.file_path).take(live)) if len(live) else None
        manifest.remove_data_files(partition, [name])
        if new:
            manifest.add_data_file(partition, new)
        manifest.save()
        Path(segment.file_path).unlink(missing_ok=True)
        collection._compaction_mgr._gc_tombstones(manifest, collection._delta_index)
        collection._refresh_segment_cache()
        collection._changed()
    collection._schedule_bg_maintenance()


def _written(collection: Any, folder: Path, table: Any) -> str:
    numbers = table.column("_seq").to_numpy()
    free = collection._compaction_mgr._pick_unique_seq_range(str(folder), int(numbers.min()), int(numbers.max()))
    new = str(write_data_file(table, str(folder), *free))
    sync_files([folder / new])
    sync_folder((folder / new).parent)
    return new
