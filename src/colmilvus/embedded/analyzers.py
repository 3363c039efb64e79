"""Text analyzers by Milvus's parameters: how a text becomes the terms that BM25 counts.

Milvus Lite reads ``tokenizer`` and literal stop words and ignores the rest; here every parameter works as on a server
or is refused by name. Terms may differ from a server's where Snowball's stemmers have changed between versions, and
in scripts with combining vowel signs. Source: Milvus documentation, "Analyzer Overview" and the pages of each
tokenizer and filter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from threading import Lock
from typing import Any, TypeAlias

from colmilvus.errors import MissingExtra

try:
    from milvus_lite.analyzer import term_to_id
    from milvus_lite.analyzer.factory import create_analyzer as create_lite_analyzer
    from milvus_lite.exceptions import SchemaValidationError
except ImportError as error:
    raise MissingExtra("the embedded engine", "embedded") from error

__all__ = ["create_analyzer"]

Tokenizer: TypeAlias = Callable[[str], list[str]]
Filter: TypeAlias = Callable[[str], str | None]  # a token in; the token to keep out, or None to drop it

CACHED_TERMS = 1 << 16

_LUCENE = """a an and are as at be but by for if in into is it no not of on or such that the their then there these they
this to was will with"""
ENGLISH_STOP_WORDS = frozenset(_LUCENE.split())  # of Lucene's EnglishAnalyzer; Milvus calls the list _english_

_SNOWBALL = "danish dutch finnish french german hungarian italian norwegian portuguese russian spanish swedish"
_OTHER_STOP_WORD_LISTS = frozenset(f"_{language}_" for language in f"{_SNOWBALL} arabic chinese thai".split())
STEMMED_LANGUAGES = frozenset(f"{_SNOWBALL} arabic english greek romanian tamil turkish".split())

# Latin letters that Unicode does not decompose.
_ASCII_LETTERS = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"}
    | {"ł": "l", "Ł": "L", "þ": "th", "Þ": "TH", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "\u0131": "i"}
)


def create_analyzer(params: Mapping[str, Any] | None = None) -> TermAnalyzer:
    """The analyzer that Milvus makes of ``analyzer_params``, with Milvus Lite's interface; ``standard`` for None.

    Built-in analyzers: ``standard`` and ``english``, with ``stop_words``. Tokenizers: ``standard`` (letters and
    digits), ``whitespace``, and Lite's ``jieba``. Filters, in the order given: ``lowercase``, ``asciifolding``,
    ``alphanumonly``, ``length``, ``stop``, ``stemmer``. Raises SchemaValidationError for anything else, by its name,
    and MissingExtra where stemming is asked for and snowballstemmer is not installed.

    >>> create_analyzer({"type": "english"}).tokenize("The Milvus vector database is built for scale!")
    ['milvus', 'vector', 'databas', 'built', 'scale']
    """
    params = params or {"type": "standard"}
    if "type" in params and params["type"] != "jieba":
        return _built_in(params)
    _only_these(params, "an analyzer", "tokenizer", "filter", "type")
    if "tokenizer" in params and "type" in params:
        raise SchemaValidationError("an analyzer has a 'type' or a 'tokenizer', not both")
    filters = params.get("filter") or []
    if not isinstance(filters, list):
        raise SchemaValidationError(f"'filter' is a list of filters, got {type(filters).__name__}")
    return TermAnalyzer(_tokenizer(params.get("tokenizer", params.get("type"))), [_filter(each) for each in filters])


class TermAnalyzer:
    """A tokenizer and the filters that its tokens pass, one after the other; has the methods of Lite's analyzers."""

    def __init__(self, tokenizer: Tokenizer, filters: list[Filter]) -> None:
        self._tokenizer = tokenizer
        self._term = lru_cache(CACHED_TERMS)(partial(_through, filters))

    def tokenize(self, text: str) -> list[str]:
        """The terms of a text, in order, repeated as often as they occur."""
        return [term for token in self._tokenizer(text) if (term := self._term(token)) is not None]

    def analyze(self, text: str) -> list[int]:
        """The terms of a text as Milvus Lite's numbers for them."""
        return [_term_id(term) for term in self.tokenize(text)]


_term_id = lru_cache(CACHED_TERMS)(term_to_id)


def _through(filters: list[Filter], token: str) -> str | None:
    term: str | None = token
    for each in filters:
        if term is None:
            return None
        term = each(term)
    return term


