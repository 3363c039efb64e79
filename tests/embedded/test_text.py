"""Text search by BM25 on the engine: signs, parameters, analyzers, and the same scores wherever the rows lie."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker, WeightedRanker

from colmilvus.embedded import connect
from colmilvus.embedded.lite import text as text_module
from tests.embedded import pages
from tests.embedded.pages import make

QUERIES = ["plum", "fig pear pear", "common plum kiwi", "quince lemon", "nowhere"]
Texts: TypeAlias = dict[int, str]


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


def bm25(
    frequency: int, length: int, mean: float, documents: int, with_word: int, k1: float = 1.2, b: float = 0.75
) -> float:
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


def test_an_index_without_parameters_has_the_documented_ones(client: MilvusClient) -> None:
    notes(client)
    add(client, "plum", "plum plum pear fig fig", "pear")
    assert dict(found(client, "plum")) == pytest.approx({0: bm25(1, 1, 7 / 3, 3, 2), 1: bm25(2, 5, 7 / 3, 3, 2)})


def test_words_are_stemmed_by_the_english_analyzer(client: MilvusClient) -> None:
    notes(client, {"type": "english"})
    add(client, "The dogs were running", "a cat sleeps")
    assert [key for key, _ in found(client, "dog runs")] == [0]
    assert [key for key, _ in found(client, "sleeping cats")] == [1]
    assert found(client, "the") == []


def test_the_analyzer_is_the_same_after_reopening(client: MilvusClient, path: Any) -> None:
    notes(client, {"tokenizer": "standard", "filter": ["lowercase", {"type": "stop", "stop_words": ["plum"]}]})
    add(client, "plum pear", "plum")
    client.close()
    again = connect(path)
    assert [key for key, _ in found(again, "pear plum")] == [0]
    again.insert("notes", [{"id": 9, "text": "Plum PEAR"}])
    assert sorted(key for key, _ in found(again, "pear plum")) == [0, 9]
    again.close()


def scored(texts: Texts, query: str) -> dict[int, float]:
    """BM25 of every text that shares a word with the query, by the statistics of all texts."""
    words = {key: Counter(text.split()) for key, text in texts.items()}
    mean = sum(counts.total() for counts in words.values()) / len(words)
    found: dict[int, float] = {}
    for word in query.split():
        holding = [key for key, counts in words.items() if word in counts]
        for key in holding:
            score = bm25(words[key][word], words[key].total(), mean, len(words), len(holding))
            found[key] = found.get(key, 0) + score
    return found


def draw_text(rng: random.Random) -> str:
    """Some short texts, some long, of words that are common, and words that are rare; a few are empty."""
    vocabulary = ["common"] * 30 + ["fig"] * 10 + ["pear"] * 5 + ["plum"] * 2 + ["kiwi", "quince", "lemon"]
    return " ".join(rng.choices(vocabulary, k=rng.choice([0, 1, 3, 8, 20])))


def assert_scores(client: MilvusClient, texts: Texts, **options: Any) -> None:
    kept = options.pop("kept", lambda _: True)
    wanted = [{key: score for key, score in scored(texts, query).items() if kept(key)} for query in QUERIES]
    for hits, expected in zip(search(client, **options), wanted, strict=True):
        assert {hit["id"]: hit["distance"] for hit in hits} == pytest.approx(expected, rel=1e-5)
        assert len(hits) == len(expected)
        distances = [hit["distance"] for hit in hits]
        assert distances == sorted(distances, reverse=True)
        assert all(distance > 0 for distance in distances)


def search(client: MilvusClient, **options: Any) -> list[list[dict[str, Any]]]:
    options = {"anns_field": "words", "limit": 1000, **options}
    return list(client.search("notes", QUERIES, **options))


def put(client: MilvusClient, texts: Texts, changed: Texts, **options: Any) -> None:
    client.upsert("notes", [{"id": key, "text": text} for key, text in changed.items()], **options)
    texts.update(changed)


@pytest.mark.parametrize("seed", range(3))
def test_scores_count_all_live_rows_through_writes_flushes_and_reopening(
    client: MilvusClient, path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    notes(client)
    texts: Texts = {}
    steps = ["put", "put", "flush", "delete", "put one", "flush", "put one", "delete", "reopen", "delete", "put"]
    for step in steps + rng.choices(["put", "put one", "flush", "delete", "reopen"], k=8):
        if step.startswith("put"):
            put(client, texts, {rng.randrange(150): draw_text(rng) for _ in range(1 if step == "put one" else 60)})
        elif step == "delete":
            gone = rng.sample(sorted(texts), 15)
            client.delete("notes", ids=gone)
            texts = {key: text for key, text in texts.items() if key not in gone}
        elif step == "flush":
            client.flush("notes")
        else:
            client.close()
            client = connect(path)
        assert_scores(client, texts)
        assert_scores(client, texts, filter="id < 70", kept=lambda key: key < 70)
    client.close()


def test_scores_do_not_depend_on_whether_rows_are_flushed(client: MilvusClient) -> None:
    notes(client)
    client.insert("notes", [{"id": i, "text": "common words everywhere"} for i in range(400)])
    client.insert("notes", [{"id": 400, "text": "common zebra words"}])
    client.flush("notes")
    client.insert("notes", [{"id": 401, "text": "common zebra words"}])
    mixed = found(client, "zebra")
    assert [key for key, _ in mixed] == [400, 401]
    assert mixed[0][1] == mixed[1][1] == pytest.approx(bm25(1, 3, 3, 402, 2))
    client.flush("notes")
    assert found(client, "zebra") == mixed


def test_rows_of_other_partitions_count_for_the_scores(client: MilvusClient) -> None:
    rng = random.Random(5)
    texts: Texts = {}
    notes(client)
    for name in ("even", "odd"):
        client.create_partition("notes", name)
    parts: dict[str, Callable[[int], bool]] = {"even": lambda key: key % 2 == 0, "odd": lambda key: key % 2 == 1}
    for keys in (range(60), range(40, 90)):
        for name, inside in parts.items():
            put(client, texts, {key: draw_text(rng) for key in keys if inside(key)}, partition_name=name)
            assert_scores(client, texts, partition_names=[name], kept=inside)
        client.flush("notes")
    for name, inside in parts.items():
        assert_scores(client, texts, partition_names=[name], kept=inside)


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_a_row_that_moved_to_another_partition_is_found_there_alone(client: MilvusClient, flushes: int) -> None:
    pages.create(client, text=True)
    for name in ("old", "new"):
        client.create_partition("pages", name)
    drawn = pages.draw(1, 2)
    client.insert("pages", pages.rows(drawn, text="plum"), partition_name="old")
    if flushes:
        client.flush("pages")
    client.upsert("pages", [pages.row(0, drawn[0], text="plum")], partition_name="new")
    if flushes == 2:
        client.flush("pages")
    for name, key in (("old", 1), ("new", 0)):
        assert [hit["id"] for hit in pages.search(client, drawn[0], partition_names=[name])] == [key]
        hits = client.search("pages", ["plum"], anns_field="words", partition_names=[name])[0]
        assert [hit["id"] for hit in hits] == [key]


def test_windows_of_equal_scores_do_not_overlap(client: MilvusClient) -> None:
    pages.create(client, "MAX_SIM_IP", text=True)
    kinds = np.random.default_rng(0).integers(0, 4, 500).tolist()
    same = np.ones((1, pages.DIM), np.float32)
    rows = [pages.row(key, same * kind, text="plum" + " fig" * kind) for key, kind in enumerate(kinds)]
    client.insert("pages", rows[:300])
    client.flush("pages")
    client.insert("pages", rows[300:])
    by_page = [hit["id"] for i in range(0, 500, 10) for hit in pages.search(client, same, offset=i)]
    assert by_page == sorted(range(500), key=lambda key: -kinds[key])
    options = {"anns_field": "words", "limit": 10}
    by_text = [hit["id"] for i in range(0, 500, 10) for hit in client.search("pages", ["plum"], offset=i, **options)[0]]
    assert by_text == sorted(range(500), key=lambda key: kinds[key])


def test_a_search_reads_each_text_once(client: MilvusClient, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = text_module.Postings.read.__func__  # type: ignore[attr-defined]  # a class method has one

    def counting(cls: Any, values: Any) -> Any:
        read.append(len(values))
        return original(cls, values)

    monkeypatch.setattr(text_module.Postings, "read", classmethod(counting))
    notes(client)
    client.insert("notes", [{"id": i, "text": f"plum w{i}"} for i in range(1000)])
    for i in range(1000, 1005):
        client.insert("notes", [{"id": i, "text": f"plum w{i}"}])
        assert [key for key, _ in found(client, f"w{i} w7")] == [7, i]
    assert read == [1001, 1, 1, 1, 1]
    assert not list((path / "lite").rglob("*.parquet"))
    client.flush("notes")
    assert len(found(client, "plum")) == len(found(client, "w3 w4 w5 w6 w7 w8 w9 w10 w11 w12")) == 10
    assert read == [1001, 1, 1, 1, 1, 1005]


def test_a_search_of_unflushed_texts_takes_no_longer_than_of_flushed_ones(client: MilvusClient) -> None:
    rng = random.Random(0)
    words = [f"w{i}" for i in range(500)]
    notes(client)
    add(client, *(" ".join(rng.choices(words, k=40)) for _ in range(4000)))

    def seconds() -> float:
        """The least that a search takes right after a write."""
        taken = []
        for key in range(5):
            client.upsert("notes", [{"id": 5000 + key, "text": "plum"}])
            start = time.perf_counter()
            found(client, "w1 w2 w3")
            taken.append(time.perf_counter() - start)
        return min(taken[1:])

    unflushed = seconds()
    client.flush("notes")
    found(client, "w1")
    assert unflushed < 3 * seconds() + 0.05


def test_hybrid_search_weighs_the_scores_of_all_rows(client: MilvusClient) -> None:
    notes(client)
    texts: Texts = {}
    put(client, texts, {i: "common fig" if i else "plum" for i in range(50)})
    client.flush("notes")
    put(client, texts, {50: "plum plum fig"})
    part = AnnSearchRequest(["plum"], "words", {}, limit=5)
    hits = client.hybrid_search("notes", [part], WeightedRanker(1.0, norm_score=False), limit=5)[0]
    assert {hit["id"]: hit["distance"] for hit in hits} == pytest.approx(scored(texts, "plum"), rel=1e-5)


def test_hybrid_search_of_texts_counts_ranks(client: MilvusClient) -> None:
    notes(client)
    add(client, "plum", "plum plum plum")
    part = AnnSearchRequest(["plum"], "words", {}, limit=2)
    hits = client.hybrid_search("notes", [part], RRFRanker(60), limit=2)[0]
    assert [(hit["id"], hit["distance"]) for hit in hits] == [
        (1, pytest.approx(1 / 61)),
        (0, pytest.approx(1 / 62)),
    ]


def test_an_iterator_and_groups_keep_the_order_of_scores(client: MilvusClient) -> None:
    notes(client)
    add(client, *(" ".join(["plum"] * (1 + i % 7) + ["fig"] * (i % 3)) for i in range(60)))
    scores = scored({i: " ".join(["plum"] * (1 + i % 7) + ["fig"] * (i % 3)) for i in range(60)}, "plum")
    iterator = client.search_iterator("notes", ["plum"], batch_size=9, limit=40, anns_field="words")
    hits: list[Any] = []
    while batch := iterator.next():
        hits.extend(batch)
    iterator.close()
    distances = [hit["distance"] for hit in hits]
    assert len({hit["id"] for hit in hits}) == 40
    assert distances == pytest.approx(sorted(scores.values(), reverse=True)[:40], rel=1e-5)
    grouped = client.search("notes", ["plum"], anns_field="words", limit=5, group_by_field="text")[0]
    best = sorted(set(np.round(list(scores.values()), 4)), reverse=True)[:5]
    assert [round(hit["distance"], 4) for hit in grouped] == pytest.approx(best, abs=2e-4)


def test_the_parameters_of_indexes_are_described_as_they_were_given(client: MilvusClient, path: Path) -> None:
    given = {"bm25_k1": "1.5", "bm25_b": "0.5", "inverted_index_algo": "DAAT_WAND"}
    notes(client, None, **given)
    client.close()
    again = connect(path)
    described = again.describe_index("notes", "words")
    assert given.items() <= described.items()
    assert found(again, "plum") == []  # and it is loaded
    again.close()
