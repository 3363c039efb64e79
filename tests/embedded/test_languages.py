"""Text search in languages that are inflected, or written without spaces."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, Function, FunctionType, MilvusClient, MilvusException

from colmilvus import Collection, Entity
from colmilvus.embedded.analyzers import create_analyzer
from colmilvus.languages import ANALYZERS, analyzer_for
from tests.embedded.pages import make
from tests.words import WordEmbedder

# A language's own analyzer, its pages, and queries in other forms of the words with the page that each should find.
PAGES: dict[str, tuple[list[str], dict[str, int]]] = {
    "english": (
        ["The batteries were running out of power", "Sales of the company fell", "Trains connect both cities"],
        {"battery runs": 0, "falling sales of companies": 1, "a train to the city": 2},
    ),
    "russian": (
        ["Компания увеличила выручку в прошлом году", "Поезда соединяют большие города", "Кошка спит на окне"],
        {"выручка компании": 0, "поездом между городами": 1, "кошки": 2},
    ),
    "chinese": (
        ["公司去年的营业收入大幅增长", "高速铁路连接了两座城市", "电池的寿命取决于充电次数"],
        {"营业收入": 0, "城市铁路": 1, "充电电池": 2},
    ),
    "japanese": (
        ["会社の売上は前年より増加した", "新幹線は二つの都市を結ぶ", "電池の寿命は充電回数によって変わります"],
        {"売上の増加": 0, "都市と新幹線": 1, "充電と電池": 2},
    ),
    "korean": (
        [
            "회사의 매출이 크게 증가했습니다",
            "고속철도가 두 도시를 연결한다",
            "배터리의 수명은 충전 횟수에 따라 달라진다",
        ],
        {"매출을 증가": 0, "도시에서 철도": 1, "배터리는 충전": 2},
    ),
}
NEEDS = {"chinese": "rjieba", "japanese": "lindera", "korean": "lindera"}
LANGUAGES = sorted(PAGES)


def need(language: str) -> None:
    if language in NEEDS:
        pytest.importorskip(NEEDS[language], reason=f"{NEEDS[language]} is not installed")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_collection_finds_pages_by_their_words_in_other_forms(tmp_path: Path, language: str) -> None:
    need(language)
    texts, queries = PAGES[language]
    with Collection("pages", WordEmbedder(), uri=tmp_path / "kb.db", analyzer=language) as pages:
        pages.add([Entity(str(i), text=text) for i, text in enumerate(texts)])
        for query, expected in queries.items():
            assert pages.search(query, mode="text")[0].entity.id == str(expected), query
            assert pages.search(query, mode="hybrid")[0].entity.id == str(expected), query
    with Collection("pages", WordEmbedder(), uri=tmp_path / "kb.db") as again:
        for query, expected in queries.items():
            assert again.search(query, mode="text")[0].entity.id == str(expected)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_parameters_of_a_language_work_with_pymilvus_alone(client: MilvusClient, language: str) -> None:
    need(language)
    texts, queries = PAGES[language]
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    analyzer = dict(analyzer_for(language))
    schema.add_field("text", DataType.VARCHAR, max_length=1000, enable_analyzer=True, analyzer_params=analyzer)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    indexes = client.prepare_index_params()
    indexes.add_index("words", "SPARSE_INVERTED_INDEX", metric_type="BM25")
    make(client, "notes", schema, indexes)
    client.insert("notes", [{"id": i, "text": text} for i, text in enumerate(texts)])
    hits = client.search("notes", list(queries), anns_field="words", limit=1)
    assert [each[0]["id"] for each in hits] == list(queries.values())
    shown = client.run_analyzer(texts[0], collection_name="notes", field_name="text")
    assert (
        shown.tokens
        == client.run_analyzer([texts[0]], analyzer)[0].tokens
        == create_analyzer(analyzer).tokenize(texts[0])
    )


@pytest.mark.parametrize(
    ("package", "params", "text", "terms"),
    [
        # the examples of Milvus's documentation
        ("rjieba", {"tokenizer": "jieba"}, "milvus结巴分词器中文测试", "milvus 结巴 分词 分词器 中文 测试"),
        (
            "rjieba",
            {"tokenizer": {"type": "jieba", "dict": ["结巴分词器"], "mode": "exact", "hmm": False}},
            "milvus结巴分词器中文测试",
            "milvus 结巴分词器 中 文 测 试",
        ),
        (
            "lindera",
            {"tokenizer": {"type": "lindera", "dict_kind": "ipadic"}},
            "東京スカイツリーの最寄り駅はとうきょうスカイツリー駅で",
            "東京 スカイ ツリー の 最寄り駅 は とう きょう スカイ ツリー 駅 で",
        ),
        # and of its tests
        ("rjieba", {"type": "chinese"}, "系统安全;,'';lxyz密码", "系统 安全 系统安全 lxyz 密码"),
        ("rjieba", {"type": "chinese", "stop_words": ["的"]}, "我的密码", "我 密码"),
        (
            "lindera",
            {"tokenizer": {"type": "lindera", "dict_kind": "ipadic"}, "filter": ["removepunct"]},
            "日本語テスト、句読点テスト",
            "日本語 テスト 句読点 テスト",
        ),
        (
            "lindera",
            {
                "tokenizer": {
                    "type": "lindera",
                    "dict_kind": "ko-dic",
                    "filter": [{"kind": "korean_stop_tags", "tags": ["JKB", "JX"]}],
                }
            },
            "서울에서는",
            "서울",
        ),
        ("lindera", {"tokenizer": {"type": "lindera", "dict_kind": "cc-cedict"}}, "可以进行分析", "可以 进行 分析"),
    ],
)
def test_terms_of_unspaced_languages(package: str, params: dict[str, Any], text: str, terms: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    assert create_analyzer(params).tokenize(text) == terms.split(" ")


def test_every_language_has_an_analyzer_that_can_be_made() -> None:
    for name in ANALYZERS:
        need(name)
        assert create_analyzer(ANALYZERS[name]).tokenize("Milvus 2") == [
            *create_analyzer(ANALYZERS[name]).tokenize("milvus"),
            "2",
        ]
    assert analyzer_for("standard") == {"type": "standard"}


def test_threads_share_a_dictionary() -> None:
    pytest.importorskip("lindera", reason="lindera is not installed")
    analyzer = create_analyzer(ANALYZERS["korean"])
    texts = PAGES["korean"][0]
    alone = [analyzer.tokenize(text) for text in texts]
    found: list[list[list[str]]] = []
    threads = [
        threading.Thread(target=lambda: found.append([analyzer.tokenize(t) for t in texts * 20])) for _ in "1234"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone * 20] * 4


def test_what_is_not_done_is_refused_by_name(client: MilvusClient) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    many = {"analyzers": {"default": {"type": "standard"}}, "by_field": "language"}
    schema.add_field("text", DataType.VARCHAR, max_length=100, enable_analyzer=True, multi_analyzer_params=many)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    with pytest.raises(MilvusException, match="multi_analyzer_params of field text are not supported") as refusal:
        client.create_collection("notes", schema=schema)
    assert refusal.value.code == 1100
    with pytest.raises(MilvusException, match="with_detail"):
        client.run_analyzer("a text", {"type": "standard"}, with_detail=True)
    with pytest.raises(MilvusException, match="'icu' is not supported"):
        client.run_analyzer("a text", {"tokenizer": "icu"})
