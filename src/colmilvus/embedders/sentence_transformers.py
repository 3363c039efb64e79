"""Multi-vector models of sentence-transformers: ColBERT for texts, and its visual models for pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from colmilvus.embedder import Query, Setting, Unreadable
from colmilvus.embedders.checkpoints import Checkpoint, fetch
from colmilvus.embedders.digests import weights_digest
from colmilvus.embedders.hardware import Batches, choose_device, choose_dtype
from colmilvus.embedders.loading import importing, loading
from colmilvus.embedders.pictures import embed_pictures, query_picture
from colmilvus.embedders.projections import check_kind, check_projection
from colmilvus.embedders.texts import Texts, check_queries
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidInput, InvalidQuery, UnusableModel
from colmilvus.forks import Lock

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import MultiVectorEncoder

__all__ = ["MultiVectorEmbedder"]

MAX_QUERY_TOKENS = 512
SPARE = 2
"""Tokens left free in a window: a piece of a text can have one more alone than it had inside it."""


class MultiVectorEmbedder:
    """Embeds with a MultiVectorEncoder of sentence-transformers 6: one vector a token, or a patch of a page.

    ``model`` is a folder, a name on the Hugging Face hub, or a MultiVectorEncoder that is loaded already. It takes
    checkpoints of sentence-transformers, PyLate and Stanford's ColBERT for texts, and visual ones, such as those of
    transformers' own ColPali, ColQwen2 and ColModernVBERT, for pictures of pages.

    A text is embedded in windows of as many tokens as the model reads at once, so that nothing of it is cut off, each
    segment of an entity in windows of its own; float32 ``(tokens, dim)``. A visual model embeds the entities' pictures.
    A query is cut where the model cuts it, with a warning. ``pool=3`` leaves a third of the vectors of a document
    (hierarchical token pooling), and all of a query. The other options are those of ColPaliEmbedder.

    Raises MissingExtra without the ``sentence-transformers`` extra, UnusableModel where the model cannot be had or is
    no multi-vector model, and OutOfMemory where it, or one text, does not fit into memory.
    """

    name: str = "multi-vector"
    settings: Mapping[str, Setting]

    def __init__(
        self,
        model: str | Path | MultiVectorEncoder,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        pool: int = 1,
        local_files_only: bool = False,
    ) -> None:
        if isinstance(pool, bool) or not isinstance(pool, int) or pool < 1:
            raise InvalidInput(f"pool is a number from 1; got {pool!r}")
        with importing("MultiVectorEmbedder", "sentence-transformers"):
            from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling
        if isinstance(model, str | Path):
            checkpoint = fetch(model, revision=revision, local_files_only=local_files_only)
            self._model: Any = _load(checkpoint, choose_device(device), dtype, local_files_only)
            origin: dict[str, Setting] = {
                "checkpoint": checkpoint.name,
                "revision": checkpoint.revision,
                "content": checkpoint.content,
            }
        else:
            self._model = _loaded(model, revision, device, dtype)
            origin = {"checkpoint": str(model.model_card_data.base_model or ""), "content": weights_digest(model)}
        self.reads_images = "image" in self._model.modalities
        self._pooling = None if pool == 1 else HierarchicalTokenPooling(pool_factor=pool)
        self._texts = Texts(self._model.tokenizer)
        self._batches = Batches(batch_size, self._model.device.type)
        self._lock = Lock()
        probe = self._encode(["a"], self._model.encode_query)[0]
        self.dim = int(probe.shape[1])
        is_unit = np.allclose(np.linalg.norm(probe, axis=1), 1, atol=0.01)
        self.metric: Metric = "COSINE" if is_unit else "IP"
        self.settings = {
            **origin,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "pool": pool,
            "sentence_transformers_version": version("sentence-transformers"),
            "transformers_version": version("transformers"),
        }

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """The tokens of each entity's text or segments, or the patches of its picture; Unreadable without either."""
        if self.reads_images:
            return embed_pictures(entities, lambda pictures: list(map(MultiVector, self._documents(pictures))))
        pieces = [self._pieces(entity) for entity in entities]
        rows = self._documents([piece for owned in pieces for _, piece in owned])
        bounds = pairwise(accumulate(map(len, pieces), initial=0))
        return [
            _multi_vector(entity, [owner for owner, _ in owned], rows[start:end])
            for entity, owned, (start, end) in zip(entities, pieces, bounds, strict=True)
        ]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector a token of each query. Raises InvalidQuery for a blank one, and a picture that cannot be read."""
        check_queries(queries)
        texts = {at: self._query_text(query) for at, query in enumerate(queries) if isinstance(query, str)}
        pictures = {at: self._query_picture(query) for at, query in enumerate(queries) if not isinstance(query, str)}
        rows = dict(zip(texts, self._encode(list(texts.values()), self._model.encode_query), strict=True))
        rows |= zip(pictures, self._encode(list(pictures.values()), self._model.encode_document), strict=True)
        return [MultiVector(rows[at]) for at in range(len(queries))]

    def _query_text(self, query: str) -> str:
        room = MAX_QUERY_TOKENS if self.reads_images else self._room("query")  # visual models name no length
        return self._texts.cut(self._texts.disarmed(query), room)

    def _query_picture(self, query: Query) -> Any:
        if not self.reads_images:
            raise InvalidQuery("this embedder reads text; a picture needs a visual model such as ColPali")
        return query_picture(query)

    def _pieces(self, entity: Entity) -> list[tuple[int, str]]:
        """The windows of an entity's texts, each with the position of the segment that it is of."""
        texts = [segment.text for segment in entity.segments] or [entity.text]
        room = self._room("document") - SPARE
        return [
            (owner, window)
            for owner, text in enumerate(texts)
            if text.strip()
            for window in self._texts.windows(self._texts.disarmed(text), room)
        ]

    def _room(self, task: str) -> int:
        """How many tokens of a text the model reads, besides those that it puts round every text."""
        return self._lengths[task]

    @cached_property
    def _lengths(self) -> dict[str, int]:
        transformer = self._model[0]
        expansion = getattr(transformer, "query_expansion", None) or {}
        lengths = {
            "query": expansion.get("length") or transformer.query_length or self._model.max_seq_length,
            "document": transformer.document_length or self._model.max_seq_length,
        }
        return {task: max(1, int(length or 512) - self._around(task)) for task, length in lengths.items()}

    def _around(self, task: str) -> int:
        return self._texts.length(self._model.prompts.get(task) or "")

    def _documents(self, items: Sequence[Any]) -> list[NDArray[np.float32]]:
        return self._encode(
            items, lambda batch, **how: self._model.encode_document(batch, **how, token_pooling=self._pooling)
        )

    def _encode(self, items: Sequence[Any], encode: Callable[..., Any]) -> list[NDArray[np.float32]]:
        """Rows for all items, in order; the model itself sorts them by length."""

        def embed(batch: Sequence[Any]) -> list[NDArray[np.float32]]:
            rows = encode(list(batch), batch_size=len(batch), show_progress_bar=False)
            return [MultiVector.of(one).vectors if len(one) else np.empty((0, 0), np.float32) for one in rows]

        with self._lock:
            return self._batches.run(items, embed)


