"""Every ranking against maxsim(), computed here, one entity at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from examples.sample_reports import LABELLED_QUESTIONS, draw_reports

from colmilvus import Collection, Entity, Hit, MultiVector, Segment, maxsim
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.entity import Metric
from colmilvus.filters import matches
from colmilvus.pdf import read_pages

pytestmark = pytest.mark.everywhere

METRICS: list[Metric] = ["COSINE", "IP", "L2"]


def largest_square(multi_vectors: Sequence[MultiVector]) -> float:
    """The largest squared norm of a vector."""
    return max(float((side.vectors.astype(np.float64) ** 2).sum(axis=1).max()) for side in multi_vectors)


def assert_equals_oracle(
    hits: Sequence[Hit], query: MultiVector, stored: Mapping[str, MultiVector], metric: Metric, k: int
) -> None:
    """The k best by maxsim(), in order; entities whose scores are within the tolerance may change places."""
    oracle = {name: maxsim(query, vectors, metric) for name, vectors in stored.items()}
    ranked = sorted(oracle.values(), reverse=metric != "L2")[:k]
    rounding = 1e-5 * len(query) * largest_square([query, *stored.values()])

    assert len(hits) == len(ranked) == len({hit.entity.id for hit in hits})
    for hit, best in zip(hits, ranked, strict=True):
        allowed = 1e-5 * abs(best) + rounding
        assert hit.score == pytest.approx(oracle[hit.entity.id], abs=allowed)
        assert hit.score == pytest.approx(best, abs=allowed)


def random_multi_vectors(random: np.random.Generator, count: int, most: int, dim: int) -> dict[str, MultiVector]:
    sizes = random.integers(1, most + 1, size=count)
    return {f"e{n}": MultiVector(random.normal(size=(size, dim))) for n, size in enumerate(sizes)}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("count", "most", "dim"), [(1, 1, 2), (7, 300, 16), (400, 12, 32), (40, 40, 128)])
def test_random_multi_vectors(database: Path | str, metric: Metric, count: int, most: int, dim: int) -> None:
    random = np.random.default_rng(count)
    stored = random_multi_vectors(random, count, most, dim)
    with Collection("c", dim=dim, metric=metric, uri=database) as collection:
        collection.add([Entity(name) for name in stored], vectors=list(stored.values()))
        for size in (1, 5, 32):
            query = MultiVector(random.normal(size=(size, dim)))
            for k in (1, 10, count):
                assert_equals_oracle(collection.search(query, k=k), query, stored, metric, k)


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_of_every_length_and_none(database: Path | str, metric: Metric) -> None:
    random = np.random.default_rng(3)
    stored = {
        f"e{n}": MultiVector(random.normal(size=(9, 4)) * 10.0 ** random.integers(-3, 4, size=(9, 1)))
        for n in range(30)
    }
    stored["zero"] = MultiVector(np.zeros((2, 4)))
    stored["part zero"] = MultiVector([[0, 0, 0, 0], [-1, 0, 0, 0]])
    query = MultiVector([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], [1e-3, 0.0, 0.0, 0.0]])
    with Collection("c", dim=4, metric=metric, uri=database) as collection:
        collection.add([Entity(name) for name in stored], vectors=list(stored.values()))

        assert_equals_oracle(collection.search(query, k=50), query, stored, metric, 50)


@pytest.mark.parametrize("metric", METRICS)
def test_with_a_filter(database: Path | str, metric: Metric) -> None:
    random = np.random.default_rng(4)
    stored = random_multi_vectors(random, 200, 10, 8)
    metadata = {name: {"n": n % 7, "tag": "xyz"[n % 3]} for n, name in enumerate(stored)}
    wanted = {"$or": [{"n": {"$lt": 2}}, {"tag": "y", "n": {"$ne": 4}}]}
    left = {name: vectors for name, vectors in stored.items() if matches(wanted, metadata[name])}
    query = MultiVector(random.normal(size=(6, 8)))
    with Collection("c", dim=8, metric=metric, uri=database, fields={"n": int}) as collection:
        entities = [Entity(name, metadata=metadata[name]) for name in stored]
        collection.add(entities, vectors=list(stored.values()))

        assert 0 < len(left) < 200
        for k in (5, 200):
            assert_equals_oracle(collection.search(query, k=k, filter=wanted), query, left, metric, k)


@pytest.mark.parametrize("metric", METRICS)
def test_up_to_the_capacity(database: Path | str, metric: Metric) -> None:
    random = np.random.default_rng(6)
    stored = {name: MultiVector(random.normal(size=(size, 8))) for name, size in {"full": 4096, "one": 1}.items()}
    query = MultiVector(random.normal(size=(20, 8)))
    with Collection("c", dim=8, metric=metric, uri=database) as collection:
        collection.add([Entity(name) for name in stored], vectors=list(stored.values()))

        assert_equals_oracle(collection.search(query), query, stored, metric, 10)
        assert (collection.multi_vectors(["full"])["full"].vectors == stored["full"].vectors).all()


@pytest.mark.parametrize("metric", METRICS)
def test_after_upserts_and_deletes(database: Path | str, metric: Metric) -> None:
    random = np.random.default_rng(7)
    stored = random_multi_vectors(random, 60, 20, 8)
    query = MultiVector(random.normal(size=(4, 8)))
    with Collection("c", dim=8, metric=metric, uri=database) as collection:
        collection.add([Entity(name) for name in stored], vectors=list(stored.values()))
        changed = {f"e{n}": MultiVector(random.normal(size=(n + 1, 8))) for n in range(0, 60, 3)}
        collection.add([Entity(name) for name in changed], vectors=list(changed.values()))
        gone = [f"e{n}" for n in range(0, 60, 4)]
        collection.delete(gone)
        left = {name: vectors for name, vectors in (stored | changed).items() if name not in gone}

        assert_equals_oracle(collection.search(query, k=60), query, left, metric, 60)
    with Collection("c", uri=database) as collection:
        assert_equals_oracle(collection.search(query, k=60), query, left, metric, 60)


@pytest.mark.parametrize("metric", METRICS)
def test_an_entity_in_parts_is_found_as_one(database: Path | str, metric: Metric) -> None:
    """Capacity 10, so that entities of 12 segments with 1 to 6 vectors lie in up to seven rows each."""
    random = np.random.default_rng(8)
    stored, entities = {}, []
    for n in range(25):
        owners = np.repeat(np.arange(12), random.integers(1, 7, size=12))
        random.shuffle(owners)
        stored[f"e{n}"] = MultiVector(random.normal(size=(len(owners), 8)), owners)
        segments = tuple(Segment(f"s{s}", f"text {s}", {"page": s}) for s in range(12))
        entities.append(Entity(f"e{n}", segments=segments, metadata={"n": n}))
    query = MultiVector(random.normal(size=(3, 8)))
    with Collection("c", dim=8, metric=metric, uri=database, segments=True, capacity=10) as collection:
        report = collection.add(entities, vectors=list(stored.values()))
        hits = collection.search(query, k=25)

        assert (report.added, collection.count()) == (25, 25)
        assert_equals_oracle(hits, query, stored, metric, 25)
        for hit in hits:
            assert hit.entity == entities[hit.entity.metadata["n"]]
            for segment, similarity in hit.segments:
                vectors = stored[hit.entity.id]
                assert vectors.segments is not None
                own = vectors.vectors[vectors.segments == int(segment.id[1:])]
                expected = maxsim(query, own, metric)
                scale = {"COSINE": 3.0, "IP": float(np.linalg.norm(query.vectors, axis=1).sum()), "L2": 1.0}[metric]
                assert similarity == pytest.approx(expected / scale, rel=1e-4, abs=1e-5)
        assert collection.add(entities, vectors=list(stored.values())).unchanged == 25
        smaller = MultiVector(np.ones((12, 8)), np.arange(12))
        assert collection.add(entities[:1], vectors=[smaller]).replaced == 1
        assert (collection.multi_vectors(["e0"])["e0"].vectors == 1).all()
        assert len(collection.multi_vectors(["e0"])["e0"]) == 12
        assert collection.delete(["e0", "e1"]) == 2
        assert collection.count() == 23


def test_real_multi_vectors_of_pages(database: Path | str, tmp_path: Path) -> None:
    embedder = StaticEmbedder()
    draw_reports(tmp_path / "reports")
    with Collection("pages", embedder, uri=database) as collection:
        collection.add(read_pages(tmp_path / "reports"))
        held = [page.id for page in read_pages(tmp_path / "reports") if page.text]
        stored = collection.multi_vectors(held)
        questions = [question.words for question in LABELLED_QUESTIONS]
        answers = collection.search(questions, k=len(stored), mode="late_interaction")

        assert len(stored) == len(held) == collection.count()
        for hits, query in zip(answers, embedder.embed_queries(questions), strict=True):
            assert_equals_oracle(hits, query, stored, "IP", len(stored))
