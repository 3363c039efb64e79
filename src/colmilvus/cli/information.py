"""``colmilvus info``: what a database holds."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from colmilvus.cli.embedders import remembered
from colmilvus.cli.opening import Database
from colmilvus.errors import CollectionMismatch

__all__ = ["describe", "print_description"]

COLUMNS = ("collection", "entities", "documents", "embedder", "dim", "metric", "capacity")


def describe(database: Database, collection: str | None = None) -> dict[str, Any]:
    """The database, its size, and its collections; or one of them. Raises CollectionNotFound for one not there."""
    names = database.collections() if collection is None else [collection]
    return {
        "db": database.shown,
        "bytes": database.bytes_on_disk,
        "collections": [_describe(database, name) for name in names],
    }


def _describe(database: Database, name: str) -> dict[str, Any]:
    try:
        opened = database.open(name)
    except CollectionMismatch:  # something else made it: nothing but its name is known
        return dict.fromkeys(COLUMNS) | {"collection": name}
    with opened:
        return {
            "collection": name,
            "entities": sum(opened.tenants().values()) if opened.spec.tenant_field else opened.count(),
            "documents": None if opened.spec.tenant_field else len(opened.documents()),
            "embedder": str(remembered(opened.spec) or opened.spec.embedder or "") or None,
            "dim": opened.dim,
            "metric": opened.metric,
            "capacity": opened.spec.capacity,
        }


def print_description(console: Console, description: dict[str, Any]) -> None:
    """Print what ``describe`` gives; a collection made by something else than colmilvus has only a name."""
    size = description["bytes"]
    place = description["db"] if size is None else f"{description['db']} ({_readable(size)} on disk)"
    console.print(Text(place), soft_wrap=True)
    if not description["collections"]:
        console.print("no collections")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column.capitalize(), overflow="fold")
    for collection in description["collections"]:
        table.add_row(*(Text("-" if collection[key] is None else str(collection[key])) for key in COLUMNS))
    console.print(table)


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
