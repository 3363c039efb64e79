from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from milvus_lite.analyzer import create_analyzer as create_lite_analyzer
from milvus_lite.exceptions import SchemaValidationError

from colmilvus.embedded.analyzers import create_analyzer, tokenizers
from colmilvus.errors import MissingExtra

LOWER = "lowercase"


def stop(*words: str) -> dict[str, Any]:
    return {"type": "stop", "stop_words": list(words)}


def stemmer(language: str) -> dict[str, Any]:
    return {"type": "stemmer", "language": language}


def standard(*filters: Any) -> dict[str, Any]:
    return {"tokenizer": "standard", "filter": list(filters)}


@pytest.mark.parametrize(
    ("params", "text", "terms"),
    [
        # the examples of Milvus's documentation
        ({"type": "english"}, "The Milvus vector database is built for scale!", "milvus vector databas built scale"),
        ({"type": "standard"}, "The Milvus vector database!", "the milvus vector database"),
        # the built-in analyzers
        (None, "SG&A_2023: 47.5%, Größe", "sg a 2023 47 5 größe"),
        ({}, "Default", "default"),
        ({"type": "standard", "stop_words": ["of"]}, "Of the cost OF sales", "the cost sales"),
        ({"type": "standard", "stop_words": ["_english_", "cost"]}, "The cost of these sales", "sales"),
        ({"type": "english", "stop_words": ["built"]}, "It was built", ""),
        # tokenizers: only filters change case
        ({"tokenizer": "standard"}, "Net Sales", "Net Sales"),
        ({"tokenizer": {"type": "standard"}}, "Net_Sales", "Net Sales"),
        ({"tokenizer": "whitespace"}, "SG&A \t rose\r\n5%\f", "SG&A rose 5%"),
        ({"tokenizer": "whitespace"}, "no\u00a0break", "no\u00a0break"),
        # filters, one by one
        (standard(LOWER), "Net SALES", "net sales"),
        (standard({"type": LOWER}), "Net SALES", "net sales"),
        (standard("asciifolding"), "Ångström Œuvre Straße naïve żółć", "Angstrom OEuvre Strasse naive zolc"),
        (standard("asciifolding"), "й 東京 μ", "й 東京 μ"),
        (standard("alphanumonly"), "abc größe 123", "abc 123"),
        (standard({"type": "length", "max": 4}), "five four six größe göße", "five four six"),
        (standard(stop("the", "_english_")), "The the of sales", "The sales"),
        (standard(stop("_mine_")), "mine _mine_", "mine mine"),
        (standard(stemmer("english")), "running databases", "run databas"),
        (standard(stemmer("German")), "Häuser laufen", "Haus lauf"),
        (standard("cncharonly"), "Milvus 向量 a向 12", "向量 a向"),
        (standard("cnalphanumonly"), "Milvus größe 向量 ö 12", "Milvus größe 向量 12"),
        ({"tokenizer": "whitespace", "filter": ["removepunct"]}, "rose 5% by SG&A €", "rose by €"),
        (
            standard({"type": "decompounder", "word_list": ["dampf", "schiff", "fahrt"]}),
            "dampfschifffahrt dampfer",
            "dampf schiff fahrt dampfer",
        ),
        (standard({"type": "regex", "expr": "^(?!test)"}), "testItem apple", "apple"),
        ({"tokenizer": {"type": "char_group", "delimiters": ["whitespace", "-"]}}, "a-b  c_d", "a b c_d"),
        ({"tokenizer": {"type": "char_group", "delimiters": ["punctuation", "symbol"]}}, "a+c.d", "a c d"),
        # filters work in the order given
        (standard(stop("the"), LOWER), "The the", "the"),
        (standard(LOWER, stop("the")), "The the", ""),
        (standard(LOWER, stemmer("english"), stop("run")), "Running", ""),
        (standard(LOWER, stop("run"), stemmer("english")), "Running", "run"),
        # texts at the edge
        (standard(LOWER), "", ""),
        ({"type": "english"}, " ... \n", ""),
        ({"type": "english"}, "is it the", ""),
    ],
)
def test_terms(params: dict[str, Any] | None, text: str, terms: str) -> None:
    assert create_analyzer(params).tokenize(text) == (terms.split(" ") if terms else [])


def test_terms_repeat_as_often_as_they_occur() -> None:
    assert create_analyzer({"type": "english"}).tokenize("sales, sale") == ["sale", "sale"]


