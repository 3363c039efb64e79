from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from colmilvus import MultiVector, maxsim
from colmilvus.entity import Metric
from colmilvus.errors import InvalidVectors

METRICS: list[Metric] = ["COSINE", "IP", "L2"]


def by_hand(query: NDArray[np.float64], document: NDArray[np.float64], metric: Metric) -> float:
    total = 0.0
    for q in query:
        if metric == "L2":
            total += min(float(((q - d) ** 2).sum()) for d in document)
        elif metric == "IP":
            total += max(float(q @ d) for d in document)
        else:
            total += max(float(q @ d / (np.linalg.norm(q) * np.linalg.norm(d))) for d in document)
    return total


@pytest.mark.parametrize("metric", METRICS)
def test_equals_the_sum_of_best_matches_taken_one_by_one(metric: Metric) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        query = random.normal(size=(random.integers(1, 9), 5))
        document = random.normal(size=(random.integers(1, 40), 5))

        assert maxsim(query, document, metric) == pytest.approx(by_hand(query, document, metric), rel=1e-5, abs=1e-5)


def test_counts_one_for_each_query_vector_that_the_document_has() -> None:
    assert maxsim(np.eye(4)[[0, 1, 2]], np.eye(4)[[2, 0, 0, 3]], "IP") == 2


def test_a_negative_best_match_stays_negative() -> None:
    assert maxsim([[1.0, 0.0]], [[-1.0, 0.0]]) == -1


def test_a_zero_vector_has_cosine_zero_with_everything() -> None:
    assert maxsim([[0, 0], [1, 0]], [[2, 0], [0, 0]]) == 1


def test_refuses_dimensions_that_differ_and_names_both() -> None:
    with pytest.raises(InvalidVectors, match=r"2 dimensions.*3"):
        maxsim([[1, 0]], [[1, 0, 0]])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1.0, 2.0], r"\(2,\)"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros((3, 0)), r"\(3, 0\)"),
        ([[1.0, float("nan")]], "vector 0 of 1"),
        ([[1.0, 1.0], [float("inf"), 1.0]], "vector 1 of 2"),
        ([[1e60, 1.0]], "vector 0 of 1"),
        ("text", "matrix of numbers"),
        ([[1.0], [1.0, 2.0]], "matrix of numbers"),
    ],
)
def test_a_multi_vector_is_a_finite_matrix(value: object, told: str) -> None:
    with pytest.raises(InvalidVectors, match=told):
        MultiVector(value)  # type: ignore[arg-type]  # wrong values on purpose


def test_a_multi_vector_takes_any_dtype_as_float32() -> None:
    for dtype in ("float16", "float32", "float64", "int64"):
        assert MultiVector(np.ones((2, 3), dtype)).vectors.dtype == np.float32


def test_a_multi_vector_takes_what_detaches_from_a_device_like_a_tensor() -> None:
    class OnDevice:
        def detach(self) -> OnDevice:
            return self

        def float(self) -> OnDevice:
            return self

        def cpu(self) -> OnDevice:
            return self

        def numpy(self) -> NDArray[np.float32]:
            return np.ones((2, 3), np.float32)

    assert len(MultiVector(OnDevice())) == 2  # type: ignore[arg-type]  # what a tensor does, without torch


def test_each_row_may_name_its_segment() -> None:
    assert MultiVector([[1, 0], [0, 1]], [0, 3]).segments is not None
    for wrong in ([0], [[0, 1]], [-1, 0]):
        with pytest.raises(InvalidVectors, match="for each of 2 vectors"):
            MultiVector([[1, 0], [0, 1]], wrong)
