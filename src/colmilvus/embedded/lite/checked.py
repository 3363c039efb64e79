"""Files of Milvus Lite with checksums of their content, so that what a disk lost is never taken for an answer.

Its JSON files have a checksum inside. Its manifest names the checksum of every file of rows, and beside a write-ahead
log lies a file with the checksum of every write. Files without any, from before, are read as they are.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from colmilvus.embedded.durability import sync_files, sync_folder
from colmilvus.embedded.lite.names import WAL, Manifest
from colmilvus.errors import DatabaseDamaged

__all__ = [
    "CheckedLog",
    "CheckedManifest",
    "read",
    "remove_unsealed_indexes",
    "seal_indexes",
    "verify_files",
    "verify_logs",
    "write",
]

CHECK, FILES = "check", "files"
SEAL = struct.Struct("<BQI")
NUMBER = struct.Struct("<I")
KINDS = ("data", "delta")
INDEXES = "partitions/*/indexes/*"
AGAIN = "put it back as it was, or drop the collection and add its documents again"


def write(path: Path, content: dict[str, Any]) -> None:
    """Let the file have this content, all of it or what it had before, with a checksum. Raises OSError."""
    new = path.with_name(path.name + ".tmp")
    with new.open("w", encoding="utf-8") as file:
        json.dump({**content, CHECK: _check(content)}, file, ensure_ascii=False, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def read(path: Path, wayout: str = AGAIN) -> dict[str, Any]:
    """What was written. Raises DatabaseDamaged where it is not, with ``wayout``, and FileNotFoundError."""
    try:
        content = json.loads(path.read_bytes())
        check = content.pop(CHECK, None)
    except (ValueError, AttributeError) as error:
        raise DatabaseDamaged(f"{path} is not what was written: {error}; {wayout}") from error
    if check is not None and check != _check(content):
        raise DatabaseDamaged(f"{path} is not what was written: its checksum differs; {wayout}")
    return dict(content)


def _check(content: dict[str, Any]) -> int:
    # The version grows between the two calls that Milvus Lite makes to write a manifest, and nothing depends on it.
    known = {key: value for key, value in content.items() if key != "version"}
    return zlib.crc32(json.dumps(known, sort_keys=True).encode())


def _check_of_file(path: Path) -> list[int]:
    check = size = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            check, size = zlib.crc32(part, check), size + len(part)
    return [size, check]


class CheckedManifest(Manifest):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's manifest, which a file of rows enters when it is on the disk, with its size and checksum."""

    checks: dict[str, list[int]]

    @classmethod
    def adopt(cls, manifest: Any) -> CheckedManifest:
        """Turn a manifest that Milvus Lite has just read into one with checksums."""
        manifest.__class__ = cls
        manifest.checks = {}
        with suppress(FileNotFoundError):
            manifest.checks = read(Path(manifest.data_dir, "manifest.json")).get(FILES, {})
        return manifest  # type: ignore[no-any-return]  # its class was just set

    def add_data_file(self, partition: str, filename: str) -> None:
        super().add_data_file(partition, filename)
        self._seal(partition, filename)

    def add_delta_file(self, partition: str, filename: str) -> None:
        super().add_delta_file(partition, filename)
        self._seal(partition, filename)

    def _seal(self, partition: str, filename: str) -> None:
        path = Path(self.data_dir, "partitions", partition, filename)
        sync_files([path])
        sync_folder(path.parent, path.parent.parent, path.parent.parent.parent, Path(self.data_dir))
        self.checks[f"{partition}/{filename}"] = _check_of_file(path)

    def _to_payload(self) -> dict[str, Any]:
        listed = set(_listed(self._partitions))
        self.checks = {name: check for name, check in self.checks.items() if name in listed}
        payload = {**super()._to_payload(), FILES: self.checks}
        return {**payload, CHECK: _check(payload)}


def _listed(partitions: dict[str, Any]) -> Iterator[str]:
    for partition, kinds in partitions.items():
        for name in (*kinds.get("data_files", ()), *kinds.get("delta_files", ())):
            yield f"{partition}/{name}"


