"""What the benchmark of the engine compares: this package's engine, exact numpy, and what a user would take instead.

Each runs in a process of its own (see workers.py), keeps pages numbered from 0 under its folder, and is asked for the
``k`` best of a query. ``settings`` lists how it can be asked: from fast to thorough, where it can be asked in several
ways. All are given vectors of length 1, for which cosines and inner products are the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from benchmarks.vectors import VECTORS
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (pages, vectors, dim) or (vectors, dim)
Setting = Mapping[str, Any]

GROUPS = 100
"""Pages carry a number from 0 to 99, by which filters leave 1, 10 or 50 of 100."""


Metric = Literal["COSINE", "IP"]


class System(Protocol):
    settings: Sequence[Setting]
    keeps: str  # "float32", "float16" or "codes"

    def __init__(self, folder: Path, /) -> None: ...

    def build(self, pages: Vectors, first: int) -> None:
        """Take in pages, which get the numbers from ``first`` on."""

    def open(self) -> None:
        """Make ready to search what was built."""

    def search(self, query: Vectors, k: int, setting: Setting, /) -> list[int]: ...

    def close(self) -> None:
        """Give up what is open."""


class Colmilvus:
    """This package: ``Collection.search`` over the embedded engine, with its protocol and all checks in between."""

    settings: Sequence[Setting] = ({},)
    keeps = "float32"
    metric: Metric = "COSINE"

    def __init__(self, folder: Path) -> None:
        import colmilvus.embedded.clients  # noqa: F401  # opening is not to count what Python imports

        self._folder = folder
        self._marks: list[tuple[int, float]] = []

    def open(self) -> None:
        from colmilvus import Collection

        told: dict[str, Any] = {} if self.keeps == "float32" else {"dtype": self.keeps}
        self._pages = Collection(
            "pages", uri=self._folder / "kb.db", dim=128, metric=self.metric, fields={"group": int}, **told
        )
        self._pages.count()

    def build(self, pages: Vectors, first: int) -> None:
        self._put(pages, range(first, first + len(pages)))

    def _put(self, pages: Vectors, numbers: Sequence[int]) -> None:
        from colmilvus import Entity

        self._marks = []
        entities = (Entity(str(n), metadata={"group": group(n)}) for n in numbers)
        self._pages.add(entities, vectors=self._marked(pages), progress=False)
        self._marks.append((len(pages), time.perf_counter()))

    def _marked(self, pages: Vectors) -> Iterator[Vectors]:
        for number, page in enumerate(pages):
            if number % 100 == 0:
                self._marks.append((number, time.perf_counter()))
            yield np.array(page)

    def steadiness(self) -> float:
        """Pages a second in the last third of what was added last, by those in the first third."""
        numbers, times = np.array(self._marks).T
        at = np.interp(np.array([0, 1, 2, 3]) / 3 * numbers[-1], numbers, times)
        return float((at[1] - at[0]) / (at[3] - at[2]))

    def search(self, query: Vectors, k: int, setting: Setting, /) -> list[int]:
        return [int(hit.entity.id) for hit in self._pages.search(query, k, **setting)]

    def pending(self) -> int:
        """How many pages the index does not hold yet, as ``describe_index`` tells; 0 where it leaves so few for now."""
        from colmilvus.embedded import connect
        from colmilvus.embedded.inverted.plan import PENDING

        client = connect(self._folder / "kb.db")
        try:
            told = [client.describe_index("pages", name) for name in client.list_indexes("pages")]
        finally:
            client.close()
        pages = max(int(each.get("pending_index_rows", 0)) for each in told if "MAX_SIM" in str(each))
        return pages if pages * VECTORS >= PENDING else 0

    def replace(self, pages: Vectors, numbers: Sequence[int]) -> None:
        """Begin to store other pages under these numbers, while searches go on; ``replacing`` says how far it is."""
        self._failure: Exception | None = None

        def run() -> None:
            try:
                self._put(pages, numbers)
            except Exception as error:  # told by replacing
                self._failure = error

        self._replacing = threading.Thread(target=run)
        self._replacing.start()

    def replacing(self) -> bool:
        """Whether pages are still being replaced; raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        return self._replacing.is_alive()

    def close(self) -> None:
        self._pages.close()


class ColmilvusProduct(Colmilvus):
    metric: Metric = "IP"


