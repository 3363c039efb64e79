from __future__ import annotations

import pytest

from colmilvus import Entity, MultiVector, Segment
from colmilvus.ranking import at_most_per_document, fuse, segment_similarities, similarity_of


def test_cosine_similarity_is_the_score_by_query_vector() -> None:
    assert similarity_of(1.5, MultiVector([[1, 0], [0, 1]]), "COSINE") == 0.75


def test_inner_product_similarity_is_the_score_by_the_norms_of_the_query() -> None:
    assert similarity_of(10.0, MultiVector([[3, 4], [0, 5]]), "IP") == 1.0


def test_a_distance_has_no_similarity() -> None:
    assert similarity_of(1.0, MultiVector([[1, 0]]), "L2") is None


def test_min_max_takes_the_mean_of_the_scaled_scores_and_zero_where_one_is_missing() -> None:
    fused = fuse([{"a": 4.0, "b": 3.0, "c": 2.0}, {"b": 10.0, "d": 0.0}], "min_max")

    assert fused == {"b": 0.75, "a": 0.5, "c": 0.0, "d": 0.0}
    assert list(fused)[:2] == ["b", "a"]


def test_min_max_of_one_hit_is_the_best_that_there_is() -> None:
    assert fuse([{"a": -3.0}, {}], "min_max") == {"a": 0.5}


def test_min_max_makes_nothing_of_float_noise() -> None:
    assert fuse([{"a": 1.0000001, "b": 1.0, "c": 1.0}], "min_max") == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_reciprocal_ranks_add_up() -> None:
    fused = fuse([{"a": 9.0, "b": 1.0}, {"b": 0.2, "a": 0.1}], "rrf")

    assert fused == {"a": pytest.approx(1 / 61 + 1 / 62), "b": pytest.approx(1 / 61 + 1 / 62)}


def test_a_document_gives_no_more_hits_than_asked() -> None:
    found = [Entity(name, document=document) for name, document in ("aX", "bX", "cY", "dX", "eY")]

    assert [entity.id for entity in at_most_per_document(found, 1)] == ["a", "c"]
    assert [entity.id for entity in at_most_per_document(found, 2)] == ["a", "b", "c", "e"]


def test_entities_of_no_document_all_stay() -> None:
    found = [Entity(name) for name in "ab"]

    assert at_most_per_document(found, 1) == found


def test_segments_come_best_first_with_their_own_similarity() -> None:
    vectors = MultiVector([[1, 0], [0, 1], [0, 1]], [0, 1, 1])

    scored = segment_similarities(MultiVector([[0, 1], [0, 1]]), vectors, (Segment("x"), Segment("y")), "COSINE")

    assert [(segment.id, similarity) for segment, similarity in scored] == [("y", 1.0), ("x", 0.0)]


def test_lists_count_as_much_as_their_weights_say() -> None:
    rankings = [{"a": 4.0, "b": 3.0, "c": 2.0}, {"b": 10.0, "d": 0.0}]

    assert fuse(rankings, "min_max", (0.75, 0.25)) == {"a": 0.75, "b": 0.625, "c": 0.0, "d": 0.0}
    assert fuse(rankings, "rrf", (1.0, 0.0)) == {"a": 2 / 61, "b": 2 / 62, "c": 2 / 63, "d": 0.0}
