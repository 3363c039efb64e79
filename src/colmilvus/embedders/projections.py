"""Whether a checkpoint for sentence-transformers was trained to give multi-vectors, or would only look as if."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colmilvus.embedders.checkpoints import Checkpoint
from colmilvus.errors import UnusableModel

if TYPE_CHECKING:
    import torch

__all__ = ["check_kind", "check_projection"]

PYLATE_KEYS = ("query_prefix", "document_prefix", "do_query_expansion", "skiplist_words")


def check_kind(checkpoint: Checkpoint) -> None:
    """Raise UnusableModel for what sentence-transformers would make a multi-vector model of by a random projection."""
    config = checkpoint.read_json("config.json") or {}
    settings = checkpoint.read_json("config_sentence_transformers.json") or {}
    architectures = [str(name) for name in config.get("architectures") or ()]
    if settings.get("model_type") in ("MultiVectorEncoder", "ColBERT") or any(key in settings for key in PYLATE_KEYS):
        return
    if any(name == "HF_ColBERT" or name.endswith("ForRetrieval") for name in architectures):
        return
    if settings or (checkpoint.folder / "modules.json").is_file():
        raise UnusableModel(
            f"{checkpoint.name} is a model of sentence-transformers that gives one vector a text, and no "
            "multi-vectors; use it for segments, with SegmentEmbedder"
        )
    if not config:
        held = ", ".join(sorted(path.name for path in checkpoint.folder.iterdir())[:5]) or "nothing"
        raise UnusableModel(f"{checkpoint.name} holds no config.json, but {held}: it is no checkpoint")
    what = " or ".join(architectures) or str(config.get("model_type", "model of no named architecture"))
    advice = "load it with ColPaliEmbedder" if what.startswith("Col") else "take a ColBERT checkpoint made from it"
    raise UnusableModel(
        f"{checkpoint.name} is a {what}, a plain encoder to sentence-transformers, which would give it a projection of "
        f"random numbers; {advice}"
    )


def check_projection(checkpoint: Checkpoint, model: Any) -> None:
    """Raise UnusableModel for a projection of the loaded model that does not stand in the checkpoint's files."""
    from sentence_transformers.base.modules import Dense

    for name, module in model.named_children():
        projection = module.linear.weight if isinstance(module, Dense) else _head(module)
        if projection is not None and not any(_same(projection, found) for found in _matrices(checkpoint, projection)):
            raise UnusableModel(
                f"the projection {name} of {checkpoint.name} has weights of {tuple(projection.shape)} that stand in "
                "none of its files: sentence-transformers has made them up; take a checkpoint that was trained with one"
            )


def _head(module: Any) -> torch.Tensor | None:
    """The projection of transformers' own retrieval models, which lies inside them."""
    head = getattr(getattr(module, "model", None), "embedding_proj_layer", None)
    weight: torch.Tensor | None = getattr(head, "weight", None)
    return weight


def _same(projection: torch.Tensor, found: torch.Tensor) -> bool:
    import torch

    return torch.equal(projection.cpu(), found.to(projection.dtype))


def _matrices(checkpoint: Checkpoint, like: torch.Tensor) -> Iterator[torch.Tensor]:
    """The matrices of that shape in the checkpoint's files; the others are not read."""
    import torch
    from safetensors import safe_open

    for path in sorted(checkpoint.folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no mapping
                if weights.get_slice(name).get_shape() == list(like.shape):
                    yield weights.get_tensor(name)
    for path in _pickled(checkpoint.folder):
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        yield from (weight for weight in stored.values() if getattr(weight, "shape", None) == like.shape)


def _pickled(folder: Path) -> list[Path]:
    return sorted(folder.rglob("pytorch_model*.bin"))
