"""How many of the best pages are found where pages have many vectors nearly alike, right after they were stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import vectors

from colmilvus import Collection, Entity

pytestmark = pytest.mark.everywhere

PAGES, PATCHES, QUERIES = 300, 206, 10


def test_nearly_all_of_the_best_pages_are_found_with_and_without_a_filter(database: Path | str) -> None:
    """Of the beginnings of patch-like pages: few regions, and a background that all share."""
    pages = np.stack([vectors.PAGE["patches"](number)[:PATCHES] for number in range(PAGES)])
    queries = vectors.queries("patches", QUERIES)
    exact = np.stack([(pages @ query.T).max(axis=1).sum(axis=1) for query in queries])
    third, twentieth = np.arange(PAGES) % 3, np.arange(PAGES) % 20
    entities = (
        Entity(str(number), metadata={"third": int(third[number]), "twentieth": int(twentieth[number])})
        for number in range(PAGES)
    )
    with Collection("c", dim=vectors.DIM, uri=database) as collection:
        collection.add(entities, vectors=list(pages))

        def recall(k: int, matching: np.typing.ArrayLike, **conditions: int) -> float:
            shares = []
            for query, scores in zip(queries, np.where(matching, exact, -np.inf), strict=True):
                found = {int(hit.entity.id) for hit in collection.search(query, k=k, filter=conditions)}
                assert len(found) == k
                shares.append(np.mean(scores[list(found)] >= np.sort(scores)[-k] - 1e-4))
            return float(np.mean(shares))

        found = [
            recall(10, True),
            recall(3, True),
            recall(10, third == 0, third=0),
            recall(10, twentieth == 0, twentieth=0),
        ]
    assert min(found) >= 0.98, found
