"""The programs written for a Milvus server, in a process that has a uri, a token and pymilvus, not colmilvus."""

from __future__ import annotations

import json
import sys

import numpy as np
from examples import pymilvus_pages, pymilvus_paragraphs
from examples.pymilvus_flat_pages import MilvusColbertRetriever
from pymilvus import MilvusClient


def main(uri: str, token: str, vectors: str) -> None:
    """Print the answers of the program of paragraphs; then, as JSON, those of the others over a file of vectors."""
    sys.argv = ["pymilvus_paragraphs.py", "moon", "gravity", "--uri", uri, "--token", token]
    pymilvus_paragraphs.main()

    pages = dict(np.load(vectors))
    question = pages.pop("question")
    client = MilvusClient(uri=uri, token=token)
    pymilvus_pages.create_collection(client)
    rows = [
        {"corpus_id": int(i), "patches": [{"emb": v} for v in pages[i]], "doc_id": f"{i}.pdf", "page_number_in_doc": 0}
        for i in pages
    ]
    pymilvus_pages.insert(client, rows)
    hits = pymilvus_pages.search(client, question)

    flat = MilvusColbertRetriever(client, "colpali")
    flat.create_collection()
    flat.create_index()
    flat.create_scalar_index()
    for i, patches in pages.items():
        flat.insert({"colbert_vecs": patches, "doc_id": int(i), "filepath": f"{i}.png"})
    found = [(hit["corpus_id"], hit["distance"]) for hit in hits]
    json.dump({"pages": found, "flat": flat.search(question, topk=5)}, sys.stdout)
    client.close()
    assert not [name for name in sys.modules if name.partition(".")[0] in ("colmilvus", "milvus_lite")]


if __name__ == "__main__":
    main(*sys.argv[1:])