class ColmilvusHalf(Colmilvus):
    keeps = "float16"


def group(number: int) -> int:
    """The number by which a page is filtered: scattered, so that neighbours have different ones."""
    return number * 37 % GROUPS


class Numpy:
    """Exact MaxSim over one array in memory: a matrix product a block, then the maximum of each page's columns.

    Two threads take blocks in turn, each with BLAS in one thread, and the size of the blocks is the one that was
    fastest for the first query: two threads in BLAS, and larger blocks, were slower. Vectors have length 1 already.
    """

    settings: Sequence[Setting] = ({},)
    keeps = "float32"

    def __init__(self, _folder: Path) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._pages = np.empty((0, 0, 0), np.float32)
        self._block = 0

    def build(self, pages: Vectors, first: int) -> None:
        self._pages = np.array(pages) if not first else np.concatenate([self._pages, pages])

    def open(self) -> None:
        pass

    def close(self) -> None:
        self._threads.shutdown()

    def search(self, query: Vectors, k: int, _setting: Setting, /) -> list[int]:
        if not self._block:
            self._block = min((self._seconds(query, size), size) for size in (1, 2, 4, 8, 16, 32))[1]
        scores = self._scores(query, self._block)
        k = min(k, len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        return [int(number) for number in best[np.argsort(-scores[best])]]

    def _seconds(self, query: Vectors, size: int) -> float:
        begun = time.perf_counter()
        self._scores(query, size)
        return time.perf_counter() - begun

    def _scores(self, query: Vectors, size: int) -> Vectors:
        count, length, dim = self._pages.shape
        starts = np.arange(0, size * length, length)

        def of_block(first: int) -> Vectors:
            block = self._pages[first : first + size].reshape(-1, dim)
            products = query @ block.T
            best: Vectors = np.maximum.reduceat(products, starts[: len(block) // length], axis=1)
            return np.asarray(best.sum(axis=0))

        return np.concatenate(list(self._threads.map(of_block, range(0, count, size))))


class NumpyLoop(Numpy):
    """Exact MaxSim as one writes it down: page after page."""

    def search(self, query: Vectors, k: int, _setting: Setting, /) -> list[int]:
        scores = np.array([(query @ page.T).max(axis=1).sum() for page in self._pages])
        return [int(number) for number in np.argsort(-scores)[:k]]


class MilvusLite:
    """Milvus's tutorial on ColPali (examples/pymilvus_flat_pages.py): a row a vector, on plain Milvus Lite."""

    settings: Sequence[Setting] = ({},)
    keeps = "float32"

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "lite.db")

    def open(self) -> None:
        from examples.pymilvus_flat_pages import MilvusColbertRetriever
        from pymilvus import MilvusClient

        self._retriever = MilvusColbertRetriever(MilvusClient(self._path), "pages")

    def close(self) -> None:
        self._retriever.client.close()

    def build(self, pages: Vectors, first: int) -> None:
        if not first:
            self._retriever.create_collection()
            self._make_an_index_to_drop()
            self._retriever.create_index()
            self._retriever.create_scalar_index()
        for number, page in enumerate(pages, start=first):
            self._retriever.insert({"colbert_vecs": page, "doc_id": number, "filepath": f"{number}.png"})

    def _make_an_index_to_drop(self) -> None:
        """The tutorial drops an index before it makes one, which Milvus Lite, unlike a server, refuses without one."""
        client = self._retriever.client
        params = client.prepare_index_params()
        params.add_index(field_name="vector", index_name="vector_index", index_type="FLAT", metric_type="IP")
        client.create_index("pages", params)

    def search(self, query: Vectors, k: int, _setting: Setting, /) -> list[int]:
        return [number for _, number in self._retriever.search(query, k)]


class QdrantLocal:
    """``qdrant-client`` in its local mode, with MAX_SIM over multivectors; in memory, which is its fast way.

    BLAS has one thread: with more its many small products take several times as long.
    """

    settings: Sequence[Setting] = ({},)
    keeps = "float32"

    def __init__(self, _folder: Path) -> None:
        self._client: Any = None

    def open(self) -> None:
        from qdrant_client import QdrantClient, models

        self._client = QdrantClient(":memory:")
        comparison = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        vectors = models.VectorParams(size=128, distance=models.Distance.COSINE, multivector_config=comparison)
        self._client.create_collection("pages", vectors_config=vectors)

    def close(self) -> None:
        self._client.close()

    def build(self, pages: Vectors, first: int) -> None:
        from qdrant_client import models

        for number, page in enumerate(pages, start=first):
            point = models.PointStruct.model_construct(
                id=number, vector=page.tolist(), payload={"group": group(number)}
            )
            self._client.upsert("pages", [point])

    def search(self, query: Vectors, k: int, _setting: Setting, /) -> list[int]:
        found = self._client.query_points("pages", query=query.tolist(), limit=k)
        return [int(point.id) for point in found.points]


class LanceDB:
    """LanceDB with its index of multivectors, IVF_PQ by cosine, and the full vectors for refining."""

    settings: Sequence[Setting] = tuple(
        {"nprobes": nprobes, "refine_factor": factor} for nprobes, factor in ((10, 5), (20, 30), (80, 120), (400, 500))
    )
    keeps = "float32"

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "lance")

    def open(self) -> None:
        import lancedb

        self._database = lancedb.connect(self._path)
        if "pages" in self._database.table_names():
            self._table = self._database.open_table("pages")

    def close(self) -> None:
        pass

    def build(self, pages: Vectors, first: int) -> None:
        import pyarrow

        schema = pyarrow.schema(
            [("id", pyarrow.int64()), ("vector", pyarrow.list_(pyarrow.list_(pyarrow.float32(), pages.shape[2])))]
        )
        if not first:
            self._table = self._database.create_table("pages", schema=schema)
        for start in range(0, len(pages), 100):
            block = np.array(pages[start : start + 100])
            flat = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.ravel()), block.shape[2])
            ends = np.arange(len(block) + 1, dtype=np.int32) * block.shape[1]
            numbers = pyarrow.array(np.arange(len(block)) + first + start)
            lists = pyarrow.ListArray.from_arrays(pyarrow.array(ends), flat)
            self._table.add(pyarrow.table([numbers, lists], schema=schema))
        self._table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_PQ")

    def search(self, query: Vectors, k: int, setting: Setting, /) -> list[int]:
        asked = self._table.search(query).metric("cosine").limit(k).select(["id", "_distance"])
        asked = asked.nprobes(setting["nprobes"]).refine_factor(setting["refine_factor"])
        return [int(number) for number in asked.to_arrow()["id"].to_pylist()]


