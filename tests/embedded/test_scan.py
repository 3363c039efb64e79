"""The scan against ``colmilvus.maxsim``, over records in any order, with holes, in one segment or several."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from colmilvus.embedded import scan
from colmilvus.embedded.scan import QUERY_VECTORS, scores
from colmilvus.embedded.vectors import Column, Record, VectorStore
from colmilvus.entity import Metric
from colmilvus.maxsim import maxsim

METRICS: list[Metric] = ["COSINE", "IP", "L2"]


def store_of(folder: Path, vectors: list[np.ndarray]) -> VectorStore:
    store = VectorStore(folder, [Column(vectors[0].shape[1], np.dtype("<f4"))], 0)
    store.append([Record(len(each), (each,), ()) for each in vectors])
    return store


def draw(seed: int, number: int, most: int, dim: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(int(rng.integers(1, most + 1)), dim)).astype(np.float32) for _ in range(number)]


@pytest.mark.parametrize("block", [100, 4000, scan.BLOCK_BYTES // 4])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("number", "most", "dim", "taken"),
    [(1, 1, 2, 1.0), (300, 5, 16, 1.0), (300, 5, 16, 0.3), (40, 900, 8, 0.5), (6, 4096, 4, 1.0), (30, 1024, 4, 0.8)],
)
def test_scores_are_those_of_maxsim(
    tmp_path: Path,
    metric: Metric,
    number: int,
    most: int,
    dim: int,
    taken: float,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "BLOCK_BYTES", 4 * block)  # numbers of float32
    pages = draw(number, number, most, dim)
    rng = np.random.default_rng(7)
    rows = rng.permutation(number)[: max(1, int(number * taken))]
    queries = [rng.normal(size=(n, dim)).astype(np.float32) for n in (1, 3, QUERY_VECTORS + 5)]
    with closing(store_of(tmp_path, pages)) as store:
        found = scores(store, 0, rows, queries, metric)
    assert found.shape == (3, len(rows))
    largest = max(float((vectors**2).sum(axis=1).max()) for vectors in [*queries, *pages])
    for line, query in zip(found, queries, strict=True):
        wanted = [maxsim(query, pages[row], metric) for row in rows]
        np.testing.assert_allclose(
            line, wanted, rtol=1e-5, atol=1e-5 * len(query) * (1 if metric == "COSINE" else largest)
        )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e17, 1e19, 3e37])
def test_vectors_whose_squares_float32_cannot_hold_have_the_scores_of_maxsim(
    tmp_path: Path, metric: Metric, scale: float
) -> None:
    pages = [(page / 8 * scale).astype(np.float32) for page in draw(5, 30, 4, 8)]
    query = (np.random.default_rng(6).normal(size=(3, 8)) / 8 * scale).astype(np.float32)
    with closing(store_of(tmp_path, pages)) as store:
        found = scores(store, 0, np.arange(30), [query], metric)[0]
    wanted = np.array([maxsim(query, page, metric) for page in pages])
    most = float(np.finfo(np.float32).max)
    assert not np.isnan(found).any()
    assert np.array_equal(np.isinf(found), np.abs(wanted) > most)
    held = np.isfinite(found)
    np.testing.assert_allclose(found[held], wanted[held], rtol=1e-4, atol=1e-42)


def test_a_far_query_does_not_put_the_near_page_last(tmp_path: Path) -> None:
    pages = [np.full((1, 8), value, np.float32) for value in (1e17, 1e18, 1e19, 1.1e19)]
    with closing(store_of(tmp_path, pages)) as store:
        found = scores(store, 0, np.arange(4), [np.full((1, 8), 1e19, np.float32)], "L2")[0]
    assert np.argsort(found).tolist()[:2] == [2, 3]
    assert found[3] == pytest.approx(8e36, rel=1e-5)


def test_no_rows_have_no_scores(tmp_path: Path) -> None:
    with closing(store_of(tmp_path, draw(1, 2, 3, 4))) as store:
        assert scores(store, 0, np.zeros(0, np.int64), [np.ones((2, 4))], "IP").shape == (1, 0)


def test_rows_of_several_segments_are_scanned_together(tmp_path: Path) -> None:
    dim = 1 << 18
    pages = [np.full((24, dim), value, np.float32) for value in (1, 2, 3, 4, 5, 6)]
    with closing(store_of(tmp_path, pages)) as store:
        assert len(set(store.locate(np.arange(6))[0].tolist())) > 1
        found = scores(store, 0, np.array([5, 0, 3, 1]), [np.full((1, dim), 0.5, np.float32)], "IP")
    assert found[0].tolist() == [dim * 3.0, dim * 0.5, dim * 2.0, dim * 1.0]
