"""What becomes of a token on its way to a term, by the parameters of Milvus's filters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, TypeAlias

from colmilvus.embedded.analyzers.options import SchemaValidationError, names, only_these, words
from colmilvus.errors import MissingExtra

__all__ = ["ENGLISH_STOP_WORDS", "Filter", "cn_alphanumeric_only", "dropping", "read_filter", "stemmer", "stop_words"]

Filter: TypeAlias = Callable[[str], Sequence[str]]  # a token in; what to keep of it out

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

# The characters of Unicode's script Han.
HAN = "\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9"
HAN += "\U00016fe2\U00016fe3\U00016ff0\U00016ff1\U00020000-\U000323af"
_HAN = re.compile(f"[{HAN}]")
_HAN_OR_ALPHANUMERIC = re.compile(f"[{HAN}a-zA-Z0-9]")


def read_filter(name: str, options: dict[str, Any]) -> Filter:
    """The filter of a name and its options. Raises SchemaValidationError, and MissingExtra for a library."""
    if name not in _FILTERS:
        raise SchemaValidationError(f"unknown filter {name!r}; known here: {names(_FILTERS)}")
    option, build = _FILTERS[name]
    only_these(options, f"the {name} filter", "type", *([option] if option else []))
    if option and option not in options:
        raise SchemaValidationError(f"the {name} filter needs {option!r}")
    return build(options[option]) if option else build(None)


def keeping(test: Callable[[str], object]) -> Filter:
    """A filter that keeps the tokens that pass a test, as they are."""
    return lambda token: (token,) if test(token) else ()


def dropping(unwanted: frozenset[str]) -> Filter:
    """A filter that drops these words."""
    return keeping(lambda token: token not in unwanted)


def changing(change: Callable[[str], str]) -> Filter:
    """A filter that changes every token."""
    return lambda token: (change(token),)


def stop_words(given: Any) -> frozenset[str]:
    """The words that a list of stop words means. Raises SchemaValidationError for a list that is not known here."""
    listed = frozenset(words(given, "stop_words", ["_english_", "of"]))
    if unknown := _OTHER_STOP_WORD_LISTS.intersection(listed):
        raise SchemaValidationError(f"the stop word list {min(unknown)} is not known here; known: _english_")
    return listed | ENGLISH_STOP_WORDS if "_english_" in listed else listed


def stemmer(language: Any) -> Filter:
    """The stemmer of Snowball for a language. Raises SchemaValidationError and MissingExtra."""
    if not isinstance(language, str) or language.lower() not in STEMMED_LANGUAGES:
        raise SchemaValidationError(f"unknown stemmer language {language!r}; known: {names(STEMMED_LANGUAGES)}")
    try:
        from snowballstemmer import stemmer as snowball_stemmer
    except ImportError as error:
        raise MissingExtra("the stemmer", "embedded") from error
    snowball, lock = snowball_stemmer(language.lower()), Lock()

    def stem(token: str) -> str:
        with lock:  # a stemmer keeps the word that it works on in itself
            return str(snowball.stemWord(token))

    return changing(stem)


def _at_most(length: Any) -> Filter:
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise SchemaValidationError(f"the length filter's 'max' is a whole number, 0 or more, got {length!r}")
    return keeping(lambda token: len(token.encode()) <= length)  # in bytes, as a server counts


def _ascii_folded(token: str) -> str:
    return token if token.isascii() else "".join(map(_ascii_letter, token.translate(_ASCII_LETTERS)))


def _ascii_letter(character: str) -> str:
    base = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return base if base and base.isascii() else character


def _punctuated(token: str) -> bool:
    return any(sign.isspace() or unicodedata.category(sign)[0] == "P" for sign in token)


cn_alphanumeric_only: Filter = keeping(_HAN_OR_ALPHANUMERIC.search)


def _decompounder(given: Any) -> Filter:
    """Cut a token into words of the list where these make it up; the longest word goes first."""
    listed = frozenset(words(given, "word_list", ["dampf", "schiff"])) - {""}
    longest = max(map(len, listed), default=0)

    @lru_cache(maxsize=1 << 12)
    def parts(token: str) -> tuple[str, ...]:
        found, at = [], 0
        while at < len(token):
            ends = range(min(len(token), at + longest), at, -1)
            end = next((end for end in ends if token[at:end] in listed), None)
            if end is None:
                return (token,)
            found.append(token[at:end])
            at = end
        return tuple(found)

    return parts


def _matching(expression: Any) -> Filter:
    if not isinstance(expression, str):
        raise SchemaValidationError(f"the regex filter's 'expr' is a regular expression, got {expression!r}")
    try:
        return keeping(re.compile(expression).search)
    except re.error as error:
        raise SchemaValidationError(f"the regex filter's 'expr' {expression!r} is invalid: {error}") from error


# The option that each filter takes, and what makes the filter of it.
_FILTERS: dict[str, tuple[str | None, Callable[[Any], Filter]]] = {
    "lowercase": (None, lambda _: changing(str.lower)),
    "asciifolding": (None, lambda _: changing(_ascii_folded)),
    "alphanumonly": (None, lambda _: keeping(lambda token: token.isascii() and token.isalnum())),
    "cnalphanumonly": (None, lambda _: cn_alphanumeric_only),
    "cncharonly": (None, lambda _: keeping(_HAN.search)),
    "removepunct": (None, lambda _: keeping(lambda token: not _punctuated(token))),
    "length": ("max", _at_most),
    "stop": ("stop_words", lambda given: dropping(stop_words(given))),
    "decompounder": ("word_list", _decompounder),
    "stemmer": ("language", stemmer),
    "regex": ("expr", _matching),
}
