"""Entities that were found anywhere, in the order of MaxSim."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from colmilvus.digest import digest_of
from colmilvus.embedder import Embedder, Query, Unreadable, check_query
from colmilvus.entity import Entity, MultiVector
from colmilvus.errors import InvalidVectors, UnreadableFile
from colmilvus.forks import Lock
from colmilvus.images import open_image
from colmilvus.maxsim import maxsim
from colmilvus.ranking import similarity_of

__all__ = ["Ranked", "Reranker"]

REMEMBERED_BYTES = 256 << 20
"""Bytes of multi-vectors that a reranker keeps."""

Embedded: TypeAlias = MultiVector | Unreadable
Answer = TypeVar("Answer", bound=Embedded)


@dataclass(frozen=True)
class Ranked:
    """One of the entities that were to be ranked, by its index among them, with its score.

    What could not be ranked has no score, but a ``reason``.
    """

    index: int
    score: float | None
    reason: str = ""


class Reranker:
    """Orders entities by MaxSim with a query, and embeds each of them once for all queries.

    What was embedded is remembered, up to 256 MiB, by all that an entity holds but its id. Several threads may use one.

    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> found = [Entity("a", "a tree"), Entity("b", "a boat")]
    >>> [found[ranked.index].text for ranked in Reranker(StaticEmbedder()).rank("boat", found)]
    ['a boat', 'a tree']
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._memory = _Memory()

    def rank(self, query: Query, entities: Sequence[Entity | Unreadable]) -> list[Ranked]:
        """The best first, and last, in the order in which they came, those that cannot be read.

        ``score`` is the similarity, MaxSim by query vector, larger is better; for the metric L2 the plain MaxSim, where
        smaller is better. Raises InvalidQuery for a query that is blank or that the embedder does not take, and
        InvalidVectors where it gives another number of multi-vectors than were asked for.
        """
        check_query(query)
        if not entities:
            return []
        (asked,) = _counted(self.embedder.embed_queries([query]), 1, "queries")
        by = MultiVector.of(asked)
        ranked = [
            Ranked(index, None, found.reason)
            if isinstance(found, Unreadable)
            else Ranked(index, self._score(by, found))
            for index, found in enumerate(self._embedded(entities))
        ]
        sign = 1 if self.embedder.metric == "L2" else -1
        return sorted(ranked, key=lambda item: (item.score is None, sign * (item.score or 0)))

    def _score(self, query: MultiVector, vectors: MultiVector) -> float:
        score = maxsim(query, vectors, self.embedder.metric)
        similarity = similarity_of(score, query, self.embedder.metric)
        return score if similarity is None else similarity

    def _embedded(self, entities: Sequence[Entity | Unreadable]) -> list[Embedded]:
        keys = [_key(entity) for entity in entities]
        known = self._memory.of(key for key in keys if isinstance(key, str))
        spoilt: dict[str, Unreadable] = {}  # not to be remembered: the file may be there the next time
        new: dict[str, Entity] = {}
        for key, entity in zip(keys, entities, strict=True):
            if isinstance(key, str) and isinstance(entity, Entity) and key not in known and key not in spoilt:
                seen = _drawn(entity)
                if isinstance(seen, Unreadable):
                    spoilt[key] = seen
                else:
                    new[key] = seen
        known |= zip(new, self._answers(list(new.values())), strict=True)
        self._memory.keep(known)
        found: dict[str, Embedded] = {**spoilt, **known}
        return [key if isinstance(key, Unreadable) else found[key] for key in keys]

    def _answers(self, entities: Sequence[Entity]) -> list[Embedded]:
        answers = self.embedder.embed_entities(entities) if entities else []
        counted = _counted(answers, len(entities), "documents")
        return [answer if isinstance(answer, Unreadable) else MultiVector.of(answer) for answer in counted]


class _Memory:
    """What was embedded, by its key: as much of what was used last as there is room for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Embedded] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def of(self, keys: Iterable[str]) -> dict[str, Embedded]:
        with self._lock:
            return {key: self._kept[key] for key in keys if key in self._kept}

    def keep(self, used: Mapping[str, Embedded]) -> None:
        with self._lock:
            for key, value in used.items():
                if key not in self._kept:
                    self._bytes += _bytes(value)
                self._kept.setdefault(key, value)
                self._kept.move_to_end(key)
            while self._bytes > REMEMBERED_BYTES and self._kept:
                self._bytes -= _bytes(self._kept.popitem(last=False)[1])


def _key(entity: Entity | Unreadable) -> str | Unreadable:
    try:
        return entity if isinstance(entity, Unreadable) else digest_of(entity)
    except UnreadableFile as error:
        return Unreadable(str(error))


def _drawn(entity: Entity) -> Entity | Unreadable:
    """The entity with its picture drawn, so that one that cannot be does not spoil the others."""
    try:
        return entity if entity.image is None else replace(entity, image=open_image(entity.image))
    except UnreadableFile as error:
        return Unreadable(str(error))


def _counted(answers: Sequence[Answer], asked: int, what: str) -> Sequence[Answer]:
    if len(answers) != asked:
        raise InvalidVectors(f"the embedder gave {len(answers)} multi-vectors for {asked} {what}")
    return answers


def _bytes(value: Embedded) -> int:
    return len(value.reason) if isinstance(value, Unreadable) else value.vectors.nbytes
