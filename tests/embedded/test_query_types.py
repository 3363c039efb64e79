"""Vectors of a query in another type than the field's: each refused in a server's words, whatever their length."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from packaging.version import Version
from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker
from pymilvus.client.embedding_list import EmbeddingList
from pymilvus.grpc_gen import milvus_pb2

from colmilvus.embedded import connect
from tests.embedded.pages import DIM, FIELD, create, draw, index, make, query, rows
from tests.embedded.raw import refused, searched, send

OWN = {"pages": (301, "EmbListFloatVector"), "half": (302, "EmbListFloat16Vector")}
LISTS = {
    300: "EmbListBinaryVector",
    301: "EmbListFloatVector",
    302: "EmbListFloat16Vector",
    303: "EmbListBFloat16Vector",
    304: "EmbListSparseFloatVector",
    305: "EmbListInt8Vector",
    # No type of Milvus.
    399: "399",
}
PLAIN = {
    100: "binary",
    101: "float",
    102: "float16",
    103: "bfloat16",
    104: "sparse",
    105: "int8",
    21: "text",
    0: "none",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    """``pages`` with vectors of 32 bits, ``half``, which is empty, for those of 16 bits."""
    client = connect(tmp_path_factory.mktemp("types") / "kb.db")
    create(client)
    client.insert("pages", rows(draw(1, 3)))
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT16_VECTOR, dim=DIM)
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=9)
    make(client, "half", made, index(client))
    yield client
    # The engine goes on, and answers what is asked rightly.
    for name, (kind, _) in OWN.items():
        answer = client._get_connection()._stub.Search(of_type(name, kind))
        assert (answer.status.code, list(answer.results.topks)) == (0, [3 if name == "pages" else 0])
    client.close()


def of_type(name: str, kind: int) -> Any:
    """A search with bytes that the field could take, of that type."""
    dtype = np.float16 if name == "half" else np.float32
    return searched(collection_name=name, type=kind, values=[query(1).astype(dtype).tobytes()])


def in_hybrid(part: Any) -> Any:
    request = milvus_pb2.HybridSearchRequest(collection_name=part.collection_name, requests=[part])
    for key, value in {"strategy": "rrf", "params": '{"k": 60}', "limit": "3", "round_decimal": "-1"}.items():
        request.rank_params.add(key=key, value=value)
    return request


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in OWN for kind in LISTS if kind != OWN[name][0]])
def test_lists_of_another_type_are_refused(client: MilvusClient, name: str, kind: int) -> None:
    part = of_type(name, kind)
    for answer in (send(client, "Search", part), send(client, "HybridSearch", in_hybrid(part))):
        assert answer.code == 2000
        assert answer.reason == (
            f"vector type must be the same, field {FIELD} - type {OWN[name][1]}, search ph type {LISTS[kind]}"
        )


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", PLAIN, ids=PLAIN.values())
def test_plain_vectors_and_texts_of_any_type_are_refused(client: MilvusClient, name: str, kind: int) -> None:
    part = of_type(name, kind)
    for answer in (send(client, "Search", part), send(client, "HybridSearch", in_hybrid(part))):
        assert answer.code == 2000
        assert answer.reason == (
            f"search type mismatch for VECTOR_ARRAY field {FIELD}: metric_type MAX_SIM_COSINE requires embedding list "
            "search, but search data is plain vector; pass pymilvus's EmbeddingList"
        )


@pytest.mark.skipif(
    Version(version("pymilvus")) < Version("2.6.16"), reason="pymilvus knows float32 alone before 2.6.16"
)
@pytest.mark.parametrize(
    ("name", "vectors", "kind", "called"),
    [
        ("pages", np.ones((2, DIM), np.float16), DataType.FLOAT16_VECTOR, "EmbListFloat16Vector"),
        ("pages", np.ones((2, DIM // 8), np.uint8), DataType.BINARY_VECTOR, "EmbListBinaryVector"),
        ("pages", np.ones((2, DIM), np.int8), DataType.INT8_VECTOR, "EmbListInt8Vector"),
        ("half", np.ones((2, DIM), np.float32), DataType.FLOAT_VECTOR, "EmbListFloatVector"),
        ("half", np.ones((2, DIM), np.int8), DataType.INT8_VECTOR, "EmbListInt8Vector"),
    ],
)
def test_an_embedding_list_of_pymilvus_in_another_type_is_refused(
    client: MilvusClient, name: str, vectors: Any, kind: DataType, called: str
) -> None:
    given = [EmbeddingList(vectors, dtype=kind)]
    wanted = f"vector type must be the same, field {FIELD} - type {OWN[name][1]}, search ph type {called}"
    assert refused(client.search, name, given, anns_field=FIELD, limit=3, code=2000) == wanted
    part = AnnSearchRequest(given, FIELD, {}, limit=3)
    assert refused(client.hybrid_search, name, [part], RRFRanker(), limit=3, code=2000) == wanted
