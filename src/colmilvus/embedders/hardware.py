"""Where a model runs: on which device, in which precision, and in batches that fit into its memory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from colmilvus.errors import InvalidInput, OutOfMemory

if TYPE_CHECKING:
    import torch

__all__ = [
    "Batches",
    "choose_device",
    "choose_dtype",
    "compute_in_float32",
    "computes_slowly",
    "is_out_of_memory",
]

DTYPES = ("float32", "bfloat16", "float16")
ON_GPU = 32
ON_CPU = 4
"""Pages or texts at a time; a CPU gains nothing from more, and each page holds memory."""
NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "could not create a memory",
    "could not create a primitive",
    "bad_alloc",
    "status_alloc_failed",
)
"""What a RuntimeError of torch, oneDNN or CUDA says where a device has no memory left, and there is no class for it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def choose_device(asked: str | torch.device | None) -> str:
    """The device that is asked for, else a CUDA or Apple GPU, else the CPU. Raises InvalidInput for one not here."""
    import torch

    if asked is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=asked)
    except (RuntimeError, AssertionError) as error:
        others = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
        here = ", ".join(["cpu", *(name for name, is_here in others if is_here)])
        reason = str(error).partition("\n")[0]
        raise InvalidInput(f"device={asked!r} cannot be used: {reason} (this torch has: {here})") from error
    return str(asked)


def choose_dtype(asked: str | None, device: str) -> torch.dtype:
    """The precision that is asked for by name, else the one that suits the device.

    bfloat16 on CUDA GPUs that have it in hardware, float16 on older ones and on Apple's, float32 on a CPU. Raises
    InvalidInput for another name.
    """
    import torch

    if asked is not None:
        if asked not in DTYPES:
            raise InvalidInput(f"dtype is one of {', '.join(DTYPES)}, or None for what suits the device; got {asked!r}")
        named: torch.dtype = getattr(torch, asked)
        return named
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    return torch.float16 if kind == "mps" else torch.float32


def computes_slowly(dtype: torch.dtype, device: str) -> bool:
    """Whether the device has no instructions for this half precision, and torch imitates them number by number."""
    import torch

    if torch.device(device).type != "cpu" or dtype == torch.float32:
        return False
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    return not getattr(torch.ops.mkldnn, f"_is_mkldnn_{kind}_supported")()


def compute_in_float32(model: Any) -> None:
    """Let a model of half precision keep its weights, and compute with each layer's in float32 while that layer runs.

    On a CPU without instructions for half precision this takes a quarter of the time, and the memory of one layer more.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.register_forward_hook(lambda _module, _inputs, output: output.float())
        elif any(_is_half(weight) for weight in module._parameters.values()):
            module.forward = _with_float_weights(module, module.forward)


def _with_float_weights(module: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        kept = dict(module._parameters)
        try:
            module._parameters.update({name: _float(weight) for name, weight in kept.items()})
            return forward(*map(_float, args), **{name: _float(value) for name, value in kwargs.items()})
        finally:
            module._parameters.update(kept)

    return run


def _is_half(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)


def _float(value: Any) -> Any:
    return value.float() if _is_half(value) else value


class Batches:
    """Runs a model over batches; where memory runs out, over halves of them, and from then on so many at a time.

    ``size`` None takes what suits the device. Not for several threads at once.
    """

    def __init__(self, size: int | None, device: str) -> None:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise InvalidInput(f"batch_size is a number from 1, or None for what suits the device; got {size!r}")
        self.size = size or (ON_CPU if device.startswith("cpu") else ON_GPU)
        self._device = device

    def run(self, items: Sequence[Item], embed: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """What ``embed`` gives for all items, in order. Raises OutOfMemory where there is no room for one alone."""
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results += embed(batch)
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise OutOfMemory(_too_large(self._device, error)) from error
            # outside the handler: there the traceback still holds what the batch had allocated
            self.size = max(1, len(batch) // 2)
            _free_memory()
        return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, numpy or the allocator says that memory ran out, or another was raised because of it.

    Transformers makes a ValueError of whatever goes wrong where pictures become tensors.
    """
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY):
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and is_out_of_memory(cause)


def _too_large(device: str, error: BaseException) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return (
        f"there is not enough memory on {device!r} for one item at a time: {reason}; "
        "try dtype='bfloat16', a smaller model, or another device"
    )


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
