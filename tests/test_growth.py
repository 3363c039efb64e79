"""What a page costs to add, and to keep, does not grow with the collection."""

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
