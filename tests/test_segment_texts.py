"""BM25 over the texts of segments, where the entity has no text of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from colmilvus import Collection, Entity, Segment, maxsim
from tests.words import WordEmbedder


@pytest.fixture
def books(database: Path) -> Iterator[Collection]:
    with Collection("books", WordEmbedder(), uri=database, segments=True) as collection:
        yield collection


def test_an_entity_is_found_by_the_words_of_its_segments(books: Collection) -> None:
    books.add(
        [
            Entity("a", segments=(Segment("a-1", "zeppelins fly"), Segment("a-2", "red sea"))),
            Entity("b", segments=(Segment("b-1", "red tree"),)),
            Entity("c", "a submarine dives", segments=(Segment("c-1", "zeppelins again"),)),
        ]
    )

    assert [hit.entity.id for hit in books.search("zeppelin", mode="text")] == ["a"]
    assert [hit.entity.id for hit in books.search("submarine", mode="text")] == ["c"]
    assert books.search("zeppelin red", mode="hybrid")[0].entity.id == "a"
    (found,) = books.get(["a"])
    assert (found.text, found.full_text) == ("", "zeppelins fly\n\nred sea")
    books.delete(segments=["a-1"])
    assert books.search("zeppelin", mode="text") == []


def test_no_word_of_a_long_text_is_left_out(books: Collection) -> None:
    filler = "tree dog cat " * 700
    segments = [Segment(f"s{n:02}", f"{filler} word{n:02}") for n in range(20)]
    books.add([Entity("long", segments=tuple(segments)), Entity("other", segments=(Segment("o", "tree dog"),))])

    for number in range(20):
        assert [hit.entity.id for hit in books.search(f"word{number:02}", mode="text")] == ["long"]
    hits = books.search("tree", mode="text")
    assert sorted(hit.entity.id for hit in hits) == ["long", "other"]
    hits = books.search("tree word07", mode="hybrid")
    assert [hit.entity.id for hit in hits] == ["long", "other"]
    query = WordEmbedder().embed_queries(["tree cat"])[0]
    (best, _) = books.search("tree cat", mode="late_interaction")
    assert best.score == pytest.approx(maxsim(query, books.multi_vectors(["long"])["long"]), abs=1e-4)
    assert books.get(["long"])[0].segments == tuple(segments)
