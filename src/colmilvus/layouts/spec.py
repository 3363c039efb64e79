"""What a collection is made with, and remembers: the embedder, the shape of its vectors, its typed fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from colmilvus.embedder import identity
from colmilvus.entity import DType, Metric
from colmilvus.errors import CollectionMismatch, InvalidInput, warn

__all__ = ["CAPACITY_LIMIT", "ENGLISH", "FIELD_TYPES", "CollectionSpec"]

CAPACITY_LIMIT = 4096
"""Most elements of an array of structs (Milvus 3.0, ``proxy.maxArrayCapacity``)."""

FIELD_TYPES: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}
QUESTION_WORDS = (
    "what which who whom whose when where why how do does did done has have had having were been being am can could may"
    " might must shall should would"
)
ENGLISH: Mapping[str, Any] = {
    "tokenizer": "standard",
    "filter": [
        "lowercase",
        {"type": "stop", "stop_words": ["_english_", *QUESTION_WORDS.split()]},
        {"type": "stemmer", "language": "english"},
    ],
}
"""Milvus's ``english`` analyzer, and the words that make a question or only help a verb left out as well."""

OWN_COLUMNS = frozenset(
    {"key", "id", "document", "part", "text", "bm25", "image", "metadata", "internal", "segment_ids", "vectors"}
    | {"emb", "has_document", "kinds", "segment", "segment_id", "segment_info", "segment_text", "writing"}
)
KEYWORDS = frozenset({"and", "exists", "false", "in", "is", "like", "not", "null", "or", "true"})
FUNCTIONS = re.compile(r"(json|array)_(contains(_all|_any)?|length)|(text|phrase)_match")
FORMAT = 1
PRECISION = frozenset({"dtype"})
"""Settings that change vectors by no more than rounding: what a GPU embedded in half precision, a laptop searches."""


