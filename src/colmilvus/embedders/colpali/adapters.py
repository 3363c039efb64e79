"""LoRA adapters, as most checkpoints of the family are published: put onto their base and merged into it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colmilvus.errors import UnusableModel

if TYPE_CHECKING:
    import torch

__all__ = ["merge_adapter"]

LAYER_PARTS = 4
"""Parts of a name that say which layer is meant: such as 0, q_proj, lora_A, weight."""
NAMES = ("adapter_model.safetensors", "adapter_model.bin")


def merge_adapter(model: Any, folder: Path, name: str) -> Any:
    """The model with the adapter in a folder added to its own weights.

    Adapters name their weights as the base's classes were laid out when they were trained, and transformers has moved
    layers since. Each weight goes where the end of its name leads, for that has stayed. Raises UnusableModel unless
    every weight of the adapter finds one place of its own shape, and no place stays empty.
    """
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(str(folder))
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if kind != "LORA":
        raise UnusableModel(f"{name} is an adapter of the kind {kind}; LoRA is read, or a merged model")
    with warnings.catch_warnings():  # peft asks transformers by names that it gives up, and nobody here can help it
        warnings.simplefilter("ignore", FutureWarning)
        adapted = PeftModel(model, config)
    places = {key: value for key, value in adapted.named_parameters() if ".default" in key}
    _fill(places, _read(folder, name), name)
    return adapted.merge_and_unload()


def _read(folder: Path, name: str) -> dict[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    for filename in NAMES:
        path = folder / filename
        if path.is_file():
            try:
                return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
            except Exception as error:  # a damaged file raises whatever its reader stumbles over
                raise UnusableModel(f"{path} cannot be read: {error}; fetch the checkpoint again") from error
    raise UnusableModel(f"{name} holds no weights: neither {' nor '.join(NAMES)}")


def _fill(places: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], name: str) -> None:
    import torch

    ends = {key: _parts(key) for key in places}
    empty = set(places)
    for key, weight in weights.items():
        place = _best(_parts(key), ends)
        if place is None or place not in empty or places[place].shape != weight.shape:
            told = (
                f"shape {tuple(weight.shape)}, the model's {tuple(places[place].shape)}" if place else "no such layer"
            )
            raise UnusableModel(f"{name} does not fit its base model: {key} ({told}); is the base the right one?")
        with torch.no_grad():
            places[place].copy_(weight)
        empty.discard(place)
    if empty:
        raise UnusableModel(f"{name} lacks {len(empty)} weights that its own configuration names: {min(empty)}")


def _parts(key: str) -> tuple[str, ...]:
    """The name of a weight without the words that only peft puts into it."""
    return tuple(part for part in key.split(".") if part not in ("base_model", "default", "modules_to_save"))


def _best(parts: tuple[str, ...], ends: Mapping[str, tuple[str, ...]]) -> str | None:
    """The place whose name shares the longest end with these parts, and then the most of the rest.

    None where no place shares the layer and its kind, or several are alike.
    """
    likeness = {key: (_shared(parts, other), len({*parts} & {*other})) for key, other in ends.items()}
    best = max(likeness, key=lambda key: likeness[key], default=None)
    if best is None or likeness[best][0] < min(len(parts), len(ends[best]), LAYER_PARTS):
        return None
    alike = [key for key, value in likeness.items() if value == likeness[best]]
    return best if len(alike) == 1 else None


def _shared(one: Iterable[str], other: Iterable[str]) -> int:
    count = 0
    for left, right in zip(reversed(tuple(one)), reversed(tuple(other)), strict=False):
        if left != right:
            break
        count += 1
    return count