def _load(checkpoint: Checkpoint, device: str, dtype: str | None, local_files_only: bool) -> Any:
    from sentence_transformers import MultiVectorEncoder

    check_kind(checkpoint)
    with loading(checkpoint.name, device) as report:
        model = MultiVectorEncoder(
            str(checkpoint.folder),
            device=device,
            local_files_only=local_files_only,
            model_kwargs={"dtype": choose_dtype(dtype, device)},
        )
    if report.missing:
        raise UnusableModel(
            f"{checkpoint.name} lacks {len(report.missing)} of its weights, such as {report.missing[0]}; "
            "it would answer at random: fetch it again"
        )
    check_projection(checkpoint, model)
    return model.eval()


def _loaded(model: Any, revision: str | None, device: str | None, dtype: str | None) -> Any:
    from sentence_transformers import MultiVectorEncoder

    if not isinstance(model, MultiVectorEncoder):
        raise InvalidInput(f"model is a folder, a name on the hub, or a MultiVectorEncoder; got {type(model).__name__}")
    for option, value in (("revision", revision), ("device", device), ("dtype", dtype)):
        if value is not None:
            raise InvalidInput(f"{option}= is for a model that is loaded here; this one is loaded already")
    return model.eval()


def _multi_vector(entity: Entity, owners: list[int], rows: Sequence[NDArray[np.float32]]) -> MultiVector | Unreadable:
    kept = [(owner, one) for owner, one in zip(owners, rows, strict=True) if len(one)]
    if not kept:
        return Unreadable("no text" if entity.image is None else "no text, and this model does not see pictures")
    vectors = np.concatenate([one for _, one in kept])
    if not entity.segments:
        return MultiVector(vectors)
    return MultiVector(vectors, np.repeat([owner for owner, _ in kept], [len(one) for _, one in kept]))
