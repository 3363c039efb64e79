"""``colmilvus delete``: what a typed name means."""

from __future__ import annotations

from collections.abc import Iterable

from colmilvus.cli.paths import absolute
from colmilvus.collection import Collection
from colmilvus.connection import is_path
from colmilvus.errors import InvalidInput
from colmilvus.filters import Filter, to_expression

__all__ = ["delete_matching", "delete_named"]


def delete_matching(collection: Collection, condition: Filter | None) -> int:
    """Delete what fits the filter; return how many. Raises InvalidInput for a filter that everything fits."""
    if not to_expression(condition, collection.spec.fields):
        other = f", or delete the folder {collection.uri} with all it holds" if is_path(collection.uri) else ""
        raise InvalidInput(f"the filter matches every page of collection {collection.name}; name a narrower one{other}")
    return collection.delete(filter=condition)


def delete_named(collection: Collection, names: Iterable[str]) -> tuple[int, list[str]]:
    """Delete each entity of that id, or all of that document; return how many, and the names that mean neither."""
    deleted, unknown = 0, []
    for name in dict.fromkeys(names):
        count = collection.delete([name]) or _delete_document(collection, name)
        deleted += count
        if not count:
            unknown.append(name)
    return deleted, unknown


def _delete_document(collection: Collection, name: str) -> int:
    """Delete by the document's name, by its file's path as seen from here, or by what its pages call their source."""
    for document in dict.fromkeys((name, absolute(name))):
        if count := collection.delete(document=document):
            return count
    return collection.delete(filter={"source": name})
