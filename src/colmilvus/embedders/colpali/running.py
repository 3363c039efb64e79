"""A model's own forward pass, on exactly what was asked for and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.errors import InvalidVectors, Unsupported

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["Runner"]


class Runner:
    """One model of colpali-engine with its processor; not for several threads at once."""

    def __init__(self, model: Any, processor: Any, *, image_rows_only: bool) -> None:
        self._model = model
        self._processor = processor
        self._image_rows_only = image_rows_only
        self._is_paligemma = model.config.model_type == "paligemma"
        if image_rows_only and not _finds_image_rows(processor):
            raise Unsupported(f"{type(processor).__name__} does not tell which rows are of the picture; leave it out")

    @property
    def dim(self) -> int:
        return int(self._model.dim)

    def embed_images(self, images: Sequence[Image.Image]) -> list[NDArray[np.float32]]:
        """One float32 ``(rows, dim)`` for each picture, its prompt included unless only the picture's are wanted."""
        batch = self._processor.process_images(list(images))
        mask = batch["attention_mask"].bool()
        if self._image_rows_only:
            mask &= self._processor.get_image_mask(batch).bool()
        return self._embed(batch, mask)

    def embed_texts(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """One float32 ``(tokens, dim)`` for each text, as a query: with the family's own prefix and suffix."""
        batch = self._processor.process_queries(list(texts))
        return self._embed(batch, batch["attention_mask"].bool())

    def _embed(self, batch: Any, mask: torch.Tensor) -> list[NDArray[np.float32]]:
        import torch

        inputs = dict(batch.to(self._model.device))
        if self._is_paligemma:
            inputs = _for_paligemma(inputs)
        with torch.inference_mode():
            rows = self._model(**inputs).float().cpu()
        # by the mask and not by zeros: padding may be NaN, and the suffix of a query consists of padding tokens
        return [_unit(one[kept].numpy()) for one, kept in zip(rows, mask, strict=True)]


def _for_paligemma(inputs: dict[str, Any]) -> dict[str, Any]:
    """What ColPali's forward needs besides what colpali-engine 0.3.18 makes for it, and without what nobody needs.

    Queries come without token types. With transformers 5.9 and later attention is causal then where a batch has
    padding, and goes both ways where it has none, so that an embedding would depend on its neighbours; zeros ask for
    both ways, as in training. ``labels`` would cost a loss over the whole vocabulary.
    """
    import torch

    inputs.pop("labels", None)
    inputs.setdefault("token_type_ids", torch.zeros_like(inputs["input_ids"]))
    return inputs


def _finds_image_rows(processor: Any) -> bool:
    return hasattr(processor, "get_image_mask") and hasattr(processor, "image_token_id")


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1 again: half precision leaves them between 0.996 and 1.004.

    Raises InvalidVectors for rows that are not finite, which none of float32 are.
    """
    if not np.isfinite(rows).all():
        raise InvalidVectors("the model's numbers do not fit its precision: take dtype='float32', or 'bfloat16'")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))