class LanceDBScan(LanceDB):
    """LanceDB without its index: exact."""

    settings: Sequence[Setting] = ({},)

    def search(self, query: Vectors, k: int, _setting: Setting, /) -> list[int]:
        asked = self._table.search(query).metric("cosine").limit(k).select(["id", "_distance"]).bypass_vector_index()
        return [int(number) for number in asked.to_arrow()["id"].to_pylist()]


class FastPlaid:
    """``fast-plaid``: centroids and residuals of 4 bits; it keeps no full vectors."""

    settings: Sequence[Setting] = tuple(
        {"n_ivf_probe": probes, "n_full_scores": full} for probes, full in ((4, 256), (8, 1024), (8, 4096), (32, 8192))
    )
    keeps = "codes"

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "plaid")

    def open(self) -> None:
        from fast_plaid.search import FastPlaid as Index

        self._index = Index(index=self._path, device="cpu")

    def close(self) -> None:
        self._index.close()

    def build(self, pages: Vectors, first: int) -> None:
        import torch

        documents = [torch.from_numpy(np.array(page)) for page in pages]
        (self._index.update if first else self._index.create)(documents)

    def search(self, query: Vectors, k: int, setting: Setting, /) -> list[int]:
        import torch

        found = self._index.search(torch.from_numpy(query[None]), top_k=k, show_progress=False, **setting)
        return [int(number) for number, _ in found[0]]


SYSTEMS: Mapping[str, type[System]] = {
    "colmilvus": Colmilvus,
    "colmilvus IP": ColmilvusProduct,
    "colmilvus float16": ColmilvusHalf,
    "numpy": Numpy,
    "numpy loop": NumpyLoop,
    "milvus-lite rows": MilvusLite,
    "qdrant local": QdrantLocal,
    "lancedb": LanceDB,
    "lancedb scan": LanceDBScan,
    "fast-plaid": FastPlaid,
}
