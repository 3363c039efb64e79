"""From a checkpoint's files to a model and its processor that are ready to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from colmilvus.embedders.colpali.adapters import merge_adapter
from colmilvus.embedders.colpali.families import Source, engine_models, processor_name
from colmilvus.embedders.hardware import compute_in_float32, computes_slowly, is_out_of_memory
from colmilvus.errors import ColmilvusError, MissingExtra, OutOfMemory, UnusableModel

if TYPE_CHECKING:
    import torch

__all__ = ["check_engine", "load_model", "load_processor"]


def check_engine() -> None:
    """Import colpali-engine, or say why that fails.

    Raises MissingExtra where it is not installed, and UnusableModel where what is installed does not fit together.
    """
    try:
        with _readable_import_errors():
            engine_models()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("colpali_engine", "torch", "transformers", "peft"):
            raise MissingExtra("ColPaliEmbedder", "colpali") from error
        raise


@contextmanager
def _readable_import_errors() -> Iterator[None]:
    """Say what is wrong where transformers would name a class of its own that it could not import."""
    import importlib.util

    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("torchvision") is None:
        yield
        return
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, ImportError, OSError) as error:
        from importlib.metadata import version

        raise UnusableModel(
            f"torch {version('torch')} and torchvision {version('torchvision')} are builds that do not match: {error}; "
            "install both anew from one place: pip install --force-reinstall torch torchvision"
        ) from error
    yield


def load_model(source: Source, dtype: torch.dtype, device: str) -> Any:
    """The model in evaluation mode, its adapter merged. Raises UnusableModel where files and class do not fit."""
    cls = getattr(engine_models(), source.family)
    name = source.weights.name
    if not source.weights.has_weights:
        raise UnusableModel(f"{name} holds no weights: no .safetensors and no .bin file beside its config.json")
    with _told(name, device), _without_bars():
        model, report = cls.from_pretrained(source.weights.folder, dtype=dtype, output_loading_info=True)
    _check_complete(name, source.family, report)
    with _told(name, device):
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


@contextmanager
def _without_bars() -> Iterator[None]:
    """A model is loaded whenever a question is asked on the command line, and takes two seconds from disk."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


@contextmanager
def _told(name: str, device: str) -> Iterator[None]:
    try:
        yield
    except ColmilvusError:
        raise
    except Exception as error:  # readers of damaged or foreign files raise whatever they stumble over
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"{name} does not fit into the memory of {device!r}: {reason}; try dtype='bfloat16' or a smaller model"
            ) from error
        raise UnusableModel(f"{name} cannot be loaded: {reason}") from error
