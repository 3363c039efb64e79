"""Entities in the order of MaxSim, whatever framework they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colmilvus import Entity, MultiVector, Unreadable, reranking
from colmilvus.embedder import Query
from colmilvus.entity import Metric
from colmilvus.errors import InvalidQuery, InvalidVectors
from colmilvus.images import open_image
from colmilvus.reranking import Ranked, Reranker
from tests.words import WordEmbedder

ENTITIES = [Entity("a", "dog"), Entity("b", "red sea"), Entity("c", "red dog")]


class Brightness(WordEmbedder):
    """One vector a picture: how bright and how dark it is."""

    reads_images = True

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.embedded += len(entities)
        return [self._seen(entity.image) for entity in entities]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        return [self._seen(query) for query in queries]

    def _seen(self, image: Any) -> MultiVector:
        bright = np.asarray(open_image(image), dtype=float).mean() / 255
        return MultiVector([[bright, 1 - bright]])


def indices(ranked: Sequence[Ranked]) -> list[int]:
    return [item.index for item in ranked]


@pytest.mark.parametrize(("metric", "score"), [("COSINE", 1.0), ("IP", 1.0), ("L2", 0.0)])
def test_the_best_comes_first(metric: Metric, score: float) -> None:
    ranked = Reranker(WordEmbedder(metric)).rank("red sea", ENTITIES)

    assert indices(ranked) == [1, 2, 0]
    assert ranked[0].score == pytest.approx(score)


def test_what_cannot_be_read_comes_last_in_its_order() -> None:
    entities: list[Entity | Unreadable] = [Unreadable("no file"), ENTITIES[0], Entity("blank"), ENTITIES[1]]

    ranked = Reranker(WordEmbedder("L2")).rank("red", entities)

    assert indices(ranked) == [3, 1, 0, 2]
    assert ranked[2:] == [Ranked(0, None, "no file"), Ranked(2, None, "no words")]


def test_an_entity_is_embedded_once_whatever_it_is_called() -> None:
    embedder = WordEmbedder()
    reranker = Reranker(embedder)

    for query in ("red", "sea"):
        reranker.rank(query, [*ENTITIES, Entity("other", "dog")])

    assert embedder.embedded == 3


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = WordEmbedder()
    monkeypatch.setattr(reranking, "REMEMBERED_BYTES", 3 * 4 * embedder.dim)
    reranker = Reranker(embedder)

    reranker.rank("red", ENTITIES)  # 1, 2 and 2 vectors: the last two do not stay together
    reranker.rank("red", ENTITIES[2:])
    assert embedder.embedded == 3
    reranker.rank("red", ENTITIES[:1])
    assert embedder.embedded == 4
    reranker.rank("red", [ENTITIES[2], ENTITIES[0]])  # 3 vectors, which is what there is room for
    assert embedder.embedded == 4


def test_a_picture_may_ask_and_a_bad_one_does_not_spoil_the_others(tmp_path: Path) -> None:
    for name, colour in (("white", "white"), ("grey", "silver"), ("black", "black")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    names = ("gone.png", "bad.png", "black.png", "white.png")
    entities = [Entity(name, image=tmp_path / name) for name in names]

    ranked = Reranker(Brightness()).rank(tmp_path / "grey.png", entities)

    assert indices(ranked) == [3, 2, 0, 1]
    assert "gone.png: there is no such file" in ranked[2].reason
    assert "bad.png: cannot be read as a picture" in ranked[3].reason


def test_a_picture_that_was_damaged_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    reranker = Reranker(Brightness())
    query = Image.new("RGB", (4, 4), "white")
    assert reranker.rank(query, [Entity("page", image=path)])[0].score is None

    query.save(path)

    assert reranker.rank(query, [Entity("page", image=path)])[0].score == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("query", "said"),
    [(" ", "the query is blank"), (None, "a query is a text, a picture"), (Path("a.png"), "cannot look at pictures")],
)
def test_a_query_that_is_none_is_refused(query: Any, said: str) -> None:
    with pytest.raises(InvalidQuery, match=said):
        Reranker(WordEmbedder()).rank(query, ENTITIES)


def test_nothing_is_ranked_as_nothing() -> None:
    assert Reranker(WordEmbedder()).rank("red", []) == []


def test_as_many_multi_vectors_as_documents_are_needed() -> None:
    class Short(WordEmbedder):
        def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            return super().embed_entities(entities)[1:]

    with pytest.raises(InvalidVectors, match="2 multi-vectors for 3 documents"):
        Reranker(Short()).rank("red", ENTITIES)
