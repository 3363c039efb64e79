"""Pages as pictures: ColPali, ColQwen2, ColQwen2.5, ColSmol, ColModernVBERT and whatever else colpali-engine loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from colmilvus.embedder import Query, Setting, Unreadable
from colmilvus.embedders.colpali.families import engine_models, find_source
from colmilvus.embedders.colpali.loading import load_model, load_processor
from colmilvus.embedders.colpali.running import Runner
from colmilvus.embedders.hardware import Batches, choose_device, choose_dtype
from colmilvus.embedders.loading import importing
from colmilvus.embedders.pictures import embed_pictures, query_picture
from colmilvus.embedders.texts import Texts, check_queries
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidInput
from colmilvus.forks import Lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["ColPaliEmbedder"]

MAX_QUERY_TOKENS = 512

Item = TypeVar("Item")


class ColPaliEmbedder:
    """Embeds the picture of a page with a model of colpali-engine: one vector a patch, float32 ``(patches, dim)``.

    ``checkpoint`` is a folder or a name on the Hugging Face hub, of a whole model or of a LoRA adapter, which is merged
    into its base; its own ``config.json`` says which class it is for. It is downloaded unless it is on this machine;
    ``local_files_only`` forbids that. ``revision`` and ``base_revision`` are branches, tags or commits of the hub, of
    the checkpoint and of an adapter's base.

    ``device`` None takes a CUDA or Apple GPU, else the CPU; ``dtype`` None bfloat16, float16 or float32, as suits the
    device; ``batch_size`` None so many pages at a time as suit it, and half as many whenever memory runs out.
    ``pool=3`` leaves a third of a page's vectors (hierarchical token pooling); queries are never pooled. By default the
    rows of a page's prompt are kept, as colpali-engine does; ``image_rows_only`` drops them. A query is a text, cut to
    ``max_query_tokens`` with a warning, or a picture.

    Each multi-vector is what the model's own forward gives for that page or query alone, whatever else is embedded
    beside it. Several threads may share one embedder; one at a time computes.

    Raises MissingExtra without the ``colpali`` extra, UnusableModel where the checkpoint cannot be had or does not fit,
    InvalidInput for other arguments, and OutOfMemory where the model or a single page does not fit into memory.

    Source: ColPali (arXiv:2407.01449); token pooling: Clavié et al. (arXiv:2409.14683).
    """

    name: str = "colpali"
    metric: Metric = "COSINE"
    reads_images: bool = True
    settings: Mapping[str, Setting]

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        base_revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        pool: int = 1,
        image_rows_only: bool = False,
        max_query_tokens: int = MAX_QUERY_TOKENS,
        local_files_only: bool = False,
    ) -> None:
        _check_number("pool", pool)
        _check_number("max_query_tokens", max_query_tokens)
        with importing("ColPaliEmbedder", "colpali"):
            engine_models()
        source = find_source(
            checkpoint, revision=revision, base_revision=base_revision, local_files_only=local_files_only
        )
        self.device = choose_device(device)
        precision = choose_dtype(dtype, self.device)
        processor = load_processor(source)
        self._runner = Runner(load_model(source, precision, self.device), processor, image_rows_only=image_rows_only)
        self._texts = Texts(processor.tokenizer)
        self._max_query_tokens = max_query_tokens
        self._batches = Batches(batch_size, self.device)
        self._pool = pool
        self._lock = Lock()
        self.settings = {
            **source.settings,
            "dtype": str(precision).removeprefix("torch."),
            "pool": pool,
            "image_rows_only": image_rows_only,
            "colpali_engine_version": version("colpali-engine"),
            "transformers_version": version("transformers"),
        }

    @property
    def dim(self) -> int:
        return self._runner.dim

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """The patches of each entity's picture; Unreadable where it has none, or one that cannot be read."""
        return embed_pictures(entities, self._embed_pages)

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector a token of a text, or a patch of a picture. Raises InvalidQuery for a blank or unreadable one."""
        check_queries(queries)
        texts = {at: self._text(query) for at, query in enumerate(queries) if isinstance(query, str)}
        pictures = {at: query_picture(query) for at, query in enumerate(queries) if not isinstance(query, str)}
        rows = dict(zip(texts, self._run(list(texts.values()), self._runner.embed_texts, len), strict=True))
        rows |= zip(pictures, self._run(list(pictures.values()), self._runner.embed_images, _area), strict=True)
        return [MultiVector(rows[at]) for at in range(len(queries))]

    def _text(self, query: str) -> str:
        return self._texts.cut(self._texts.disarmed(query), self._max_query_tokens)

    def _embed_pages(self, pictures: Sequence[Image.Image]) -> list[MultiVector]:
        pages = self._run(pictures, self._runner.embed_images, _area)
        return [MultiVector(page if self._pool == 1 else _pooled(page, self._pool)) for page in pages]

    def _run(
        self,
        items: Sequence[Item],
        embed: Callable[[Sequence[Item]], list[NDArray[np.float32]]],
        size: Callable[[Item], int],
    ) -> list[NDArray[np.float32]]:
        """Rows for all items, in order; those of like size share a batch, which then has little padding."""
        order = sorted(range(len(items)), key=lambda at: size(items[at]))
        with self._lock:
            rows = self._batches.run([items[at] for at in order], embed)
        placed = dict(zip(order, rows, strict=True))
        return [placed[at] for at in range(len(items))]


def _area(picture: Image.Image) -> int:
    return picture.width * picture.height


def _pooled(rows: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    import torch
    from colpali_engine.compression.token_pooling import HierarchicalTokenPooler

    if len(rows) < 2:
        return rows
    (pooled,) = HierarchicalTokenPooler().pool_embeddings([torch.from_numpy(rows)], pool_factor=factor)
    pooled_rows: NDArray[np.float32] = pooled.numpy()
    return pooled_rows


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"{name} is a number from 1; got {value!r}")
