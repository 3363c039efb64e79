"""One request to Cohere's /v2/embed: sent, sent again where that helps, checked and counted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedders.cohere.connection import Connection
from colmilvus.embedders.cohere.models import Model
from colmilvus.embedders.cohere.refusals import refusal
from colmilvus.embedders.cohere.retrying import Patience
from colmilvus.entity import MultiVector
from colmilvus.errors import EmbeddingServiceError, InvalidVectors
from colmilvus.forks import Lock

if TYPE_CHECKING:
    from cohere import EmbedByTypeResponse

__all__ = ["Service", "Usage"]


@dataclass(frozen=True)
class Usage:
    """What an embedder has had embedded: answered requests, texts and pictures, and the tokens that Cohere billed."""

    requests: int = 0
    texts: int = 0
    images: int = 0
    input_tokens: int = 0
    image_tokens: int = 0


class Service:
    """Embeds what fits into one request. Safe to be used by several threads.

    Raises EmbeddingServiceError where the service refuses, does not answer, or answers with something else than one
    vector of the model's length for each input.
    """

    def __init__(self, model: Model, connection: Connection, patience: Patience, timeout: float) -> None:
        self.model = model
        self.dim = model.dim
        self._connection = connection
        self._patience = patience
        self._timeout = timeout
        self._usage = Usage()
        self._counting = Lock()

    @property
    def usage(self) -> Usage:
        return self._usage

    def find_dim(self) -> int:
        """The length of the model's vectors, which is asked for where it is not known, once."""
        self.dim = self.dim or len(self.embed_texts(["dimensions"], "search_document", "NONE", threading.Event())[0])
        return self.dim

    def embed_texts(
        self, texts: Sequence[str], input_type: str, truncate: str, given_up: threading.Event
    ) -> NDArray[np.float32]:
        """One vector for each of at most 96 texts, ``(texts, dim)``; TooLong for one with ``truncate`` "NONE"."""
        request = {"texts": list(texts), "input_type": input_type, "truncate": truncate}
        vectors, answer = self._ask(request, len(texts), _counted(len(texts), "text"), given_up)
        self._count(answer, texts=len(texts))
        return vectors

    def embed_pictures(self, uris: Sequence[str], input_type: str, given_up: threading.Event) -> NDArray[np.float32]:
        """One vector for each picture in a data URI, ``(pictures, dim)``; as many as the model takes in a call."""
        if self.model.generation < 4:
            request: dict[str, Any] = {"images": list(uris), "input_type": "image"}
        else:  # with input_type "image" this generation has been seen to make one vector of several pictures
            inputs = [{"content": [{"type": "image_url", "image_url": {"url": uri}}]} for uri in uris]
            request = {"inputs": inputs, "input_type": input_type}
        vectors, answer = self._ask(request, len(uris), _counted(len(uris), "picture"), given_up)
        self._count(answer, images=len(uris))
        return vectors

    def _ask(
        self, request: dict[str, Any], count: int, what: str, given_up: threading.Event
    ) -> tuple[NDArray[np.float32], EmbedByTypeResponse]:
        what = f"{what} with {self.model.name!r}"
        request |= {"model": self.model.name, "embedding_types": ["float"]}
        if self.model.output_dimension is not None:
            request["output_dimension"] = self.model.output_dimension
        retrying = self._patience.retrying(given_up)
        try:
            answer = retrying(self._connection.embed, request, self._timeout)
        except EmbeddingServiceError:
            raise
        except Exception as error:  # of cohere, of httpx, or what cohere stumbles over in answers of another form
            raise refusal(error, what, retrying.statistics["attempt_number"]) from error
        return self._vectors(answer, count, what), answer

    def _vectors(self, answer: EmbedByTypeResponse, count: int, what: str) -> NDArray[np.float32]:
        rows = getattr(getattr(answer, "embeddings", None), "float_", None)
        if not isinstance(rows, list):
            raise EmbeddingServiceError(f"Cohere answered {what} without float embeddings; check base_url=")
        if len(rows) != count:
            raise EmbeddingServiceError(f"Cohere answered {what} with {len(rows)} vectors")
        try:
            vectors = MultiVector(rows).vectors
        except InvalidVectors as error:
            raise EmbeddingServiceError(f"Cohere answered {what} with something else than vectors: {error}") from error
        if self.dim not in (None, vectors.shape[1]):
            raise EmbeddingServiceError(
                f"Cohere answered {what} with vectors of {vectors.shape[1]} dimensions, expected {self.dim}"
            )
        return vectors

    def _count(self, answer: EmbedByTypeResponse, texts: int = 0, images: int = 0) -> None:
        billed = getattr(getattr(answer, "meta", None), "billed_units", None)
        with self._counting:
            used = self._usage
            self._usage = replace(
                used,
                requests=used.requests + 1,
                texts=used.texts + texts,
                images=used.images + images,
                input_tokens=used.input_tokens + int(getattr(billed, "input_tokens", None) or 0),
                image_tokens=used.image_tokens + int(getattr(billed, "image_tokens", None) or 0),
            )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
