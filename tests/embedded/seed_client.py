"""The programs written for a Milvus server, in a process that has a uri, a token and pymilvus, not colmilvus.

Cohere answers at CO_API_URL; what ColPali made of the pages and of the question lies in a file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from examples import pymilvus_flat_pages, pymilvus_pages, pymilvus_paragraphs
from examples.pymilvus_flat_pages import MilvusColbertRetriever
from numpy.typing import NDArray
from PIL import Image
from pymilvus import MilvusClient

from tests.embedded.seed_rows import page_rows

__all__ = ["PAGES", "SEED", "WORDS", "main"]

WORDS = ("moon", "gravity")
SEED = 8
PAGES = 12


class FileOfVectors:
    """Stands where a program has its model: gives the vectors of the pages in the order of their embedding."""

    def __init__(self, file: Path) -> None:
        arrays = dict(np.load(file))
        self.question = np.asarray(arrays.pop("question"), np.float32)
        self._pages = iter(arrays.values())

    def embed_page(self, _: Image.Image) -> NDArray[np.float32]:
        return next(self._pages)


def main(uri: str, token: str, folder: str) -> None:
    """Print the answers of the program of paragraphs; then, as JSON, those of the two of pages.

    The pages of the first are drawn, those of the second are the pictures in ``folder``, beside ``vectors.npz``.
    """
    sys.argv = ["pymilvus_paragraphs.py", *WORDS, "--uri", uri, "--token", token]
    pymilvus_paragraphs.main()

    model = FileOfVectors(Path(folder, "vectors.npz"))
    client = MilvusClient(uri=uri, token=token)
    answers = {"pages": pages(client, model), "flat": flat_pages(client, model, Path(folder))}
    client.close()
    json.dump(answers, sys.stdout)
    assert not [name for name in sys.modules if name.partition(".")[0] in ("colmilvus", "milvus_lite")]


def pages(client: MilvusClient, model: FileOfVectors) -> list[dict[str, Any]]:
    pymilvus_pages.create_collection(client)
    pymilvus_pages.insert(client, pymilvus_pages.with_patches(page_rows(SEED, PAGES), model.embed_page))
    return [dict(hit) for hit in pymilvus_pages.search(client, model.question)]


def flat_pages(client: MilvusClient, model: FileOfVectors, folder: Path) -> list[tuple[float, int]]:
    retriever = MilvusColbertRetriever(client, "colpali")
    pymilvus_flat_pages.store(retriever, sorted(folder.glob("*.png")), model.embed_page)
    return retriever.search(model.question, topk=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
