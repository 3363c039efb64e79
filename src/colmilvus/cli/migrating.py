"""``colmilvus migrate``: collections from one database into another."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from colmilvus.cli.opening import Database
from colmilvus.entity import DType
from colmilvus.errors import CollectionMismatch, CollectionNotFound
from colmilvus.layouts.choosing import LayoutName

__all__ = ["migrate_collections"]


def migrate_collections(
    source: Database,
    target: Database,
    named: Sequence[str],
    images: str | None,
    layout: LayoutName | None,
    dtype: DType | None,
) -> int:
    """Copy the collections of these names, all if none is named; return the exit code.

    Raises CollectionNotFound where one that is named is not there, or there is none at all.
    """
    names = list(named) or source.collections()
    if not names:
        raise CollectionNotFound(f"{source.shown} holds no collection")
    skipped = 0
    for name in names:
        try:
            opened = source.open(name, images)
        except CollectionMismatch as error:
            if named:
                raise
            typer.echo(f"colmilvus: {name} is left out: {error}", err=True)
            skipped += 1
            continue
        with opened:
            report = opened.copy_to(target.uri, token=target.token, images=images, layout=layout, dtype=dtype)
        typer.echo(f"{name}: {report}")
    typer.echo(f"{len(names) - skipped} collections of {source.shown} are in {target.shown}")
    return 1 if skipped else 0
