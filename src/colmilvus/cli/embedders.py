"""The one place where a name becomes an embedder: what ``--embedder`` takes, and what a collection remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colmilvus.embedder import Embedder
from colmilvus.embedders.checkpoints import NOT_FETCHED
from colmilvus.errors import ColmilvusError, InvalidInput, UnusableModel

if TYPE_CHECKING:
    from colmilvus.layouts.spec import CollectionSpec

__all__ = ["FORMS", "Choice", "as_remembered", "choose", "make_remembered", "remembered"]

FORMS = "static, colpali:CHECKPOINT, multi-vector:MODEL, segments:MODEL, cohere or cohere:MODEL"
KEPT: Mapping[str, tuple[str, ...]] = {
    "static": (),
    "colpali": ("revision", "base_revision", "pool", "image_rows_only"),
    "multi-vector": ("revision", "pool"),
    "segments": ("revision",),
    "cohere": ("output_dimension", "input_type", "query_input_type", "query", "content"),
}
"""The embedders that have a name here, with the settings that are arguments of their own."""
LOCAL = ("colpali", "multi-vector", "segments")
"""Those whose models lie on this machine, or are fetched to it."""


@dataclass(frozen=True)
class Choice:
    """An embedder by name, as it is typed: its kind, the model, and what else a collection remembers of it."""

    kind: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.kind if self.model is None else f"{self.kind}:{self.model}"

    def make(self, *, here_only: bool = False) -> Embedder:
        """The embedder; with ``here_only`` nothing is downloaded for it.

        Raises MissingExtra without the libraries that it needs, and UnusableModel where the model cannot be had.
        """
        options = dict(self.options)
        if self.kind in LOCAL:
            options["local_files_only"] = here_only
        arguments = () if self.model is None else (self.model,)
        embedder: Embedder = _class_of(self.kind)(*arguments, **options)
        return embedder


def _class_of(kind: str) -> Any:
    if kind == "static":
        from colmilvus.embedders.static import StaticEmbedder

        return StaticEmbedder
    if kind == "colpali":
        from colmilvus.embedders.colpali import ColPaliEmbedder

        return ColPaliEmbedder
    if kind == "multi-vector":
        from colmilvus.embedders.sentence_transformers import MultiVectorEmbedder

        return MultiVectorEmbedder
    if kind == "segments":
        from colmilvus.embedders.segments import SegmentEmbedder

        return SegmentEmbedder
    from colmilvus.embedders.cohere import CohereEmbedder

    return CohereEmbedder


def choose(typed: str) -> Choice:
    """The embedder that was typed. Raises InvalidInput for another name, and where the model is missing."""
    kind, colon, model = typed.partition(":")
    if kind not in KEPT:
        raise InvalidInput(f"--embedder takes {FORMS}; got {typed!r}")
    if kind in LOCAL and not model:
        raise InvalidInput(f"--embedder {kind} needs a model, a folder or a name on the hub: --embedder {kind}:MODEL")
    if colon and (kind == "static" or not model):
        raise InvalidInput(f"--embedder takes {FORMS}; got {typed!r}")
    return Choice(kind, model or None)


def remembered(spec: CollectionSpec) -> Choice | None:
    """The embedder that a collection was made with, None where it has no name on the command line."""
    kind = spec.embedder
    if kind is None or kind not in KEPT:
        return None
    model = spec.settings.get("model" if kind == "cohere" else "checkpoint")
    options = {name: spec.settings[name] for name in KEPT[kind] if spec.settings.get(name) is not None}
    if kind in LOCAL and not model:
        return None
    return Choice(kind, None if kind == "static" else str(model), options)


def as_remembered(named: Choice, spec: CollectionSpec) -> Choice:
    """The embedder that is named; if a collection was made with the same model, with the settings that it had then."""
    before = remembered(spec)
    if before is None or named.kind != before.kind or named.model is None:
        return named
    folder = Path(named.model).expanduser()
    model = str(folder.absolute()) if folder.is_dir() else named.model
    return replace(named, options=before.options) if model == before.model else named


def make_remembered(name: str, spec: CollectionSpec) -> tuple[Choice, Embedder] | None:
    """What a collection was made with, if that has a name and is on this machine.

    Raises UnusableModel, with how to name it, where it is not on this machine, or cannot be used as things are.
    """
    choice = remembered(spec)
    if choice is None:
        return None
    try:
        return choice, choice.make(here_only=True)
    except UnusableModel as error:
        reason = str(error).removesuffix(NOT_FETCHED)
        raise UnusableModel(
            f"collection {name!r} was made with --embedder {choice}, which cannot be used as it is: {reason}; "
            f"name it to fetch it: --embedder {choice}"
        ) from error
    except ColmilvusError as error:
        raise UnusableModel(
            f"collection {name!r} was made with --embedder {choice}, which cannot be used as things are: {error}"
        ) from error
