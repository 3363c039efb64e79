"""What a page costs to add does not grow with the collection, and to keep it takes little more than its vectors."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from colmilvus import Collection, Entity

PAGES = 20
VECTORS = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)


def document(number: int) -> list[Entity]:
    name = f"document {number}"
    return [Entity(f"{name}#{i}", document=name, version="1", metadata={"page": i}) for i in range(PAGES)]


def seconds(collection: Collection, first: int, documents: int) -> float:
    """The processor time of one document, added by itself: the least of several."""
    taken = []
    for number in range(first, first + documents):
        began = time.process_time()
        collection.add(document(number), vectors=[VECTORS] * PAGES)
        taken.append(time.process_time() - began)
    return min(taken)


def test_a_document_costs_the_same_among_many(tmp_path: Path) -> None:
    with Collection("growing", dim=8, uri=tmp_path / "kb.db") as collection:
        seconds(collection, 0, 3)
        among_few = seconds(collection, 3, 7)
        filling = [entity for number in range(10, 260) for entity in document(number)]
        collection.add(filling, vectors=[VECTORS] * len(filling))
        among_many = seconds(collection, 260, 7)

        assert collection.count() == 267 * PAGES
    assert among_many < 1.8 * among_few


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_database_is_hardly_larger_than_its_vectors(tmp_path: Path) -> None:
    """While it is open, with Milvus Lite's log, and closed."""
    pages = [np.random.default_rng(i).normal(size=(1030, 128)).astype(np.float32) for i in range(20)]
    with Collection("pages", dim=128, uri=tmp_path / "kb.db") as collection:
        texts = [" ".join(f"word{i * j}" for j in range(300)) for i in range(20)]
        collection.add([Entity(str(i), text, metadata={"page": i}) for i, text in enumerate(texts)], vectors=pages)
        sizes = [bytes_in(tmp_path)]
    sizes.append(bytes_in(tmp_path))

    vectors = sum(page.nbytes for page in pages)
    assert all(vectors < size < 1.1 * vectors for size in sizes)
