"""A collection that another program made, with arrays of structs of its own: read for what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus import DataType
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import DType, Entity, Metric, MultiVector
from colmilvus.errors import CollectionMismatch, InvalidInput, Unsupported
from colmilvus.filters import Column, Filter, one_of, path, to_expression
from colmilvus.layouts.layout import Found, Layout, Stored
from colmilvus.layouts.portions import IDS, batches, within
from colmilvus.layouts.precision import as_sent
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import vector_parameters
from colmilvus.layouts.table import Row, Table

__all__ = ["ForeignLayout", "Names"]

KINDS: Mapping[DataType, type] = {
    DataType.BOOL: bool,
    **dict.fromkeys((DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64), int),
    **dict.fromkeys((DataType.FLOAT, DataType.DOUBLE), float),
    DataType.VARCHAR: str,
}
DTYPES: Mapping[DataType, DType] = {DataType.FLOAT_VECTOR: "float32", DataType.FLOAT16_VECTOR: "float16"}


@dataclass(frozen=True)
class Names:
    """What the fields are called: the array of structs, the vector in it, and those that an entity is made of.

    ``metadata`` is a JSON field; the other scalar fields are metadata too, each under its name.
    """

    struct: str
    vector: str
    id: str | None = None
    text: str | None = None
    document: str | None = None
    metadata: str | None = None


class ForeignLayout(Layout):
    """The rows of a collection of which only the names of its fields are known; nothing is added to it."""

    name = "foreign"

    def __init__(self, table: Table, spec: CollectionSpec, names: Names, columns: Mapping[str, type]) -> None:
        super().__init__(table, spec)
        self._names = names
        self._id = names.id or table.key
        self._columns = columns

    @classmethod
    def open(cls, table: Table, names: Names) -> ForeignLayout:
        """Raises CollectionMismatch, with what there is, for fields that are not there or of another kind."""
        description = table.description()
        fields = {field["name"]: field for field in description["fields"]}
        struct = _named(fields, names.struct, DataType.ARRAY, f"array of structs in {table.name!r}")
        inner = {field["name"]: field for field in struct.get("struct_fields", ())}
        vector = _named(inner, names.vector, None, f"vector in {names.struct!r} of {table.name!r}")
        if vector["type"] not in DTYPES:
            kinds = " or ".join(kind.name for kind in DTYPES)
            raise CollectionMismatch(f"{names.struct}[{names.vector}] is {vector['type'].name}, not {kinds}")
        for name, kind in ((names.text, DataType.VARCHAR), (names.metadata, DataType.JSON)):
            if name is not None:
                _named(fields, name, kind, f"field in {table.name!r}")
        columns = {name: KINDS[field["type"]] for name, field in fields.items() if field["type"] in KINDS}
        for name in (names.id, names.document):
            if name is not None and columns.get(name) not in (int, str):
                told = ", ".join(name for name, kind in columns.items() if kind in (int, str))
                raise CollectionMismatch(f"{name!r} is no field of texts or whole numbers in {table.name!r}: {told}")
        table.key = next(field["name"] for field in description["fields"] if field.get("is_primary"))
        spec = CollectionSpec(
            dim=int(vector["params"]["dim"]),
            metric=_metric(table, f"{names.struct}[{names.vector}]"),
            capacity=min(int(struct["params"]["max_capacity"]), 4096),
            dtype=DTYPES[vector["type"]],
        )
        table.prepare({})
        return cls(table, spec, names, columns)

    @property
    def is_exact(self) -> bool:
        return False

    @property
    def splits(self) -> bool:
        return False

    def write(self, *_: Any, **__: Any) -> None:
        raise Unsupported(
            f"collection {self.table.name!r} was made by another program, which alone knows what its rows are to hold; "
            "add to it there, or copy it: collection.copy_to(uri, name)"
        )

    def delete(self, expression: str) -> None:
        self.table.delete(expression)

    def clear(self) -> None:
        least = '""' if self._columns[self.table.key] is str else str(-(2**63))
        self.table.delete(f"{self.table.key} >= {least}")

    def search(
        self, queries: Sequence[MultiVector], limit: int, expression: str = "", *, whole: bool
    ) -> list[list[Found]]:
        vectors = [EmbeddingList(as_sent(query, self.spec.dtype)) for query in queries]
        parameters = vector_parameters(self.spec.metric, limit, self.table)
        fields = self._fields if whole else [name for name in (self._id, self._names.document) if name]
        answers = self.table.search(vectors, self._vector, parameters, limit, expression, fields)
        return [[self._found(hit, whole) for hit in hits] for hits in answers]

    def _found(self, hit: Mapping[str, Any], whole: bool) -> Found:
        row = hit["entity"]
        entity = self._entity(row) if whole else None
        return Found(str(row[self._id]), self._document(row), float(hit["distance"]), self._sizes, entity)

    def search_text(self, *_: Any, **__: Any) -> list[Found]:
        self.check_text()
        return []

    def check_text(self) -> None:
        raise Unsupported(
            f"collection {self.table.name!r} was made by another program, and its text is not searched here; search "
            "with mode='late_interaction', or copy it: collection.copy_to(uri, name)"
        )

    def contents(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, tuple[Entity, MultiVector]]:
        found: dict[str, list[Row]] = {}
        for some in within(sizes):
            for row in self.table.read(self.having(some), [*self._fields, self._names.struct]):
                found.setdefault(str(row[self._id]), []).append(row)
        return {name: (self._entity(rows[0]), self._vectors(rows)) for name, rows in found.items()}

    def with_segments(self, ids: Sequence[str]) -> list[Entity]:
        return self.entities(ids)

    def holding(self, *_: Any) -> dict[str, Sequence[int]]:
        return {}

    def parents(self, *_: Any) -> dict[str, list[str]]:
        return {}

    def segment_ids(self, *_: Any) -> dict[str, list[str]]:
        return {}

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        rows = (row for some in batches(ids, IDS) for row in self.table.read(self.having(some), [self._id]))
        return {str(row[self._id]): self._stored for row in rows}

    def held(self) -> Iterator[dict[str, Stored]]:
        for page in self.table.pages("", [self._id]):
            yield {str(row[self._id]): self._stored for row in page}

    def entities(self, ids: Sequence[str]) -> list[Entity]:
        rows = (row for some in batches(ids, IDS) for row in self.table.read(self.having(some), self._fields))
        return list({entity.id: entity for entity in map(self._entity, rows)}.values())

    def ids(self, expression: str) -> list[str]:
        return list(dict.fromkeys(str(row[self._id]) for row in self.table.rows(expression, [self._id])))

    def images(self, *_: Any) -> set[str]:
        return set()

    def images_in_use(self, *_: Any) -> set[str]:
        return set()

    def documents(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self.table.rows("", self._fields) if self._names.document else ():
            document = self._document(row)
            if document is not None:
                counts[document] = counts.get(document, 0) + 1
        return counts

    def outdated(self, *_: Any) -> list[str]:
        return []

    def count(self, expression: str = "") -> int:
        return self.table.count(expression)

    def having(self, ids: Sequence[str]) -> str:
        return one_of(self._id, _values(ids, self._columns[self._id]))

    def of_document(self, name: str) -> str:
        if self._names.document is None:
            raise InvalidInput(f"collection {self.table.name!r} was opened without document=, the field with documents")
        return one_of(self._names.document, _values([name], self._columns[self._names.document]))

    def expression(self, filter: Filter | None) -> str:
        return to_expression(filter, self._columns, rename=self._column)

    def _column(self, column: Column) -> Column:
        """Where what a filter asks for lies here."""
        if not column.own:
            if column.kind is not None:
                return column
            if self._names.metadata is None:
                raise InvalidInput(f"there is no field {column.key!r}: {', '.join(self._columns)}")
            return Column(column.key, f"{self._names.metadata}{path(column.key)}")
        name = {"$id": self._id, "$document": self._names.document}.get(column.key)
        if name is None or self._columns[name] is not str:
            raise Unsupported(
                f"a filter on {column.key} in {self.table.name!r}; ask for the field that has it, by name"
            )
        return Column(name, name, str)

    @property
    def _vector(self) -> str:
        return f"{self._names.struct}[{self._names.vector}]"

    @property
    def _fields(self) -> list[str]:
        return [*self._columns, *([self._names.metadata] if self._names.metadata else [])]

    @property
    def _sizes(self) -> Sequence[int]:
        """At most so many bytes: what lies in a row is not known before it is read."""
        return [self.spec.capacity * self.spec.dim * np.dtype(self.spec.dtype).itemsize]

    @property
    def _stored(self) -> Stored:
        return Stored(None, None, "", self._sizes)

    def _document(self, row: Row) -> str | None:
        value = row.get(self._names.document) if self._names.document else None
        return None if value is None else str(value)

    def _entity(self, row: Row) -> Entity:
        taken = {self._id, self._names.text, self._names.document}
        metadata = {name: row[name] for name in self._columns if name not in taken and row.get(name) is not None}
        if self._names.metadata:
            metadata = {**(row[self._names.metadata] or {}), **metadata}
        text = (row[self._names.text] or "") if self._names.text else ""
        return Entity(str(row[self._id]), text=text, document=self._document(row), metadata=metadata)

    def _vectors(self, rows: Iterable[Row]) -> MultiVector:
        vectors = [element[self._names.vector] for row in rows for element in row[self._names.struct]]
        return MultiVector(np.array(vectors, dtype=np.float32))


def _named(fields: Mapping[str, Any], name: str, kind: DataType | None, what: str) -> Mapping[str, Any]:
    field: Mapping[str, Any] | None = fields.get(name)
    if field is None or (kind is not None and field["type"] != kind):
        raise CollectionMismatch(f"{name!r} is no {what}; there are: {', '.join(fields) or 'none'}")
    return field


def _metric(table: Table, field: str) -> Metric:
    told = table.metric_of(field)
    metric: Any = told.removeprefix("MAX_SIM_") if told and told.startswith("MAX_SIM_") else None
    if metric not in ("COSINE", "IP", "L2"):
        raise CollectionMismatch(
            f"{field} in {table.name!r} has {told or 'no index'}; MaxSim needs MAX_SIM_COSINE, _IP or _L2"
        )
    return metric  # type: ignore[no-any-return]  # one of the literals


def _values(ids: Sequence[str], kind: type) -> Sequence[str | int]:
    if kind is str:
        return ids
    try:
        return [int(name) for name in ids]
    except ValueError:
        raise InvalidInput(f"ids of this collection are whole numbers, as strings; got {list(ids)[:3]!r}") from None
