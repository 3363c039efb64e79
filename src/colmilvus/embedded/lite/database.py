"""Milvus Lite's database: one thread at a time opens, makes and removes collections, and a kill halves none of them.

A collection is made, and removed, by one renaming of its folder, from and to the folder that Milvus Lite clears when it
opens a database.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from colmilvus.embedded.durability import outlives_power, sync_folder
from colmilvus.embedded.housekeeping import Housekeeping
from colmilvus.embedded.lite.checked import (
    CheckedManifest,
    read,
    remove_unsealed_indexes,
    verify_files,
    verify_logs,
    write,
)
from colmilvus.embedded.lite.collection import EngineCollection
from colmilvus.embedded.lite.names import (
    SCHEMA_FILENAME,
    CollectionAlreadyExistsError,
    CollectionNotFoundError,
    DatabaseNotEmptyError,
    DatabaseNotFoundError,
    Manifest,
    MilvusLite,
    MilvusLiteError,
    load_schema,
    save_schema,
    validate_schema,
)
from colmilvus.errors import DatabaseDamaged

__all__ = ["EngineDatabase"]

logger = logging.getLogger(__name__)

DEFAULT = "default"


class Collections(dict[tuple[str, str], Any]):
    """Milvus Lite's open collections; each becomes the engine's own as it comes in, and sets ``changed``."""

    def __init__(self, changed: threading.Event, outlives_power: Callable[[], bool]) -> None:
        self._changed = changed
        self._outlives_power = outlives_power

    def __setitem__(self, key: tuple[str, str], collection: Any) -> None:
        adopted = EngineCollection.adopt(collection)
        adopted.changed = self._changed
        adopted.outlives_power = self._outlives_power
        for store in adopted.stores.values():
            store.outlives_power = self._outlives_power
        super().__setitem__(key, adopted)
        self._changed.set()


def guarded(name: str) -> Callable[..., Any]:
    """Milvus Lite's method of that name, for one thread at a time."""

    def method(self: EngineDatabase, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            return getattr(MilvusLite, name)(self, *args, **kwargs)

    return method


class EngineDatabase(MilvusLite):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's database, whose collections are opened, made and removed by one thread at a time."""

    alter_database_properties = guarded("alter_database_properties")
    drop_database_properties = guarded("drop_database_properties")
    create_alias = guarded("create_alias")
    alter_alias = guarded("alter_alias")
    drop_alias = guarded("drop_alias")
    list_aliases = guarded("list_aliases")
    # Each reads a file at its first call, and keeps what it found.
    _aliases = guarded("_aliases")
    _database_properties = guarded("_database_properties")

    def __init__(self, folder: Path) -> None:
        """Open ``folder``, made if missing. Raises DataDirLockedError where another process holds it."""
        self._guard = threading.RLock()
        super().__init__(str(folder))
        sync_folder(folder, folder.parent, folder.parent.parent)
        for name in self.list_databases():
            self._sweep(name)
        self._housekeeping = Housekeeping(lambda: [held.space for held in list(self._collections.values())])
        self._collections = Collections(self._housekeeping.changed, lambda: outlives_power(folder.parent))

    def _sweep(self, database_name: str) -> None:
        """Finish what a kill interrupted: a renaming, the removal of aliases of nothing.

        A folder without a schema is no collection and cannot be opened; it is put aside, and the log says where.
        """
        for folder in Path(self._collections_root(database_name)).glob("*"):
            if folder.is_dir() and not (folder / SCHEMA_FILENAME).exists():
                self._put_aside(folder)
            elif folder.is_dir():
                # Damage to one collection is the answer to the calls that meet it.
                with suppress(OSError, MilvusLiteError, DatabaseDamaged):
                    self._finish_renaming(folder, database_name)
        with suppress(OSError, DatabaseDamaged):
            self._forget_aliases(database_name)

    def _put_aside(self, folder: Path) -> None:
        if not any(file.is_file() for file in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
            return
        aside = Path(self._data_dir, "damaged", f"{folder.name}.{secrets.token_hex(4)}")
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
        logger.warning(
            "collection %s has lost its %s and cannot be opened; what is left of it is now in %s",
            folder.name, SCHEMA_FILENAME, aside,
        )  # fmt: skip

    def _forget_aliases(self, database_name: str) -> None:
        aliases = self._aliases(database_name)
        gone = [alias for alias, name in aliases.items() if not self.has_collection(name, database_name=database_name)]
        for alias in gone:
            del aliases[alias]
        if gone:
            self._save_aliases(database_name)

    def close(self) -> None:
        """Flush and close every collection, and let the folder go."""
        self.rest()
        with self._guard:
            super().close()

    def create_collection(
        self, name: str, schema: Any, properties: dict[str, Any] | None = None, database_name: str = DEFAULT
    ) -> Any:
        with self._guard:
            self._check_open()
            database_name = self._require_database(database_name)
            self._validate_name(name)
            schema.properties = {**schema.properties, **(properties or {})}
            validate_schema(schema, default_properties=self._database_properties(database_name))
            if self.has_collection(name, database_name=database_name):
                raise CollectionAlreadyExistsError(f"collection {name!r} already exists")
            return self._create(name, schema, database_name)

    def _create(self, name: str, schema: Any, database_name: str) -> Any:
        aside, folder = self._aside(), self._folder(name, database_name)
        try:
            aside.mkdir()
            write_schema(schema, name, aside)
            CheckedManifest.adopt(Manifest(str(aside))).save()
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(folder)
            sync_folder(folder.parent, folder.parent.parent)
            return self.get_collection(name, database_name)
        except BaseException:
            self._remove(aside)
            self._remove(folder)
            raise

    def get_collection(self, name: str, database_name: str = DEFAULT) -> Any:
        with self._guard:
            self._check_open()
            database_name = self._require_database(database_name)
            name = self.resolve_collection_name(name, database_name=database_name)
            held = self._collections.get((database_name, name))
            if held is not None and not held.ended:
                return held
            if held is not None:
                del self._collections[database_name, name]
                held.close()
            if not self.has_collection(name, database_name=database_name):
                raise CollectionNotFoundError(f"collection {name!r} does not exist")
            return self._open(name, database_name)

    def _open(self, name: str, database_name: str) -> Any:
        folder = self._folder(name, database_name)
        _, schema = read_schema(folder)
        verify_files(folder)
        self._finish_flush(folder)
        verify_logs(folder)
        remove_unsealed_indexes(folder)
        properties = self._database_properties(database_name)
        self._collections[database_name, name] = EngineCollection(
            name, str(folder), schema, database_properties=properties
        )
        return self._collections[database_name, name]

    @staticmethod
    def _finish_flush(folder: Path) -> None:
        """Remove write-ahead logs that a process, killed at the end of a flush, could no longer remove.

        Milvus Lite would read their rows again, beside those that were flushed, and bring deleted ones back.
        """
        first = Manifest.load(str(folder)).active_wal_number
        for file in folder.glob("wal/wal_*"):
            if first is not None and int(file.stem.rsplit("_", 1)[-1]) < first:
                file.unlink()

    def drop_collection(self, name: str, database_name: str = DEFAULT) -> None:
        with self._guard:
            self._check_open()
            database_name = self._require_database(database_name)
            name = self.resolve_collection_name(name, database_name=database_name)
            if not self.has_collection(name, database_name=database_name):
                return
            held = self._collections.pop((database_name, name), None)
            if held is not None:
                held.abandon()
            self._remove(self._folder(name, database_name))
            self._forget_aliases(database_name)

    def rename_collection(self, old_name: str, new_name: str, database_name: str = DEFAULT) -> None:
        with self._guard:
            self._check_open()
            database_name = self._require_database(database_name)
            old_name = self.resolve_collection_name(old_name, database_name=database_name)
            if not self.has_collection(old_name, database_name=database_name):
                raise CollectionNotFoundError(f"collection {old_name!r} does not exist")
            self._validate_name(new_name)
            if self.has_collection(new_name, database_name=database_name):
                raise CollectionAlreadyExistsError(f"collection {new_name!r} already exists")
            held = self._collections.pop((database_name, old_name), None)
            if held is not None:
                held.close()
            folder = self._folder(new_name, database_name)
            self._folder(old_name, database_name).rename(folder)
            sync_folder(folder.parent)
            self._finish_renaming(folder, database_name)

    def _finish_renaming(self, folder: Path, database_name: str) -> None:
        """Let aliases follow a collection whose schema has another name than its folder, then the schema itself.

        In this order, so that a kill at any moment leaves the difference for the next opening to see.
        """
        name, schema = read_schema(folder)
        if name == folder.name:
            return
        if not self._folder(name, database_name).exists():
            aliases = self._aliases(database_name)
            moved = {alias: folder.name for alias, target in aliases.items() if target == name}
            if moved:
                aliases.update(moved)
                self._save_aliases(database_name)
        write_schema(schema, folder.name, folder)

    def drop_database(self, name: str) -> None:
        with self._guard:
            self._check_open()
            name = self._normalize_database_name(name)
            self._validate_database_name(name)
            if name == DEFAULT:
                raise ValueError("cannot drop default database")
            if not self.has_database(name):
                raise DatabaseNotFoundError(f"database {name!r} does not exist")
            if self._database_has_collections(name):
                raise DatabaseNotEmptyError(f"database {name!r} is not empty")
            self._remove(Path(self._database_dir(name)))
            self._aliases_by_db.pop(name, None)
            self._database_properties_by_db.pop(name, None)

    def create_database(self, name: str, properties: dict[str, Any] | None = None) -> None:
        with self._guard:
            super().create_database(name, properties)
            sync_folder(Path(self._database_dir(name)).parent)

    def alter_collection_properties(
        self,
        name: str,
        properties: dict[str, Any] | None = None,
        delete_keys: list[str] | None = None,
        database_name: str = DEFAULT,
    ) -> None:
        with self._guard:
            held = self.get_collection(name, database_name)
            held.alter_properties(properties=properties, delete_keys=delete_keys)
            write_schema(held.schema, held.name, Path(held.data_dir))

    def _save_aliases(self, database_name: str = DEFAULT) -> None:
        try:
            write(Path(self._aliases_path(database_name)), {"aliases": self._aliases(database_name)})
        except BaseException:
            # The next call reads what is on the disk.
            self._aliases_by_db.pop(database_name, None)
            raise

    def _load_aliases(self, database_name: str = DEFAULT) -> dict[str, str]:
        path = Path(self._aliases_path(database_name))
        with suppress(FileNotFoundError):
            content = read(path, "put it back as it was, or remove it to go on without aliases")
            return dict(content.get("aliases", content))
        return {}

    @staticmethod
    def _write_database_properties_file(path: str, properties: dict[str, Any]) -> None:
        write(Path(path), {"properties": properties})

    def _load_database_properties(self, database_name: str = DEFAULT) -> dict[str, Any]:
        path = Path(self._database_properties_path(database_name))
        with suppress(FileNotFoundError):
            content = read(path, "put it back as it was, or remove it to go on without properties")
            return dict(self._normalize_database_properties(content.get("properties", content)))
        return {}

    def truncate_collection(self, name: str, database_name: str = DEFAULT) -> None:
        with self._guard:
            held = self.get_collection(name, database_name)
            held.abandon()
            _empty(held)
            self._remove(Path(held.data_dir, "structs"))
            fresh = self.get_collection(name, database_name)
            if held.load_state != "loaded":
                fresh.loaded_by_user = False
                fresh.release()

    def in_place(self) -> bool:
        """Whether the folder that this database holds is still the one at its path."""
        held: int | None = self._lock_fd
        with suppress(OSError):
            return held is not None and os.path.samestat(os.fstat(held), Path(self._lock_path).stat())
        return False

    def rest(self) -> None:
        """Do no work in the background any more; a thread in a library's code must not outlive Python."""
        self._housekeeping.stop(wait=False)
        for collection in tuple(self._collections.values()):
            collection.rest()
        self._housekeeping.stop(wait=True)

    def leave(self) -> None:
        """Hold the folder no longer and write nothing: it is another's now, or the process's forked from."""
        self._housekeeping.stop(wait=False)
        held: int | None = self._lock_fd
        self._closed = True
        self._lock_fd: int | None = None
        for collection in self._collections.values():
            collection.leave()
            for store in collection.stores.values():
                store.leave()
        if held is not None:
            # Not unlocked: the lock belongs to the open file, which a forked process shares with its parent.
            os.close(held)

    def _folder(self, name: str, database_name: str) -> Path:
        return Path(self._collection_dir(name, database_name))

    def _aside(self) -> Path:
        return Path(self._database_staging_root(), secrets.token_hex(16))

    def _remove(self, folder: Path) -> None:
        """Remove the folder, all at once as far as a kill can tell."""
        aside = self._aside()
        with suppress(FileNotFoundError):
            folder.rename(aside)
            sync_folder(folder.parent, aside.parent)
            shutil.rmtree(aside, ignore_errors=True)


def write_schema(schema: Any, name: str, folder: Path) -> None:
    """Let a collection's folder have this schema, with a checksum."""
    unchecked = folder / f"{SCHEMA_FILENAME}.unchecked"
    save_schema(schema, name, str(unchecked))
    write(folder / SCHEMA_FILENAME, json.loads(unchecked.read_bytes()))
    unchecked.unlink()


def read_schema(folder: Path) -> tuple[str, Any]:
    """The name of a collection and its schema. Raises DatabaseDamaged."""
    path = folder / SCHEMA_FILENAME
    read(path)
    name, schema = load_schema(str(path))
    return name, schema


def _empty(held: EngineCollection) -> None:
    """Let the manifest of an ended collection know of no row; the next opening removes the files that it had."""
    manifest = CheckedManifest.adopt(Manifest.load(held.data_dir))
    for partition, files in manifest.get_all_data_files().items():
        manifest.remove_data_files(partition, list(files))
    for partition, files in manifest.get_all_delta_files().items():
        manifest.remove_delta_files(partition, list(files))
    manifest.active_wal_number = held._wal.number + 1
    manifest.save()
