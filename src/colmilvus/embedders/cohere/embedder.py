"""The embedder on Cohere's API: entities and queries in, multi-vectors out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from colmilvus.embedder import Query, Setting, Unreadable
from colmilvus.embedders.cohere.calls import Embedded, embed_all
from colmilvus.embedders.cohere.connection import Connection
from colmilvus.embedders.cohere.inputs import Content, Input, QueryForm, Reading, Text
from colmilvus.embedders.cohere.models import Model
from colmilvus.embedders.cohere.retrying import Patience
from colmilvus.embedders.cohere.service import Service, Usage
from colmilvus.embedders.splitting import Splitter
from colmilvus.embedders.texts import check_queries
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidInput, warn

if TYPE_CHECKING:
    from cohere import ClientV2

__all__ = ["CohereEmbedder"]

InputType: TypeAlias = Literal["search_document", "search_query", "classification", "clustering"]

INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")
NAMED = 5
"""So many cut texts are named in a warning; of more, only the number is told."""


class CohereEmbedder:
    """Embeds with one of Cohere's models: each segment of an entity, or each piece of its text, is one vector.

    The texts of an entity are those of its segments; else the pieces that ``split_text`` makes of its text, a function
    or an object with such a method, as text splitters have; else its text as a whole. An entity without segments and
    with a picture gets one more vector for that; ``content`` "text" leaves pictures unread, "images" reads nothing
    else. A query is one vector as a whole, or with ``query="words"`` one a word between blanks; a picture is one.

    A key comes from ``api_key``, or from the environment variable CO_API_KEY; or pass a ready ``cohere.ClientV2`` as
    ``client``. ``concurrency`` requests are sent at once, each of which may take ``timeout`` seconds. What failed for
    the moment (too many requests, a server's fault, a broken connection) is sent again, up to 8 times in all and with
    at most ``max_wait`` seconds of pauses. A text that is longer than the model reads is cut, with a warning.

    Raises InvalidInput for options that do not go together, MissingExtra without the ``cohere`` extra, and
    EmbeddingServiceError where Cohere refuses or does not answer; construction asks it only for the length of the
    vectors of a model that is not known here.

    >>> CohereEmbedder("embed-multilingual-v3.0", api_key="...", query="words").dim
    1024
    """

    name: str = "cohere"
    metric: Metric = "COSINE"
    settings: Mapping[str, Setting]

    def __init__(
        self,
        model: str = "embed-v4.0",
        *,
        api_key: str | None = None,
        client: ClientV2 | None = None,
        base_url: str | None = None,
        output_dimension: int | None = None,
        input_type: InputType = "search_document",
        query_input_type: InputType = "search_query",
        query: QueryForm = "whole",
        split_text: Splitter | None = None,
        content: Content = "both",
        concurrency: int = 4,
        timeout: float = 60.0,
        max_wait: float = 120.0,
    ) -> None:
        _check_input_type("input_type", input_type)
        _check_input_type("query_input_type", query_input_type)
        _check_numbers(concurrency, timeout, max_wait)
        self._input_type = input_type
        self._query_input_type = query_input_type
        self._concurrency = concurrency
        self._reading = Reading(content, query, split_text)
        connection = Connection(client, api_key, base_url)
        self._service = Service(Model(model, output_dimension), connection, Patience(connection, max_wait), timeout)
        self.dim = self._service.find_dim()
        self.reads_images = content != "text"
        # Without split_text: to search what it made, one need not have it.
        self.settings = {
            "model": model,
            "output_dimension": self.dim,
            "input_type": input_type,
            "query_input_type": query_input_type,
            "query": query,
            "content": content,
        }

    @property
    def usage(self) -> Usage:
        """What this embedder has had embedded so far."""
        return self._service.usage

    def texts_of(self, entity: Entity) -> list[tuple[int, str]]:
        """The texts that are embedded of an entity, each with the position of the segment that it is of."""
        return [(part.segment, part.content) for part in self._reading.of_entity(entity) if isinstance(part, Text)]

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """The vectors of each entity's texts, then of its picture; Unreadable where there is nothing to embed.

        Warns of texts that were cut, and of pictures that cannot be read where there is a text besides.
        """
        inputs = [self._reading.of_entity(entity) for entity in entities]
        embedded = self._embed(inputs, self._input_type, "split them: pass split_text=, or smaller entities")
        return [
            self._multi_vector(entity, parts, places, embedded)
            for entity, parts, places in zip(entities, inputs, _places(inputs), strict=True)
        ]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector for each query, or one for each of its words, in order.

        Raises InvalidQuery for a blank text, and for a picture that cannot be read or that this embedder does not see.
        """
        check_queries(queries)
        inputs = [self._reading.of_query(query) for query in queries]
        embedded = self._embed(inputs, self._query_input_type, "ask more briefly")
        return [MultiVector(np.stack([embedded.vectors[place] for place in places])) for places in _places(inputs)]

    def _embed(self, inputs: Sequence[Sequence[Input]], input_type: str, advice: str) -> Embedded:
        flat = [one for parts in inputs for one in parts]
        embedded = embed_all(self._service, flat, input_type, self._concurrency)
        texts = [one for place, one in enumerate(flat) if place in embedded.cut and isinstance(one, Text)]
        cut = list(dict.fromkeys(text.name for text in texts))
        if cut:
            others = f" and {len(cut) - NAMED} more" if len(cut) > NAMED else ""
            warn(
                f"only the beginning was embedded of what is longer than {self._service.model.name!r} reads: "
                f"{', '.join(cut[:NAMED])}{others}; {advice}"
            )
        return embedded

    def _multi_vector(
        self, entity: Entity, parts: Sequence[Input], places: range, embedded: Embedded
    ) -> MultiVector | Unreadable:
        rows = [embedded.vectors[place] for place in places if place in embedded.vectors]
        reasons = [embedded.unreadable[place].reason for place in places if place in embedded.unreadable]
        if not rows:
            told = f"its picture cannot be read: {reasons[0]}" if reasons else self._reading.nothing_in(entity)
            return Unreadable(told)
        if reasons:
            warn(f"the picture of entity {entity.id[:80]!r} cannot be read ({reasons[0]}); only its text was embedded")
        owners = [part.segment for part in parts if isinstance(part, Text)]
        return MultiVector(np.stack(rows), owners if entity.segments else None)


def _places(inputs: Sequence[Sequence[Input]]) -> list[range]:
    """Where the inputs of each are among all of them."""
    return [range(start, end) for start, end in pairwise(accumulate(map(len, inputs), initial=0))]


def _check_input_type(option: str, value: str) -> None:
    if value not in INPUT_TYPES:
        raise InvalidInput(f"{option} is one of {', '.join(map(repr, INPUT_TYPES))}; got {value!r}")


def _check_numbers(concurrency: int, timeout: float, max_wait: float) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidInput(f"concurrency is a number of requests from 1; got {concurrency!r}")
    if not 0 < timeout < math.inf:
        raise InvalidInput(f"timeout is a number of seconds above 0; got {timeout!r}")
    if not 0 <= max_wait < math.inf:
        raise InvalidInput(f"max_wait is a number of seconds from 0; got {max_wait!r}")
