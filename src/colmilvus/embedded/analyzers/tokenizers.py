"""What cuts a text into tokens, by the parameters of Milvus's tokenizers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import groupby
from threading import Lock
from typing import Any, TypeAlias

from colmilvus.embedded.analyzers.options import SchemaValidationError, named, names, only_these, words
from colmilvus.errors import MissingExtra

__all__ = ["Tokenizer", "jieba", "letters_and_digits", "read_tokenizer"]

Tokenizer: TypeAlias = Callable[[str], list[str]]

EXTRA = "languages"
DICTIONARIES = ("ipadic", "ko-dic", "cc-cedict")
TAG_FILTERS = ("japanese_stop_tags", "japanese_keep_tags", "korean_stop_tags", "korean_keep_tags")
COMPOUNDS = "japanese_compound_word"
# What a server has beside: the rules of ICU, the guess of a language, and a service of one's own.
ELSEWHERE = ("icu", "language_identifier", "grpc")

letters_and_digits: Tokenizer = re.compile(r"[^\W_]+").findall
_whitespace: Tokenizer = re.compile(r"[^ \t\n\f\r]+").findall


def read_tokenizer(spec: Any) -> Tokenizer:
    """The tokenizer of a specification. Raises SchemaValidationError, and MissingExtra for a library."""
    name, options = named(spec, "a tokenizer")
    if name in ELSEWHERE:
        raise SchemaValidationError(
            f"the tokenizer {name!r} is not supported by the embedded engine; known here: {names(_TOKENIZERS)}"
        )
    if name not in _TOKENIZERS:
        raise SchemaValidationError(f"unknown tokenizer {name!r}; known here: {names(_TOKENIZERS)}")
    return _TOKENIZERS[name](options)


def _without_options(name: str, tokenizer: Tokenizer, options: dict[str, Any]) -> Tokenizer:
    only_these(options, f"the {name} tokenizer", "type")
    return tokenizer


# The names of groups of characters.


def _category(first: str) -> Callable[[str], bool]:
    return lambda sign: unicodedata.category(sign)[0] == first


def _ascii(test: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda sign: sign.isascii() and test(sign)


_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
GROUPS: dict[str, Callable[[str], bool]] = {
    "whitespace": str.isspace,
    "letter": str.isalpha,
    "digit": _ascii(str.isdigit),
    "punctuation": _category("P"),
    "symbol": _category("S"),
    "ascii_whitespace": frozenset(" \t\n\f\r").__contains__,
    "ascii_letter": _ascii(str.isalpha),
    "ascii_digit": _ascii(str.isdigit),
    "ascii_punctuation": _PUNCTUATION.__contains__,
}


def _char_group(options: dict[str, Any]) -> Tokenizer:
    only_these(options, "the char_group tokenizer", "type", "delimiters")
    given = words(options.get("delimiters"), "delimiters", ["whitespace", "-"])
    if unknown := [each for each in given if len(each) != 1 and each not in GROUPS]:
        raise SchemaValidationError(f"{unknown[0]!r} is no character and no group of characters: {names(GROUPS)}")
    tests = [GROUPS[each] for each in given if each in GROUPS]
    signs = {each for each in given if len(each) == 1}
    cut = lru_cache(1 << 12)(lambda sign: sign in signs or any(test(sign) for test in tests))

    def tokenize(text: str) -> list[str]:
        return ["".join(run) for delimiting, run in groupby(text, cut) if not delimiting]

    return tokenize


def jieba(options: dict[str, Any]) -> Tokenizer:
    """The tokenizer of Chinese, as jieba-rs cuts it; its modes are ``search``, which repeats parts, and ``exact``."""
    only_these(options, "the jieba tokenizer", "type", "mode", "dict", "hmm")
    mode, hmm = options.get("mode", "search"), options.get("hmm", True)
    if mode not in ("exact", "search"):
        raise SchemaValidationError(f"the jieba tokenizer's 'mode' is 'exact' or 'search', got {mode!r}")
    if not isinstance(hmm, bool):
        raise SchemaValidationError(f"the jieba tokenizer's 'hmm' is true or false, got {hmm!r}")
    dictionary = tuple(words(options.get("dict", ["_default_"]), "dict", ["_default_", "结巴"]))
    if "_extend_default_" in dictionary:
        raise SchemaValidationError("jieba's dictionary '_extend_default_' is not known here; known: '_default_'")
    cutter = _jieba(dictionary)
    rust_mode = "search" if mode == "search" else "default"
    return lambda text: [token for token, _, _ in cutter.tokenize(text, rust_mode, hmm)]


@lru_cache(maxsize=16)
def _jieba(dictionary: tuple[str, ...]) -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise MissingExtra("the jieba tokenizer", EXTRA) from error
    kind: Any = rjieba.Jieba
    cutter = kind() if "_default_" in dictionary else kind.empty()
    for word in dictionary:
        if word and word != "_default_":
            cutter.add_word(word, None, None)
    return cutter


def _lindera(options: dict[str, Any]) -> Tokenizer:
    only_these(options, "the lindera tokenizer", "type", "dict_kind", "filter")
    kind = options.get("dict_kind")
    if kind not in DICTIONARIES:
        raise SchemaValidationError(f"the lindera tokenizer's 'dict_kind' is {names(DICTIONARIES)} here, got {kind!r}")
    filters = [_tag_filter(each) for each in options.get("filter") or []]
    return _lindera_of(kind, json.dumps(filters, ensure_ascii=False))


def _tag_filter(spec: Any) -> tuple[str, dict[str, Any]]:
    name = spec.get("kind") if isinstance(spec, dict) else spec
    if name not in (*TAG_FILTERS, COMPOUNDS) or not isinstance(spec, dict):
        known = names([*TAG_FILTERS, COMPOUNDS])
        raise SchemaValidationError(f"a filter of lindera is a dict with its 'kind', {known}, and 'tags', got {spec!r}")
    only_these(spec, f"the {name} filter", "kind", "tags", *(["new_tag"] if name == COMPOUNDS else []))
    words(spec.get("tags"), "tags", ["助詞", "JKO"])
    return name, {key: value for key, value in spec.items() if key != "kind"}


@lru_cache(maxsize=16)
def _lindera_of(kind: str, filters: str) -> Tokenizer:
    # Read at the first text, as a dictionary takes a second and 100 MB.
    build = lru_cache(maxsize=1)(partial(_built, kind, filters))
    lock = Lock()
    _import_lindera()

    def tokenize(text: str) -> list[str]:
        with lock:
            return [token.surface for token in build().tokenize(text)]

    return tokenize


def _built(kind: str, filters: str) -> Any:
    builder = _import_lindera().TokenizerBuilder()
    builder.set_mode("normal")
    builder.set_dictionary(f"embedded://{kind}")
    for name, settings in json.loads(filters):
        builder.append_token_filter(name, settings)
    return builder.build()


def _import_lindera() -> Any:
    try:
        import lindera
    except ImportError as error:
        raise MissingExtra("the lindera tokenizer", EXTRA) from error
    return lindera


_TOKENIZERS: dict[str, Callable[[dict[str, Any]], Tokenizer]] = {
    "standard": partial(_without_options, "standard", letters_and_digits),
    "whitespace": partial(_without_options, "whitespace", _whitespace),
    "char_group": _char_group,
    "jieba": jieba,
    "lindera": _lindera,
}