def _built_in(params: Mapping[str, Any]) -> TermAnalyzer:
    name = params["type"]
    if name not in ("standard", "english"):
        raise SchemaValidationError(f"unknown analyzer type {name!r}; known here: 'standard', 'english'")
    _only_these(params, f"the {name} analyzer", "type", "stop_words")
    filters: list[Filter] = [str.lower]
    if name == "english":
        filters += [_stemmer("english"), _dropping(ENGLISH_STOP_WORDS)]
    if "stop_words" in params:
        filters.append(_dropping(_stop_words(params["stop_words"])))
    return TermAnalyzer(_letters_and_digits, filters)


def _tokenizer(spec: Any) -> Tokenizer:
    name, options = _named(spec, "a tokenizer")
    if name == "jieba":
        return _jieba(options)
    if name not in _TOKENIZERS:
        raise SchemaValidationError(f"unknown tokenizer {name!r}; known here: {_names([*_TOKENIZERS, 'jieba'])}")
    _only_these(options, f"the {name} tokenizer", "type")
    return _TOKENIZERS[name]


_letters_and_digits: Tokenizer = re.compile(r"[^\W_]+").findall
_TOKENIZERS: dict[str, Tokenizer] = {
    "standard": _letters_and_digits,
    "whitespace": re.compile(r"[^ \t\n\f\r]+").findall,
}


def _jieba(options: dict[str, Any]) -> Tokenizer:
    _only_these(options, "the jieba tokenizer", "type", "mode", "dict")
    try:
        tokenize: Tokenizer = create_lite_analyzer({"tokenizer": options}).tokenize
    except ImportError as error:
        raise SchemaValidationError(str(error)) from error
    return tokenize


def _filter(spec: Any) -> Filter:
    name, options = _named(spec, "a filter")
    if name not in _FILTERS:
        raise SchemaValidationError(f"unknown filter {name!r}; known here: {_names(_FILTERS)}")
    option, build = _FILTERS[name]
    _only_these(options, f"the {name} filter", "type", *([option] if option else []))
    if option and option not in options:
        raise SchemaValidationError(f"the {name} filter needs {option!r}")
    return build(options[option]) if option else build(None)


def _dropping(words: frozenset[str]) -> Filter:
    return lambda token: None if token in words else token


def _stop_words(words: Any) -> frozenset[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise SchemaValidationError(f"'stop_words' is a list of words, such as ['_english_', 'of'], got {words!r}")
    if unknown := _OTHER_STOP_WORD_LISTS.intersection(words):
        raise SchemaValidationError(f"the stop word list {min(unknown)} is not known here; known: _english_")
    listed = frozenset(words)
    return listed | ENGLISH_STOP_WORDS if "_english_" in listed else listed


def _stemmer(language: Any) -> Filter:
    if not isinstance(language, str) or language.lower() not in STEMMED_LANGUAGES:
        raise SchemaValidationError(f"unknown stemmer language {language!r}; known: {_names(STEMMED_LANGUAGES)}")
    try:
        from snowballstemmer import stemmer
    except ImportError as error:
        raise MissingExtra("the stemmer", "embedded") from error
    snowball, lock = stemmer(language.lower()), Lock()

    def stem(token: str) -> str:
        with lock:  # a stemmer keeps the word that it works on in itself
            return str(snowball.stemWord(token))

    return stem


def _at_most(length: Any) -> Filter:
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise SchemaValidationError(f"the length filter's 'max' is a whole number, 0 or more, got {length!r}")
    return lambda token: token if len(token.encode()) <= length else None  # in bytes, as a server counts


def _ascii_folded(token: str) -> str:
    return token if token.isascii() else "".join(map(_ascii_letter, token.translate(_ASCII_LETTERS)))


def _ascii_letter(character: str) -> str:
    base = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return base if base and base.isascii() else character


def _ascii_alphanumeric(token: str) -> str | None:
    return token if token.isascii() and token.isalnum() else None


# The option that each filter takes, and what makes the filter of it.
_FILTERS: dict[str, tuple[str | None, Callable[[Any], Filter]]] = {
    "lowercase": (None, lambda _: str.lower),
    "asciifolding": (None, lambda _: _ascii_folded),
    "alphanumonly": (None, lambda _: _ascii_alphanumeric),
    "length": ("max", _at_most),
    "stop": ("stop_words", lambda words: _dropping(_stop_words(words))),
    "stemmer": ("language", _stemmer),
}


def _named(spec: Any, what: str) -> tuple[str, dict[str, Any]]:
    options = spec if isinstance(spec, dict) else {"type": spec}
    name = options.get("type")
    if not isinstance(name, str):
        raise SchemaValidationError(f"{what} is given by its name or by a dict with its 'type', got {spec!r}")
    return name, options


def _only_these(options: Mapping[str, Any], whose: str, *known: str) -> None:
    if unknown := [key for key in options if key not in known]:
        raise SchemaValidationError(f"{whose} has no option {unknown[0]!r}; it has {_names(known)}")


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names))
