"""Ranked lists, after the server: scores that compare across queries, two lists fused, documents kept apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from colmilvus.entity import Metric, MultiVector, Segment
from colmilvus.maxsim import similarities as similarities_of
from colmilvus.maxsim import unit

__all__ = [
    "Fusion",
    "at_most_per_document",
    "diverse",
    "fuse",
    "segment_similarities",
    "segments_by_words",
    "similarity_of",
]

Fusion: TypeAlias = Literal["min_max", "rrf"]
WORD = re.compile(r"\w+")
NOISE = 1e-6
"""Scores that differ by less than this part of themselves are equal: float32 tells no more."""
RRF_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), Milvus's default too."""


def similarity_of(score: float, query: MultiVector, metric: Metric) -> float | None:
    """MaxSim made comparable across queries: by the number of query vectors (COSINE) or the sum of their norms (IP)."""
    if metric == "L2":
        return None
    weight = len(query) if metric == "COSINE" else float(np.linalg.norm(query.vectors, axis=1).sum())
    return score / weight if weight else 0.0


def segment_similarities(
    query: MultiVector, vectors: MultiVector, segments: Sequence[Segment], metric: Metric
) -> tuple[tuple[Segment, float], ...]:
    """Each segment with its own MaxSim, made comparable like the entity's, best first. For L2 the plain MaxSim."""
    if vectors.segments is None:
        return ()
    matches = similarities_of(query, vectors, metric)
    scored = []
    for index, segment in enumerate(segments):
        own = matches[:, vectors.segments == index]
        if not own.size:  # its rows were being replaced while they were read
            continue
        score = float((own.min(axis=1) if metric == "L2" else own.max(axis=1)).sum())
        similarity = similarity_of(score, query, metric)
        scored.append((segment, score if similarity is None else similarity))
    return tuple(sorted(scored, key=lambda pair: pair[1], reverse=metric != "L2"))


def segments_by_words(query: str, segments: Sequence[Segment]) -> tuple[tuple[Segment, float], ...]:
    """Each segment with the share of the query's words that its text has, in whatever case and form, most first."""
    words = {word.casefold() for word in WORD.findall(query)}
    texts = [segment.text.casefold() for segment in segments]
    shares = [sum(word in text for word in words) / max(len(words), 1) for text in texts]
    return tuple(sorted(zip(segments, shares, strict=True), key=lambda pair: pair[1], reverse=True))


def fuse(
    rankings: Sequence[Mapping[str, float]], fusion: Fusion, weights: Sequence[float] | None = None
) -> dict[str, float]:
    """One score for each id out of several rankings (id to score, larger is better), best first.

    ``min_max`` scales each ranking to [0, 1] and takes the mean, an id that a ranking lacks counting 0 there; ``rrf``
    sums 1 / (60 + rank). ``weights``, which sum to 1, say how much each ranking counts; all the same if not given.
    """
    shares = [1 / len(rankings)] * len(rankings) if weights is None else weights
    scaled = [_min_max(ranking) if fusion == "min_max" else _reciprocal_ranks(ranking) for ranking in rankings]
    fused: defaultdict[str, float] = defaultdict(float)
    for ranking, share in zip(scaled, shares, strict=True):
        factor = share if fusion == "min_max" else share * len(scaled)
        for name, score in ranking.items():
            fused[name] += score * factor
    return dict(sorted(fused.items(), key=lambda pair: pair[1], reverse=True))


def _min_max(ranking: Mapping[str, float]) -> dict[str, float]:
    if not ranking:
        return {}
    low, high = min(ranking.values()), max(ranking.values())
    span = high - low
    if span <= NOISE * max(abs(high), abs(low)):
        return dict.fromkeys(ranking, 1.0)
    return {name: (score - low) / span for name, score in ranking.items()}


def _reciprocal_ranks(ranking: Mapping[str, float]) -> dict[str, float]:
    best_first = sorted(ranking, key=lambda name: ranking[name], reverse=True)
    return {name: 1 / (RRF_CONSTANT + rank) for rank, name in enumerate(best_first, start=1)}


def diverse(similarities: Sequence[float], items: Sequence[MultiVector], k: int, relevance: float) -> list[int]:
    """The indices of ``k`` items by maximal marginal relevance, in the order in which they are chosen.

    Two items are alike by the cosine of the means of their vectors, each scaled to unit length beforehand.
    """
    if not items:
        return []
    means = unit(np.stack([unit(item.vectors).mean(axis=0) for item in items]))
    left = list(range(len(items)))
    chosen = [max(left, key=lambda index: similarities[index])]
    left.remove(chosen[0])
    alike = means @ means[chosen[0]]
    while left and len(chosen) < k:
        gain = [relevance * similarities[index] - (1 - relevance) * float(alike[index]) for index in left]
        chosen.append(left.pop(int(np.argmax(gain))))
        alike = np.maximum(alike, means @ means[chosen[-1]])
    return chosen


class _OfDocument(Protocol):
    @property
    def document(self) -> str | None: ...


Item = TypeVar("Item", bound=_OfDocument)


def at_most_per_document(items: Sequence[Item], most: int) -> list[Item]:
    """The items in their order, without those beyond ``most`` of one document; what is of no document all stays."""
    seen: Counter[str | None] = Counter()
    kept = []
    for item in items:
        seen[item.document] += 1
        if item.document is None or seen[item.document] <= most:
            kept.append(item)
    return kept
