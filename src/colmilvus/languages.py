"""Milvus's analyzers for texts in one language: the parameters, which are the same on the engine and on a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ANALYZERS", "analyzer_for"]

# Spaces and signs, particles, endings and prefixes to verbs; words that the dictionary lacks are kept.
KOREAN_TAGS = (
    "SP SSC SSO SC SE SF SY JKS JKC JKG JKO JKB JKV JKQ JX JC EP ETM ETN EC EF XSV XSA VCP "
    "XSV+EP XSV+EF XSV+EC XSV+ETM XSA+ETM XSA+EC XSA+EF VCP+EF VCP+EC VCP+ETM"
)
# Particles, the endings of verbs, words that join, and signs, each as deep as the dictionary divides them.
PARTICLES = "格助詞,一般 格助詞,引用 格助詞,連語 接続助詞 係助詞 副助詞 並立助詞 終助詞 連体化 副詞化 特殊"
PARTICLES += " 副助詞\uff0f並立助詞\uff0f終助詞"
SIGNS = "句点 読点 一般 空白 括弧開 括弧閉"
JAPANESE_TAGS = " ".join(
    [*(f"助詞,{kind}" for kind in PARTICLES.split()), "助動詞", "接続詞", *(f"記号,{kind}" for kind in SIGNS.split())]
)
STEMMED = "danish dutch finnish french german greek hungarian italian norwegian portuguese romanian russian spanish"
STEMMED += " swedish tamil turkish"


def _stemmed(language: str) -> dict[str, Any]:
    return {"tokenizer": "standard", "filter": ["lowercase", {"type": "stemmer", "language": language}]}


def _by_dictionary(kind: str, filter: str, tags: str) -> dict[str, Any]:
    tokenizer = {"type": "lindera", "dict_kind": kind, "filter": [{"kind": filter, "tags": tags.split()}]}
    return {"tokenizer": tokenizer, "filter": ["lowercase"]}


ANALYZERS: Mapping[str, Mapping[str, Any]] = {
    **{language: _stemmed(language) for language in STEMMED.split()},
    "japanese": _by_dictionary("ipadic", "japanese_stop_tags", JAPANESE_TAGS),
    "korean": _by_dictionary("ko-dic", "korean_stop_tags", KOREAN_TAGS),
}
"""Languages, beside ``english`` and ``chinese``, which Milvus has analyzers of its own for."""


def analyzer_for(name: str) -> Mapping[str, Any]:
    """The parameters of the analyzer for a language, or of Milvus's own analyzer of that name.

    >>> analyzer_for("russian")
    {'tokenizer': 'standard', 'filter': ['lowercase', {'type': 'stemmer', 'language': 'russian'}]}
    >>> analyzer_for("chinese")
    {'type': 'chinese'}
    """
    return ANALYZERS.get(name, {"type": name})
