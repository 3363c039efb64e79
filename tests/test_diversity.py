"""Searches for hits that do not repeat each other, against maximal marginal relevance written out in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colmilvus import Collection, Entity, MultiVector, maxsim
from colmilvus.entity import Metric
from colmilvus.errors import InvalidQuery
from tests.words import WordEmbedder


def mean(vectors: MultiVector) -> list[float]:
    rows = [row / np.linalg.norm(row) for row in vectors.vectors.astype(float)]
    return list(np.sum(rows, axis=0))


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(left, right, strict=True))
    return float(product / (sum(a * a for a in left) * sum(b * b for b in right)) ** 0.5)


def expected(query: MultiVector, stored: dict[str, MultiVector], k: int, candidates: int, weight: float) -> list[str]:
    similarity = {name: maxsim(query, vectors) / len(query) for name, vectors in stored.items()}
    left = sorted(stored, key=lambda name: similarity[name], reverse=True)[:candidates]
    chosen = [left.pop(0)]
    while left and len(chosen) < k:
        gain = {
            name: weight * similarity[name]
            - (1 - weight) * max(cosine(mean(stored[name]), mean(stored[other])) for other in chosen)
            for name in left
        }
        chosen.append(max(left, key=lambda name: gain[name]))
        left.remove(chosen[-1])
    return chosen


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_what_is_chosen_is_what_the_definition_chooses(database: Path, weight: float) -> None:
    random = np.random.default_rng(3)
    stored = {str(number): MultiVector(random.normal(size=(random.integers(1, 6), 4))) for number in range(40)}
    with Collection("mixed", dim=4, uri=database) as mixed:
        mixed.add([Entity(name) for name in stored], vectors=stored.values())
        for _ in range(3):
            query = MultiVector(random.normal(size=(3, 4)))

            found = mixed.search_diverse(query, 5, candidates=12, relevance=weight)

            assert [hit.entity.id for hit in found] == expected(query, stored, 5, 12, weight)
            assert found[0].score == pytest.approx(maxsim(query, stored[found[0].entity.id]), abs=1e-4)


def test_a_copy_gives_way_to_something_else(notes: Collection) -> None:
    notes.add([Entity("a", "red sea"), Entity("b", "red sea"), Entity("c", "red sea sky"), Entity("d", "green tree")])

    assert {hit.entity.id for hit in notes.search("red sea", 2)} == {"a", "b"}
    assert [hit.entity.text for hit in notes.search_diverse("red sea", 2)] == ["red sea", "red sea sky"]
    assert [hit.entity.text for hit in notes.search_diverse("red sea", 2, relevance=1)] == ["red sea", "red sea"]


def test_filters_hold_and_an_empty_collection_has_nothing(notes: Collection) -> None:
    assert notes.search_diverse("red") == []
    notes.add([Entity("a", "red", metadata={"n": 1}), Entity("b", "red", document="x", metadata={"n": 2})])

    assert [hit.entity.id for hit in notes.search_diverse("red", filter={"n": 2})] == ["b"]
    assert len(notes.search_diverse("red", k=1, candidates=1)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"k": 0}, "k is a number from 1"),
        ({"candidates": 0}, "candidates is a number from 1"),
        ({"relevance": 1.5}, "relevance is a number from 0"),
        ({"relevance": True}, "relevance is a number from 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(notes: Collection, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidQuery, match=said):
        notes.search_diverse("red", **arguments)


@pytest.mark.parametrize(("metric", "is_refused"), [("IP", False), ("L2", True)])
def test_a_metric_without_similarity_is_refused(database: Path, metric: Metric, is_refused: bool) -> None:
    with Collection("other", WordEmbedder(metric), uri=database) as other:
        other.add([Entity("a", "red")])
        if is_refused:
            with pytest.raises(InvalidQuery, match="L2 has no similarity"):
                other.search_diverse("red")
        else:
            assert len(other.search_diverse("red")) == 1