@pytest.mark.parametrize(
    "params",
    [None, {"type": "standard"}, standard(LOWER), standard(LOWER, stop("the", "of"))],
)
def test_the_numbers_of_terms_are_those_of_milvus_lite(params: dict[str, Any] | None) -> None:
    text = "The cost of sales, the COST of größe 2023"

    assert create_analyzer(params).analyze(text) == create_lite_analyzer(params).analyze(text)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"type": "thai"}, "'thai'"),
        ({"tokenizer": "language_identifier"}, "'language_identifier'"),
        ({"tokenizer": "grpc"}, "'grpc'"),
        ({"tokenizer": {"type": "char_group", "delimiters": "-"}}, "'-'"),
        ({"tokenizer": {"type": "char_group", "delimiters": ["vowel"]}}, "'vowel'"),
        ({"tokenizer": "lindera"}, "'dict_kind'"),
        ({"tokenizer": {"type": "lindera", "dict_kind": "unidic"}}, "'unidic'"),
        ({"tokenizer": {"type": "lindera", "dict_kind": "ipadic", "filter": ["lowercase"]}}, "'lowercase'"),
        ({"tokenizer": {"type": "lindera", "dict_kind": "ko-dic", "filter": [{"kind": "korean_stop_tags"}]}}, "'tags'"),
        ({"type": ["english"]}, "'english'"),
        ({"type": "english", "filter": []}, "'filter'"),
        ({"type": "standard", "tokenizer": "standard"}, "'tokenizer'"),
        ({"type": "jieba", "tokenizer": "standard"}, "not both"),
        ({"type": "english", "stop_words": "_english_"}, "'_english_'"),
        ({"tokenizer": "icu"}, "'icu'"),
        ({"tokenizer": 5}, "5"),
        ({"filter": [LOWER]}, "tokenizer"),
        ({"tokenizer": {"mode": "search"}}, "'search'"),
        ({"tokenizer": {"type": "standard", "uax29": True}}, "'uax29'"),
        ({"tokenizer": {"type": "jieba", "hmm": 1}}, "'hmm'"),
        ({"tokenizer": {"type": "jieba", "mode": "full"}}, "'full'"),
        ({"tokenizer": {"type": "jieba", "dict": "_default_"}}, "'dict'"),
        ({"tokenizer": {"type": "jieba", "dict": ["_extend_default_"]}}, "'_extend_default_'"),
        ({"tokenizer": "standard", "stop_words": ["of"]}, "'stop_words'"),
        ({"tokenizer": "standard", "filter": LOWER}, "str"),
        (standard("uppercase"), "'uppercase'"),
        (standard({"type": "regex", "expr": "("}), "'('"),
        (standard({"type": "regex"}), "'expr'"),
        (standard({"type": "decompounder", "word_list": "dampf"}), "'word_list'"),
        (standard({"language": "english"}), "'english'"),
        (standard("stemmer"), "'language'"),
        (standard(stemmer("klingon")), "'klingon'"),
        (standard({"type": "stemmer", "language": 5}), "5"),
        (standard({"type": "stop"}), "'stop_words'"),
        (standard({"type": "stop", "stop_words": "_english_"}), "'_english_'"),
        (standard({"type": "stop", "stop_words": [1]}), "1"),
        (standard(stop("_german_")), "_german_"),
        (standard({"type": "stop", "stop_words": ["a"], "stop_words_file": {}}), "'stop_words_file'"),
        (standard("length"), "'max'"),
        (standard({"type": "length", "max": "10"}), "'10'"),
        (standard({"type": "length", "max": -1}), "-1"),
        (standard({"type": "length", "max": 3, "min": 1}), "'min'"),
    ],
)
def test_what_is_not_known_is_refused_by_name(params: dict[str, Any], named: str) -> None:
    with pytest.raises(SchemaValidationError) as refusal:
        create_analyzer(params)

    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("package", "params"),
    [
        ("rjieba", {"type": "jieba"}),
        ("rjieba", {"tokenizer": {"type": "jieba", "dict": ["词"]}}),
        ("rjieba", {"type": "chinese"}),
        ("lindera", {"tokenizer": {"type": "lindera", "dict_kind": "ko-dic"}}),
    ],
)
def test_a_language_without_its_library_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, params: dict[str, Any]
) -> None:
    tokenizers._jieba.cache_clear()
    tokenizers._lindera_of.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=r"pip install 'colmilvus\[languages\]'"):
        create_analyzer(params)


def test_stemming_without_snowballstemmer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snowballstemmer", None)

    with pytest.raises(MissingExtra, match=r"pip install 'colmilvus\[embedded\]'"):
        create_analyzer({"type": "english"})


def test_threads_that_share_an_analyzer_get_the_same_terms() -> None:
    analyzer = create_analyzer(standard(LOWER, stemmer("english")))
    words = [f"{stem}{ending}{number}ing" for stem in ("walk", "talk") for ending in "abc" for number in range(300)]
    alone = create_analyzer(standard(LOWER, stemmer("english"))).tokenize(" ".join(words))
    found: list[list[str]] = []
    run_together(4, lambda: found.append(analyzer.tokenize(" ".join(words))))

    assert found == [alone] * 4


def run_together(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
