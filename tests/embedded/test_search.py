"""Searches with embedding lists, against ``colmilvus.maxsim``, by pymilvus's own calls."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pytest
from packaging.version import Version
from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker, WeightedRanker
from pymilvus.client.embedding_list import EmbeddingList

from tests.embedded.pages import (
    CAPACITY,
    DIM,
    FIELD,
    METRICS,
    assert_ranked,
    create,
    draw,
    expected,
    index,
    make,
    query,
    row,
    rows,
    schema,
    search,
)


def tolerance(question: np.ndarray, pages: dict[int, np.ndarray]) -> float:
    largest = max(float((vectors.astype(np.float64) ** 2).sum(axis=1).max()) for vectors in [question, *pages.values()])
    return 1e-5 * len(question) * largest


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("number", [1, 2, 30, 400])
def test_ranks_and_scores_are_those_of_maxsim(client: MilvusClient, metric: str, number: int) -> None:
    create(client, metric)
    pages = draw(number, number, most=CAPACITY if number < 100 else 12)
    client.insert("pages", rows(pages))
    for vectors in (1, 7):
        question = query(number, vectors)
        wanted = expected(question, pages, metric, limit=min(number, 20))
        assert_ranked(search(client, question, limit=20), wanted, tolerance=tolerance(question, pages))


@pytest.mark.parametrize("metric", METRICS)
def test_ranks_are_the_same_after_a_flush_and_with_a_part_unflushed(client: MilvusClient, metric: str) -> None:
    create(client, metric)
    pages, question = draw(1, 50), query(1)
    data = rows(pages)
    client.insert("pages", data[:20])
    client.flush("pages")
    client.insert("pages", data[20:35])
    client.flush("pages")
    client.insert("pages", data[35:])
    assert_ranked(search(client, question), expected(question, pages, metric), tolerance=tolerance(question, pages))


@pytest.mark.parametrize("filter", ["year == 2003", "year in [2001, 2007]", "id < 5 or id > 190", "not (year > 2000)"])
def test_a_filter_leaves_the_ranking_of_what_matches(client: MilvusClient, filter: str) -> None:
    create(client)
    pages, question = draw(2, 200, most=9), query(2)
    client.insert("pages", rows(pages))
    client.flush("pages")
    meanings: dict[str, Callable[[int], bool]] = {
        "year == 2003": lambda key: key % 10 == 3,
        "year in [2001, 2007]": lambda key: key % 10 in (1, 7),
        "id < 5 or id > 190": lambda key: key < 5 or key > 190,
        "not (year > 2000)": lambda key: key % 10 == 0,
    }
    meaning = meanings[filter]
    left = {key: patches for key, patches in pages.items() if meaning(key)}
    hits = search(client, question, filter=filter, limit=8)
    assert_ranked(hits, expected(question, left, "MAX_SIM_COSINE", 8), tolerance=1e-5)


def test_a_filter_that_matches_nothing_finds_nothing(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(3, 5)))
    assert search(client, query(3), filter="year == 1900") == []


def test_an_empty_collection_finds_nothing(client: MilvusClient) -> None:
    create(client)
    assert search(client, query(3)) == []


def test_several_queries_of_different_lengths_are_answered_in_order(client: MilvusClient) -> None:
    create(client, "MAX_SIM_IP")
    pages = draw(4, 60)
    client.insert("pages", rows(pages))
    questions = [query(i, vectors) for i, vectors in enumerate((1, 3, 1500, 8))]
    found = client.search("pages", data=[EmbeddingList(q) for q in questions], anns_field=FIELD, limit=5)
    assert len(found) == 4
    for question, hits in zip(questions, found, strict=True):
        wanted = expected(question, pages, "MAX_SIM_IP", 5)
        assert_ranked(hits, wanted, tolerance=tolerance(question, pages))


def test_offset_skips_the_best(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(5, 30), query(5)
    client.insert("pages", rows(pages))
    hits = search(client, question, limit=4, search_params={"offset": 3})
    assert_ranked(hits, expected(question, pages, "MAX_SIM_COSINE", 7)[3:], tolerance=1e-5)
    assert search(client, question, limit=4, search_params={"offset": 30}) == []


@pytest.mark.skipif(version("pymilvus") < "3", reason="pymilvus 2.6 does not know what such bytes are")
def test_raw_bytes_are_an_embedding_list_where_the_client_types_them(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(6, 10), query(6)
    client.insert("pages", rows(pages))
    options = {"anns_field": FIELD, "limit": 3, "is_embedding_list": True}
    hits = client.search("pages", data=[question.tobytes()], **options)[0]
    assert [hit["id"] for hit in hits] == [key for key, _ in expected(question, pages, "MAX_SIM_COSINE", 3)]


def test_the_only_vector_field_need_not_be_named(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(7, 10), query(7)
    client.insert("pages", rows(pages))
    hits = client.search("pages", data=[EmbeddingList(question)], limit=3)[0]
    assert [hit["id"] for hit in hits] == [key for key, _ in expected(question, pages, "MAX_SIM_COSINE", 3)]


def test_zero_vectors_have_cosine_zero(client: MilvusClient) -> None:
    create(client)
    zero, one = np.zeros((1, DIM)), np.full((1, DIM), -1.0)
    client.insert("pages", [row(0, zero), row(1, one), row(2, np.concatenate([zero, one]))])
    hits = {hit["id"]: hit["distance"] for hit in search(client, np.ones((2, DIM), np.float32))}
    assert hits == {0: 0, 1: pytest.approx(-2), 2: 0}


def test_very_long_and_very_short_vectors_keep_their_cosine(client: MilvusClient) -> None:
    create(client)
    pages = draw(8, 6)
    scaled = {key: patches * np.float32(10.0 ** (8 * key - 20)) for key, patches in pages.items()}
    client.insert("pages", rows(scaled))
    question = query(8)
    assert_ranked(search(client, question), expected(question, pages, "MAX_SIM_COSINE"), tolerance=1e-5)


def test_an_entity_without_patches_is_stored_but_never_found(client: MilvusClient) -> None:
    create(client, scalars=True)
    client.insert("pages", [row(0, np.zeros((0, DIM)), scalars=True), row(1, np.ones((2, DIM)), scalars=True)])
    assert [hit["id"] for hit in search(client, query(9))] == [1]
    assert client.get("pages", ids=[0], output_fields=["patches"])[0]["patches"] == []


def test_an_upserted_page_is_found_by_its_new_patches_only(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(10, 20), query(10)
    client.insert("pages", rows(pages))
    client.flush("pages")
    pages |= draw(11, 8)
    client.upsert("pages", rows({key: pages[key] for key in range(8)}))
    assert_ranked(search(client, question, limit=20), expected(question, pages, "MAX_SIM_COSINE", 20), tolerance=1e-5)


def test_deleted_pages_are_not_found(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(12, 20), query(12)
    client.insert("pages", rows(pages))
    client.delete("pages", ids=[0, 5])
    client.flush("pages")
    client.delete("pages", filter="year == 2003")
    left = {key: patches for key, patches in pages.items() if key not in (0, 5, 3, 13)}
    assert_ranked(search(client, question, limit=20), expected(question, left, "MAX_SIM_COSINE", 20), tolerance=1e-5)


def test_hits_carry_only_the_fields_asked_for(client: MilvusClient) -> None:
    create(client, scalars=True)
    pages, question = draw(13, 5), query(13)
    client.insert("pages", rows(pages, scalars=True))

    def entity(*names: str) -> dict[str, object]:
        hit = search(client, question, output_fields=list(names))[0]
        assert hit["id"] == best
        return dict(hit["entity"])

    best = expected(question, pages, "MAX_SIM_COSINE")[0][0]
    embs = [patch.tolist() for patch in pages[best]]
    labels = [f"{best}-{i}" for i in range(len(embs))]
    whole = [{"emb": emb, "label": label, "number": i} for i, (emb, label) in enumerate(zip(embs, labels, strict=True))]
    assert entity() == {}
    assert entity("year") == {"year": 2000 + best}
    assert entity(FIELD) == {"patches": [{"emb": emb} for emb in embs]}
    assert entity("patches[label]", "year") == {"patches": [{"label": label} for label in labels], "year": 2000 + best}
    assert entity("patches") == {"patches": whole}
    assert entity("*") == {"id": best, "year": 2000 + best, "patches": whole}


def test_hybrid_search_fuses_patches_words_and_a_dense_vector_by_rank(client: MilvusClient) -> None:
    made = schema(client, text=True)
    made.add_field("summary", DataType.FLOAT_VECTOR, dim=4)
    params = index(client, text=True)
    params.add_index("summary", index_type="HNSW", metric_type="COSINE")
    make(client, "pages", made, params)
    pages, question = draw(14, 12), query(14)
    texts = ["apple pie" if key % 2 else "plum cake" for key in pages]
    summaries = np.random.default_rng(14).normal(size=(12, 4)).astype(np.float32)
    client.insert("pages", [row(key, pages[key], text=texts[key], summary=summaries[key]) for key in pages])
    requests = [
        AnnSearchRequest([EmbeddingList(question)], FIELD, {"metric_type": "MAX_SIM_COSINE"}, limit=12),
        AnnSearchRequest(["plum"], "words", {"metric_type": "BM25"}, limit=12),
        AnnSearchRequest([summaries[3].tolist()], "summary", {"metric_type": "COSINE"}, limit=12),
    ]
    alone = [
        client.search("pages", r.data, anns_field=r.anns_field, limit=12, search_params=r.param)[0] for r in requests
    ]
    wanted: dict[int, float] = {}
    for hits in alone:
        for rank, hit in enumerate(hits, 1):
            wanted[hit["id"]] = wanted.get(hit["id"], 0) + 1 / (60 + rank)
    found = client.hybrid_search("pages", requests, RRFRanker(60), limit=12, output_fields=["year", FIELD])[0]
    assert {hit["id"]: hit["distance"] for hit in found} == pytest.approx(wanted, rel=1e-5)
    assert [hit["distance"] for hit in found] == sorted((hit["distance"] for hit in found), reverse=True)
    first = found[0]
    assert np.array_equal(np.array([p["emb"] for p in first["entity"]["patches"]], np.float32), pages[first["id"]])


@pytest.mark.parametrize(
    ("metric", "descending"), [("MAX_SIM_COSINE", True), ("MAX_SIM_IP", True), ("MAX_SIM_L2", False)]
)
def test_hybrid_search_by_weights_normalises_scores_as_milvus_3_does(
    client: MilvusClient, metric: str, descending: bool
) -> None:
    create(client, metric, text=True)
    pages, question = draw(15, 6), query(15)
    client.insert("pages", [row(key, patches, text=f"plum {'plum ' * key}") for key, patches in pages.items()])
    requests = [
        AnnSearchRequest([EmbeddingList(question)], FIELD, {}, limit=6),
        AnnSearchRequest(["plum"], "words", {}, limit=6),
    ]
    found = client.hybrid_search("pages", requests, WeightedRanker(0.75, 0.25, norm_score=True), limit=6)[0]
    scores = dict(expected(question, pages, metric, 6))
    words = {hit["id"]: hit["distance"] for hit in client.search("pages", ["plum"], anns_field="words", limit=6)[0]}
    wanted = {}
    for key, score in scores.items():
        squeezed = np.arctan(score) * 2 / np.pi
        first = 0.5 + np.arctan(score) / np.pi if descending else 1 - squeezed
        wanted[key] = 0.75 * first + 0.25 * 2 * np.arctan(words[key]) / np.pi
    assert {hit["id"]: hit["distance"] for hit in found} == pytest.approx(wanted, rel=1e-4)


def test_hybrid_search_of_embedding_lists_alone_takes_filter_and_offset(client: MilvusClient) -> None:
    create(client)
    pages, question = draw(16, 30), query(16)
    client.insert("pages", rows(pages))
    part = AnnSearchRequest([EmbeddingList(question)], FIELD, {}, limit=30, expr="year != 2003")
    found = client.hybrid_search("pages", [part, part], RRFRanker(), limit=3, offset=2)[0]
    left = {key: patches for key, patches in pages.items() if key % 10 != 3}
    wanted = [key for key, _ in expected(question, left, "MAX_SIM_COSINE", 5)[2:]]
    assert [hit["id"] for hit in found] == wanted


def test_two_structs_are_searched_each_by_its_own_metric(client: MilvusClient) -> None:
    made = schema(client)
    notes = client.create_struct_field_schema()
    notes.add_field("emb", DataType.FLOAT_VECTOR, dim=3)
    notes.add_field("other", DataType.FLOAT_VECTOR, dim=5)
    made.add_field("notes", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=notes, max_capacity=9)
    params = index(client)
    params.add_index("notes[emb]", index_type="IVF_FLAT", metric_type="MAX_SIM_L2", params={"nlist": 4})
    params.add_index("notes[other]", index_type="AUTOINDEX", metric_type="MAX_SIM_IP")
    make(client, "pages", made, params)
    pages = draw(17, 20)
    three, five = draw(18, 20, most=9, dim=3), draw(19, 20, most=9, dim=5)
    five = {key: np.resize(five[key], (len(three[key]), 5)) for key in five}
    data = rows(pages)
    for each in data:
        pairs = zip(three[each["id"]], five[each["id"]], strict=True)
        each["notes"] = [{"emb": emb, "other": other} for emb, other in pairs]
    client.insert("pages", data)
    for field, vectors, dim, metric in (
        (FIELD, pages, DIM, "MAX_SIM_COSINE"),
        ("notes[emb]", three, 3, "MAX_SIM_L2"),
        ("notes[other]", five, 5, "MAX_SIM_IP"),
    ):
        question = query(17, 4, dim)
        wanted = expected(question, vectors, metric)
        assert_ranked(search(client, question, anns_field=field), wanted, tolerance=tolerance(question, vectors))
    hit = search(client, query(17, 1, 3), anns_field="notes[emb]", output_fields=["notes[other]"])[0]
    assert np.array_equal([each["other"] for each in hit["entity"]["notes"]], five[hit["id"]])


@pytest.mark.skipif(
    Version(version("pymilvus")) < Version("2.6.16"), reason="pymilvus sends no such structs before 2.6.16"
)
def test_float16_patches_are_searched_by_float16_queries(client: MilvusClient) -> None:
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT16_VECTOR, dim=DIM)
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=CAPACITY)
    make(client, "pages", made, index(client))
    pages = {key: patches.astype(np.float16) for key, patches in draw(20, 20).items()}
    client.insert("pages", [{"id": key, "patches": [{"emb": v} for v in patches]} for key, patches in pages.items()])
    question = query(20).astype(np.float16)
    lists = EmbeddingList(question, dtype=DataType.FLOAT16_VECTOR)
    hits = client.search("pages", [lists], anns_field=FIELD, limit=5, output_fields=[FIELD])[0]
    wide = {key: patches.astype(np.float32) for key, patches in pages.items()}
    assert_ranked(hits, expected(question.astype(np.float32), wide, "MAX_SIM_COSINE", 5), tolerance=1e-4)
