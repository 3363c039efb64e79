"""What a layout is to the rest: where entities with their multi-vectors lie in the rows of a collection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from colmilvus.entity import Entity, MultiVector
from colmilvus.filters import Filter, all_of, one_of, to_expression
from colmilvus.layouts.portions import IDS, batches
from colmilvus.layouts.rows import SCALARS, Record, entity_of, key_of
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.table import FIRST, Row, Table
from colmilvus.layouts.tenants import Tenant

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Found", "Layout", "Stored"]

DOCUMENTS = 100


@dataclass(frozen=True)
class Found:
    """A row, or an entity, that was found, its score, and of the entity what was read: all of it, or None."""

    id: str
    document: str | None
    score: float
    sizes: Sequence[int]
    entity: Entity | None = None
    vectors: MultiVector | None = None
    fused: bool = False


@dataclass(frozen=True)
class Stored:
    """What a collection holds under an id: enough to tell whether it has to be written again.

    ``sizes`` has the bytes of each part, vectors and texts of segments.
    """

    digest: str | None
    version: str | None
    image: str
    sizes: Sequence[int]


class Layout(ABC):
    """One collection. Of every entity one row is the first: it has its text, its digest, and what tells the others."""

    name: ClassVar[str]
    """What ``layout=`` calls it."""
    once: ClassVar[str] = ""
    """An expression that is true of few rows of each entity, all of which have what is asked for."""

    def __init__(self, table: Table, spec: CollectionSpec) -> None:
        self.spec = spec
        self.table = table
        table.needs_tenant = spec.tenant_field is not None

    def for_tenant(self, name: str) -> Self:
        """The rows of one tenant, in a collection that has a column for them."""
        tenant = Tenant(str(self.spec.tenant_field), name)
        return type(self)(self.table.for_tenant(tenant), self.spec)

    def tenants(self) -> dict[str, int]:
        """How many entities each tenant has; none in a collection without a column for them."""
        return self.table.tenants(self.spec.tenant_field) if self.spec.tenant_field else {}

    @property
    @abstractmethod
    def is_exact(self) -> bool:
        """Whether scores are of the vectors as they are stored, whatever found them."""

    @property
    @abstractmethod
    def splits(self) -> bool:
        """Whether one entity may be found several times, by its parts."""

    @abstractmethod
    def write(self, records: Sequence[Record], stored: Mapping[str, Stored]) -> None:
        """Store the records; where this is cut short, each entity is whole, as it was before or as it is after.

        ``stored`` says what is held under their ids.
        """

    @abstractmethod
    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        """For each query the best by MaxSim, best first; an entity of several parts may come several times.

        ``whole`` reads the entities too, without their segments.
        """

    def search_parts(self, query: MultiVector, limit: int, expression: str) -> list[Found]:
        """The best parts that are not the first of their entity."""
        (found,) = self.search([query], limit, all_of(expression, "part > 0"), whole=False)
        return found

    @abstractmethod
    def search_text(self, query: str, limit: int, expression: str = "", *, whole: bool) -> list[Found]:
        """The best rows by BM25 over their text, best first; rows that share no word with the query are not found."""

    @abstractmethod
    def check_text(self) -> None:
        """Raise Unsupported where the text cannot be searched."""

    @abstractmethod
    def contents(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[Entity, MultiVector]]:
        """Entities with their segments and all their vectors, in one request unless they are very many.

        ``sizes`` has the bytes of each part under each id, as they were found; what is gone is left out.
        """

    @abstractmethod
    def with_segments(self, ids: Sequence[str]) -> list[Entity]:
        """The entities under these ids, with their segments, in any order."""

    @abstractmethod
    def holding(self, segments: Sequence[str]) -> dict[str, Sequence[int]]:
        """The ids of the entities with any of these segments, with the bytes of their parts."""

    @abstractmethod
    def parents(self, segments: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the entities with any of these segments, each with those that it has."""

    @abstractmethod
    def segment_ids(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the segments of each of these entities that is held; none for one without segments."""

    @abstractmethod
    def delete(self, expression: str) -> None:
        """Remove the entities of which a row matches, with all their rows."""

    def expression(self, filter: Filter | None) -> str:
        """The filter as an expression about this layout's rows; "" where it restricts nothing."""
        return to_expression(filter, self.spec.fields)

    def having(self, ids: Sequence[str]) -> str:
        """An expression that is true of the entities under these ids."""
        return one_of("id", ids)

    def of_document(self, name: str) -> str:
        """An expression that is true of the entities of this document."""
        return one_of("document", [name])

    def clear(self) -> None:
        """Remove all rows."""
        self.table.delete("part >= 0")

    def held(self) -> Iterator[dict[str, Stored]]:
        """Everything that is held, by id, some at a time."""
        for page in self.table.pages(FIRST, ["id", "image", "internal"]):
            yield {row["id"]: _stored(row) for row in page}

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        """What is held under these ids; ids that are not there are left out."""
        rows = self._first_rows(ids, ["id", "image", "internal"])
        return {row["id"]: _stored(row) for row in rows}

    def entities(self, ids: Sequence[str]) -> list[Entity]:
        """The entities under these ids, with their segments, in any order; ids that are not there are left out."""
        if self.spec.segments:
            return self.with_segments(ids)
        return [self._entity(row) for row in self._first_rows(ids, self._scalars())]

    def _scalars(self) -> Sequence[str]:
        """The columns that an entity is read from."""
        return SCALARS

    def _entity(self, row: Row) -> Entity:
        return entity_of(row)

    def _first_rows(self, ids: Sequence[str], fields: Sequence[str], expression: str = "") -> list[Row]:
        """The first rows of the entities under these ids, of those that match."""
        keys = [key_of(name, tenant=self.table.tenant) for name in ids]
        asked = (all_of(one_of("key", some), expression) for some in batches(keys, IDS))
        return [row for each in asked for row in self.table.read(each, fields)]

    def ids(self, expression: str) -> list[str]:
        """The ids of the entities of which a row matches."""
        return list(dict.fromkeys(row["id"] for row in self.table.rows(all_of(self.once, expression), ["id"])))

    def images(self, expression: str) -> set[str]:
        """The references to pictures in the rows that match."""
        return {row["image"] for row in self.table.rows(all_of(self.once, expression), ["image"]) if row["image"]}

    def images_in_use(self, references: Iterable[str]) -> set[str]:
        """Those of the references that an entity still names."""
        return self.images(one_of("image", sorted(references)))

    def documents(self) -> dict[str, int]:
        """Every document, with how many entities the collection holds of it."""
        counts: dict[str, int] = {}
        for row in self.table.rows(all_of(FIRST, self.expression({"$document": {"$exists": True}})), ["document"]):
            counts[row["document"]] = counts.get(row["document"], 0) + 1
        return counts

    def outdated(self, versions: Mapping[str, str]) -> list[str]:
        """The ids of the entities that come from another version of their document than the one given for it."""
        ids: list[str] = []
        for some in batches(list(versions), DOCUMENTS):
            rows = self.table.rows(all_of(FIRST, one_of("document", some)), ["id", "document", "internal"])
            ids += [row["id"] for row in rows if row["internal"]["version"] != versions[row["document"]]]
        return ids

    def count(self, expression: str = "") -> int:
        """How many entities match."""
        return self.table.count(all_of(FIRST, expression))

    def drop(self) -> None:
        self.table.drop()


def _stored(row: Mapping[str, Any]) -> Stored:
    internal = row["internal"]
    return Stored(internal.get("digest"), internal["version"], row["image"], internal["sizes"])
