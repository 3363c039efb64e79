"""From a checkpoint's files to a model and its processor that are ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colmilvus.embedders.colpali.adapters import merge_adapter
from colmilvus.embedders.colpali.families import Source, engine_models, processor_name
from colmilvus.embedders.hardware import compute_in_float32, computes_slowly
from colmilvus.embedders.loading import loading
from colmilvus.errors import UnusableModel

if TYPE_CHECKING:
    import torch

__all__ = ["load_model", "load_processor"]


def load_model(source: Source, dtype: torch.dtype, device: str) -> Any:
    """The model in evaluation mode, its adapter merged. Raises UnusableModel where files and class do not fit."""
    cls = getattr(engine_models(), source.family)
    name = source.weights.name
    if not source.weights.has_weights:
        raise UnusableModel(f"{name} holds no weights: no .safetensors and no .bin file beside its config.json")
    with loading(name, device):
        model, report = cls.from_pretrained(source.weights.folder, dtype=dtype, output_loading_info=True)
    _check_complete(name, source.family, report)
    with loading(name, device):
        if source.base is not None:
            model = merge_adapter(model, source.checkpoint.folder, source.checkpoint.name)
        _drop_language_head(model)
        model = model.to(device).eval()
        if computes_slowly(dtype, device):
            compute_in_float32(model)
        return model


def _drop_language_head(model: Any) -> None:
    """ColPali carries the language model's head over 257,000 words, runs it on every row and throws away the result."""
    import torch

    if hasattr(getattr(model, "model", None), "lm_head"):
        model.model.lm_head = torch.nn.Identity()


def _check_complete(name: str, family: str, report: dict[str, Any]) -> None:
    """Refuse a checkpoint with gaps: transformers fills them at random, and only its report says so."""
    missing, mismatched = sorted(report["missing_keys"]), sorted(map(str, report["mismatched_keys"]))
    if missing or mismatched:
        what = f"{len(missing)} are missing ({', '.join(missing[:3])})" if missing else ""
        other = f"{len(mismatched)} have another shape ({', '.join(mismatched[:3])})" if mismatched else ""
        told = " and ".join(filter(None, (what, other)))
        raise UnusableModel(f"{name} does not hold the weights of a {family}: {told}; it would answer at random")


def load_processor(source: Source) -> Any:
    """The processor of the family, from the checkpoint, or from the base of an adapter that brings none."""
    cls = getattr(engine_models(), processor_name(source.family))
    last: Exception | None = None
    for checkpoint in filter(None, (source.checkpoint, source.base)):
        try:
            return cls.from_pretrained(checkpoint.folder)
        except (OSError, ValueError, TypeError, KeyError) as error:
            last = last or error
    reason = str(last).strip().partition("\n")[0]
    raise UnusableModel(f"{source.checkpoint.name} has no processor that {source.family} can use: {reason}") from last
