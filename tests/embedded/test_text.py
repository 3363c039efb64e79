"""Text search by BM25 on the engine: signs, parameters, analyzers, and texts that are not flushed yet."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker

from colmilvus.embedded.lite.collection import UNFLUSHED_TEXTS
from tests.embedded.pages import make


def notes(client: MilvusClient, analyzer: dict[str, Any] | None = None, **params: Any) -> None:
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    options = {"analyzer_params": analyzer} if analyzer else {}
    made.add_field("text", DataType.VARCHAR, max_length=1000, enable_analyzer=True, **options)
    made.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    made.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    indexes = client.prepare_index_params()
    indexes.add_index("words", "SPARSE_INVERTED_INDEX", metric_type="BM25", params=params)
    make(client, "notes", made, indexes)


def add(client: MilvusClient, *texts: str) -> None:
    client.insert("notes", [{"id": i, "text": text} for i, text in enumerate(texts)])


def found(client: MilvusClient, text: str, **options: Any) -> list[tuple[int, float]]:
    hits = client.search("notes", [text], anns_field="words", limit=10, **options)[0]
    return [(hit["id"], hit["distance"]) for hit in hits]


def bm25(frequency: int, length: int, mean: float, documents: int, with_word: int, k1: float, b: float) -> float:
    inverse = math.log(1 + (documents - with_word + 0.5) / (with_word + 0.5))
    return inverse * frequency * (k1 + 1) / (frequency + k1 * (1 - b + b * length / mean))


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (1.2, 0.0), (2.0, 0.5)])
@pytest.mark.parametrize("flushed", [False, True])
def test_scores_are_positive_and_follow_the_parameters_of_the_index(
    client: MilvusClient, k1: float, b: float, flushed: bool
) -> None:
    notes(client, bm25_k1=k1, bm25_b=b)
    add(client, "plum", "plum plum pear fig fig", "pear")
    if flushed:
        client.flush("notes")
    scores = dict(found(client, "plum"))
    assert scores == pytest.approx({0: bm25(1, 1, 7 / 3, 3, 2, k1, b), 1: bm25(2, 5, 7 / 3, 3, 2, k1, b)}, rel=1e-4)
    assert all(score > 0 for score in scores.values())


def test_the_best_text_comes_first_and_bounds_mean_scores(client: MilvusClient) -> None:
    notes(client)
    add(client, "plum", "plum plum plum", "pear", "plum plum")
    hits = found(client, "plum")
    assert [key for key, _ in hits] == [1, 3, 0]
    (_, best), (_, middle), (_, least) = hits
    assert found(client, "plum", search_params={"params": {"radius": middle - 1e-6}}) == hits[:2]
    bounds = {"radius": least - 1e-6, "range_filter": (best + middle) / 2}
    assert found(client, "plum", search_params={"params": bounds}) == hits[1:]


def test_words_are_stemmed_by_the_english_analyzer(client: MilvusClient) -> None:
    notes(client, {"type": "english"})
    add(client, "The dogs were running", "a cat sleeps")
    assert [key for key, _ in found(client, "dog runs")] == [0]
    assert [key for key, _ in found(client, "sleeping cats")] == [1]
    assert found(client, "the") == []


def test_the_analyzer_is_the_same_after_reopening(client: MilvusClient, path: Any) -> None:
    from colmilvus.embedded import connect

    notes(client, {"tokenizer": "standard", "filter": ["lowercase", {"type": "stop", "stop_words": ["plum"]}]})
    add(client, "plum pear", "plum")
    client.close()
    again = connect(path)
    assert [key for key, _ in found(again, "pear plum")] == [0]
    again.insert("notes", [{"id": 9, "text": "Plum PEAR"}])
    assert sorted(key for key, _ in found(again, "pear plum")) == [0, 9]
    again.close()


def test_many_unflushed_texts_are_flushed_by_the_search_that_finds_them(client: MilvusClient, path: Any) -> None:
    notes(client)
    client.insert("notes", [{"id": i, "text": f"plum w{i}"} for i in range(UNFLUSHED_TEXTS + 1)])
    assert len(found(client, "w7")) == 1
    assert list((path / "lite").rglob("*.parquet"))


def test_hybrid_search_of_texts_counts_ranks(client: MilvusClient) -> None:
    notes(client)
    add(client, "plum", "plum plum plum")
    part = AnnSearchRequest(["plum"], "words", {}, limit=2)
    hits = client.hybrid_search("notes", [part], RRFRanker(60), limit=2)[0]
    assert [(hit["id"], hit["distance"]) for hit in hits] == [
        (1, pytest.approx(1 / 61)),
        (0, pytest.approx(1 / 62)),
    ]
