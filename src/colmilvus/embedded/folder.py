"""The folder of a database: what lies in it, who holds it, and where the holder can be reached.

``format.json``   the number of the format
``LOCK/``         a directory, where Milvus Lite wants a file: so plain Milvus Lite refuses the folder
``address.json``  port, token and process of the engine that holds the folder; readable by its user only
``lite/``         Milvus Lite's data with the vectors beside them; the lock between processes is Lite's, in here
``token``         the token under which ``colmilvus serve`` offers it, unless another file is named
``power``         there where what is acknowledged is to outlive a loss of power
``images/``       page pictures, which are not the engine's
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from colmilvus.errors import DatabaseDamaged, DatabaseError

__all__ = ["FORMAT", "forget_address", "lite_folder", "prepare", "read_address", "write_address"]

FORMAT = 4
OURS = {
    "LOCK",
    "power",
    "token",
    "format.json",
    "images",
    "lite",
    "address.json",
}
HALF_WRITTEN = ("format.json.", "address.json.")


def prepare(path: Path) -> None:
    """Make the folder if it is missing. Raises DatabaseError where ``path`` is something else, or of a newer format."""
    if not path.parent.is_dir():
        raise DatabaseError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.exists() and not path.is_dir():
        raise DatabaseError(f"{path} is a file, not a database folder; give another path, or move the file away")
    if not (path / "format.json").exists():
        _begin(path)
    _check_format(path)
    (path / "LOCK").mkdir(exist_ok=True)


def lite_folder(path: Path) -> Path:
    """Where Milvus Lite keeps its data."""
    return path / "lite"


def _begin(path: Path) -> None:
    found = {entry.name for entry in path.iterdir()} if path.exists() else set()
    if (path / "LOCK").is_file() or "collections" in found:
        raise DatabaseError(
            f"{path} is a database of plain Milvus Lite, without arrays of structs; open it with "
            "pymilvus.MilvusClient, and give another path here"
        )
    others = {name for name in found - OURS if not name.startswith(HALF_WRITTEN) or not name.endswith(".new")}
    if others:
        raise DatabaseError(f"{path} is a folder with other files in it, such as {min(others)!r}; give another path")
    path.mkdir(exist_ok=True)
    (path / "LOCK").mkdir(exist_ok=True)
    _write(path / "format.json", {"format": FORMAT}, 0o644)


def _check_format(path: Path) -> None:
    file = path / "format.json"
    try:
        number = json.loads(file.read_text("utf-8"))["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatabaseDamaged(f"{file} does not say the number of the database's format") from error
    if number != FORMAT:
        older = isinstance(number, int) and number < FORMAT
        wayout = "add its documents again, at another path" if older else "open it with pip install -U colmilvus"
        raise DatabaseError(
            f"{path} has format {number}, as {file} says, this version of colmilvus reads format {FORMAT}; {wayout}"
        )


def write_address(path: Path, port: int, token: str, uri: str | None) -> None:
    """Leave word of the running engine, for the user's other processes; ``uri`` is where it answers over gRPC."""
    told = {"pid": os.getpid(), "port": port, "token": token, "folder": _number(path)}
    _write(path / "address.json", {**told, "uri": uri} if uri else told, 0o600)


def read_address(path: Path) -> dict[str, Any]:
    """``pid``, ``port``, ``token``, and perhaps ``uri`` of the engine that holds the folder; empty without its word.

    Word that came along with a copy of the folder is of another's engine, and does not count.
    """
    try:
        found = json.loads((path / "address.json").read_text("utf-8"))
        return found if found["folder"] == _number(path) and isinstance(found["port"], int) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _number(path: Path) -> int:
    """What tells the folder from a copy of it."""
    return (lite_folder(path) / "LOCK").stat().st_ino


def forget_address(path: Path) -> None:
    """Remove the word of an engine that is no longer there."""
    with suppress(OSError):
        (path / "address.json").unlink()


def _write(path: Path, content: dict[str, Any], mode: int) -> None:
    # Each writer has a file of its own: several processes begin a folder at once, and one must not move another's.
    number, name = tempfile.mkstemp(".new", path.name + ".", path.parent)
    new = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
