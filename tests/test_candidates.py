"""How a server with arrays of structs finds candidates, modelled in numpy: near-duplicate patches crowd out pages.

The model is what Knowhere does for an embedding list without another strategy (``emb_list_strategy_token_ann.cc``): of
each segment every query vector finds limit x ratio vectors, here exactly; the entities that these belong to are
compared by MaxSim, and the best ``limit`` of all segments come back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colmilvus.connection import Connection
from colmilvus.layouts.portions import MOST_ROWS
from colmilvus.layouts.struct_array import DEFAULT_RATIO, ann_ratio, vector_parameters
from colmilvus.layouts.table import Table

PAGES, PATCHES, DIM, QUERY = 400, 100, 32, 16


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


@pytest.fixture(scope="module")
def pages() -> NDArray[np.float64]:
    """Pages of few themes, which others share: of each a page has many patches that are nearly alike."""
    random = np.random.default_rng(0)
    themes = unit(random.normal(size=(40, DIM)))
    chosen = np.array([random.choice(40, size=5, replace=False) for _ in range(PAGES)])
    theirs = unit(themes[chosen] + 0.08 * random.normal(size=(PAGES, 5, DIM)))
    patches = np.repeat(theirs, PATCHES // 5, axis=1)
    return unit(patches + 0.01 * random.normal(size=patches.shape))


def questions(pages: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Parts of pages with noise."""
    random = np.random.default_rng(1)
    drawn = []
    for page in random.integers(0, PAGES, size=20).tolist():
        chosen = random.integers(0, PATCHES, QUERY)
        drawn.append(unit(pages[page, chosen] + 0.1 * random.normal(size=(QUERY, DIM))))
    return drawn


def of_server(
    query: NDArray[np.float64], pages: NDArray[np.float64], limit: int, ratio: float, segments: int
) -> set[int]:
    """The pages that a server answers with."""
    scores = np.einsum("qd,pnd->qpn", query, pages)
    found: set[int] = set()
    for segment in np.array_split(np.arange(PAGES), segments):
        near = scores[:, segment].reshape(QUERY, -1)
        depth = min(max(int(limit * ratio), 1), near.shape[1])
        nearest = np.argpartition(-near, depth - 1, axis=1)[:, :depth]
        found |= set(segment[np.unique(nearest // PATCHES)].tolist())
    exact = scores.max(axis=2).sum(axis=0)
    return set(sorted(found, key=lambda page: -exact[page])[:limit])


def recall(pages: NDArray[np.float64], limit: int, ratio: float, segments: int) -> float:
    shares = []
    for query in questions(pages):
        exact = np.einsum("qd,pnd->qpn", query, pages).max(axis=2).sum(axis=0)
        best = set(np.argsort(-exact)[:limit].tolist())
        shares.append(len(best & of_server(query, pages, limit, ratio, segments)) / limit)
    return float(np.mean(shares))


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("limit", [1, 5, 10])
def test_near_duplicates_do_not_crowd_out_the_best(pages: NDArray[np.float64], limit: int, segments: int) -> None:
    assert recall(pages, limit, ann_ratio(limit), segments) >= 0.95


def test_with_the_servers_own_ratio_they_do(pages: NDArray[np.float64]) -> None:
    assert recall(pages, 10, DEFAULT_RATIO, 1) < 0.5


@pytest.mark.parametrize("limit", [1, 2, 10, 100, 1_000, MOST_ROWS])
def test_no_query_vector_finds_more_than_a_server_gives(limit: int) -> None:
    depth = limit * ann_ratio(limit)

    assert depth <= max(MOST_ROWS, DEFAULT_RATIO * limit) + 1e-6
    assert ann_ratio(limit) >= DEFAULT_RATIO


def test_the_ratio_goes_to_servers_and_what_the_caller_says_stands() -> None:
    client: Any = None  # which nothing asks
    server = Table(Connection(client, "http://host:19530", 1), "c", {"ef": 50})
    own = Table(Connection(client, "http://host:19530", 1), "c", {"retrieval_ann_ratio": 7})
    folder = Table(Connection(client, "kb.db", 1, Path("kb.db")), "c")

    assert vector_parameters("IP", 10, server) == {
        "metric_type": "MAX_SIM_IP",
        "params": {"retrieval_ann_ratio": 30.0, "ef": 50},
    }
    assert vector_parameters("IP", 10, own)["params"] == {"retrieval_ann_ratio": 7}
    assert vector_parameters("IP", 10, folder)["params"] == {}
