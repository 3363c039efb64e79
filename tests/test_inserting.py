"""Vectors go to the server as bytes, in exactly the request that pymilvus makes number by number."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pymilvus
import pytest
from packaging.version import Version
from pymilvus import DataType, MilvusClient
from pymilvus.client.prepare import Prepare

from colmilvus import Collection, Entity, MultiVector, Segment, embedded
from colmilvus.connection import Connection
from colmilvus.entity import DType
from colmilvus.ingest import items
from colmilvus.layouts.inserting import Structs, public, request_for, upsert
from colmilvus.layouts.rows import Record, rows_of
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import StructArrayLayout
from colmilvus.layouts.table import Table

DIM = 4
SENDS_16_BITS = Version(pymilvus.__version__) >= Version("2.6.16")
RNG = np.random.default_rng(7)
SPECS = {
    "plain": CollectionSpec(dim=DIM),
    "with segments": CollectionSpec(dim=DIM, segments=True),
    "of 16 bits": CollectionSpec(dim=DIM, dtype="float16"),
    "with typed fields": CollectionSpec(dim=DIM, fields={"year": int, "rating": float, "open": bool, "author": str}),
}
ENTITIES = (
    Entity(
        "ид \"'\\ #1",
        "Grüße, 世界",
        document="a/b.pdf",
        version="7",
        metadata={"year": 2025, "deep": {"er": [1, None]}},
    ),
    Entity("bare"),
    Entity("typed", metadata={"rating": 2.5, "open": False, "author": "é"}, internal={"node": "x"}),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MilvusClient]:
    with_engine = embedded.connect(tmp_path / "kb.db")
    yield with_engine
    with_engine.close()


def made(client: MilvusClient, spec: CollectionSpec) -> None:
    table = Table(Connection(client, "kb.db", 10, Path("kb.db")), "made")
    StructArrayLayout.make(table, spec)
    StructArrayLayout.open(table, spec)


def vectors(count: int, dim: int = DIM) -> np.ndarray[Any, Any]:
    return RNG.normal(size=(count, dim)).astype(np.float32)


def rows(spec: CollectionSpec) -> list[Mapping[str, Any]]:
    """The rows of entities with 1 to 3 vectors, of one with segments, in three parts, and the largest numbers."""
    records = [Record(entity, MultiVector(vectors(i + 1))) for i, entity in enumerate(ENTITIES)]
    extreme = [[65_504, -6e-8, 0.0, -0.0]] if spec.dtype == "float16" else [[3.4e38, -1e-45, 0.0, -0.0]]
    records.append(Record(Entity("extreme"), MultiVector(extreme)))
    if spec.segments:
        segments = tuple(Segment(f"s{i}", f"текст {i}", {"page": i}) for i in range(3))
        owners = [0, 1, 1, 2, 2, 2]
        records.append(Record(Entity("gathered", segments=segments), MultiVector(vectors(6), owners)))
        small = CollectionSpec(dim=DIM, segments=True, capacity=3)
        records.append(Record(Entity("split", segments=segments), MultiVector(vectors(6), owners)))
        return [row for record in records for row in rows_of(record, small if record.entity.id == "split" else spec)]
    return [row for record in records for row in rows_of(record, spec)]


def prepared(client: MilvusClient, name: str) -> Any:
    handler, context = client._get_connection(), client._generate_call_context()
    return lambda given: handler._prepare_row_upsert_request(name, given, "", 10, context=context)


@pytest.mark.parametrize("kind", SPECS)
def test_the_request_is_pymilvuss_own_to_the_byte(client: MilvusClient, kind: str) -> None:
    spec = SPECS[kind]
    if spec.dtype == "float16" and not SENDS_16_BITS:
        pytest.skip("pymilvus sends no such structs before 2.6.16")
    made(client, spec)
    given = rows(spec)

    request = request_for(given, prepared(client, "made"))

    assert request.SerializeToString() == prepared(client, "made")(public(given)).SerializeToString()
    column = next(data for data in request.fields_data if data.field_name == "vectors").struct_arrays.fields[0]
    for row, item in zip(given, column.vectors.vector_array.data, strict=True):
        sent = item.float16_vector or np.array(item.float_vector.data, np.float32).tobytes()
        assert sent == row["vectors"].vectors.tobytes()


def test_so_it_is_beside_dynamic_fields(client: MilvusClient) -> None:
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    struct = client.create_struct_field_schema()
    struct.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    struct.add_field("label", DataType.VARCHAR, max_length=10)
    struct.add_field("number", DataType.INT8)
    options = {"element_type": DataType.STRUCT, "struct_schema": struct, "max_capacity": 5}
    schema.add_field("vectors", DataType.ARRAY, **options)
    client.create_collection("made", schema=schema)
    given = [
        {"id": 1, "vectors": Structs(vectors(2), {"label": ["é", ""], "number": [-3, 4]}), "more": {"a": [1]}},
        {"id": 2, "vectors": Structs(vectors(1), {"label": ["x"], "number": [0]})},
    ]

    made = request_for(given, prepared(client, "made")).SerializeToString()

    assert made == prepared(client, "made")(public(given)).SerializeToString()


class Recorded:
    """A connection's stub that keeps what is sent through it."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub
        self.sent: list[tuple[bytes, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stub, name)

    def Upsert(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Any:  # noqa: N802
        self.sent.append((request.SerializeToString(), timeout, [pair for pair in metadata if "time" not in pair[0]]))
        return self.stub.Upsert(request, timeout=timeout, metadata=metadata)


def test_it_is_sent_as_pymilvus_sends_it(client: MilvusClient) -> None:
    made(client, SPECS["plain"])
    given = rows(SPECS["plain"])
    handler = client._get_connection()
    handler._stub = recorded = Recorded(handler._stub)

    upsert(client, "made", given, timeout=12.5)
    client.upsert("made", data=public(given), timeout=12.5)

    ours, theirs = recorded.sent
    assert ours[:2] == theirs[:2]
    assert [key for key, _ in ours[2]] == [key for key, _ in theirs[2]]
    assert client.query("made", filter="part == 0", output_fields=["count(*)"]) == [{"count(*)": len(given)}]


def stored(client: MilvusClient, given: Sequence[Mapping[str, Any]]) -> list[Any]:
    found = client.query("made", filter="part >= 0", output_fields=["key", "vectors"])
    by_key = {row["key"]: [struct["emb"] for struct in row["vectors"]] for row in found}
    return [np.array(by_key[row["key"]], np.float32).tobytes() for row in given]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_collection_takes_this_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: DType) -> None:
    if dtype == "float16" and not SENDS_16_BITS:
        pytest.skip("pymilvus sends no such structs before 2.6.16")
    converted: list[int] = []
    elements = Structs.elements

    def counted(structs: Structs) -> list[dict[str, Any]]:
        converted.append(len(structs.vectors))
        return elements(structs)

    monkeypatch.setattr(Structs, "elements", counted)

    with Collection("made", dim=DIM, dtype=dtype, uri=tmp_path / "kb.db") as collection:
        collection.add([Entity(str(i)) for i in range(9)], vectors=[vectors(30) for _ in range(9)])

    assert set(converted) == {1}


def test_another_pymilvus_gets_the_rows_the_public_way(client: MilvusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses empty structs, one that marks them, and a client without what is needed of its inside."""
    made(client, SPECS["plain"])
    given = rows(SPECS["plain"])
    empty = Prepare._add_empty_struct_data

    def marking(info: Any, data: Any, *args: Any) -> None:
        empty(info, data, *args)
        data["emb"].vectors.dim = 77

    def refusing(*_: Any) -> None:
        raise ValueError("no structs")

    for other in (marking, refusing):
        with monkeypatch.context() as patched:
            patched.setattr(Prepare, "_add_empty_struct_data", staticmethod(other))
            upsert(client, "made", given, timeout=10)
        assert stored(client, given) == [row["vectors"].vectors.tobytes() for row in given]
        client.delete("made", filter="part >= 0")
    upsert(SimpleNamespace(upsert=client.upsert), "made", given, timeout=10)

    assert stored(client, given) == [row["vectors"].vectors.tobytes() for row in given]


def test_the_error_of_the_public_way_is_raised(client: MilvusClient) -> None:
    made(client, SPECS["plain"])
    given = [{**row, "surprise": 1} for row in rows(SPECS["plain"])]

    with pytest.raises(Exception, match="surprise") as ours:
        upsert(client, "made", given, timeout=10)
    with pytest.raises(Exception, match="surprise") as theirs:
        client.upsert("made", data=public(given), timeout=10)

    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_it_takes_a_fraction_of_the_time(client: MilvusClient) -> None:
    spec = CollectionSpec(dim=128)
    made(client, spec)
    given = [row for i in range(2) for row in rows_of(Record(Entity(str(i)), MultiVector(vectors(1030, 128))), spec)]
    prepare = prepared(client, "made")
    prepare(public(given[:1]))

    ratios = []
    for _ in range(9):
        began = time.thread_time()
        prepare(public(given))
        middle = time.thread_time()
        request_for(given, prepare)
        ratios.append((middle - began) / (time.thread_time() - middle))
    assert sorted(ratios)[4] > 3, ratios


def test_ready_vectors_are_taken_in_batches_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "READY_BYTES", 3 * 10 * DIM * 4)
    given = [(Entity(str(i)), MultiVector(vectors(10))) for i in range(10)]

    taken = []
    for batch in items.batches(given, lambda: 512):
        assert not isinstance(batch, Exception)
        taken.append([entity.id for entity, _ in batch])

    assert taken == [["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"], ["9"]]
