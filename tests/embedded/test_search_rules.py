"""What a server does not search: each refused with its code and in its words, and nothing passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker, WeightedRanker
from pymilvus.client.embedding_list import EmbeddingList
from pymilvus.exceptions import MilvusException

from colmilvus.embedded import connect
from tests.embedded.pages import DIM, FIELD, count, create, draw, index, make, query, rows, schema, search
from tests.embedded.raw import refused, searched, send

NEW = version("pymilvus") >= "3"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    """Five pages with words, that no test changes."""
    client = connect(tmp_path_factory.mktemp("rules") / "kb.db")
    create(client, scalars=True, text=True)
    client.create_partition("pages", "known")
    client.insert("pages", rows(draw(1, 5), scalars=True, text="plum"))
    yield client
    assert count(client) == 5
    client.close()


def lists(dim: int = DIM, dtype: Any = np.float32) -> list[EmbeddingList]:
    return [EmbeddingList(query(1, dim=dim).astype(dtype), dtype=np.dtype(dtype))]


def params(**given: Any) -> dict[str, Any]:
    return {"search_params": {"params": given}}


MISMATCH = (
    "search type mismatch for VECTOR_ARRAY field patches[emb]: metric_type MAX_SIM_COSINE requires embedding list"
)
SEARCHES: list[tuple[dict[str, Any], int, str]] = [
    ({"limit": 16385}, 1100, "topk [16385] is invalid, it should be in range [1, 16384], but got 16385"),
    (
        {"search_params": {"offset": -1}},
        1100,
        "offset [-1] is invalid, it should be in range [1, 16384], but got -1",
    ),
    (
        {"limit": 16000, "search_params": {"offset": 385}},
        1100,
        "offset+topk [16385] is invalid, it should be in range [1, 16384], but got 16385",
    ),
    (params(radius=0.1), 1100, "range search is not supported for multi-search-multi on embedding list fields"),
    (params(radius=0.1, range_filter=1), 1100, "range search is not supported for multi-search-multi on embedding"),
    (params(range_filter=1), 1100, "range_filter requires radius to be set; range_filter alone is not a valid range"),
    (
        {"group_by_field": "year"},
        1100,
        "group by is not supported for multi-search-multi on embedding list fields",
    ),
    ({"search_params": {"order_by_fields": "year:desc"}}, 1100, "order_by_fields is not supported by the embedded eng"),
    ({"search_params": {"group_by_fields": "year"}}, 1100, "group_by_fields is not supported by the embedded engine"),
    *(
        (
            {"search_params": {"metric_type": metric}},
            1100,
            f"metric type not match: invalid parameter[expected=MAX_SIM_COSINE][actual={metric}]",
        )
        for metric in ("MAX_SIM_IP", "MAX_SIM", "COSINE")
    ),
    ({"data": query(1).tolist()}, 2000, f"{MISMATCH} search, but search data is plain vector"),
    ({"data": query(1)}, 2000, MISMATCH),
    ({"data": ["plum"]}, 2000, MISMATCH),
    (
        {"data": lists(dtype=np.float16)},
        2000,
        "vector type must be the same, field patches[emb] - type EmbListFloatVector, search ph type EmbListFloat16Vect",
    ),
    (
        {"data": lists(6)},
        2000,
        "line.size() % bytes_per_vec == 0 assert failed, line.size() = 120, dim = 8, bytes_per_vec = 32",
    ),
    ({"data": [EmbeddingList(np.full((2, DIM), np.nan, "f4"))]}, 1100, "is not a number or infinity"),
    ({"data": lists(), "anns_field": ""}, 1100, "multiple anns_fields exist, please specify a anns_field in search_pa"),
    *(
        ({"anns_field": name}, 1100, f"failed to get field schema by name: fieldName({name}) not found")
        for name in ("pictures[emb]", "patches[embedding]", "patches", "patches[label]")
    ),
    ({"anns_field": "words", "data": lists()}, 1100, "search type mismatch: words holds no embedding lists"),
    *(
        ({"output_fields": [name]}, 1100, f"field {name} not exist")
        for name in ("pictures", "patches[embedding]", "pictures[emb]", "patches[]")
    ),
    ({"output_fields": ["words"]}, 1100, "not allowed to retrieve raw data of field words"),
    ({"output_fields": ["count(*)"]}, 1100, "aggregates are not supported in search request"),
    ({"output_fields": ["sum(year)"]}, 1100, "aggregates are not supported in search request"),
    ({"partition_names": ["known", "nope"]}, 1100, "partition name nope not found"),
    ({"timezone": "Nope/Nope"}, 1100, "unknown or invalid IANA Time Zone ID: Nope/Nope"),
    ({"filter": "year ==== 3"}, 1100, "year ==== 3"),
    ({"filter": "year == {y}"}, 1100, "the value of expression template variable name {y} is not found"),
    *(
        ({"filter": expression}, 1100, "cannot filter on patches: the embedded engine has no filters on arrays of str")
        for expression in (
            "patches == 3",
            "id > 0 and patches[emb] == 1",
            "array_length(patches) > 1",
            "MATCH_ANY(patches, $[number] > 1)",
            "element_filter(patches, $[number] > 1)",
            "patches[0][number] == 1",
        )
    ),
    (params(retrieval_ann_ratio=0), 1100, "retrieval_ann_ratio should be larger than 0, not 0"),
    (params(retrieval_ann_ratio=-1.5), 1100, "retrieval_ann_ratio should be larger than 0, not -1.5"),
    (params(retrieval_ann_ratio="many"), 1100, "retrieval_ann_ratio should be a number, not 'many'"),
    (params(retrieval_ann_ratio=True), 1100, "retrieval_ann_ratio should be a number, not True"),
    (params(emb_list_rerank="zz"), 1100, "emb_list_rerank should be true or false, not zz"),
    (params(emb_list_rerank=1), 1100, "emb_list_rerank should be true or false, not 1"),
    (params(ef=2), 1100, "ef(2) should be larger than k(3)"),
    (params(ef="wide"), 1100, "ef should be a number, not 'wide'"),
]


@pytest.mark.parametrize(("options", "code", "said"), SEARCHES, ids=[said[:40] for _, _, said in SEARCHES])
def test_a_search_that_a_server_refuses_is_refused(
    pages: MilvusClient, options: dict[str, Any], code: int, said: str
) -> None:
    given = {"data": lists(), "anns_field": FIELD, "limit": 3, **options}
    assert said in refused(pages.search, "pages", code=code, **given)


def function(kind: str, *inputs: str, **given: Any) -> Any:
    made = {"name": "rank", "input_field_names": list(inputs), "function_type": FunctionType.RERANK}
    return Function(**made, params={"reranker": kind, **given})


def raw_ranker(strategy: str, given: Any) -> Any:
    class Ranker(RRFRanker):  # type: ignore[misc]  # pymilvus asks for one of its own, and has no types
        def dict(self) -> dict[str, Any]:
            return {"strategy": strategy, "params": given}

    return Ranker()


BOOST: dict[str, Any] = {"filter": "year == 2001", "weight": 0.5}
IN_HYBRID = "is not supported for vector array (embedding-list) fields in hybrid search, fieldName:patches[emb]"
PART: dict[str, Any] = {"param": {}}
HYBRIDS: list[tuple[list[dict[str, Any]], Any, dict[str, Any], str]] = [
    ([PART], RRFRanker(0), {}, "The rank params k should be in range (0, 16384)"),
    ([PART], RRFRanker(16384), {}, "The rank params k should be in range (0, 16384)"),
    ([PART], raw_ranker("rrf", {"k": "x"}), {}, "x is not a number"),
    ([PART], WeightedRanker(1.5), {}, "rank param weight should be in range [0, 1]"),
    ([PART], WeightedRanker(-0.5), {}, "rank param weight should be in range [0, 1]"),
    (
        [PART],
        WeightedRanker(0.5, 0.5),
        {},
        "the length of weights param mismatch with ann search requests: invalid parameter[expected=1][actual=2]",
    ),
    ([PART], raw_ranker("weighted", {}), {}, "rerank_builder: weighted reranker requires weights parameter"),
    ([PART], raw_ranker("weighted", {"weights": ["x"]}), {}, "failed to parse weights"),
    (
        [PART],
        raw_ranker("weighted", {"weights": [0.5], "norm_score": 3}),
        {},
        "the type of rank param norm_score should be bool",
    ),
    ([PART], raw_ranker("magic", {}), {}, "unsupported rank type magic"),
    ([PART], function("magic"), {}, "unsupported rank type magic"),
    ([PART], function("rrf", k=0), {}, "The rank params k should be in range (0, 16384)"),
    ([PART], function("weighted", weights=[0.5, 0.5]), {}, "the length of weights param mismatch with ann search requ"),
    ([PART], function("boost", **BOOST), {}, "the boost ranker is not supported by the embedded engine for embedding"),
    ([], RRFRanker(), {}, "nq [0] is invalid, nq (number of search vector per search request) should be in range"),
    ([PART] * 1025, RRFRanker(), {}, "maximum of ann search requests is 1024"),
    (
        [PART, {"data": lists() * 2}],
        RRFRanker(),
        {},
        "sub search request nq should be the same: invalid parameter[expected=1][actual=2]",
    ),
    ([PART], RRFRanker(), {"limit": 16385}, "(offset+limit) should be in range [1, 16384], but got 16385"),
    ([PART], RRFRanker(), {"offset": 16382}, "(offset+limit) should be in range [1, 16384], but got 16385"),
    ([PART], RRFRanker(), {"offset": -1}, "invalid max query result window, offset [-1] is invalid, should be gte tha"),
    ([PART], RRFRanker(), {"group_by_field": "year"}, f"group by search {IN_HYBRID}"),
    ([PART], RRFRanker(), {"partition_names": ["known", "nope"]}, "partition name nope not found"),
    ([PART], RRFRanker(), {"timezone": "Nope/Nope"}, "unknown or invalid IANA Time Zone ID: Nope/Nope"),
    ([{"limit": 16385}], RRFRanker(), {}, "topk [16385] is invalid, it should be in range [1, 16384], but got 16385"),
    ([{"param": {"params": {"radius": 0.1}}}], RRFRanker(), {}, f"range search {IN_HYBRID}"),
    ([{"param": {"iterator": True}}], RRFRanker(), {}, f"search iterator {IN_HYBRID}"),
    ([{"param": {"metric_type": "COSINE"}}], RRFRanker(), {}, "metric type not match: invalid parameter[expected=MAX_"),
    ([{"param": {"params": {"retrieval_ann_ratio": 0}}}], RRFRanker(), {}, "retrieval_ann_ratio should be larger"),
    ([{"expr": "patches == 3"}], RRFRanker(), {}, "cannot filter on patches"),
    ([{"anns_field": "nope"}], RRFRanker(), {}, "failed to get field schema by name: fieldName(nope) not found"),
]


@pytest.mark.parametrize(
    ("parts", "ranker", "options", "said"), HYBRIDS, ids=[f"{i}-{said[:40]}" for i, (*_, said) in enumerate(HYBRIDS)]
)
def test_a_hybrid_search_that_a_server_refuses_is_refused(
    pages: MilvusClient, parts: list[dict[str, Any]], ranker: Any, options: dict[str, Any], said: str
) -> None:
    whole = {"data": lists(), "anns_field": FIELD, "param": {}, "limit": 3}
    requests = [AnnSearchRequest(**{**whole, **part}) for part in parts]
    assert said in refused(pages.hybrid_search, "pages", requests, ranker, **{"limit": 3, **options})


@pytest.mark.parametrize("kind", ["boost", "magic"])
def test_a_ranker_of_a_search_that_is_not_done_is_refused_by_name(pages: MilvusClient, kind: str) -> None:
    given: dict[str, Any] = {"data": lists(), "anns_field": FIELD, "limit": 3}
    assert kind in refused(pages.search, "pages", ranker=function(kind, **BOOST), **given)


QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"filter": ""}, "empty expression should be used with limit"),
    (
        {"filter": "id > 0", "limit": 16385},
        "invalid max query result window, (offset+limit) should be in range [1, 16384]",
    ),
    (
        {"filter": "id > 0", "limit": 16000, "offset": 385},
        "(offset+limit) should be in range [1, 16384], but got 16385",
    ),
    ({"filter": "id > 0", "limit": 3, "offset": -1}, "offset [-1] is invalid, should be gte than 0"),
    (
        {"filter": "id > 0", "limit": 0},
        "invalid max query result window, limit [0] is invalid, should be greater than 0",
    ),
    ({"limit": 3, "output_fields": ["count(*)"]}, "count entities with pagination is not allowed"),
    ({"output_fields": ["count(*)", "id"]}, "the embedded engine gives count(*) alone, not with count(*), id"),
    ({"filter": "id > 0", "output_fields": ["max(year)"]}, "max(year) is not supported by the embedded engine"),
    ({"filter": "id > 0", "output_fields": ["patches[embedding]"]}, "field patches[embedding] not exist"),
    ({"filter": "id > 0", "output_fields": ["patches[]"]}, "field patches[] not exist"),
    ({"filter": "id > 0", "partition_names": ["known", "nope"]}, "partition name nope not found"),
    ({"output_fields": ["count(*)"], "partition_names": ["nope"]}, "partition name nope not found"),
    ({"ids": [1], "partition_names": ["nope"]}, "partition name nope not found"),
    ({"filter": "id > 0", "timezone": "Nope/Nope"}, "unknown or invalid IANA Time Zone ID: Nope/Nope"),
    ({"filter": "patches == 3"}, "cannot filter on patches"),
    ({"filter": "patches == 3", "output_fields": ["count(*)"]}, "cannot filter on patches"),
    ({"filter": "year ==== 3"}, "year ==== 3"),
]


@pytest.mark.parametrize(("options", "said"), QUERIES, ids=[f"{i}-{said[:40]}" for i, (_, said) in enumerate(QUERIES)])
def test_a_query_that_a_server_refuses_is_refused(pages: MilvusClient, options: dict[str, Any], said: str) -> None:
    assert said in refused(pages.query, "pages", **options)


@pytest.mark.skipif(not NEW, reason="pymilvus 2.6 does not send them")
@pytest.mark.parametrize(
    ("options", "name"),
    [({"order_by": ["year"]}, "order_by_fields"), ({"group_by_fields": ["year"]}, "group_by_fields")],
)
def test_queries_in_an_order_or_by_groups_are_refused_by_name(
    pages: MilvusClient, options: dict[str, Any], name: str
) -> None:
    for fields in (["year"], ["year", "count(*)"]):
        said = refused(pages.query, "pages", filter="id >= 0", output_fields=fields, **options)
        assert said == f"query parameter {name} is not supported by the embedded engine"


@pytest.mark.skipif(not NEW, reason="pymilvus 2.6 does not send them")
def test_a_search_by_ids_is_refused(pages: MilvusClient) -> None:
    said = refused(pages.search, "pages", ids=[1], anns_field=FIELD, limit=3)
    assert said.startswith("array of vector is not supported for search by IDs")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"values": [b""]}, "an embedding list for patches[emb] is empty"),
        (
            {"values": []},
            "nq [0] is invalid, nq (number of search vector per search request) should be in range [1, 1638",
        ),
        ({"params": {"topk": "many"}}, "topk [many] is invalid"),
        ({"params": {"offset": "far"}}, "offset [far] is invalid"),
        (
            {"params": {"round_decimal": "7"}},
            "round_decimal [7] is invalid, should be -1 or an integer in range [0, 6]",
        ),
        ({"params": {"round_decimal": "-2"}}, "round_decimal [-2] is invalid, should be -1 or an integer in range"),
        ({"params": {"iterator": "True"}}, "search iterator is not supported for multi-search-multi on embedding list"),
    ],
)
def test_searches_that_pymilvus_would_not_send_are_refused_too(
    pages: MilvusClient, given: dict[str, Any], said: str
) -> None:
    answer = send(pages, "Search", searched(**given))
    assert said in answer.reason
    assert answer.code == 1100


@pytest.mark.skipif(not NEW, reason="the messages of pymilvus 2.6 have no such parts")
@pytest.mark.parametrize("name", ["highlighter", "search_aggregation"])
def test_parts_of_a_search_that_the_engine_does_not_know_are_refused_by_name(pages: MilvusClient, name: str) -> None:
    request = searched()
    getattr(request, name).SetInParent()
    answer = send(pages, "Search", request)
    assert (answer.code, answer.reason) == (1100, f"{name} is not supported by the embedded engine")


def test_a_search_iterator_is_refused(pages: MilvusClient) -> None:
    with pytest.raises(MilvusException, match="search iterator is not supported for multi-search-multi"):
        pages.search_iterator("pages", query(1, 1).tolist(), anns_field=FIELD, batch_size=3, limit=3).next()


def test_embedding_lists_are_refused_on_plain_vectors(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=DIM)
    assert "search type mismatch" in refused(client.search, "plain", lists(), anns_field="vector", limit=3)


def test_more_than_16384_queries_are_refused(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=2)
    assert "nq [16385] is invalid" in refused(client.search, "plain", [[1.0, 2.0]] * 16385, limit=1)


def test_what_is_not_loaded_is_not_read(client: MilvusClient) -> None:
    made, params = schema(client), index(client)
    client.create_collection("pages", schema=made)
    part = AnnSearchRequest(lists(), FIELD, {}, limit=3)

    def states() -> list[str]:
        calls: list[tuple[Any, dict[str, Any]]] = [
            (client.search, {"data": lists(), "anns_field": FIELD, "limit": 3}),
            (client.hybrid_search, {"reqs": [part], "ranker": RRFRanker(), "limit": 3}),
            (client.query, {"filter": "id > 0"}),
            (client.query, {"output_fields": ["count(*)"]}),
            (client.get, {"ids": [1]}),
            (client.delete, {"filter": "year > 0"}),
        ]
        return [refused(call, "pages", code=101, **options) for call, options in calls]

    wanted = ["collection not loaded[collection=pages]: load_collection first"] * 6
    assert states() == wanted
    assert client.get_load_state("pages")["state"].name == "NotLoad"
    assert refused(client.load_collection, "pages", code=700) == "index not found[collection=pages]"
    client.create_index("pages", params, sync=False)
    assert states() == wanted
    client.load_collection("pages")
    assert client.get_load_state("pages")["state"].name == "Loaded"
    client.insert("pages", rows(draw(1, 3)))
    assert len(search(client, query(1))) == 3
    client.release_collection("pages")
    assert states() == wanted
    client.load_collection("pages")
    client.refresh_load("pages", timeout=5)
    assert len(search(client, query(1))) == 3


def test_every_vector_beside_and_in_structs_needs_an_index_to_be_loaded(client: MilvusClient) -> None:
    made = schema(client)
    notes = client.create_struct_field_schema()
    notes.add_field("emb", DataType.FLOAT_VECTOR, dim=3)
    made.add_field("notes", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=notes, max_capacity=9)
    made.add_field("summary", DataType.FLOAT_VECTOR, dim=2)
    client.create_collection("pages", schema=made)
    client.create_index("pages", index(client), sync=False)
    said = refused(client.load_collection, "pages")
    assert said == "there is no vector index on field: [summary notes[emb]], please create index firstly"


def test_templates_fill_filters_of_every_call(client: MilvusClient) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 20), note="a \"quoted\" \\ {y} 'note'"))
    years = {"y": [2003, 2004]}
    wanted = {3, 4, 13, 14}
    given: dict[str, Any] = {"filter": "year in {y}", "filter_params": years}
    assert {hit["id"] for hit in search(client, query(1), limit=20, **given)} == wanted
    assert {found["id"] for found in client.query("pages", output_fields=["id"], **given)} == wanted
    part = AnnSearchRequest(lists(), FIELD, {}, limit=20, expr="year in {y}", expr_params=years)
    assert {hit["id"] for hit in client.hybrid_search("pages", [part], RRFRanker(), limit=20)[0]} == wanted
    text: dict[str, Any] = {"filter": "note == {t}", "filter_params": {"t": "a \"quoted\" \\ {y} 'note'"}}
    assert len(client.query("pages", output_fields=["id"], **text)) == 20
    quoted = client.query("pages", filter="note == 'a \"quoted\" \\\\ {y} \\'note\\''", output_fields=["id"])
    assert len(quoted) == 20
    client.delete("pages", filter="year == {y} and id < {top}", filter_params={"y": 2003, "top": 10})
    assert count(client) == 19


def test_tuning_that_a_server_takes_changes_no_answer(pages: MilvusClient) -> None:
    options: dict[str, Any] = {"data": lists(), "anns_field": FIELD, "limit": 3}
    plain = [list(hits) for hits in pages.search("pages", **options)]
    for tuned in (
        params(retrieval_ann_ratio=2.5, emb_list_rerank=True, ef=3),
        params(nprobe=8, search_list=30, level=2, page_retain_order=True),
        {"search_params": {"hints": "iterative_filter"}},
        {"search_params": {"ignore_growing": True}},
        {"timezone": "Asia/Tokyo"},
        *({"consistency_level": level} for level in ("Strong", "Session", "Bounded", "Eventually")),
    ):
        assert [list(hits) for hits in pages.search("pages", **options, **tuned)] == plain


def test_hidden_columns_are_in_no_words_of_a_refusal(pages: MilvusClient) -> None:
    searching: dict[str, Any] = {"data": lists(), "anns_field": FIELD}
    for call, more in ((pages.query, {}), (pages.delete, {}), (pages.search, searching)):
        said = refused(call, "pages", filter="patche == 3", **more)
        assert "field patche not exist" in said
        assert "[]" not in said
        assert FIELD not in said


@pytest.mark.parametrize("filter", ["patches == 3", "id > 0 and patches[emb] == 1"])
def test_a_filter_on_a_struct_is_refused_beside_a_dynamic_field_too(client: MilvusClient, filter: str) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 3)))
    searching: dict[str, Any] = {"data": lists(), "anns_field": FIELD}
    for call, more in ((client.query, {}), (client.delete, {}), (client.search, searching)):
        assert "cannot filter on patches" in refused(call, "pages", filter=filter, **more)
    assert count(client) == 3


def test_the_name_of_a_struct_in_a_text_or_a_key_is_no_filter_on_it(client: MilvusClient) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 3), note='the "patches" isn\'t', about={"patches": 3}))
    for expression in (
        'note == "the \\"patches\\" isn\'t"',
        "note like 'the%' and about['patches'] == 3",
        "patches_2 == 1",
    ):
        assert count(client, filter=expression) == (0 if "patches_2" in expression else 3)


def test_a_search_without_a_field_means_the_only_one(client: MilvusClient) -> None:
    made = schema(client)
    make(client, "pages", made, index(client))
    client.insert("pages", rows(draw(1, 3)))
    assert len(client.search("pages", data=lists(), limit=3)[0]) == 3