@dataclass(frozen=True)
class CollectionSpec:
    """The settings of one collection; stored as JSON in the description of its schema.

    ``embedder`` and ``settings`` are the embedder's ``name`` and ``settings``, None where vectors are passed in ready.
    """

    dim: int
    metric: Metric = "COSINE"
    embedder: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    capacity: int = CAPACITY_LIMIT
    segments: bool = False
    fields: Mapping[str, type] = field(default_factory=dict)
    analyzer: Mapping[str, Any] = field(default_factory=lambda: ENGLISH)
    dtype: DType = "float32"
    index: Mapping[str, Any] = field(default_factory=dict)
    tenant_field: str | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        for name, value in self.settings.items():
            if not (value is None or isinstance(value, str | int | float)):
                raise InvalidInput(f"an embedder's settings are strings, numbers, bools or None; {name} is {value!r}")
        if self.metric not in ("COSINE", "IP", "L2"):
            raise InvalidInput(f"the metric is 'COSINE', 'IP' or 'L2', not {self.metric!r}")
        if self.dtype not in ("float32", "float16"):
            raise InvalidInput(f"the dtype is 'float32' or 'float16', not {self.dtype!r}")
        for name, kind in self.fields.items():
            _check_field(name, kind)
        _check_index(self.index)
        if self.tenant_field is not None:
            _check_name(self.tenant_field, "tenant_field")
        if self.tenant_field in self.fields:
            raise InvalidInput(
                f"the tenant_field {self.tenant_field!r} has a column of its own; leave it out of fields"
            )

    def _check_numbers(self) -> None:
        for what in ("dim", "capacity"):
            if not isinstance(getattr(self, what), int) or isinstance(getattr(self, what), bool):
                raise InvalidInput(f"{what} is a whole number, not {getattr(self, what)!r}")
        if not 2 <= self.dim <= 32_768:
            raise InvalidInput(f"Milvus stores vectors of 2 to 32768 dimensions, not {self.dim}")
        if not 1 <= self.capacity <= CAPACITY_LIMIT:
            raise InvalidInput(f"an entity holds 1 to {CAPACITY_LIMIT} vectors, capacity={self.capacity} is outside")

    @property
    def made_with(self) -> str:
        """The embedder, with the model that it was made of, in words."""
        if self.embedder is None:
            return "ready vectors"
        model = self.settings.get("checkpoint") or self.settings.get("model")
        return f"embedder {self.embedder!r}" + (f" of {model!r}" if model else "")

    def check_same(self, name: str, asked: Mapping[str, Any]) -> None:
        """Raise CollectionMismatch where collection ``name`` was made otherwise than ``asked``; versions only warn."""
        for what in sorted(asked, key=lambda what: what != "embedder"):
            value, stored = asked[what], getattr(self, what)
            if what == "settings":
                self._check_settings(name, value)
            elif stored != value:
                raise CollectionMismatch(
                    f"collection {name!r} was made with {what}={stored!r}, not {value!r}; "
                    "open it with the same, or take another name"
                )

    def _check_settings(self, name: str, settings: Mapping[str, Any]) -> None:
        own, others = identity(self.settings), identity(settings)
        differing = {key for key in {*own, *others} if own.get(key) != others.get(key)} - PRECISION
        if "content" in differing:  # a digest tells nobody anything; where the two models lie does
            differing |= {key for key in self.settings if self.settings[key] != settings.get(key)} - PRECISION
        told = ", ".join(f"{key}={self.settings.get(key)!r}, now {settings.get(key)!r}" for key in sorted(differing))
        if any(not key.endswith("_version") for key in differing):
            raise CollectionMismatch(
                f"collection {name!r} was made by embedder {self.embedder!r} with other settings: {told}; "
                "their vectors do not compare: use the same settings, or take another name"
            )
        if differing:
            warn(f"collection {name!r} was made with another library version: {told}")

    def to_description(self) -> str:
        names = {name: FIELD_TYPES[kind] for name, kind in self.fields.items()}
        return json.dumps(
            {"colmilvus": FORMAT, **asdict(replace(self, fields={})), "fields": names}, ensure_ascii=False
        )

    @classmethod
    def from_description(cls, collection: str, description: str) -> CollectionSpec:
        """Read what ``to_description`` wrote. Raises CollectionMismatch for a collection made by something else."""
        try:
            stored = json.loads(description)
            made_by = stored.pop("colmilvus")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CollectionMismatch(
                f"collection {collection!r} was not made by colmilvus; take another name, or another database"
            ) from None
        if made_by > FORMAT:
            raise CollectionMismatch(
                f"collection {collection!r} has format {made_by}, this version reads up to {FORMAT}: "
                "pip install --upgrade colmilvus"
            )
        types = {name: kind for kind, name in FIELD_TYPES.items()}
        return cls(**{**stored, "fields": {name: types[kind] for name, kind in stored["fields"].items()}})


def _check_field(name: str, kind: type) -> None:
    if kind not in FIELD_TYPES:
        raise InvalidInput(f"field {name!r}: the type is bool, int, float or str, not {kind!r}")
    _check_name(name, "field")


def _check_name(name: str, what: str) -> None:
    if name in OWN_COLUMNS:
        raise InvalidInput(f"{what} {name!r}: that name is one of the collection's own columns; choose another key")
    if name.lower() in KEYWORDS or FUNCTIONS.fullmatch(name.lower()):
        raise InvalidInput(f"{what} {name!r}: that is a word of Milvus's filter language; choose another key")
    if not (name.isascii() and name.isidentifier()):
        raise InvalidInput(f"{what} {name!r}: Milvus takes letters, digits and underscores, not starting with a digit")


def _check_index(index: Mapping[str, Any]) -> None:
    if unknown := sorted(index.keys() - {"index_type", "params"}):
        raise InvalidInput(
            f'index has {", ".join(unknown)}; it is like {{"index_type": "HNSW", "params": {{"M": 30}}}}, and the '
            "metric is that of the collection"
        )
