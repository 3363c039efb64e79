"""Where PyPI's torchvision stands beside a CPU build of torch, it cannot be imported; here it can."""

from __future__ import annotations

import sys
from typing import Any

import torch

__all__ = ["make_torchvision_importable"]

_kept: list[Any] = []  # the operators go with the object that declares them


def make_torchvision_importable() -> None:
    """Declare the two operators that a torchvision built for CUDA does not find on a CPU build of torch.

    The image processors use torchvision's Python transforms alone, which run on torch's own operators. Without effect
    where the two builds match. To be called before anything imports torchvision (pytorch/vision issue 9085).
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    fragment: Any = torch.library.Library
    library = fragment("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
    import torchvision  # noqa: F401
