"""Milvus Lite's database, with collections that are opened, made and removed by one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from colmilvus.embedded.lite.collection import EngineCollection
from colmilvus.embedded.lite.names import Manifest, MilvusLite

__all__ = ["EngineDatabase"]


class Collections(dict[tuple[str, str], Any]):
    """Milvus Lite's open collections; each becomes the engine's own as it comes in."""

    def __setitem__(self, key: tuple[str, str], collection: Any) -> None:
        super().__setitem__(key, EngineCollection.adopt(collection))


class EngineDatabase(MilvusLite):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's database, whose collections are opened, made and removed by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Open ``folder``, made if missing. Raises DataDirLockedError where another process holds it."""
        self._guard = threading.RLock()
        super().__init__(str(folder))
        self._collections = Collections()

    def create_collection(self, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            return super().create_collection(*args, **kwargs)

    def get_collection(self, name: str, database_name: str = "default") -> Any:
        with self._guard:
            real = self.resolve_collection_name(name, database_name=database_name)
            known = self.has_collection(real, database_name=database_name)
            if known and (database_name, real) not in self._collections:
                self._finish_flush(Path(self._collection_dir(real, database_name)))
            return super().get_collection(name, database_name=database_name)

    @staticmethod
    def _finish_flush(folder: Path) -> None:
        """Remove write-ahead logs that a process, killed at the end of a flush, could no longer remove.

        Milvus Lite would read their rows again, beside those that were flushed, and bring deleted ones back.
        """
        first = Manifest.load(str(folder)).active_wal_number
        for file in folder.glob("wal/wal_*_*.arrow"):
            if first is not None and int(file.stem.rsplit("_", 1)[-1]) < first:
                file.unlink()

    def drop_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().drop_collection(*args, **kwargs)

    def rename_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().rename_collection(*args, **kwargs)

    def truncate_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().truncate_collection(*args, **kwargs)

    def restore_snapshot(self, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            return super().restore_snapshot(*args, **kwargs)

    def alter_collection_properties(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().alter_collection_properties(*args, **kwargs)

    def drop_database(self, *args: Any, **kwargs: Any) -> None:
        with self._guard:
            super().drop_database(*args, **kwargs)

    def close(self) -> None:
        with self._guard:
            super().close()
