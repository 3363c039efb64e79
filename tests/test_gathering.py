"""Small texts gathered under one parent: the same entity whatever portions they came in, and each chunk its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from colmilvus import Collection, Entity, IncompleteAdd, MultiVector, Segment, Server, Unreadable, group, maxsim
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.entity import Metric
from colmilvus.errors import InvalidEntity
from tests.words import VOCABULARY, WordEmbedder

pytestmark = pytest.mark.everywhere(served=False)

CHUNKS = [
    Entity("a-1", "red sea", metadata={"title": "A", "year": 2024, "page": 1}),
    Entity("a-2", "green tree", metadata={"title": "A", "year": 2024, "page": 2}),
    Entity("a-10", "blue sky", metadata={"title": "A", "year": 2024, "page": 2}),
    Entity("b-1", "one dog", metadata={"title": "B", "year": 2025}),
]
TEXTS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4).map(" ".join),
    min_size=1,
    max_size=4,
)


@pytest.fixture
def articles(database: Path | Server, words: WordEmbedder, tmp_path: Path) -> Iterator[Collection]:
    images = None if isinstance(database, Path) else tmp_path / "images"
    with Collection("articles", words, uri=database, segments=True, capacity=10, images=images) as collection:
        yield collection


def stored(collection: Collection, id: str) -> tuple[Entity, list[list[float]], list[int]]:
    (entity,) = collection.get([id])
    vectors = collection.multi_vectors([id])[id]
    assert vectors.segments is not None
    return entity, vectors.vectors.tolist(), vectors.segments.tolist()


class TestGroup:
    def test_a_parent_has_its_texts_as_segments_and_what_they_have_in_common(self) -> None:
        first, second = group(CHUNKS, by="title")

        assert (first.id, first.text, first.document) == ("A", "", None)
        assert first.metadata == {"title": "A", "year": 2024}
        assert first.segments[0] == Segment("a-1", "red sea", {"title": "A", "year": 2024, "page": 1})
        assert [segment.id for segment in first.segments] == ["a-1", "a-2", "a-10"]
        assert second == Entity(
            "B", segments=(Segment("b-1", "one dog", CHUNKS[3].metadata),), metadata=CHUNKS[3].metadata
        )

    def test_by_document_it_keeps_document_and_version(self) -> None:
        pages = [Entity(f"r.pdf#{n}", "red", document="r.pdf", version="7", metadata={"page": n}) for n in (1, 2)]
        (report,) = group(pages, by="document")

        assert (report.id, report.document, report.version, report.metadata) == ("r.pdf", "r.pdf", "7", {})

    def test_by_a_function_and_by_a_number(self) -> None:
        assert [parent.id for parent in group(CHUNKS, by=lambda entity: entity.id[0])] == ["a", "b"]
        assert [parent.id for parent in group(CHUNKS, by="year")] == ["2024", "2025"]

    def test_segments_stand_in_the_order_of_the_text(self) -> None:
        texts = [
            Entity("x", metadata={"t": "T", "page": 2, "start_index": 0}),
            Entity("y", metadata={"t": "T", "page": 1, "start_index": 900}),
            Entity("z", metadata={"t": "T", "page": 1, "start_index": 90}),
        ]
        (parent,) = group(texts, by="t")

        assert [segment.id for segment in parent.segments] == ["z", "y", "x"]

    @pytest.mark.parametrize(
        ("entity", "told"),
        [
            (Entity("c", "red", metadata={"name": "C"}), "entity 'c' names no parent by 'title' .*has: name"),
            (Entity("c", "red", metadata={"title": ""}), "names no parent"),
            (Entity("c", metadata={"title": "C"}, segments=(Segment("s", "red"),)), "has segments already"),
            (Entity("c", metadata={"title": "C"}, image=Image.new("RGB", (1, 1))), "a segment has none"),
        ],
    )
    def test_what_cannot_be_gathered_is_named(self, entity: Entity, told: str) -> None:
        with pytest.raises(InvalidEntity, match=told):
            group([entity], by="title")


class TestMerging:
    def test_in_any_order_and_any_portions_it_is_the_same_entity(self, database: Path, words: WordEmbedder) -> None:
        with Collection("whole", words, uri=database, segments=True, capacity=3) as whole:
            whole.add(group(CHUNKS, by="title"))
            expected = stored(whole, "A")
        with Collection("portions", words, uri=database, segments=True, capacity=3) as collection:
            for order in itertools.permutations(CHUNKS[:3]):
                for chunk in order:
                    collection.add(group([chunk], by="title"))
                assert stored(collection, "A") == expected
                assert collection.count() == 1
                assert collection.add(group(CHUNKS[:3], by="title")).unchanged == 1
                collection.clear()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.tuples(st.booleans(), TEXTS), min_size=1, max_size=6))
    def test_any_history_of_adding_and_deleting_leaves_what_a_dict_would_hold(
        self, steps: list[tuple[bool, dict[str, str]]], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        held: dict[str, str] = {}
        database = tmp_path_factory.mktemp("history") / "kb.db"
        with Collection("c", WordEmbedder(), uri=database, segments=True, capacity=4) as collection:
            for is_added, texts in steps:
                if is_added:
                    collection.add([Entity("parent", segments=tuple(map(Segment, texts, texts.values())))])
                    held |= texts
                else:
                    assert collection.delete(segments=list(texts)) == len(held.keys() & texts.keys())
                    held = {name: text for name, text in held.items() if name not in texts}
                expected = Entity("parent", segments=tuple(Segment(name, held[name]) for name in sorted(held)))
                assert collection.get(["parent"]) == ([expected] if held else [])
            for hit in collection.search("red sea"):
                (vectors,) = WordEmbedder().embed_entities([expected])
                assert isinstance(vectors, MultiVector)
                assert hit.score == pytest.approx(maxsim(WordEmbedder().embed_queries(["red sea"])[0], vectors))

    def test_only_new_segments_are_embedded(self, articles: Collection, words: WordEmbedder) -> None:
        asked: list[str] = []
        embed = words.embed_entities

        def watched(entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            asked.extend(segment.id for entity in entities for segment in entity.segments)
            return embed(entities)

        words.embed_entities = watched  # type: ignore[method-assign]  # to see what is asked for
        articles.add(group(CHUNKS[:2], by="title"))
        report = articles.add(group(CHUNKS[1:3], by="title"))

        assert asked == ["a-1", "a-2", "a-10"]
        assert report.replaced == 1
        assert articles.add(group([CHUNKS[1]], by="title")).unchanged == 1
        assert len(asked) == 3

    def test_replacing_one_chunk_leaves_the_others(self, articles: Collection) -> None:
        articles.add(group(CHUNKS, by="title"))
        articles.add(group([replace(CHUNKS[1], text="two birds two")], by="title"))
        (entity,) = articles.get(["A"])

        assert [segment.text for segment in entity.segments] == ["red sea", "two birds two", "blue sky"]
        assert len(articles.multi_vectors(["A"])["A"]) == 2 + 3 + 2

    def test_deleting_one_chunk_leaves_the_others_and_the_last_takes_the_parent_along(
        self, articles: Collection
    ) -> None:
        articles.add(group(CHUNKS, by="title"))

        assert articles.delete(segments=["a-2", "b-1", "nobody"]) == 2
        assert [segment.id for segment in articles.get(["A"])[0].segments] == ["a-1", "a-10"]
        assert articles.get(["B"]) == []
        assert articles.search("green")[0].score == 0

    def test_ids_of_segments_with_quotes_and_other_scripts_are_found(self, articles: Collection) -> None:
        names = ['it\'s "one"', "b\\n", "ид", "%22"]
        articles.add([Entity("a", segments=tuple(Segment(name, "red") for name in names))])

        for gone, name in enumerate(names, start=1):
            assert articles.delete(segments=[name]) == 1
            assert articles.count() == (gone < len(names))

    def test_another_version_of_the_parent_replaces_it(self, articles: Collection) -> None:
        chunks = [replace(chunk, document="a.txt", version="1") for chunk in CHUNKS[:3]]
        articles.add(group(chunks))
        articles.add(group([replace(chunks[0], version="2")]))

        assert [segment.id for segment in articles.get(["a.txt"])[0].segments] == ["a-1"]

    def test_metadata_of_the_parents_own_stay_and_change(self, articles: Collection) -> None:
        articles.add([Entity("a", metadata={"state": "draft", "by": "me"}, segments=(Segment("1", "red"),))])
        articles.add([Entity("a", metadata={"state": "final"}, segments=(Segment("2", "sea"),))])
        (entity,) = articles.get(["a"])

        assert entity.metadata == {"state": "final", "by": "me"}
        assert articles.add([Entity("a", metadata={"state": "old"}, segments=(Segment("2", "sea"),))]).replaced == 1
        assert articles.get(["a"])[0].metadata == {"state": "old", "by": "me"}

    def test_what_its_segments_no_longer_have_in_common_is_no_longer_the_parents(self, articles: Collection) -> None:
        articles.add(group(CHUNKS[1:3], by="title"))
        assert articles.count({"page": 2}) == 1
        articles.add(group(CHUNKS[:1], by="title"))

        assert articles.get(["A"])[0].metadata == {"title": "A", "year": 2024}
        assert articles.count({"page": 2}) == 0
        assert articles.count({"year": 2024}) == 1

    def test_what_one_of_its_segments_has_is_not_the_parents(self, articles: Collection) -> None:
        one, other = (Entity(name, "red", metadata={"title": "A", "x": x}) for x, name in enumerate("ab"))
        articles.add(group([one, other], by="title"))
        articles.add([replace(group([one], by="title")[0], text="Summary")])
        (parent,) = articles.get(["A"])

        assert (parent.text, parent.metadata) == ("Summary", {"title": "A"})

    def test_a_blank_text_changes_nothing_whatever_it_comes_with(self, database: Path) -> None:
        words = SegmentEmbedder(lambda texts: [[len(text), 1.0] for text in texts], name="lengths")
        texts = {"a": "red", "b": "sea", "blank": " "}
        chunks = [
            Entity(name, text, metadata={"title": "A"} | ({"x": 1} if text.strip() else {}))
            for name, text in texts.items()
        ]
        with Collection("once", words, uri=database, segments=True) as once:
            once.add(group(chunks, by="title"))
            expected = once.get(["A"])
        with Collection("thrice", words, uri=database, segments=True) as thrice:
            for chunk in chunks:
                thrice.add(group([chunk], by="title"))
            assert thrice.get(["A"]) == expected

        assert expected[0].metadata == {"title": "A", "x": 1}

    def test_a_parent_that_is_deleted_while_it_grows_is_whole_again_when_it_is_added_again(
        self, articles: Collection, words: WordEmbedder
    ) -> None:
        chunks = [Entity(name, "red", metadata={"title": "A"}) for name in "abc"]
        articles.add(group(chunks[:2], by="title"))
        embed = words.embed_entities

        def deleting(entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            articles.delete(["A"])
            return embed(entities)

        words.embed_entities = deleting  # type: ignore[method-assign]  # an embedder that is slower than somebody else
        articles.add(group(chunks, by="title"))
        words.embed_entities = embed  # type: ignore[method-assign]
        articles.add(group(chunks, by="title"))

        assert [segment.id for segment in articles.get(["A"])[0].segments] == ["a", "b", "c"]

    def test_a_picture_of_the_parent_stays_when_segments_are_added(self, articles: Collection) -> None:
        articles.add([Entity("a", image=Image.new("RGB", (4, 4), "red"), segments=(Segment("1", "red"),))])
        articles.add([Entity("a", segments=(Segment("2", "sea"),))])
        (entity,) = articles.get(["a"])

        assert Path(str(entity.image)).is_file()
        assert len(entity.segments) == 2

    def test_a_blank_segment_is_told_and_the_others_are_stored(self, database: Path) -> None:
        with Collection("c", StaticEmbedder(), uri=database, segments=True) as collection:
            entity = Entity("a", segments=(Segment("1", "red sea"), Segment("2", " "), Segment("3", "green tree")))
            report = collection.add([entity])

            assert (report.added, [problem.id for problem in report.unreadable]) == (1, ["a"])
            assert "segment '2' has nothing to read" in report.unreadable[0].reason
            assert [segment.id for segment in collection.get(["a"])[0].segments] == ["1", "3"]
            assert [s.id for s, _ in collection.search("tree", mode="late_interaction")[0].segments] == ["3", "1"]

    def test_two_segments_of_one_id_are_refused(self, articles: Collection) -> None:
        with pytest.raises(IncompleteAdd, match="two of its segments have the id '1'"):
            articles.add([Entity("a", segments=(Segment("1", "red"), Segment("1", "sea")))])


class TestSearching:
    @pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
    def test_segments_are_listed_best_first_with_their_own_similarity(self, database: Path, metric: Metric) -> None:
        with Collection("c", WordEmbedder(metric), uri=database, segments=True, capacity=4) as collection:
            collection.add(group(CHUNKS, by="title"))
            (hit, _) = collection.search("blue sky tree", k=2)

            assert [segment.id for segment, _ in hit.segments] == ["a-10", "a-2", "a-1"]
            assert [segment.text for segment, _ in hit.segments] == ["blue sky", "green tree", "red sea"]

    @pytest.mark.everywhere(served=False, flat=False)  # which take several for any search
    def test_they_take_one_request_more_at_most(self, database: Path, words: WordEmbedder) -> None:
        asked: dict[str, list[str]] = {}
        for name, segments in (("plain", False), ("gathered", True)):
            with Collection(name, words, uri=database, segments=segments) as collection:
                collection.add(group(CHUNKS, by="title") if segments else CHUNKS)
                asked[name] = watch(collection)
                assert all(hit.segments for hit in collection.search("red", k=2)) == segments
        assert asked["plain"] == ["search"]
        assert asked["gathered"] == ["search", "search", "query"]  # the second for entities in several parts

    def test_a_parent_of_more_vectors_than_a_row_holds_is_found_as_one(
        self, database: Path, words: WordEmbedder
    ) -> None:
        chunks = [Entity(f"c{n}", VOCABULARY[n], metadata={"title": "A"}) for n in range(len(VOCABULARY))]
        with Collection("c", words, uri=database, segments=True, capacity=5) as collection:
            collection.add(group([*chunks, *CHUNKS[3:]], by="title"))
            best = collection.search(" ".join(VOCABULARY), k=5)

            assert [hit.entity.id for hit in best] == ["A", "B"]
            assert best[0].score == len(VOCABULARY)
            assert len(best[0].segments) == len(VOCABULARY)
            assert collection.delete(["A"]) == 1
            assert collection.count() == 1


def watch(collection: Collection) -> list[str]:
    """Lists the requests that a collection makes from now on."""
    made: list[str] = []
    client: Any = collection._connection.client

    def watched(name: str) -> Callable[..., object]:
        ask = getattr(client, name)

        def asking(*arguments: object, **options: object) -> object:
            made.append(name)
            return ask(*arguments, **options)

        return asking

    for name in ("search", "query", "query_iterator"):
        setattr(client, name, watched(name))
    return made


def test_token_level_and_single_vector_embedders_both_name_the_segments() -> None:
    entity = Entity("a", segments=(Segment("1", "red sea of trees"), Segment("2", "dog")))
    single = SegmentEmbedder(lambda texts: [[len(text), 1.0] for text in texts], name="lengths")
    for embedder in (WordEmbedder(), StaticEmbedder(), single):
        (vectors,) = embedder.embed_entities([entity])
        assert isinstance(vectors, MultiVector)
        assert vectors.segments is not None
        assert sorted(set(vectors.segments.tolist())) == [0, 1]


def test_parents_says_which_entity_holds_which_segments(articles: Collection) -> None:
    articles.add(
        [
            Entity("A", segments=(Segment("a-1", "red"), Segment("a-2", "sea"))),
            Entity("B", segments=(Segment("b-1", "tree"), Segment("a-2", "bird"))),
        ]
    )

    assert articles.parents(["a-1", "none"]) == {"A": ["a-1"]}
    assert articles.parents(["a-1", "a-2"]) == {"A": ["a-1", "a-2"], "B": ["a-2"]}
    assert articles.parents([]) == {}


def test_a_segment_can_be_taken_out_of_one_of_its_entities(articles: Collection) -> None:
    articles.add([Entity(name, segments=(Segment("x", "red"), Segment(f"{name}-1", "sea"))) for name in ("A", "B")])

    assert articles.delete(["B", "none"], segments=["x", "A-1"]) == 1
    assert articles.parents(["x", "A-1", "B-1"]) == {"A": ["A-1", "x"], "B": ["B-1"]}


def test_without_segments_there_are_no_parents(notes: Collection) -> None:
    notes.add([Entity("a", "red")])

    assert notes.parents(["a"]) == {}
    assert notes.delete(["a"], segments=["a"]) == 0
    assert notes.count() == 1


def test_metadata_that_the_rest_has_in_common_is_the_entitys_when_a_segment_goes(articles: Collection) -> None:
    old = [Entity(f"old {n}", "red", metadata={"title": "A", "year": 2024}) for n in range(2)]
    new = [Entity(f"new {n}", "sea", metadata={"title": "A", "year": 2025}) for n in range(2)]
    articles.add(group(old, by="title"))
    articles.add(group(new, by="title"))
    assert articles.get(["A"])[0].metadata == {"title": "A"}

    articles.delete(segments=["old 0", "old 1"])

    assert articles.get(["A"])[0].metadata == {"title": "A", "year": 2025}
    assert articles.count({"year": 2025}) == 1


def test_true_and_one_are_not_in_common() -> None:
    members = [Entity(name, "x", document="d", metadata={"v": value}) for name, value in (("a", 1), ("b", True))]

    assert group(members)[0].metadata == {}