class CheckedLog(WAL):  # type: ignore[misc]  # Milvus Lite has no types
    """Milvus Lite's write-ahead log, with the end and the checksum of every write in a file beside it."""

    _seals: BinaryIO | None

    @classmethod
    def adopt(cls, log: Any) -> CheckedLog:
        """Turn a log that Milvus Lite has just begun into one with checksums."""
        log.__class__ = cls
        log._seals = None
        return log  # type: ignore[no-any-return]  # its class was just set

    def write_insert(self, record_batch: Any) -> None:
        start = self._data_size_bytes
        super().write_insert(record_batch)
        self._seal(0, Path(self.data_path), start, self._data_size_bytes)

    def write_delete(self, record_batch: Any) -> None:
        start = self._delta_size_bytes
        super().write_delete(record_batch)
        self._seal(1, Path(self.delta_path), start, self._delta_size_bytes)

    def _seal(self, kind: int, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            written = file.read(end - start)
        if self._seals is None:
            self._seals = seals_of(Path(self.wal_dir), self.number).open("ab", buffering=0)
        entry = SEAL.pack(kind, end, zlib.crc32(written))
        entry += NUMBER.pack(zlib.crc32(entry))
        if self._seals.write(entry) < len(entry):
            raise OSError(f"{self._seals.name} takes no more")

    def close_and_delete(self) -> None:
        # First, because a log without checksums is read as it is, and checksums without their log are damage.
        self.let_go()
        seals_of(Path(self.wal_dir), self.number).unlink(missing_ok=True)
        super().close_and_delete()

    def let_go(self) -> None:
        """Close the file of checksums."""
        if self._seals is not None:
            self._seals.close()


def seal_indexes(folder: Path) -> None:
    """Leave the checksums of a closed collection's index files for the next opening."""
    files = {str(path.relative_to(folder)): _check_of_file(path) for path in folder.glob(INDEXES)}
    write(folder / "indexes.json", {FILES: files})


def remove_unsealed_indexes(folder: Path) -> None:
    """Remove index files that are not what was there when the collection was closed: they are made again."""
    files: dict[str, list[int]] = {}
    with suppress(FileNotFoundError, DatabaseDamaged):
        files = read(folder / "indexes.json").get(FILES, {})
    for path in folder.glob(INDEXES):
        if files.get(str(path.relative_to(folder))) != _check_of_file(path):
            path.unlink()
    (folder / "indexes.json").unlink(missing_ok=True)


def seals_of(folder: Path, number: int) -> Path:
    """Where the checksums of a write-ahead log lie."""
    return folder / f"wal_{number:06d}.checks"


def verify_files(folder: Path) -> None:
    """Compare a collection's manifest and files of rows with their checksums. Raises DatabaseDamaged."""
    manifest = folder / "manifest.json"
    try:
        content = read(manifest)
    except FileNotFoundError:
        if (folder / "manifest.json.prev").exists() or any(folder.glob("partitions/*/*/*.parquet")):
            raise DatabaseDamaged(f"{manifest} is missing; {AGAIN}") from None
        content = {}
    checks = content.get(FILES, {})
    for name in _listed(content.get("partitions", {})):
        path = folder / "partitions" / name
        found = _check_of_file(path) if path.exists() else None
        if found is None or checks.get(name, found) != found:
            raise DatabaseDamaged(f"{path} is {'missing' if found is None else 'not what was written'}; {AGAIN}")


def verify_logs(folder: Path) -> None:
    """Compare write-ahead logs with their checksums. Raises DatabaseDamaged.

    The last write may lack its own: it was not acknowledged.
    """
    for path in sorted(folder.glob("wal/wal_*.checks")):
        _verify_log(path)


def _verify_log(path: Path) -> None:
    number, reached = path.stem.rsplit("_", 1)[-1], [0, 0]
    logs = [path.with_name(f"wal_{kind}_{number}.arrow") for kind in KINDS]
    for kind, end, check in _seals(path):
        with suppress(FileNotFoundError), logs[kind].open("rb") as file:
            file.seek(reached[kind])
            if zlib.crc32(file.read(end - reached[kind])) == check:
                reached[kind] = end
                continue
        raise DatabaseDamaged(
            f"{logs[kind]} is not what was written after byte {reached[kind]}; put it back as it was, or remove {path} "
            "to go on without the writes that are damaged and those after them"
        )


def _seals(path: Path) -> Iterator[tuple[int, int, int]]:
    content, size = path.read_bytes(), SEAL.size + NUMBER.size
    for at in range(0, len(content) - size + 1, size):
        entry = content[at : at + size]
        if NUMBER.unpack(entry[SEAL.size :])[0] != zlib.crc32(entry[: SEAL.size]):
            raise DatabaseDamaged(f"{path} is not what was written at byte {at}; remove it to go on without it")
        kind, end, check = SEAL.unpack(entry[: SEAL.size])
        yield kind, end, check
