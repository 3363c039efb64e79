"""Models that give one vector a text, of four libraries, as two functions of the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from colmilvus.embedder import Setting
from colmilvus.embedders.checkpoints import fetch
from colmilvus.embedders.digests import weights_digest
from colmilvus.embedders.hardware import Batches, choose_device
from colmilvus.embedders.loading import importing, loading
from colmilvus.embedders.texts import Texts
from colmilvus.errors import InvalidInput, UnusableModel
from colmilvus.forks import Lock

__all__ = ["SingleVectorModel", "load_encoder", "single_vector_model"]

WINDOW = 128
"""Tokens of a window; means of longer pieces of a page find less (all-MiniLM-L6-v2 on 241 questions)."""

Embed = Callable[[list[str]], ArrayLike]


def _whole(text: str) -> list[str]:
    return [text]


@dataclass(frozen=True)
class SingleVectorModel:
    """A model as SegmentEmbedder calls it.

    ``embed`` and ``embed_query`` take texts and give ``(texts, dim)``; ``split`` cuts a text into the pieces that suit
    the model, ``fit`` into such as it reads to their end.
    """

    embed: Embed
    embed_query: Embed
    name: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    split: Callable[[str], Sequence[str]] = _whole
    fit: Callable[[str], Sequence[str]] = _whole


def single_vector_model(model: Any) -> SingleVectorModel:
    """What a model offers: LangChain's Embeddings, LlamaIndex's BaseEmbedding, a SentenceTransformer, or a function.

    Raises InvalidInput for anything else.
    """
    if hasattr(model, "embed_documents") and hasattr(model, "embed_query"):
        embed, embed_query = model.embed_documents, model.embed_query
        return SingleVectorModel(embed, lambda texts: [embed_query(text) for text in texts], *_named(model))
    if hasattr(model, "get_text_embedding_batch") and hasattr(model, "get_query_embedding"):
        return SingleVectorModel(
            model.get_text_embedding_batch,
            lambda texts: [model.get_query_embedding(text) for text in texts],
            *_named(model),
        )
    if hasattr(model, "encode") and hasattr(model, "max_seq_length"):
        return _encoder(model, {"checkpoint": _path_of(model), "content": weights_digest(model)})
    if callable(model):
        return SingleVectorModel(model, model)
    raise InvalidInput(
        "SegmentEmbedder takes a function of a list of texts, LangChain's Embeddings, LlamaIndex's BaseEmbedding, a "
        f"SentenceTransformer, or the name or folder of one; got {type(model).__name__}"
    )


def _named(model: Any) -> tuple[str, dict[str, Setting]]:
    """The class of a model, and what it calls the model that it asks."""
    told = getattr(model, "model_name", None) or getattr(model, "model", None)
    return type(model).__name__, {"model": told} if isinstance(told, str) else {}


def load_encoder(name: str | Path, *, revision: str | None = None, local_files_only: bool = False) -> SingleVectorModel:
    """The model of sentence-transformers in a folder, or of that name on the hub.

    Raises MissingExtra without the ``sentence-transformers`` extra, and UnusableModel where it cannot be had.
    """
    with importing("SegmentEmbedder", "sentence-transformers"):
        from sentence_transformers import SentenceTransformer
    checkpoint = fetch(name, revision=revision, local_files_only=local_files_only)
    device = choose_device(None)
    if not checkpoint.has_weights:
        raise UnusableModel(f"{checkpoint.name} holds no weights: no .safetensors and no .bin file")
    with loading(checkpoint.name, device) as report:
        model = SentenceTransformer(str(checkpoint.folder), device=device, local_files_only=local_files_only)
    if report.missing:
        raise UnusableModel(
            f"{checkpoint.name} lacks {len(report.missing)} of its weights, such as {report.missing[0]}"
        )
    origin = {"checkpoint": checkpoint.name, "revision": checkpoint.revision, "content": checkpoint.content}
    return _encoder(model, origin)


def _encoder(model: Any, origin: Mapping[str, Setting]) -> SingleVectorModel:
    texts, lock, batches = Texts(model.tokenizer), Lock(), Batches(None, model.device.type)
    room = max(1, int(model.max_seq_length or 512) - texts.length(""))

    def embedding(encode: Callable[..., Any]) -> Embed:
        def embed(batch: list[str]) -> ArrayLike:
            with lock:
                return batches.run([texts.disarmed(text) for text in batch], lambda some: list(encode(list(some))))

        return embed

    return SingleVectorModel(
        embed=embedding(lambda some: model.encode_document(some, batch_size=len(some), show_progress_bar=False)),
        embed_query=embedding(lambda some: model.encode_query(some, batch_size=len(some), show_progress_bar=False)),
        name="segments",
        settings={**origin, "window": WINDOW, "sentence_transformers_version": version("sentence-transformers")},
        split=lambda text: texts.windows(text, min(WINDOW, room)),
        fit=lambda text: texts.windows(text, room),
    )


def _path_of(model: Any) -> str:
    return str(getattr(model.model_card_data, "base_model", None) or getattr(model[0], "name_or_path", ""))
