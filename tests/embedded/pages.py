"""Collections of pages with random patches, as a reader of Milvus's documentation would make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymilvus import DataType, Function, FunctionType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.entity import Metric
from colmilvus.maxsim import maxsim

DIM = 8
CAPACITY = 64
FIELD = "patches[emb]"
METRICS: dict[str, Metric] = {"MAX_SIM": "COSINE", "MAX_SIM_COSINE": "COSINE", "MAX_SIM_IP": "IP", "MAX_SIM_L2": "L2"}
Patches: TypeAlias = NDArray[np.float32]


def schema(client: MilvusClient, *, scalars: bool = False, text: bool = False, dim: int = DIM, **options: Any) -> Any:
    """``id`` INT64, ``year`` INT32, ``patches`` with ``emb``; also a label and a number, or BM25 over a text."""
    made = client.create_schema(**options)
    made.add_field("id", DataType.INT64, is_primary=True)
    made.add_field("year", DataType.INT32)
    if text:
        made.add_field("text", DataType.VARCHAR, max_length=100, enable_analyzer=True)
        made.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
        made.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT_VECTOR, dim=dim)
    if scalars:
        patch.add_field("label", DataType.VARCHAR, max_length=10)
        patch.add_field("number", DataType.INT16)
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=CAPACITY)
    return made


def index(client: MilvusClient, metric: str = "MAX_SIM_COSINE", *, text: bool = False, **options: Any) -> Any:
    params = client.prepare_index_params()
    params.add_index(FIELD, index_type=options.pop("index_type", "HNSW"), metric_type=metric, **options)
    if text:
        params.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    return params


def make(client: MilvusClient, name: str, schema: Any, params: Any) -> None:
    """``create_collection`` with ``index_params``, without pymilvus's pause of half a second for each index."""
    client.create_collection(name, schema=schema)
    client.create_index(name, params, sync=False)
    client.load_collection(name)


def create(client: MilvusClient, metric: str = "MAX_SIM_COSINE", name: str = "pages", **options: Any) -> None:
    text = bool(options.get("text"))
    make(client, name, schema(client, **options), index(client, metric, text=text))


def draw(seed: int, number: int, most: int = CAPACITY, dim: int = DIM) -> dict[int, Patches]:
    """As many pages, of 1 to ``most`` patches each, by key."""
    rng = np.random.default_rng(seed)
    return {i: rng.normal(size=(int(rng.integers(1, most + 1)), dim)).astype(np.float32) for i in range(number)}


def query(seed: int, vectors: int = 5, dim: int = DIM) -> Patches:
    return np.random.default_rng(1000 + seed).normal(size=(vectors, dim)).astype(np.float32)


def row(key: int, patches: ArrayLike, *, scalars: bool = False, **more: Any) -> dict[str, Any]:
    """The page's row; its year is 2000 + key % 10."""
    structs: list[dict[str, Any]] = [{"emb": vector} for vector in np.asarray(patches, np.float32)]
    for i, struct in enumerate(structs):
        if scalars:
            struct |= {"label": f"{key}-{i}", "number": i}
    return {"id": key, "year": 2000 + key % 10, "patches": structs, **more}


def rows(pages: Mapping[int, Patches], **options: Any) -> list[dict[str, Any]]:
    return [row(key, patches, **options) for key, patches in pages.items()]


def search(client: MilvusClient, query: Patches, name: str = "pages", **options: Any) -> list[dict[str, Any]]:
    options = {"anns_field": FIELD, "limit": 10, **options}
    return list(client.search(name, data=[EmbeddingList(query)], **options)[0])


def expected(query: Patches, pages: Mapping[int, Patches], metric: str, limit: int = 10) -> list[tuple[int, float]]:
    """Ids and scores by ``colmilvus.maxsim``, the best first."""
    scored = [(key, maxsim(query, patches, METRICS[metric])) for key, patches in pages.items()]
    return sorted(scored, key=lambda pair: pair[1] if metric == "MAX_SIM_L2" else -pair[1])[:limit]


def assert_ranked(hits: Iterable[Mapping[str, Any]], wanted: list[tuple[int, float]], *, tolerance: float) -> None:
    """The same scores in the same order, and the same ids where scores are not equal."""
    found = [(hit["id"], hit["distance"]) for hit in hits]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in wanted], rtol=1e-5, atol=tolerance)
    scores = np.array([score for _, score in wanted])
    for i, ((key, _), (other, _)) in enumerate(zip(found, wanted, strict=True)):
        tied = (np.abs(np.delete(scores, i) - scores[i]) <= 2 * tolerance + 1e-5 * abs(scores[i])).any()
        assert key == other or tied


def stored(client: MilvusClient, name: str = "pages") -> dict[int, Patches]:
    """Every page as the database gives it back."""
    found = client.query(name, filter="id >= 0", output_fields=["id", FIELD])
    assert len({each["id"] for each in found}) == len(found)
    return {each["id"]: np.array([p["emb"] for p in each["patches"]], np.float32) for each in found}


def count(client: MilvusClient, name: str = "pages", filter: str = "") -> int:
    return cast(int, client.query(name, filter=filter, output_fields=["count(*)"])[0]["count(*)"])
