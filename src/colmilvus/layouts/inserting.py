"""Rows sent as pymilvus sends them, their vectors copied as bytes and not number by number.

pymilvus makes the request of the rows without their structs, and sends it, with its own retries and errors; the structs
are put in between. Where its inside is not as expected, the same rows go the public way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

__all__ = ["EMBEDDING", "STRUCTS", "Structs", "makes", "packed", "upsert"]

STRUCTS = "vectors"
"""The column that holds the array of structs."""
EMBEDDING = "emb"
"""The sub-field that holds the vectors."""

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Structs:
    """The array of structs of one row: its vectors ``(n, dim)``, and the n values of each scalar sub-field by name.

    Values are of INT8 to INT32 where they are numbers, of VARCHAR where they are strings.
    """

    vectors: NDArray[Any]
    scalars: Mapping[str, Sequence[int] | Sequence[str]]

    def elements(self) -> list[dict[str, Any]]:
        """The structs as pymilvus's public calls take them."""
        columns = self.scalars.items()
        return [{EMBEDDING: row, **{name: values[i] for name, values in columns}} for i, row in enumerate(self.vectors)]

    def first(self) -> Structs:
        """The first struct alone."""
        return Structs(self.vectors[:1], {name: values[:1] for name, values in self.scalars.items()})


def upsert(client: MilvusClient, collection: str, rows: Sequence[Row], *, timeout: float) -> None:
    """Do what ``client.upsert`` does with these rows, in which ``vectors`` are Structs. Raises what it raises."""
    handler = client._get_connection() if hasattr(client, "_get_connection") else None
    send = getattr(type(handler), "upsert_rows", None)
    if send is None or not hasattr(handler, "_prepare_row_upsert_request"):
        client.upsert(collection, data=public(rows), timeout=timeout)
        return
    context = client._generate_call_context()
    send(_Filling(handler), collection, list(rows), partition_name="", timeout=timeout, context=context)


def public(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as pymilvus's public calls take them."""
    return [{**row, STRUCTS: row[STRUCTS].elements()} for row in rows]


class _Filling:
    """A connection of pymilvus that makes its requests for upserts of rows without structs, and puts these in."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def _prepare_row_upsert_request(self, collection: str, rows: Sequence[Row], *args: Any, **kwargs: Any) -> Any:
        def prepared(given: list[dict[str, Any]]) -> Any:
            return self._handler._prepare_row_upsert_request(collection, given, *args, **kwargs)

        return request_for(rows, prepared)


def request_for(rows: Sequence[Row], prepared: Callable[[list[dict[str, Any]]], Any]) -> Any:
    """The request that pymilvus prepares for the rows; where that of the first differs, all are prepared its way."""
    sample = [{**rows[0], STRUCTS: rows[0][STRUCTS].first()}]
    is_as_public = makes(lambda: _filled(sample, prepared), prepared(public(sample)))
    return _filled(rows, prepared) if is_as_public else prepared(public(rows))


def makes(build: Callable[[], Any], expected: Any) -> bool:
    """Whether this builds the request that pymilvus does; it may fail where the inside of that is not as expected."""
    try:
        return bool(build() == expected)
    except (MilvusException, AttributeError, ImportError, LookupError, TypeError, ValueError):
        return False


def _filled(rows: Sequence[Row], prepared: Callable[[list[dict[str, Any]]], Any]) -> Any:
    request = prepared([{**row, STRUCTS: []} for row in rows])
    (column,) = (data for data in request.fields_data if data.field_name == STRUCTS)
    for field in column.struct_arrays.fields:
        if field.field_name == EMBEDDING:
            for item, row in zip(field.vectors.vector_array.data, rows, strict=True):
                _fill_vectors(item, row[STRUCTS].vectors)
        else:
            for item, row in zip(field.scalars.array_data.data, rows, strict=True):
                _fill_scalars(item, row[STRUCTS].scalars[field.field_name])
    return request


def _fill_vectors(item: Any, vectors: NDArray[Any]) -> None:
    if vectors.dtype.itemsize == 2:
        item.float16_vector = np.ascontiguousarray(vectors, "<f2").tobytes()
    else:
        item.float_vector.ParseFromString(packed(np.ascontiguousarray(vectors, "<f4")))


def packed(vectors: NDArray[Any]) -> bytes:
    """A FloatArray message as it is sent: the tag of its one field, the number of bytes as a varint, the bytes."""
    size, head = vectors.nbytes, bytearray(b"\x0a")
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return b"".join((head, vectors.data))


def _fill_scalars(item: Any, values: Sequence[Any]) -> None:
    (item.string_data if isinstance(values[0], str) else item.int_data).data.extend(values)
