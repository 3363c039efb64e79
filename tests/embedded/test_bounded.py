"""Scores to within bounds hold the exact ones, whatever is compared; and what rests on them is exact."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numkong
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colmilvus.embedded import bounded as bounds
from colmilvus.embedded import matches, scan
from colmilvus.embedded.bounded import Bounded, bounded, exact
from colmilvus.embedded.nearest import nearest
from colmilvus.embedded.scoring import Scorer, best_of
from colmilvus.embedded.vectors import Column, Record, VectorStore
from colmilvus.entity import Metric
from colmilvus.errors import DatabaseDamaged
from colmilvus.maxsim import maxsim

METRICS: list[Metric] = ["COSINE", "IP", "L2"]
TYPES = ["<f4", "<f2"]
Pages = list[NDArray[np.float32]]


def draw(seed: int, number: int, least: int, most: int, dim: int, kind: str) -> Pages:
    """Pages of vectors of very different lengths, some of them nothing, some the same as others."""
    random = np.random.default_rng(seed)
    pages = []
    for _ in range(number):
        page = random.normal(size=(int(random.integers(least, most + 1)), dim))
        page *= 10 ** random.uniform(-3, 2 if kind == "<f2" else 6, (len(page), 1))
        page[random.random(len(page)) < 0.05] = 0
        if random.random() < 0.5:
            page[:] = page[0] * random.uniform(0.999, 1.001, (len(page), 1))
        if random.random() < 0.5:
            page /= np.maximum(np.linalg.norm(page, axis=1, keepdims=True), 1e-9)
        pages.append(page.astype(kind))
    return pages


def store_of(folder: Path, pages: Pages) -> VectorStore:
    store = VectorStore(folder, [Column(pages[0].shape[1], pages[0].dtype)], 0)
    store.append([Record(len(page), (page,), ()) for page in pages])
    return store


def reach(query: NDArray[np.float32], pages: Pages, metric: Metric) -> NDArray[np.float64]:
    """How large the scores of pages could be: float32 sums are off by a millionth of it."""
    asked = np.linalg.norm(query.astype(np.float64), axis=1)
    largest = np.array([np.linalg.norm(page.astype(np.float64), axis=1).max() for page in pages])[:, None]
    of_vectors = {"COSINE": np.ones_like(asked) + 0 * largest, "IP": asked * largest, "L2": (asked + largest) ** 2}
    return np.asarray(of_vectors[metric].sum(axis=1))


def oracle(query: NDArray[np.float32], pages: Pages, metric: Metric) -> NDArray[np.float64]:
    return np.array([maxsim(query.astype(np.float64), page.astype(np.float64), metric) for page in pages])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("number", "least", "most", "dim"), [(40, 1, 300, 16), (20, 60, 68, 128), (30, 64, 64, 5)])
def test_bounds_hold_the_scores_and_exact_ones_are_exact(
    tmp_path: Path, metric: Metric, kind: str, number: int, least: int, most: int, dim: int
) -> None:
    pages = draw(dim, number, least, most, dim, kind)
    rows = np.random.default_rng(3).permutation(number)
    asked = [page.astype(np.float32) for page in draw(7, 3, 1, 30, dim, kind)]
    with closing(store_of(tmp_path, pages)) as store:
        found = bounded(store, 0, rows, asked, metric)
        given = [exact(store, 0, rows, query, metric) for query in asked]
    for values, errors, scores, query in zip(*found, given, asked, strict=True):
        wanted = oracle(query, [pages[row] for row in rows], metric)
        within = 1e-6 * reach(query, [pages[row] for row in rows], metric)
        assert (np.abs(values - wanted) <= errors + within).all()
        assert (np.abs(scores - wanted) <= 3 * within).all()
        if metric == "COSINE":
            assert (errors <= len(query) * 0.008).all(), "the bounds say something"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_queries_of_any_number_of_vectors(tmp_path: Path, metric: Metric, kind: str) -> None:
    pages = draw(1, 12, 50, 90, 16, kind)
    (vectors,) = draw(2, 1, 9, 9, 16, kind)
    rows = np.arange(len(pages))
    with closing(store_of(tmp_path, pages)) as store:
        for width in range(1, len(vectors) + 1):
            query = vectors[:width].astype(np.float32)
            ((values,), (errors,)) = bounded(store, 0, rows, [query], metric)
            wanted, within = oracle(query, pages, metric), 1e-6 * reach(query, pages, metric)
            assert (np.abs(values - wanted) <= errors + within).all()
            assert (np.abs(exact(store, 0, rows, query, metric) - wanted) <= 3 * within).all()


def test_bounds_hold_where_everything_is_rounded_as_far_as_can_be_in_one_direction(tmp_path: Path) -> None:
    """The better page is rounded down all along, the other one up: what bfloat16 makes of them is the wrong order."""
    middle = 1 + 2.0**-8
    lower = np.full((64, 128), middle - 2.0**-20, np.float32)
    upper = np.tile(np.array([2 * middle + 2.0**-20] * 63 + [1.9] + [0] * 64, np.float32), (64, 1))
    query = np.ones((1, 128), np.float32)
    wanted = oracle(query, [lower, upper], "IP")
    assert wanted[0] > wanted[1]
    with closing(store_of(tmp_path, [lower, upper])) as store:
        (values,), (errors,) = bounded(store, 0, np.arange(2), [query], "IP")
        ((positions, scores),) = nearest(store, 0, np.arange(2), [query], "IP", (0, 1), None, 3.0)

    assert values[0] < values[1]
    assert (np.abs(values - wanted) <= errors).all()
    assert positions.tolist() == [0]
    assert scores == pytest.approx(wanted[:1], rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-18, 1e18, 1e30, 3e38])
def test_bounds_hold_at_the_ends_of_what_float32_can_hold(tmp_path: Path, metric: Metric, scale: float) -> None:
    random = np.random.default_rng(1)
    pages = [(random.uniform(-1, 1, (80, 8)) * scale).astype(np.float32) for _ in range(12)]
    for query in (random.uniform(-1, 1, (4, 8)).astype(np.float32), pages[3][:4]):
        wanted = oracle(query, pages, metric)
        fits = np.abs(wanted) < 3e38
        within = 1e-6 * reach(query, pages, metric) + 1e-37
        with closing(store_of(tmp_path / f"{len(list(tmp_path.iterdir()))}", pages)) as store:
            (values,), (errors,) = bounded(store, 0, np.arange(12), [query], metric)
            assert (np.abs(values - wanted) <= errors + within)[fits].all()
            ((positions, scores),) = nearest(store, 0, np.arange(12), [query], metric, (0, 5), None, 3.0)
        assert len(set(positions.tolist())) == 5
        far = wanted if metric == "L2" else -wanted
        fifth = np.sort(far)[4] + within
        assert (far <= fifth)[positions][fits[positions]].all()
        close = np.isfinite(scores) & fits[positions]
        assert (np.abs(scores - wanted[positions]) <= 3 * within[positions])[close].all()


@settings(max_examples=60)
@given(
    values=st.lists(st.integers(-5, 5), min_size=1, max_size=80),
    errors=st.lists(st.sampled_from([0.0, 0.5, 3.0, np.inf]), min_size=80, max_size=80),
    count=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_the_best_are_the_best_whatever_the_errors(
    values: list[int], errors: list[float], count: int, seed: int
) -> None:
    wanted = np.array(values, np.float32)
    off = np.array(errors[: len(values)], np.float32)
    moved = np.random.default_rng(seed).uniform(-1, 1, len(values)) * np.where(np.isfinite(off), off, 9)

    class Known(Scorer):
        def __init__(self) -> None:
            pass

        def exact(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
            return wanted[positions - 1000]

    known = Bounded(np.asarray(wanted + moved, np.float32), off + np.float32(1e-3) * (off > 0))
    positions, scores = best_of(np.arange(len(values)) + 1000, known, Known(), count)
    assert len(set(positions.tolist())) == len(positions)
    assert (scores == wanted[positions - 1000]).all()
    least = np.sort(wanted)[::-1][min(count, len(wanted)) - 1]
    assert {*np.flatnonzero(wanted >= least)} <= {*(positions - 1000).tolist()}, "with all that equal the last"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("cells", [1, 5000, matches.CELLS])
def test_nearest_is_the_best_of_maxsim_in_any_portions(
    tmp_path: Path, metric: Metric, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matches, "CELLS", cells)
    random = np.random.default_rng(2)
    pages = [random.normal(size=(int(n), 16)).astype(np.float32) for n in random.integers(1, 200, 60)]
    pages += pages[:5]  # the same again: equal scores, in the order of their places
    asked = [random.normal(size=(n, 16)).astype(np.float32) for n in (1, 9)]
    with closing(store_of(tmp_path, pages)) as store:
        found = nearest(store, 0, np.arange(len(pages)), asked, metric, (2, 10), None, 3.0)
    for (positions, scores), query in zip(found, asked, strict=True):
        wanted = oracle(query, pages, metric)
        order = np.argsort(wanted if metric == "L2" else -wanted, kind="stable")[2:12]
        assert positions.tolist() == order.tolist()
        np.testing.assert_allclose(scores, wanted[order], rtol=1e-4)


def test_a_page_of_one_color_is_compared_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    whole = scan.scores

    def counted(store: VectorStore, column: int, rows: NDArray[np.int64], *rest: object) -> NDArray[np.float32]:
        asked.append(len(rows))
        return whole(store, column, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bounds, "scores", counted)
    random = np.random.default_rng(4)
    pages = [random.normal(size=(200, 16)).astype(np.float32), np.ones((200, 16), np.float32)]
    with closing(store_of(tmp_path, pages)) as store:
        found = exact(store, 0, np.arange(2), pages[0][:6], "IP")
    assert asked == [1]
    np.testing.assert_allclose(found, oracle(pages[0][:6], pages, "IP"), rtol=1e-5)


@pytest.mark.parametrize(("from_end", "compared"), [(1, True), (70 * 4 * 2 + 1, False)])
def test_damage_is_told_before_anything_rests_on_it(tmp_path: Path, from_end: int, compared: bool) -> None:
    pages = [np.ones((70, 4), np.float32)] * 3
    store_of(tmp_path, pages).close()
    file = tmp_path / "00000000.0.vectors"
    data = bytearray(file.read_bytes())
    data[-from_end] ^= 1  # in the lower half of the last page, or in its upper half
    file.write_bytes(data)
    asked = pages[0][:1]
    with closing(VectorStore(tmp_path, [Column(4, np.dtype("<f4"))], 0)) as store:
        assert bounded(store, 0, np.arange(2), [asked], "COSINE").values.shape == (1, 2)
        if compared:
            assert bounded(store, 0, np.arange(3), [asked], "COSINE").values.shape == (1, 3)
        else:
            with pytest.raises(DatabaseDamaged, match="record 2"):
                bounded(store, 0, np.arange(3), [asked], "COSINE")
        with pytest.raises(DatabaseDamaged, match="record 2"):
            exact(store, 0, np.arange(3), asked, "COSINE")


PROCESSORS = """
import sys
from contextlib import closing
from pathlib import Path

