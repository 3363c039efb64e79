"""Find the pages of a PDF by what they look like, with pymilvus alone and no arrays: one row a patch, by ColPali.

    pip install '.[colpali,embedded,pdf]'
    python examples/pymilvus_flat_pages.py FILE.pdf "Where is the table of results?" "How does it work?"
    python examples/pymilvus_flat_pages.py FILE.pdf "..." --uri http://localhost:19530 --token root:Milvus

The calls are those of Milvus's tutorial on ColPali, which runs on any server, also on one that knows no arrays of
structs: MaxSim is computed here, over the rows of every page that has one near the question. Without --uri the
collection is kept in the folder colmilvus.db of the working directory. The pictures of the pages lie in the folder
pages; the one that answers best is printed for each question. pymilvus_pages.py does the same in one request.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[colpali,embedded,pdf]"]
# ///

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image
from pymilvus import DataType, MilvusClient

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.pymilvus_pages import DATABASE, ColPaliModel, open_client

COLLECTION = "colpali"
CHECKPOINT = "vidore/colpali-v1.2"
PAGES = Path("pages")
ROWS = 50  # that are looked up first for each vector of a question
MOST = 16384  # rows that a server gives in one answer: all of a page
THREADS = 16


class MilvusColbertRetriever:
    """Keeps every vector of a document in a row of its own, and ranks documents by MaxSim.

    A document is known by an integer, ``doc_id``; its vectors by ``seq_id``, from 0. They are compared by their dot
    products, which are cosines where, as with ColPali, all have the length 1.
    """

    most = MOST
    threads = THREADS
    consistency = "Strong"

    def __init__(self, milvus_client: MilvusClient, collection_name: str, dim: int = 128) -> None:
        self.client = milvus_client
        self.collection_name = collection_name
        self.dim = dim
        if self.client.has_collection(collection_name=collection_name):
            self.client.load_collection(collection_name)

    def create_collection(self) -> None:
        """Make the collection anew, without an index; one of this name is dropped."""
        if self.client.has_collection(collection_name=self.collection_name):
            self.client.drop_collection(collection_name=self.collection_name)
        schema = self.client.create_schema(auto_id=True, enable_dynamic_field=True)
        schema.add_field(field_name="pk", datatype=DataType.INT64, is_primary=True)
        schema.add_field(field_name="vector", datatype=DataType.FLOAT_VECTOR, dim=self.dim)
        schema.add_field(field_name="seq_id", datatype=DataType.INT16)
        schema.add_field(field_name="doc_id", datatype=DataType.INT64)
        schema.add_field(field_name="doc", datatype=DataType.VARCHAR, max_length=65535)
        self.client.create_collection(
            collection_name=self.collection_name, schema=schema, consistency_level=self.consistency
        )

    def create_index(self) -> None:
        """Index the vectors, and load the collection, so that it can be searched."""
        self.client.release_collection(collection_name=self.collection_name)
        self.client.drop_index(collection_name=self.collection_name, index_name="vector_index")
        index_params = self.client.prepare_index_params()
        index_params.add_index(
            field_name="vector",
            index_name="vector_index",
            index_type="HNSW",
            metric_type="IP",
            params={"M": 16, "efConstruction": 500},
        )
        self.client.create_index(collection_name=self.collection_name, index_params=index_params, sync=True)
        self.client.load_collection(self.collection_name)

    def create_scalar_index(self) -> None:
        """Index the numbers of documents, whose rows are found faster then."""
        self.client.release_collection(collection_name=self.collection_name)
        index_params = self.client.prepare_index_params()
        index_params.add_index(field_name="doc_id", index_name="doc_id_index", index_type="INVERTED")
        self.client.create_index(collection_name=self.collection_name, index_params=index_params, sync=True)
        self.client.load_collection(self.collection_name)

    def insert(self, data: dict[str, Any]) -> None:
        """Insert a document: its ``colbert_vecs``, one a row, its ``doc_id``, and its ``filepath``."""
        rows = [
            {"vector": vector, "seq_id": seq_id, "doc_id": data["doc_id"], "doc": "" if seq_id else data["filepath"]}
            for seq_id, vector in enumerate(data["colbert_vecs"])
        ]
        self.client.insert(self.collection_name, rows)

    def search(self, data: NDArray[np.float32], topk: int) -> list[tuple[float, int]]:
        """The ``topk`` documents of the highest MaxSim with a question's vectors, each as (score, doc_id)."""

        def rerank(doc_id: int) -> tuple[float, int]:
            return float((data @ self._vectors(doc_id).T).max(axis=1).sum()), doc_id

        with ThreadPoolExecutor(max_workers=self.threads) as executor:
            scores = list(executor.map(rerank, self._candidates(data, topk)))
        return sorted(scores, reverse=True)[:topk]

    def _candidates(self, data: NDArray[np.float32], topk: int) -> set[int]:
        """The documents of the rows nearest to each vector: of so many rows that there are enough documents."""
        limit = ROWS
        while True:
            nearest = self.client.search(
                self.collection_name,
                data,
                limit=limit,
                output_fields=["doc_id"],
                search_params={"metric_type": "IP", "params": {}},
            )
            doc_ids = {hit["entity"]["doc_id"] for hits in nearest for hit in hits}
            if len(doc_ids) >= topk or limit == MOST or any(len(hits) < limit for hits in nearest):
                return doc_ids
            limit = min(4 * limit, MOST)

    def _vectors(self, doc_id: int) -> NDArray[np.float32]:
        rows = self.client.query(
            collection_name=self.collection_name,
            filter=f"doc_id in [{doc_id}]",
            output_fields=["vector"],
            limit=self.most,
        )
        return np.array([row["vector"] for row in rows], dtype=np.float32)


def draw_pages(file: Path, folder: Path = PAGES) -> list[Path]:
    """A picture of each page of a PDF in a folder, in the order of the pages."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    with pypdfium2.PdfDocument(file) as document:
        for number, page in enumerate(document, start=1):
            pictures.append(folder / f"{file.stem}_{number}.png")
            page.render(scale=100 / 72).to_pil().save(pictures[-1])
    return pictures


def store(
    retriever: MilvusColbertRetriever, pictures: Iterable[Path], embed: Callable[[Image.Image], NDArray[np.float32]]
) -> None:
    retriever.create_collection()
    retriever.create_index()
    retriever.create_scalar_index()
    for doc_id, picture in enumerate(pictures):
        with Image.open(picture) as image:
            retriever.insert({"colbert_vecs": embed(image), "doc_id": doc_id, "filepath": str(picture)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", type=Path, help="a PDF")
    parser.add_argument("questions", metavar="QUESTION", nargs="+")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help=f"a name on the hub, or a folder ({CHECKPOINT})")
    parser.add_argument("--uri", default="", help=f"a server, such as http://localhost:19530; else ./{DATABASE}")
    parser.add_argument("--token", default="", help="what the server asks for, such as root:Milvus")
    given = parser.parse_args()
    if not given.file.is_file():
        parser.error(f"there is no file {given.file}")
    pictures = draw_pages(given.file)
    model = ColPaliModel(given.checkpoint)
    client = open_client(given.uri, given.token)
    retriever = MilvusColbertRetriever(client, COLLECTION)
    store(retriever, pictures, model.embed_page)
    for question in given.questions:
        ((_, doc_id),) = retriever.search(model.embed_question(question), topk=1)
        print(pictures[doc_id])
    client.close()


if __name__ == "__main__":
    main()
