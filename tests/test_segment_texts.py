"""BM25 over the texts of segments, where the entity has no text of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from colmilvus import Collection, Entity, Segment, maxsim
from colmilvus.embedders.segments import SegmentEmbedder
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


class Lengths(SegmentEmbedder):
    """One vector a segment, so that a long text has few."""

    def __init__(self) -> None:
        super().__init__(lambda texts: [[len(text), len(set(text))] for text in texts], name="lengths")


def test_no_word_of_a_long_text_is_left_out(database: Path) -> None:
    filler = "tree dog cat " * 700
    segments = [Segment(f"s{n:02}", f"{filler} word{n:02}") for n in range(20)]
    with Collection("books", Lengths(), uri=database, segments=True, capacity=8) as books:
        books.add([Entity("long", segments=tuple(segments)), Entity("other", segments=(Segment("o", "tree dog"),))])

        for number in range(20):
            assert [hit.entity.id for hit in books.search(f"word{number:02}", mode="text")] == ["long"]
        assert sorted(hit.entity.id for hit in books.search("tree", mode="text")) == ["long", "other"]
        (query,) = Lengths().embed_queries(["tree cat"])
        found = {hit.entity.id: hit.score for hit in books.search("tree cat", mode="late_interaction")}
        vectors = books.multi_vectors(["long", "other"])
        assert found == pytest.approx({name: maxsim(query, vectors[name]) for name in vectors}, abs=1e-4)
        assert books.get(["long"])[0].segments == tuple(segments)


def test_each_word_of_a_very_long_text_counts_once(database: Path) -> None:
    random = np.random.default_rng(0)
    words = [f"w{number:05}" for number in range(12_000)]  # 84 KB, each once
    segments = [Segment(f"s{n}", " ".join(random.permutation(words[600 * n : 600 * n + 600]))) for n in range(20)]
    with Collection("long", Lengths(), uri=database, segments=True) as books:
        books.add([Entity("twice", segments=(*segments[:8], Segment("again", segments[0].text)))])
        books.add([Entity("long", segments=tuple(segments))])

        found = [[hit.entity.id for hit in books.search(words[n], mode="text")] for n in (0, 4000, 11_999)]

        assert [sorted(ids) for ids in found] == [["long", "twice"], ["long", "twice"], []]  # 65,535 bytes hold 9,362
        assert books.get(["long"])[0].segments == tuple(segments)


def test_an_unspaced_text_is_cut_where_a_column_ends(books: Collection) -> None:
    books.add([Entity("long", segments=tuple(Segment(f"s{n}", "海" * 20_000) for n in range(3)))])

    assert books.count() == 1
    assert len(books.get(["long"])[0].full_text) == 60_004


def test_what_a_text_matches_is_removed_whole(database: Path) -> None:
    with Collection("parts", WordEmbedder(), uri=database, segments=True, capacity=2) as parts:
        segments = tuple(Segment(f"s{n}", f"red word{n}") for n in range(5))
        parts.add([Entity("a", segments=segments), Entity("b", segments=(Segment("t", "red tree"),))])
        assert [hit.entity.id for hit in parts.search("word3", mode="text")] == ["a"]

        assert parts.delete(filter='text like "%word3%"') == 1

        assert [hit.entity.id for hit in parts.search("red", mode="text")] == ["b"]
        assert parts.parents(["s0", "s3", "s4"]) == {}


def test_segments_are_listed_by_the_words_that_they_share(books: Collection) -> None:
    books.add([Entity("a", segments=(Segment("1", "Red boats"), Segment("2", "red sea"), Segment("3", "a tree")))])

    (hit,) = books.search("red sea", mode="text")

    assert [(segment.id, share) for segment, share in hit.segments] == [("2", 1.0), ("1", 0.5), ("3", 0.0)]
    assert hit.similarity is None