import numkong
import numpy as np

known = sys.argv[2].split()
for name, usable in numkong.get_capabilities().items():
    if usable and name not in known:
        numkong.disable_capability(name)
assert [name for name, usable in numkong.get_capabilities().items() if usable] == known

from colmilvus import maxsim
from colmilvus.embedded.bounded import bounded, exact
from colmilvus.embedded.vectors import Column, Record, VectorStore

random = np.random.default_rng(1)
for kind in ("<f4", "<f2"):
    pages = [random.normal(size=(int(n), 129)).astype(kind) for n in random.integers(64, 90, 20)]
    query = random.normal(size=(21, 129)).astype(np.float32)
    with closing(VectorStore(Path(sys.argv[1]) / kind[1:], [Column(129, np.dtype(kind))], 0)) as store:
        store.append([Record(len(page), (page,), ()) for page in pages])
        for metric in ("COSINE", "IP", "L2"):
            (values,), (errors,) = bounded(store, 0, np.arange(20), [query], metric)
            wanted = [maxsim(query, page.astype(np.float32), metric) for page in pages]
            assert (np.abs(values - wanted) <= errors).all()
            np.testing.assert_allclose(exact(store, 0, np.arange(20), query, metric), wanted, rtol=1e-5)
"""


@pytest.mark.parametrize("known", ["serial", "serial haswell", "serial haswell skylake"])
def test_bounds_hold_on_other_processors(tmp_path: Path, known: str) -> None:
    capabilities = numkong.get_capabilities()
    # Kernels are switched off, not on: what this processor cannot do is run where a processor can.
    if not all(capabilities[name] for name in known.split()):
        pytest.skip(f"this processor lacks some of {known}")
    subprocess.run([sys.executable, "-c", PROCESSORS, str(tmp_path), known], check=True)
