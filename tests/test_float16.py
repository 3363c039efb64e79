"""Collections of vectors of 16 bits: half the space, the same answers as by the rounded numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pymilvus
import pytest
from numpy.typing import NDArray
from packaging.version import Version

from colmilvus import Collection, Entity, MultiVector, Segment, maxsim
from colmilvus.entity import DType, Metric
from colmilvus.errors import CollectionMismatch, InvalidInput, InvalidVectors, Unsupported
from colmilvus.report import IncompleteAdd

Floats = NDArray[np.float32]

pytestmark = pytest.mark.skipif(
    Version(pymilvus.__version__) < Version("2.6.16"), reason="pymilvus sends no such structs before 2.6.16"
)


def rounded(vectors: Floats) -> Floats:
    return vectors.astype(np.float16).astype(np.float32)


def of(path: Path, name: str = "halves", **options: Any) -> Collection:
    return Collection(name, uri=path / "kb.db", **{"dim": 8, "dtype": "float16", **options})


def draw(count: int, most: int = 12, dim: int = 8) -> dict[str, Floats]:
    rng = np.random.default_rng(count)
    return {f"e{i}": rng.normal(size=(int(rng.integers(1, most)), dim)).astype(np.float32) for i in range(count)}


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_hits_rank_by_the_rounded_numbers(tmp_path: Path, metric: Metric) -> None:
    given, query = draw(60), np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    with of(tmp_path, metric=metric) as halves:
        halves.add([Entity(name) for name in given], vectors=given.values())
        found = {exact: halves.search(query, k=60, exact=exact) for exact in (False, True)}

    sign = 1 if metric == "L2" else -1
    wanted = {name: maxsim(rounded(query), rounded(vectors), metric) for name, vectors in given.items()}
    for hits in found.values():
        assert [hit.entity.id for hit in hits] == sorted(wanted, key=lambda name: sign * wanted[name])
        np.testing.assert_allclose([hit.score for hit in hits], [wanted[hit.entity.id] for hit in hits], rtol=1e-5)


def test_vectors_come_back_rounded_and_are_not_stored_again(tmp_path: Path) -> None:
    given = draw(5)
    entities = [Entity(name) for name in given]
    with of(tmp_path) as halves:
        halves.add(entities, vectors=given.values())
        stored = halves.multi_vectors(list(given))
        again = halves.add(entities, vectors=given.values())
        once_more = halves.add(entities, vectors=[stored[name] for name in given])
        assert {name: vectors.vectors.tobytes() for name, vectors in halves.multi_vectors(list(given)).items()} == {
            name: rounded(vectors).tobytes() for name, vectors in given.items()
        }

    assert again.unchanged == 5
    assert once_more.replaced == 5


def test_entities_grow_and_split_over_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors = {name: rng.normal(size=(3, 8)).astype(np.float32) for name in "abcd"}
    query = rng.normal(size=(4, 8)).astype(np.float32)
    with of(tmp_path, segments=True, capacity=5) as halves:
        for names in ("ab", "bcd"):
            parts = tuple(Segment(name, f"text of {name}") for name in names)
            owners = np.repeat(np.arange(len(names)), 3)
            stacked = MultiVector(np.concatenate([vectors[name] for name in names]), owners)
            halves.add([Entity("whole", segments=parts)], vectors=[stacked])
        (hit,) = halves.search(query, k=1)
        held = halves.multi_vectors(["whole"])["whole"]

    whole = rounded(np.concatenate(list(vectors.values())))
    assert held.vectors.tobytes() == whole.tobytes()
    assert hit.score == pytest.approx(maxsim(rounded(query), whole), rel=1e-5)
    assert [segment.id for segment in hit.entity.segments] == list("abcd")


def test_a_collection_remembers_it(tmp_path: Path) -> None:
    with of(tmp_path):
        pass
    with Collection("halves", uri=tmp_path / "kb.db") as again, Collection("plain", uri=tmp_path / "kb.db", dim=8) as p:
        assert (again.spec.dtype, p.spec.dtype) == ("float16", "float32")

    with pytest.raises(CollectionMismatch, match="'halves' was made with dtype='float16', not 'float32'"):
        of(tmp_path, dtype="float32")
    with pytest.raises(CollectionMismatch, match="'plain' was made with dtype='float32', not 'float16'"):
        of(tmp_path, "plain")
    with pytest.raises(InvalidInput, match="'float32' or 'float16', not 'bfloat16'"):
        of(tmp_path, "other", dtype="bfloat16")


def test_what_16_bits_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    fine, large, tiny = np.ones((2, 8), np.float32), np.ones((2, 8), np.float32), np.full((2, 8), 1e-9, np.float32)
    large[1, 3], fine[0, 0], fine[1, 1] = -65_520, 65_519, 1e-9
    with of(tmp_path) as halves:
        with pytest.raises(IncompleteAdd) as raised:
            halves.add([Entity("large"), Entity("fine"), Entity("tiny")], vectors=[large, fine, tiny])
        held = halves.multi_vectors(["large", "fine", "tiny"])
        with pytest.raises(InvalidVectors, match="the query: vector 1 of 2 holds -65520, float16 holds numbers from"):
            halves.search(large)

    told = [str(problem.error) for problem in raised.value.report.failed]
    assert "entity 'large': vector 1 of 2 holds -65520, float16 holds numbers from -65504 to 65504" in told[0]
    assert "entity 'tiny': vector 0 of 2 holds nothing larger than 1e-09, of which float16 would make zero" in told[1]
    assert list(held) == ["fine"]
    assert held["fine"].vectors.tolist() == rounded(fine).tolist()


def test_an_old_pymilvus_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with of(tmp_path):
        pass
    monkeypatch.setattr(pymilvus, "__version__", "2.6.15")
    for name in ("halves", "another"):
        with pytest.raises(Unsupported, match=r"needs pymilvus 2\.6\.16 or later, and 2\.6\.15 is installed"):
            of(tmp_path, name)


def contextual(pages: int) -> tuple[list[Floats], list[Floats]]:
    """Pages of words in context, each word's vector bent by its page and by chance, and queries made of such words."""
    rng = np.random.default_rng(16)
    words = rng.normal(size=(500, 64))
    made = []
    for _ in range(pages):
        page = words[rng.integers(0, 500, 60)] + 0.5 * rng.normal(size=64) + 0.3 * rng.normal(size=(60, 64))
        made.append((page / np.linalg.norm(page, axis=1, keepdims=True)).astype(np.float32))
    asked = [made[i][rng.choice(60, 10)] + 0.08 * rng.normal(size=(10, 64)).astype(np.float32) for i in range(20)]
    return made, asked


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_half_the_space_finds_the_same(tmp_path: Path) -> None:
    pages, queries = contextual(200)
    size, found = {}, {}
    dtypes: tuple[DType, ...] = ("float32", "float16")
    for dtype in dtypes:
        (tmp_path / dtype).mkdir()
        with of(tmp_path / dtype, dim=64, dtype=dtype) as collection:
            collection.add([Entity(str(i)) for i in range(200)], vectors=pages)
            found[dtype] = [{hit.entity.id for hit in hits} for hits in collection.search(queries, k=10)]
        size[dtype] = bytes_in(tmp_path / dtype)
    exact = [
        {str(i) for i in np.argsort([-maxsim(query, page) for page in pages], kind="stable")[:10]} for query in queries
    ]

    assert found["float32"] == exact
    recall = np.mean([len(hits & best) / 10 for hits, best in zip(found["float16"], exact, strict=True)])
    assert recall >= 0.99
    assert size["float16"] < 0.55 * size["float32"]
