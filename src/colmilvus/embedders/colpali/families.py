"""The model families of colpali-engine, and which of them a checkpoint belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from colmilvus.embedder import Setting
from colmilvus.embedders.checkpoints import Checkpoint, fetch
from colmilvus.errors import UnusableModel

__all__ = ["PROCESSORS", "Source", "engine_models", "find_source", "processor_name"]

PROCESSORS: Mapping[str, str] = {
    "ColPali": "ColPaliProcessor",
    "ColQwen2": "ColQwen2Processor",
    "ColQwen2_5": "ColQwen2_5_Processor",
    "ColQwen3": "ColQwen3Processor",
    "ColQwen3_5": "ColQwen3_5Processor",
    "ColIdefics3": "ColIdefics3Processor",
    "ColModernVBert": "ColModernVBertProcessor",
    "ColGemma3": "ColGemmaProcessor3",
    "ColQwen2_5Omni": "ColQwen2_5OmniProcessor",
}
"""The class of each family's processor; a family that is not listed has its own name with Processor behind it."""

ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Source:
    """Where a model comes from: its family, the folder of its weights, and that of an adapter to them, or None."""

    family: str
    checkpoint: Checkpoint
    base: Checkpoint | None

    @property
    def weights(self) -> Checkpoint:
        return self.base or self.checkpoint

    @property
    def settings(self) -> dict[str, Setting]:
        """Where the model was found, and in ``content`` what it is, wherever it lies."""
        contents = [self.checkpoint.content] if self.base is None else [self.checkpoint.content, self.base.content]
        return {
            "checkpoint": self.checkpoint.name,
            "revision": self.checkpoint.revision,
            "base": None if self.base is None else self.base.name,
            "base_revision": None if self.base is None else self.base.revision,
            "family": self.family,
            "content": " ".join(contents),
        }


def find_source(
    name: str | Path, *, revision: str | None = None, base_revision: str | None = None, local_files_only: bool = False
) -> Source:
    """The checkpoint of that name and, where it is a LoRA adapter without weights of its own, the model under it.

    Raises UnusableModel where either is not to be had, or is no multi-vector model of colpali-engine.
    """
    checkpoint = fetch(name, revision=revision, local_files_only=local_files_only)
    adapter = checkpoint.read_json(ADAPTER)
    if adapter is None:
        if base_revision is not None:
            raise UnusableModel(f"{name} is no adapter, and has no base for base_revision={base_revision!r}")
        return Source(_family(checkpoint), checkpoint, None)
    base = _base(checkpoint, adapter, base_revision, local_files_only)
    return Source(_family(base), checkpoint, base)


def _base(
    checkpoint: Checkpoint, adapter: Mapping[str, Any], revision: str | None, local_files_only: bool
) -> Checkpoint:
    if checkpoint.read_json("config.json") and checkpoint.has_model_weights:  # the whole model lies beside its adapter
        if revision is not None:
            raise UnusableModel(f"{checkpoint.name} holds its base itself, and none for base_revision={revision!r}")
        return checkpoint
    name = adapter.get("base_model_name_or_path")
    if not name:
        raise UnusableModel(f"{checkpoint.name} is an adapter that does not name its base model; merge the two")
    beside = checkpoint.folder / name
    try:
        return fetch(beside if beside.is_dir() else name, revision=revision, local_files_only=local_files_only)
    except UnusableModel as error:
        raise UnusableModel(f"{checkpoint.name} is an adapter to {name}, which is not to be had: {error}") from error


def _family(checkpoint: Checkpoint) -> str:
    config = checkpoint.read_json("config.json")
    if config is None:
        held = ", ".join(sorted(path.name for path in checkpoint.folder.iterdir())[:5]) or "nothing"
        raise UnusableModel(f"{checkpoint.name} holds no config.json and no {ADAPTER}, but {held}: it is no checkpoint")
    named = [name for name in config.get("architectures") or () if isinstance(name, str)]
    for name in named:
        if name in multi_vector_families():
            return name
    raise UnusableModel(_not_of_the_engine(checkpoint, named, config))


def multi_vector_families() -> list[str]:
    """The names of the classes of the installed colpali-engine that give multi-vectors."""
    models = engine_models()
    return [name for name in vars(models) if name.startswith("Col") and hasattr(models, processor_name(name))]


def engine_models() -> ModuleType:
    """colpali-engine's models; the import takes seconds, and the caller has made sure that it works."""
    import colpali_engine.models

    models: ModuleType = colpali_engine.models
    return models


def processor_name(family: str) -> str:
    return PROCESSORS.get(family, f"{family}Processor")


def _not_of_the_engine(checkpoint: Checkpoint, named: list[str], config: Mapping[str, Any]) -> str:
    what = f"{checkpoint.name} is a {' or '.join(named) or config.get('model_type', 'model of no named architecture')}"
    known = ", ".join(multi_vector_families())
    if any(name.endswith("ForRetrieval") for name in named):
        advice = "a checkpoint for transformers' own class: load it with MultiVectorEmbedder"
    elif any(name.startswith("Bi") for name in named):
        advice = "which gives one vector a page; take its Col... sibling"
    else:
        advice = "no multi-vector model of colpali-engine"
    return f"{what}, {advice} (this engine has: {known})"
