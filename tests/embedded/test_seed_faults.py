"""What Milvus's guides get wrong, as their readers would write it: what the engine says, and what no server can see."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from examples.pymilvus_flat_pages import MilvusColbertRetriever
from examples.pymilvus_pages import DIM, PATCHES, page_schema
from examples.pymilvus_paragraphs import by_title
from pymilvus import DataType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList
from pymilvus.exceptions import DataNotMatchException, MilvusException

from colmilvus import maxsim
from colmilvus.embedded import limits
from tests.embedded.pages import count, make
from tests.embedded.seed_rows import paragraph_rows, unit_vectors
from tests.embedders.cohere_server import vector_of

EMB = "patches[emb]"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """pymilvus prints a traceback for every refusal."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def refused(call: Callable[..., Any], *args: Any, code: int = 1100, **options: Any) -> str:
    with pytest.raises(MilvusException) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return str(caught.value.message)


def index(client: MilvusClient, field: str, kind: str = "AUTOINDEX", metric: str = "MAX_SIM_COSINE") -> Any:
    params = client.prepare_index_params()
    params.add_index(field_name=field, index_type=kind, metric_type=metric)
    return params


def articles(client: MilvusClient, dim: int, capacity: int = 200) -> None:
    """The collection of articles, of a dim and a capacity of one's own."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
    schema.add_field("title", DataType.VARCHAR, max_length=512)
    paragraph = client.create_struct_field_schema()
    paragraph.add_field("text", DataType.VARCHAR, max_length=65535)
    paragraph.add_field("emb", DataType.FLOAT_VECTOR, dim=dim)
    kind: dict[str, Any] = {"element_type": DataType.STRUCT, "struct_schema": paragraph}
    schema.add_field("paragraphs", DataType.ARRAY, max_capacity=capacity, **kind)
    make(client, "articles", schema, index(client, "paragraphs[emb]"))


def page(corpus_id: int, patches: Any, **changed: Any) -> dict[str, Any]:
    structs = [{"emb": vector} for vector in patches]
    return {"corpus_id": corpus_id, "patches": structs, "doc_id": "a.pdf", "page_number_in_doc": 1} | changed


@pytest.fixture
def pages(client: MilvusClient) -> MilvusClient:
    make(client, "pages", page_schema(client), index(client, EMB))
    return client


def test_vectors_of_twice_the_dim_are_refused_and_both_numbers_named(client: MilvusClient) -> None:
    articles(client, dim=512)
    said = refused(client.insert, "articles", by_title(paragraph_rows(1, titles=5)))
    number = len(by_title(paragraph_rows(1, titles=5))[0]["paragraphs"])
    assert said == (
        f"inconsistent struct element count in struct 'paragraphs' at row 0: 'text' has {number}, 'emb' has "
        f"{2 * number}; 'emb' was given 1024 numbers a vector, and its dim is 512"
    )
    assert count(client, "articles") == 0


def test_a_question_of_twice_the_dim_is_two_vectors_a_word_as_on_a_server(client: MilvusClient) -> None:
    articles(client, dim=512)
    rows = paragraph_rows(2, titles=8, dim=512)
    client.insert("articles", by_title(rows))
    words = np.stack([vector_of(word, 1024) for word in ("Adobe", "software")])
    query = EmbeddingList()
    query.add_batch(words)
    hits = client.search("articles", [query], anns_field="paragraphs[emb]", limit=10, output_fields=["title"])[0]

    stored = {article["title"]: [p["emb"] for p in article["paragraphs"]] for article in by_title(rows)}
    for hit in hits:
        score = maxsim(words.reshape(4, 512), np.array(stored[hit["entity"]["title"]]))
        assert hit["distance"] == pytest.approx(score, abs=1e-4)


def test_a_title_of_more_paragraphs_than_there_is_room_for_is_refused_with_both_numbers(client: MilvusClient) -> None:
    articles(client, dim=8)
    rows = [{"title": f"Article {i % 3 // 2}", "text": "x", "emb": np.ones(8, np.float32)} for i in range(603)]
    said = refused(client.insert, "articles", by_title(rows))
    assert said == (
        "array length exceeds max capacity: the length(402) of row 0, field paragraphs, exceeds max capacity (200)"
    )
    assert count(client, "articles") == 0


def test_the_text_of_a_page_as_the_name_of_its_document_is_refused(pages: MilvusClient) -> None:
    text = "Выручка за квартал выросла. " * 12
    said = refused(pages.insert, "pages", [page(1, np.ones((3, DIM))), page(2, np.ones((3, DIM)), doc_id=text)])
    assert said == (
        f"length of varchar field doc_id exceeds max length, row number: 1, length: {len(text.encode())}, "
        "max length: 512"
    )
    assert len(text) < 512
    assert count(pages) == 0


def test_vectors_of_twice_the_dim_alone_in_a_struct_meet_the_capacity(pages: MilvusClient) -> None:
    """Nothing that is sent says how long each vector was; a page of fewer patches is taken, as by a server."""
    said = refused(pages.insert, "pages", [page(1, np.ones((PATCHES, 2 * DIM), np.float32))])
    assert f"the length({2 * PATCHES}) of row 0, field patches, exceeds max capacity ({PATCHES})" in said
    pages.insert("pages", [page(2, np.ones((3, 2 * DIM), np.float32))])
    assert len(pages.get("pages", [2], output_fields=[EMB])[0]["patches"]) == 6


def test_more_than_64_mib_in_one_request_are_refused_with_both_numbers(client: MilvusClient) -> None:
    articles(client, dim=2)
    paragraphs = [{"text": "x" * 65000, "emb": np.ones(2, np.float32)}] * 180
    data = [{"title": f"Article {i}", "paragraphs": paragraphs} for i in range(6)]
    with pytest.raises((grpc.RpcError, MilvusException), match=rf"message larger than max \(\d+ vs\. {64 << 20}\)"):
        client.insert("articles", data)
    client.insert("articles", data[:1])
    assert count(client, "articles") == 1


def test_more_than_a_server_gives_in_one_answer_is_refused_with_both_numbers(
    pages: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.RESULT_BYTES == 100 << 20
    rng = np.random.default_rng(9)
    pages.insert("pages", [page(i, unit_vectors(rng, 1000)) for i in range(4)])
    most = 3 * 1000 * DIM * 4 + 1000
    monkeypatch.setattr(limits, "RESULT_BYTES", most)
    wanted: dict[str, Any] = {"output_fields": [EMB], "limit": 4}
    search = {"data": [EmbeddingList(unit_vectors(rng, 2))], "anns_field": EMB, **wanted}
    said = {
        "query": refused(pages.query, "pages", filter="corpus_id >= 0", **wanted),
        "search": refused(pages.search, "pages", **search),
    }

    for what, why in said.items():
        found = re.match(rf"{what} results exceed the maxOutputSize Limit {most}: these take (\d+) bytes; ", why)
        assert found
        assert 0 < int(found[1]) - 4 * 1000 * DIM * 4 < 1000
    assert len(pages.query("pages", filter="corpus_id >= 0", **{**wanted, "limit": 3})) == 3
    assert len(pages.search("pages", **{**search, "limit": 3})[0]) == 3
    assert len(pages.search("pages", **{**search, "output_fields": ["doc_id"]})[0]) == 4


def test_the_same_row_again_and_again_is_one_page(pages: MilvusClient) -> None:
    first = page(1, np.ones((3, DIM), np.float32))
    assert pages.insert("pages", [first] * 5)["insert_count"] == 5
    assert count(pages) == 1


@pytest.mark.parametrize(
    ("kind", "metric", "said"),
    [
        ("FLAT", "MAX_SIM_COSINE", "data type ArrayOfVector can't build with this index FLAT"),
        ("IVF_SQ8", "MAX_SIM_IP", "data type ArrayOfVector can't build with this index IVF_SQ8"),
        ("AUTOINDEX", "COSINE", "array of vector index does not support metric type: COSINE"),
        (
            "HNSW",
            "MAX_SIM_JACCARD",
            "array of vector with float element type does not support metric type: MAX_SIM",
        ),
    ],
)
def test_an_index_of_another_kind_is_refused_and_the_right_one_can_follow(
    client: MilvusClient, kind: str, metric: str, said: str
) -> None:
    params = index(client, EMB, kind, metric)
    assert refused(client.create_collection, "pages", schema=page_schema(client), index_params=params).startswith(said)
    client.create_index("pages", index(client, EMB), sync=False)
    client.load_collection("pages")
    client.insert("pages", [page(1, np.ones((3, DIM), np.float32))])
    assert [hit["corpus_id"] for hit in client.search("pages", [EmbeddingList(np.ones((1, DIM)))], limit=3)[0]] == [1]


def test_a_question_as_plain_vectors_or_of_another_metric_is_refused(pages: MilvusClient) -> None:
    question = unit_vectors(np.random.default_rng(1), 4)
    said = refused(pages.search, "pages", question.tolist(), anns_field=EMB, limit=10, code=2000)
    assert "pass pymilvus's EmbeddingList" in said
    options: dict[str, Any] = {"search_params": {"metric_type": "MAX_SIM_IP"}}
    said = refused(pages.search, "pages", [EmbeddingList(question)], anns_field=EMB, limit=10, **options)
    assert said == "metric type not match: invalid parameter[expected=MAX_SIM_COSINE][actual=MAX_SIM_IP]"


def flat_collection(client: MilvusClient, **options: Any) -> None:
    schema = client.create_schema(auto_id=True, **options)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
    schema.add_field("doc_id", DataType.INT64)
    client.create_collection("flat", schema=schema)


def test_a_misspelt_dynamic_field_is_none_which_the_first_further_key_shows(client: MilvusClient) -> None:
    flat_collection(client, enable_dynamic_fields=True)
    assert not client.describe_collection("flat")["enable_dynamic_field"]
    rows = [{"vector": [1.0] * 8, "doc_id": 1, "title": "x"}]
    with pytest.raises(DataNotMatchException, match="unexpected field `title` to collection without enabling dynamic"):
        client.insert("flat", rows)
    client.drop_collection("flat")
    flat_collection(client, enable_dynamic_field=True)
    assert client.insert("flat", rows)["insert_count"] == 1


def test_a_thousand_rows_of_a_page_are_a_thousand_and_another_score(client: MilvusClient) -> None:
    vectors = unit_vectors(np.random.default_rng(2), 1030, dim=8)
    retriever = MilvusColbertRetriever(client, "flat", dim=8)
    retriever.create_collection()
    retriever.create_index()
    retriever.insert({"colbert_vecs": vectors, "doc_id": 3, "filepath": "page_4.png"})
    rows = client.query("flat", filter="doc_id in [3]", output_fields=["seq_id", "vector", "doc"], limit=1000)
    cut = np.array([row["vector"] for row in rows])

    question = vectors[1010:]
    assert len(cut) == 1000
    assert (question @ cut.T).max(axis=1).sum() < maxsim(question, vectors, "IP") - 0.01
    ((score, _),) = retriever.search(question, topk=1)
    assert score == pytest.approx(20, abs=1e-4)


def test_a_collection_that_was_released_for_an_index_is_searched_when_it_is_loaded(client: MilvusClient) -> None:
    flat_collection(client)
    for field, kind in (("vector", "HNSW"), ("doc_id", "INVERTED")):
        client.release_collection("flat")
        client.drop_index("flat", index_name=field)
        params = client.prepare_index_params()
        params.add_index(field, index_name=f"{field}_index", index_type=kind, metric_type="IP")
        client.create_index("flat", params, sync=True)
    client.insert("flat", [{"vector": [1.0] * 8, "doc_id": 1}])
    with pytest.raises(MilvusException, match="load") as caught:
        client.search("flat", [[1.0] * 8], limit=3)
    assert caught.value.code == 101
    client.load_collection("flat")
    assert len(client.search("flat", [[1.0] * 8], limit=3)[0]) == 1
