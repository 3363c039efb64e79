"""Milvus's tutorial on ColPali, from a PDF to the pages that answer, by colmilvus and by the tutorial's own method.

    pip install '.[colpali,embedded,pdf]'
    python examples/colpali_tutorial.py FILE.pdf "Where is the table of results?" "How does it work?"
    python examples/colpali_tutorial.py FILE.pdf "..." --uri http://localhost:19530 --token root:Milvus

The pages are drawn and embedded once. Then each side stores the same vectors, indexed by HNSW for inner products, and
answers the same questions; pages, scores and times stand side by side. Any Milvus from 2.3.5 does: where it has no
arrays of structs, colmilvus keeps a row a vector too. Without --uri both are kept in the folder colmilvus.db of the
working directory. The checkpoint is downloaded once from the Hugging Face hub, 6 GB; a folder with one does as well.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[colpali,embedded,pdf]"]
# ///

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.pymilvus_flat_pages import CHECKPOINT, ROWS, MilvusColbertRetriever
from examples.pymilvus_pages import DATABASE, open_client

from colmilvus import Collection, Entity, MultiVector
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import ColmilvusError
from colmilvus.pdf import read_pages

OURS, THEIRS = "colpali_colmilvus", "colpali_tutorial"
GRAPH = {"index_type": "HNSW", "params": {"M": 16, "efConstruction": 500}}

Ranking = list[tuple[str, float]]
Search = Callable[[MultiVector], Ranking]


class Page(NamedTuple):
    """A page as it was read, and its vectors."""

    entity: Entity
    vectors: MultiVector


class TutorialRetriever(MilvusColbertRetriever):
    """The tutorial's method with the limits that it has there.

    However many documents are asked for, they are those of the 50 rows nearest to each vector of a question; of each
    1,000 rows are read, in a request of its own.
    """

    most = 1000
    threads = 300
    consistency = "Bounded"

    def _candidates(self, data: NDArray[np.float32], topk: int) -> set[int]:  # noqa: ARG002  # that it does not count
        nearest = self.client.search(
            self.collection_name,
            data,
            limit=ROWS,
            output_fields=["vector", "seq_id", "doc_id"],
            search_params={"metric_type": "IP", "params": {}},
        )
        return {hit["entity"]["doc_id"] for hits in nearest for hit in hits}

    def wait(self) -> None:
        """Return when searches find all that was inserted, which with this consistency they do after a while."""
        self.client.query(self.collection_name, output_fields=["count(*)"], consistency_level="Strong")


def embed_pages(file: Path, embedder: ColPaliEmbedder) -> list[Page]:
    """The pages of a PDF, drawn and embedded."""
    pages = list(read_pages(file, root=file.parent))
    vectors = embedder.embed_entities(pages)
    return [Page(entity, found) for entity, found in zip(pages, vectors, strict=True) if isinstance(found, MultiVector)]


def store_by_colmilvus(pages: Sequence[Page], collection: Collection) -> None:
    entities = [Entity(page.entity.id, document=page.entity.document) for page in pages]
    collection.add(entities, vectors=[page.vectors for page in pages], progress=False)


def store_by_tutorial(pages: Sequence[Page], retriever: TutorialRetriever) -> None:
    retriever.create_collection()
    retriever.create_index()
    for doc_id, page in enumerate(pages):
        retriever.insert({"colbert_vecs": page.vectors.vectors, "doc_id": doc_id, "filepath": page.entity.id})
    retriever.wait()


def timed(run: Callable[[], object]) -> float:
    """How many milliseconds it takes."""
    begun = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - begun)


def side_by_side(question: str, vectors: MultiVector, ours: Search, theirs: Search) -> None:
    """Print what both answer: a line with the times, and one for each rank."""
    rankings: list[Ranking] = []
    took = [timed(lambda: rankings.append(ours(vectors))), timed(lambda: rankings.append(theirs(vectors)))]
    print(f"\n{question}")
    print(f"{'':4}{f'colmilvus, {took[0]:.0f} ms':40}{f'the tutorial, {took[1]:.0f} ms'}")
    for rank, pair in enumerate(zip_longest(*rankings), start=1):
        left, right = (f"{hit[0]}  {hit[1]:.3f}" if hit else "" for hit in pair)
        print(f"{rank:2}  {left:40}{right}".rstrip())


def compare(pages: Sequence[Page], questions: dict[str, MultiVector], client: MilvusClient, k: int) -> None:
    """Store the pages both ways, and answer the questions both ways."""
    for name in (OURS, THEIRS):
        client.drop_collection(name)
    dim = pages[0].vectors.dim
    retriever = TutorialRetriever(client, THEIRS, dim)
    with Collection(OURS, uri=client, dim=dim, metric="IP", index=GRAPH) as collection:

        def ours(question: MultiVector) -> Ranking:
            return [(hit.entity.id, hit.score) for hit in collection.search(question, k)]

        def theirs(question: MultiVector) -> Ranking:
            return [(pages[number].entity.id, score) for score, number in retriever.search(question.vectors, k)]

        stored = timed(lambda: store_by_colmilvus(pages, collection))
        print(f"colmilvus stored {len(pages)} pages in {stored:.0f} ms", end=", ")
        print(f"the tutorial in {timed(lambda: store_by_tutorial(pages, retriever)):.0f} ms")
        for question, vectors in questions.items():
            side_by_side(question, vectors, ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", type=Path, help="a PDF")
    parser.add_argument("questions", metavar="QUESTION", nargs="+")
    parser.add_argument("--k", type=int, default=3, help="pages to show for each question (%(default)s)")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help="a name on the hub, or a folder (%(default)s)")
    parser.add_argument("--uri", default="", help=f"a server, such as http://localhost:19530; else ./{DATABASE}")
    parser.add_argument("--token", default="", help="what the server asks for, such as root:Milvus")
    given = parser.parse_args()
    if not given.file.is_file():
        parser.error(f"there is no file {given.file}")
    try:
        embedder = ColPaliEmbedder(given.checkpoint)
        pages = embed_pages(given.file, embedder)
        questions = dict(zip(given.questions, embedder.embed_queries(given.questions), strict=True))
        client = open_client(given.uri, given.token)
        compare(pages, questions, client, given.k)
        client.close()
    except ColmilvusError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
