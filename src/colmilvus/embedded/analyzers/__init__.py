"""Text analyzers by Milvus's parameters: how a text becomes the terms that BM25 counts.

Milvus Lite reads ``tokenizer`` and literal stop words and ignores the rest; here every parameter works as on a server
or is refused by name. Chinese is cut by jieba-rs, Japanese and Korean by Lindera, the libraries that a server uses.
Terms may differ from a server's where Snowball's stemmers have changed between versions, and in scripts with combining
vowel signs. Source: Milvus documentation, "Analyzer Overview" and the pages of each tokenizer and filter; Milvus
2.6.21, ``internal/core/thirdparty/tantivy/tantivy-binding/src/analyzer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from colmilvus.embedded.analyzers.filters import ENGLISH_STOP_WORDS, Filter, dropping, read_filter, stemmer, stop_words
from colmilvus.embedded.analyzers.filters import cn_alphanumeric_only as chinese_only
from colmilvus.embedded.analyzers.options import SchemaValidationError, named, only_these
from colmilvus.embedded.analyzers.tokenizers import Tokenizer, jieba, letters_and_digits, read_tokenizer
from colmilvus.errors import MissingExtra

try:
    from milvus_lite.analyzer import term_to_id
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["TermAnalyzer", "create_analyzer"]

CACHED_TERMS = 1 << 16


def create_analyzer(params: Mapping[str, Any] | None = None) -> TermAnalyzer:
    """The analyzer that Milvus makes of ``analyzer_params``, with Milvus Lite's interface; ``standard`` for None.

    Built-in analyzers: ``standard``, ``english`` and ``chinese``, with ``stop_words``. Tokenizers: ``standard``
    (letters and digits), ``whitespace``, ``char_group``, ``jieba`` and ``lindera`` (``ipadic``, ``ko-dic``,
    ``cc-cedict``). Filters, in the order given: ``lowercase``, ``asciifolding``, ``alphanumonly``,
    ``cnalphanumonly``, ``cncharonly``, ``removepunct``, ``length``, ``stop``, ``decompounder``, ``stemmer``,
    ``regex``. Raises SchemaValidationError for anything else, by its name, and MissingExtra where a library is needed
    that is not installed.

    >>> create_analyzer({"type": "english"}).tokenize("The Milvus vector database is built for scale!")
    ['milvus', 'vector', 'databas', 'built', 'scale']
    """
    params = params or {"type": "standard"}
    if "type" in params and params["type"] != "jieba":
        return _built_in(params)
    only_these(params, "an analyzer", "tokenizer", "filter", "type")
    if "tokenizer" in params and "type" in params:
        raise SchemaValidationError("an analyzer has a 'type' or a 'tokenizer', not both")
    filters = params.get("filter") or []
    if not isinstance(filters, list):
        raise SchemaValidationError(f"'filter' is a list of filters, got {type(filters).__name__}")
    tokenizer = read_tokenizer(params.get("tokenizer", params.get("type")))
    return TermAnalyzer(tokenizer, [read_filter(*named(each, "a filter")) for each in filters])


class TermAnalyzer:
    """A tokenizer and the filters that its tokens pass, one after the other; has the methods of Lite's analyzers."""

    def __init__(self, tokenizer: Tokenizer, filters: list[Filter]) -> None:
        self._tokenizer = tokenizer
        self._terms = lru_cache(CACHED_TERMS)(partial(_through, filters))

    def tokenize(self, text: str) -> list[str]:
        """The terms of a text, in order, repeated as often as they occur."""
        return [term for token in self._tokenizer(text) for term in self._terms(token)]

    def analyze(self, text: str) -> list[int]:
        """The terms of a text as Milvus Lite's numbers for them."""
        return [_term_id(term) for term in self.tokenize(text)]


_term_id = lru_cache(CACHED_TERMS)(term_to_id)


def _through(filters: list[Filter], token: str) -> tuple[str, ...]:
    terms: tuple[str, ...] = (token,)
    for each in filters:
        terms = tuple(kept for term in terms for kept in each(term))
    return terms


def _built_in(params: Mapping[str, Any]) -> TermAnalyzer:
    name = params["type"]
    if name not in ("standard", "english", "chinese"):
        raise SchemaValidationError(f"unknown analyzer type {name!r}; known here: 'standard', 'english', 'chinese'")
    only_these(params, f"the {name} analyzer", "type", "stop_words")
    tokenizer: Tokenizer = letters_and_digits
    filters: list[Filter] = [lambda token: (token.lower(),)]
    if name == "english":
        filters += [stemmer("english"), dropping(ENGLISH_STOP_WORDS)]
    if name == "chinese":
        tokenizer, filters = jieba({}), [chinese_only]
    if "stop_words" in params:
        filters.append(dropping(stop_words(params["stop_words"])))
    return TermAnalyzer(tokenizer, filters)
