"""What a collection promises: what goes in comes back, and only what changed is written again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, embedded
from colmilvus.embedder import SearchMode
from colmilvus.errors import (
    CollectionMismatch,
    CollectionNotFound,
    DatabaseError,
    InvalidEntity,
    InvalidFilter,
    InvalidInput,
    InvalidQuery,
    InvalidVectors,
)
from colmilvus.report import IncompleteAdd
from tests.words import WordEmbedder

COLOURS = [Entity("r", "red sea"), Entity("g", "green tree"), Entity("b", "blue sea sky")]


@pytest.fixture
def serve() -> Iterator[Callable[[Path], tuple[str, str]]]:
    """Runs the engine for a folder and gives its address, so that a collection meets it as a server."""
    with ExitStack() as opened:

        def start(path: Path) -> tuple[str, str]:
            opened.callback(embedded.connect(path).close)
            return embedded.address(path)

        yield start


def ids(hits: list[Any]) -> list[str]:
    return [hit.entity.id for hit in hits]


@pytest.mark.everywhere
def test_an_entity_comes_back_as_it_went_in(notes: Collection) -> None:
    metadata = {
        "id": 1,
        "text": "mine",
        "vectors": [1, 2.5, None, True],
        "metadata": {"deep": {"er": "ü\"'\\\n"}},
        "key": "k",
        "internal": {},
        "": "",
    }
    entity = Entity("ид \"'\\ #1", "red tree", document="a/b.pdf", version="7", metadata=metadata)
    notes.add([entity])

    assert notes.get([entity.id]) == [entity]
    assert notes.search("red")[0].entity == entity


@pytest.mark.everywhere
def test_an_entity_needs_no_document_and_no_metadata(notes: Collection) -> None:
    notes.add([Entity("a", "red"), Entity("b", "blue", document="")])

    assert notes.get(["b", "a"]) == [Entity("b", "blue", document=""), Entity("a", "red")]


@pytest.mark.everywhere
def test_get_keeps_the_order_and_leaves_out_what_is_not_there(notes: Collection) -> None:
    notes.add(COLOURS)

    assert [entity.id for entity in notes.get(["b", "nobody", "r"])] == ["b", "r"]
    assert notes.get([]) == []


def test_the_score_counts_the_words_in_common(notes: Collection) -> None:
    notes.add(COLOURS)

    hits = notes.search("blue sea tree", k=3)

    assert [(hit.entity.id, hit.score) for hit in hits[:1]] == [("b", 2.0)]
    assert {hit.entity.id: hit.score for hit in hits} == {"b": 2.0, "r": 1.0, "g": 1.0}
    assert hits[0].similarity == pytest.approx(2 / 3)


def test_an_empty_collection_finds_nothing(notes: Collection) -> None:
    assert notes.search("red") == []
    assert notes.search("red", mode="text") == []
    assert notes.search("red", mode="hybrid") == []
    assert notes.count() == 0
    assert notes.documents() == {}


@pytest.mark.everywhere
def test_several_queries_give_a_list_for_each(notes: Collection) -> None:
    notes.add(COLOURS)

    assert [ids(hits) for hits in notes.search(["green tree", "red sea"], k=1)] == [["g"], ["r"]]
    assert notes.search([], k=1) == []


def test_vectors_can_be_searched_directly(notes: Collection) -> None:
    notes.add(COLOURS)
    query = notes.multi_vectors(["g"])["g"]

    assert ids(notes.search(query, k=1)) == ["g"]
    assert ids(notes.search(query.vectors, k=1)) == ["g"]


@pytest.mark.everywhere
def test_stored_vectors_come_back_unchanged(database: Path) -> None:
    vectors = np.random.default_rng(5).normal(size=(7, 3)).astype(np.float32) * 100
    with Collection("c", dim=3, uri=database) as collection:
        collection.add([Entity("a")], vectors=[vectors])

        assert (collection.multi_vectors(["a", "b"])["a"].vectors == vectors).all()


class TestAdding:
    @pytest.mark.everywhere
    def test_what_is_held_unchanged_is_skipped(self, notes: Collection, words: WordEmbedder) -> None:
        first, second = notes.add(COLOURS), notes.add(reversed(COLOURS))

        assert (first.added, first.unchanged) == (3, 0)
        assert (second.added, second.unchanged, words.embedded) == (0, 3, 3)

    @pytest.mark.everywhere
    @pytest.mark.parametrize(
        "change",
        [{"text": "red sky"}, {"metadata": {"a": 1}}, {"document": "d"}, {"version": "2"}, {"image": None}],
        ids=str,
    )
    def test_what_changed_is_replaced(self, notes: Collection, change: Mapping[str, Any]) -> None:
        notes.add(COLOURS)
        changed = replace(COLOURS[0], **change)

        report = notes.add([changed])

        assert report.replaced == (changed != COLOURS[0])
        assert notes.get(["r"]) == [changed]
        assert notes.count() == 3

    @pytest.mark.everywhere
    @pytest.mark.parametrize("between", [0, 40])
    def test_the_last_of_one_id_wins(self, notes: Collection, between: int) -> None:
        others = [Entity(str(number), "red") for number in range(between)]
        report = notes.add([Entity("a", "red"), *others, Entity("a", "blue")])

        assert (report.added, report.replaced) == (between + 1, 1)
        assert notes.get(["a"]) == [Entity("a", "blue")]

    @pytest.mark.everywhere
    def test_what_was_read_before_an_error_is_stored(self, notes: Collection) -> None:
        def broken() -> Iterator[Entity]:
            yield from COLOURS
            raise OSError("unplugged")

        with pytest.raises(OSError, match="unplugged"):
            notes.add(broken())

        assert notes.count() == 3

    def test_vectors_of_the_embedder_that_are_wrong_name_their_entity(self, database: Path) -> None:
        class Broken(WordEmbedder):
            def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
                if any(entity.text == "bad" for entity in entities):
                    raise InvalidVectors("vector 0 of 1 holds a NaN")
                return super().embed_entities(entities)

        with Collection("c", Broken(), uri=database) as collection:
            with pytest.raises(IncompleteAdd, match=r"'x': vector 0 of 1 holds a NaN"):
                collection.add([*COLOURS, Entity("x", "bad")])

            assert collection.count() == 3

    def test_one_entity_alone_is_no_list(self, notes: Collection) -> None:
        with pytest.raises(InvalidInput, match=r"add\(\[entity\]\)"):
            notes.add(COLOURS[0])  # type: ignore[arg-type]  # wrong on purpose

    @pytest.mark.everywhere
    def test_changed_vectors_are_a_change(self, database: Path) -> None:
        with Collection("c", dim=2, metric="IP", uri=database) as collection:
            collection.add([Entity("a")], vectors=[[[1, 0]]])
            report = collection.add([Entity("a")], vectors=[[[0, 1]]])

            assert report.replaced == 1
            assert collection.search(np.array([[0, 1]]))[0].score == 1

    @pytest.mark.everywhere
    def test_any_iterable_is_read_in_batches(self, notes: Collection) -> None:
        read: list[int] = []

        def stream() -> Iterator[Entity]:
            for number in range(2000):
                read.append(number)
                if number == 1999:  # a batch is read, one is embedded, and one is being stored, each of 512 at most
                    assert notes.count() >= 2000 - 3 * 512
                yield Entity(str(number), "red")

        assert notes.add(stream()).added == 2000

    @pytest.mark.everywhere
    def test_an_interrupt_keeps_what_is_done_and_the_next_run_goes_on(
        self, notes: Collection, words: WordEmbedder
    ) -> None:
        entities = [Entity(str(number), "red") for number in range(100)]

        def interrupted() -> Iterator[Entity]:
            yield from entities[:70]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            notes.add(interrupted())
        kept = notes.count()
        report = notes.add(entities)

        assert kept == 8 + 16  # the third batch was read, and waited for the fourth
        assert (report.unchanged, report.added) == (24, 76)
        assert words.embedded == 100

    def test_what_the_embedder_cannot_read_is_reported_and_not_stored(self, notes: Collection) -> None:
        report = notes.add([Entity("a", "red"), Entity("empty", metadata={"source": "f.pdf", "page": 3})])

        assert (report.added, [str(problem) for problem in report.unreadable]) == (1, ["f.pdf, page 3: no words"])
        assert notes.count() == 1

    def test_refused_entities_stop_no_others_and_are_all_named(self, notes: Collection) -> None:
        wrong = [Entity("x" * 5000, "red"), Entity("m", "red", metadata={"n": float("nan")})]

        with pytest.raises(IncompleteAdd, match=r"2 entities.*1 added(.|\n)*xxx.*5000(.|\n)*'m'") as caught:
            notes.add([wrong[0], COLOURS[0], wrong[1]])

        assert [problem.id for problem in caught.value.report.failed] == ["x" * 5000, "m"]
        assert notes.count() == 1

    @pytest.mark.parametrize(
        ("entity", "told"),
        [
            (Entity(""), "at least one character"),
            (Entity("ä" * 2049), "4098 bytes.*4096"),
            (Entity("a", "ü" * 40_000), "80000 bytes.*65535.*segments"),
            (Entity("a", "\ud800"), "not valid Unicode"),
            (Entity("a", document="d" * 5000), "5000 bytes.*4096"),
            (Entity("a", metadata={"t": "x" * 70_000}), "bytes as JSON.*65536"),
            (Entity("a", metadata={"t": object()}), "JSON can hold.*object"),
            (Entity("a", metadata={1: "x"}), "string keys"),  # type: ignore[dict-item]  # a wrong key on purpose
            (Entity("a", metadata={"t": (1, 2)}), "lists for tuples"),
            (Entity("a", metadata={"t": [2**63]}), "64 bits"),
            (Entity("a", metadata=None), "metadata is a dict"),  # type: ignore[arg-type]  # wrong on purpose
            (Entity("a", document=0), "document is a string or None"),  # type: ignore[arg-type]  # wrong on purpose
            (Entity("a", version=b"3"), "version is a string or None"),  # type: ignore[arg-type]  # wrong on purpose
            (Entity("a", segments=("s",)), "class Segment"),  # type: ignore[arg-type]  # wrong on purpose
            ("hello", "add takes entities"),
            (Entity(7), "string of at least"),  # type: ignore[arg-type]  # a wrong id on purpose
        ],
    )
    def test_what_a_server_would_not_take_is_refused_with_both_numbers(
        self, notes: Collection, entity: Entity, told: str
    ) -> None:
        notes.add(COLOURS)

        with pytest.raises(IncompleteAdd, match=f"(?s){told}") as caught:
            notes.add([entity])

        assert isinstance(caught.value.__cause__, InvalidEntity)
        assert notes.count() == 3

    @pytest.mark.parametrize(
        ("vectors", "told"),
        [
            ([[1.0, float("nan")]], "'a'.*NaN"),
            ([[1.0, 2.0, 3.0]], "'a'.*3 dimensions, the collection has 2"),
            ([], "'a'.*shape"),
            (np.zeros((0, 2)), "'a'.*shape"),
            (np.ones((5, 2)), "'a' has 5 vectors, the collection holds 4"),
        ],
    )
    def test_vectors_that_do_not_fit_name_their_entity(self, database: Path, vectors: Any, told: str) -> None:
        with Collection("c", dim=2, capacity=4, uri=database) as collection:
            with pytest.raises(IncompleteAdd, match=f"(?s){told}") as caught:
                collection.add([Entity("ok"), Entity("a")], vectors=[[[1, 0]], vectors])

            assert isinstance(caught.value.__cause__, InvalidVectors)
            assert [entity.id for entity in collection.get(["ok", "a"])] == ["ok"]

    @pytest.mark.parametrize("count", [1, 3])
    def test_vectors_and_entities_are_as_many(self, database: Path, count: int) -> None:
        with (
            Collection("c", dim=2, uri=database) as collection,
            pytest.raises(InvalidInput, match="one multi-vector"),
        ):
            collection.add([Entity("a"), Entity("b")], vectors=[[[1, 0]]] * count)

    def test_without_an_embedder_vectors_are_asked_for(self, database: Path) -> None:
        with Collection("c", dim=2, uri=database) as collection, pytest.raises(InvalidInput, match="vectors="):
            collection.add([Entity("a", "red")])

    @pytest.mark.everywhere
    def test_threads_add_and_search_at_once(self, notes: Collection) -> None:
        def work(worker: int) -> None:
            for number in range(20):
                notes.add([Entity(f"{worker}-{number}", "red")])
                assert notes.search("red", k=1)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert notes.count() == 160


@pytest.mark.everywhere
class TestVersions:
    def pages(self, count: int, version: str, document: str = "d") -> list[Entity]:
        return [
            Entity(f"{document}#{page}", f"red {version}", document=document, version=version)
            for page in range(1, count + 1)
        ]

    def test_a_new_version_removes_what_it_no_longer_has(self, notes: Collection) -> None:
        notes.add([*self.pages(5, "1"), *self.pages(2, "1", "other")])

        report = notes.add(self.pages(3, "2"))

        assert (report.replaced, report.removed) == (3, 2)
        assert notes.documents() == {"d": 3, "other": 2}

    def test_without_a_version_nothing_is_removed(self, notes: Collection) -> None:
        notes.add(self.pages(5, "1"))

        notes.add([replace(page, version=None) for page in self.pages(2, "2")])

        assert notes.documents() == {"d": 5}

    def test_the_old_version_stays_until_the_new_one_is_stored(self, notes: Collection) -> None:
        notes.add(self.pages(5, "1"))

        def broken() -> Iterator[Entity]:
            yield from self.pages(2, "2")
            raise OSError("unplugged")

        with pytest.raises(OSError, match="unplugged"):
            notes.add(broken())

        assert notes.documents() == {"d": 5}

    def test_a_page_that_was_refused_keeps_its_old_state(self, notes: Collection) -> None:
        notes.add(self.pages(3, "1"))
        pages = self.pages(3, "2")
        pages[1] = replace(pages[1], text="x" * 70_000)

        with pytest.raises(IncompleteAdd):
            notes.add(pages)

        assert [page.version for page in notes.get(["d#1", "d#2", "d#3"])] == ["2", "1", "2"]


class TestSearching:
    def test_a_filter_limits_what_is_found(self, database: Path, words: WordEmbedder) -> None:
        with Collection("c", words, uri=database, fields={"year": int}) as collection:
            collection.add(
                Entity(str(year), "red", metadata={"year": year, "odd": bool(year % 2)}) for year in range(9)
            )

            assert sorted(ids(collection.search("red", filter={"year": {"$gte": 5}}))) == ["5", "6", "7", "8"]
            assert sorted(ids(collection.search("red", filter={"odd": True, "year": [1, 2, 3]}))) == ["1", "3"]
            assert sorted(ids(collection.search("red", filter="year > 6"))) == ["7", "8"]
            assert collection.count({"year": {"$lt": 3}}) == 3
            assert ids(collection.search("red", mode="text", filter={"year": 4})) == ["4"]
            assert ids(collection.search("red", mode="hybrid", filter={"year": 4})) == ["4"]

    @pytest.mark.parametrize("mode", ["late_interaction", "text", "hybrid"])
    @pytest.mark.parametrize("wrong", ["year >", {"a": {"$near": 1}}])
    def test_a_filter_that_cannot_be_read_says_so(self, notes: Collection, mode: Any, wrong: Any) -> None:
        notes.add(COLOURS)

        with pytest.raises(InvalidFilter):
            notes.search("red", mode=mode, filter=wrong)

    def test_text_mode_ranks_by_bm25_and_finds_only_shared_words(self, notes: Collection) -> None:
        notes.add([Entity("many", "red red red dogs"), Entity("one", "red sea sky tree cat"), Entity("none", "blue")])

        hits = notes.search("Dog, red!", mode="text")

        assert ids(hits) == ["many", "one"]
        assert hits[0].score > hits[1].score > 0
        assert hits[0].similarity is None

    def test_hybrid_is_the_mean_of_both_scaled_scores(self, notes: Collection) -> None:
        notes.add([*COLOURS, Entity("y", "yellow")])

        hits = {hit.entity.id: hit for hit in notes.search("blue sea", mode="hybrid")}

        assert hits["b"].score == pytest.approx(1.0)
        assert hits["g"].score == pytest.approx(0.0)
        assert 0 < hits["r"].score < 1
        assert hits["b"].similarity is None
        assert ids(notes.search("blue sea", mode="hybrid", fusion="rrf", k=2)) == ["b", "r"]

    def test_the_embedder_says_which_mode_suits_it(self, database: Path) -> None:
        embedder = WordEmbedder()
        embedder.mode = "text"  # type: ignore[attr-defined]  # an optional attribute of the protocol
        with Collection("c", embedder, uri=database) as collection:
            collection.add([Entity("a", "red"), Entity("b", "blue")])

            assert ids(collection.search("red")) == ["a"]
            assert len(collection.search("red", mode="late_interaction")) == 2
            assert len(collection.search(collection.multi_vectors(["a"])["a"])) == 2

    @pytest.mark.everywhere
    def test_a_threshold_drops_weaker_hits(self, notes: Collection) -> None:
        notes.add(COLOURS)

        assert ids(notes.search("blue sea sky tree", min_similarity=0.7)) == ["b"]
        assert notes.search("dog", min_similarity=0.5) == []

    def test_a_document_gives_at_most_so_many_hits(self, notes: Collection) -> None:
        notes.add(Entity(f"x{n}", "red sea", document="x") for n in range(60))
        notes.add(Entity(f"y{n}", "red", document="y") for n in range(3))

        modes: list[SearchMode] = ["late_interaction", "text"]
        for mode in modes:
            hits = notes.search("red sea", k=3, per_document=2, mode=mode)
            assert [hit.entity.document for hit in hits] == ["x", "x", "y"]

    @pytest.mark.everywhere
    def test_exact_gives_the_same_on_an_exact_engine(self, notes: Collection) -> None:
        notes.add(COLOURS)

        assert notes.search("blue sea", exact=True) == notes.search("blue sea")

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"query": "  "}, "blank"),
            ({"query": "red", "k": 0}, "k is"),
            ({"query": "red", "k": 16_385}, "16384"),
            ({"query": "red", "mode": "dense"}, "dense"),
            ({"query": "red", "mode": "text", "min_similarity": 0.5}, "min_similarity"),
            ({"query": "red", "mode": "hybrid", "min_similarity": 0.5}, "min_similarity"),
            ({"query": "red", "per_document": 0}, "per_document"),
            ({"query": "red", "per_document": "1"}, "per_document"),
            ({"query": "red", "min_similarity": "0.5"}, "min_similarity"),
            ({"query": "red", "min_similarity": float("nan")}, "min_similarity"),
            ({"query": "red", "fusion": "mean"}, "fusion"),
            ({"query": "red", "fusion": "rrf"}, "fusion is for"),
            ({"query": "red", "mode": "text", "exact": True}, "exact is for"),
            ({"query": None}, "a query is"),
            ({"query": np.eye(3), "mode": "text"}, "needs a text"),
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(
        self, notes: Collection, arguments: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(InvalidQuery, match=told):
            notes.search(**arguments)

    def test_numbers_of_numpy_are_numbers(self, notes: Collection) -> None:
        notes.add(COLOURS)

        assert len(notes.search("red", k=np.int64(2))) == 2

    def test_nested_lists_are_a_multi_vector(self, database: Path) -> None:
        with Collection("c", dim=2, metric="IP", uri=database) as collection:
            collection.add([Entity("a"), Entity("b")], vectors=[[[1, 0]], [[0, 1]]])

            assert ids(collection.search([[0, 1], [0, 1]], k=1)) == ["b"]
            assert [ids(hits) for hits in collection.search([[[0, 1]], [[1, 0]]], k=1)] == [["b"], ["a"]]

    def test_hybrid_fills_up_with_other_documents(self, notes: Collection) -> None:
        notes.add(Entity(f"x{n}", "red sea", document="x") for n in range(150))
        notes.add(Entity(f"y{n}", "red", document=f"y{n}") for n in range(9))

        assert len(notes.search("red sea", k=10, per_document=1, mode="hybrid")) == 10

    def test_the_text_of_a_hit_is_there_whichever_part_matched(self, database: Path) -> None:
        with Collection("c", dim=2, uri=database, segments=True, capacity=1) as collection:
            entity = Entity("a", "whole", segments=(Segment("s", "one", {"n": 1}), Segment("t", "two")))
            collection.add([entity], vectors=[MultiVector([[1, 0], [0, 1]], [0, 1])])
            (hit,) = collection.search(np.array([[0, 1]]))

            assert hit.entity == entity
            assert [segment.id for segment, _ in hit.segments] == ["t", "s"]
            assert collection.get(["a"]) == [entity]
            assert collection.add(collection.get(["a"]), vectors=[MultiVector([[1, 0], [0, 1]], [0, 1])]).unchanged == 1

    def test_an_entity_whose_parts_each_rank_low_is_found(self, database: Path) -> None:
        with Collection("c", dim=3, metric="IP", uri=database, segments=True, capacity=1) as collection:
            both = Entity("both", segments=(Segment("s"), Segment("t")))
            collection.add([both], vectors=[MultiVector([[1, 0, 0], [0, 1, 0]], [0, 1])])
            others = [Entity(f"o{n}", segments=(Segment("s"),)) for n in range(60)]
            collection.add(others, vectors=[MultiVector([[0.6, 0.6, 0]], [0])] * 60)

            assert [(hit.entity.id, hit.score) for hit in collection.search(np.eye(3)[:2], k=1)] == [("both", 2.0)]

    def test_query_vectors_have_the_dimension_of_the_collection(self, notes: Collection) -> None:
        with pytest.raises(InvalidVectors, match="3 dimensions, the collection of 13"):
            notes.search(np.eye(3))

    def test_a_distance_ranks_ascending_and_has_no_threshold(self, database: Path) -> None:
        with Collection("c", WordEmbedder("L2"), uri=database) as collection:
            collection.add(COLOURS)

            assert ids(collection.search("blue sea sky"))[0] == "b"
            assert ids(collection.search("blue sea sky", mode="hybrid"))[0] == "b"
            assert collection.search("blue sea sky")[0].score == 0
            with pytest.raises(InvalidQuery, match="L2"):
                collection.search("red", min_similarity=0.1)


@pytest.mark.everywhere
class TestDeleting:
    def test_by_id_by_filter_and_by_document(self, notes: Collection) -> None:
        notes.add(Entity(str(n), "red", document=f"d{n % 2}", metadata={"n": n}) for n in range(10))

        assert notes.delete(["1", "3", "nobody"]) == 2
        assert notes.delete(filter={"n": {"$gt": 7}}) == 2
        assert notes.delete(document="d0") == 4
        assert notes.delete(["1"]) == 0
        assert sorted(ids(notes.search("red"))) == ["5", "7"]

    def test_needs_to_be_told_what(self, notes: Collection) -> None:
        notes.add(COLOURS)
        wrong: list[dict[str, Any]] = [
            {},
            {"filter": {}},
            {"filter": ""},
            {"filter": "  "},
            {"filter": {"year": {"$nin": []}}},
            {"ids": ["a"], "document": "d"},
            {"ids": "a"},
        ]
        for arguments in wrong:
            with pytest.raises(InvalidInput):
                notes.delete(**arguments)
        assert notes.count() == 3

    def test_ids_with_quotes_touch_nothing_else(self, notes: Collection) -> None:
        nasty = ['a" or "1"=="1', "b'", "c\\", "d\n", "e{x}", "日本"]
        notes.add([Entity(name, "red") for name in nasty] + COLOURS)

        for count, name in enumerate(nasty, start=1):
            assert notes.delete([name]) == 1
            assert notes.count() == len(nasty) + 3 - count


class TestOpening:
    def test_what_was_stored_is_there_after_reopening(self, database: Path, words: WordEmbedder) -> None:
        with Collection("c", words, uri=database) as collection:
            collection.add(COLOURS)
        with Collection("c", words, uri=database) as collection:
            assert ids(collection.search("green", k=1)) == ["g"]
            assert ids(collection.search("tree", k=1, mode="text")) == ["g"]
            assert collection.add(COLOURS).unchanged == 3

    @pytest.mark.everywhere
    def test_the_same_database_may_be_open_twice(self, database: Path, words: WordEmbedder) -> None:
        with Collection("c", words, uri=database) as one, Collection("c", words, uri=database) as other:
            one.add(COLOURS)

            assert other.count() == 3

    @pytest.mark.everywhere
    def test_closing_one_leaves_the_other_open(self, database: Path, words: WordEmbedder) -> None:
        one, other = Collection("c", words, uri=database), Collection("d", words, uri=database)
        one.close()
        one.close()
        with other:
            assert other.add(COLOURS).added == 3

    @pytest.mark.everywhere
    def test_another_embedder_is_refused_and_both_are_named(self, database: Path) -> None:
        class Other(WordEmbedder):
            name = "others"

        with Collection("c", WordEmbedder(), uri=database):
            pass
        with pytest.raises(CollectionMismatch, match=r"'words'.*'others'"):
            Collection("c", Other(), uri=database)

    @pytest.mark.parametrize(
        ("asked", "told"),
        [({"dim": 5}, "dim=13.*5"), ({"metric": "IP"}, "COSINE.*IP"), ({"capacity": 9}, "4096.*9")],
    )
    def test_other_settings_are_refused_and_both_are_named(
        self, database: Path, asked: dict[str, Any], told: str
    ) -> None:
        with Collection("c", WordEmbedder(), uri=database):
            pass
        with pytest.raises(CollectionMismatch, match=told):
            Collection("c", uri=database, **asked)

    def test_settings_of_the_embedder_must_agree(self, database: Path) -> None:
        with Collection("c", WordEmbedder(pooling="3"), uri=database):
            pass
        with pytest.raises(CollectionMismatch, match=r"pooling='3', now '2'"):
            Collection("c", WordEmbedder(pooling="2"), uri=database)

    def test_another_library_version_only_warns(self, database: Path) -> None:
        with Collection("c", WordEmbedder(words_version="1.0"), uri=database):
            pass
        with (
            pytest.warns(UserWarning, match=r"words_version='1.0', now '1.1'"),
            Collection("c", WordEmbedder(words_version="1.1"), uri=database),
        ):
            pass

    def test_an_existing_collection_opens_without_an_embedder(self, database: Path, words: WordEmbedder) -> None:
        with Collection("c", words, uri=database) as collection:
            collection.add(COLOURS)
        with Collection("c", uri=database) as collection:
            assert (collection.dim, collection.metric) == (13, "COSINE")
            assert ids(collection.search("green", mode="text")) == ["g"]
            with pytest.raises(InvalidQuery, match="without an embedder"):
                collection.search("green")

    @pytest.mark.everywhere
    def test_nothing_is_made_where_nothing_says_how(self, database: Path) -> None:
        with pytest.raises(CollectionNotFound, match=r"no collection 'c'.*dim="):
            Collection("c", uri=database)

    def test_a_collection_of_somebody_else_is_not_touched(self, database: Path) -> None:
        client = embedded.connect(database)
        client.create_collection("theirs", dimension=4)
        client.close()

        with pytest.raises(CollectionMismatch, match="not made by colmilvus"):
            Collection("theirs", dim=4, uri=database)

    @pytest.mark.parametrize("name", ["", "a-b", "1a", "ä", "a" * 256, 'x"; drop'])
    def test_names_are_those_that_milvus_takes(self, database: Path, name: str) -> None:
        with pytest.raises(InvalidInput, match="name"):
            Collection(name, dim=4, uri=database)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"dim": 1},
            {"dim": 4.0},
            {"capacity": "9"},
            {"fields": {"like": int}},
            {"capacity": 0},
            {"capacity": 4097},
            {"metric": "L1"},
            {"fields": {"text": str}},
            {"fields": {"a": list}},
        ],
    )
    def test_settings_that_milvus_would_not_take_are_refused(self, database: Path, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            Collection("c", uri=database, **{"dim": 4, **wrong})

    @pytest.mark.everywhere
    def test_dropping_leaves_room_for_a_new_one(self, database: Path, words: WordEmbedder) -> None:
        collection = Collection("c", words, uri=database)
        collection.add(COLOURS)
        collection.drop()
        with Collection("c", dim=4, uri=database) as collection:
            assert collection.count() == 0

    @pytest.mark.everywhere
    def test_threads_that_open_a_new_collection_at_once_get_one(self, database: Path) -> None:
        opened: list[Collection] = []

        def work(worker: int) -> None:
            collection = Collection("c", WordEmbedder(), uri=database)
            collection.add([Entity(str(worker), "red")])
            opened.append(collection)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(opened) == 6
        assert opened[0].count() == 6
        for collection in opened:
            collection.close()


@pytest.mark.parametrize("uri", ["localhost:19530", "file:///kb.db", " "])
def test_a_uri_that_names_neither_a_folder_nor_a_server_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        Collection("c", dim=4, uri=uri)


@pytest.mark.parametrize("embedder", ["static", WordEmbedder, object()])
def test_what_is_no_embedder_is_refused(database: Path, embedder: Any) -> None:
    with pytest.raises(InvalidInput, match="an embedder is an object with"):
        Collection("c", embedder, uri=database)


def test_settings_of_an_embedder_are_what_json_keeps(database: Path) -> None:
    with pytest.raises(InvalidInput, match="layers"):
        Collection("c", WordEmbedder(layers=(1, 2)), uri=database)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.everywhere
def test_what_was_closed_or_dropped_says_so(database: Path, words: WordEmbedder) -> None:
    collection = Collection("c", words, uri=database)
    with Collection("c", words, uri=database) as other:
        other.drop()
    with pytest.raises(CollectionNotFound):
        collection.search("red")
    collection.close()
    with pytest.raises(DatabaseError, match="closed"):
        collection.search("red")


@pytest.mark.parametrize("call", ["get", "delete", "multi_vectors"])
def test_ids_are_a_list_of_strings(notes: Collection, call: str) -> None:
    for wrong in ("a", [1]):
        with pytest.raises(InvalidInput):
            getattr(notes, call)(wrong)


@pytest.mark.everywhere
def test_a_picture_is_kept_once_there_is_a_folder_for_it(
    serve: Callable[[Path], tuple[str, str]], tmp_path: Path, words: WordEmbedder
) -> None:
    """A collection on a server keeps pictures only where it is told a folder; the same entity then gets its picture."""
    address, token = serve(tmp_path / "kb.db")
    entity = Entity("a", "red", image=Image.new("RGB", (4, 4)))
    with Collection("c", words, uri=address, token=token) as collection:
        collection.add([entity])
        assert collection.get(["a"])[0].image is None
    with Collection("c", words, uri=address, token=token, images=tmp_path / "pictures") as collection:
        assert collection.add([entity]).replaced == 1
        path = collection.get(["a"])[0].image
        assert isinstance(path, Path)
        assert path.is_file()


def test_pymilvus_does_not_shout_what_is_raised_anyway(notes: Collection, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidFilter):
        notes.search("red", filter="year >")

    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]


@pytest.mark.everywhere
def test_typed_fields_hold_their_type(database: Path, words: WordEmbedder) -> None:
    with Collection(
        "c", words, uri=database, fields={"year": int, "price": float, "tag": str, "ok": bool}
    ) as collection:
        full = Entity("a", "red", metadata={"year": 1, "price": 2, "tag": "t", "ok": False})
        collection.add([full, Entity("b", "red")])

        assert collection.get(["a", "b"]) == [full, Entity("b", "red")]
        with pytest.raises(IncompleteAdd, match=r"'year' holds int values, not '1'"):
            collection.add([Entity("c", "red", metadata={"year": "1"})])


def test_multi_vectors_of_torch_and_lists_are_taken(database: Path) -> None:
    with Collection("c", dim=2, uri=database) as collection:
        collection.add([Entity("a"), Entity("b")], vectors=[[[1, 0], [0, 1]], MultiVector([[1, 1]])])

        assert len(collection.multi_vectors(["a"])["a"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"k": 0}, "k is a number"),
        ({"mode": "bm25"}, "mode is"),
        ({"min_similarity": True}, "min_similarity is a number"),
        ({"mode": "text", "exact": True}, "exact is for"),
        ({"filter": {"a": {"$near": 1}}}, "unknown operator"),
        ({"per_document": 0}, "per_document is a number"),
    ],
)
def test_arguments_of_a_search_can_be_checked_beforehand(
    notes: Collection, arguments: dict[str, Any], said: str
) -> None:
    notes.check_search(3, filter={"a": 1}, min_similarity=np.float32(0.5))
    with pytest.raises(InvalidInput, match=said):
        notes.check_search(**arguments)
    with pytest.raises(InvalidInput, match=said):
        notes.search("red", **arguments)


def test_another_embedder_may_be_asked_that_is_the_collections_equal(notes: Collection) -> None:
    equal, other = WordEmbedder(), WordEmbedder(pooled="twice")

    assert notes.add([Entity("a", "red")], embedder=equal).added == 1
    assert equal.embedded == 1
    with pytest.raises(CollectionMismatch, match="other settings: pooled=None, now 'twice'"):
        notes.add([Entity("b", "red")], embedder=other)
    assert notes.count() == 1


@pytest.mark.everywhere
def test_entities_come_with_their_vectors(notes: Collection) -> None:
    notes.add([Entity("a", "red sea"), Entity("b", "sky")])

    found = notes.with_vectors(["b", "none", "a"])

    assert {name: (entity.text, len(vectors)) for name, (entity, vectors) in found.items()} == {
        "a": ("red sea", 2),
        "b": ("sky", 1),
    }
    assert notes.with_vectors([]) == {}
    assert notes.keeps_images


@pytest.mark.everywhere
class TestReadingAndClearing:
    """Reading by filter, and removing everything."""

    def test_entities_are_read_by_ids_or_by_filter(self, notes: Collection) -> None:
        notes.add([replace(colour, metadata={"n": n}) for n, colour in enumerate(COLOURS)])

        assert sorted(notes.ids()) == ["b", "g", "r"]
        assert sorted(notes.ids({"n": {"$gt": 0}})) == ["b", "g"]
        assert {entity.id: entity.text for entity in notes.get(filter={"n": [0, 2]})} == {
            "r": "red sea",
            "b": "blue sea sky",
        }
        assert len(notes.get(filter={})) == 3
        for wrong in ({}, {"ids": ["r"], "filter": {}}):
            with pytest.raises(InvalidInput, match="get takes ids or filter="):
                notes.get(**wrong)  # type: ignore[arg-type]  # a tested mistake

    def test_cleared_of_everything_a_collection_can_be_filled_again(self, notes: Collection) -> None:
        notes.add([replace(COLOURS[0], image=Image.new("RGB", (4, 4), "red")), *COLOURS[1:]])
        (kept,) = (entity.image for entity in notes.get(["r"]))

        notes.clear()

        assert (notes.count(), notes.search("red sea")) == (0, [])
        assert isinstance(kept, Path)
        assert not kept.exists()
        notes.add(COLOURS)
        assert ids(notes.search("green tree", k=1)) == ["g"]

    def test_what_has_a_picture_is_found_by_that(self, notes: Collection) -> None:
        notes.add([replace(COLOURS[0], image=Image.new("RGB", (4, 4), "red")), *COLOURS[1:]])

        assert notes.ids({"$image": {"$empty": False}}) == notes.ids({"$image": {"$ne": None}}) == ["r"]
        assert sorted(notes.ids({"$image": None})) == ["b", "g"]
        assert ids(notes.search("green tree", filter={"$image": {"$empty": False}})) == ["r"]


@pytest.mark.everywhere
class TestInternalData:
    """What an adapter keeps with an entity, beside the user's metadata."""

    OWN: Mapping[str, Any] = {"kind": "Node", "deep": {"er": [1, None]}}

    def test_it_comes_back_and_is_no_metadata(self, notes: Collection) -> None:
        notes.add([Entity("a", "red sea", metadata={"kind": "mine"}, internal=self.OWN)])

        (found,) = notes.get(["a"])
        assert (found.metadata, found.internal) == ({"kind": "mine"}, self.OWN)
        assert notes.search("red")[0].entity.internal == self.OWN
        assert notes.ids({"deep": {"$exists": True}}) == []

    def test_it_counts_where_it_is_asked_whether_something_changed(self, notes: Collection) -> None:
        notes.add([Entity("a", "red sea", internal=self.OWN)])

        assert notes.add([Entity("a", "red sea", internal=self.OWN)]).unchanged == 1
        assert notes.add([Entity("a", "red sea", internal={"kind": "Document"})]).replaced == 1

    def test_more_than_a_row_holds_is_refused_with_both_numbers(self, notes: Collection) -> None:
        with pytest.raises(InvalidEntity, match=r"'a': its internal data has 60\d+ bytes as JSON, .* at most 57344"):
            notes.check(Entity("a", "red sea", internal={"data": "x" * 60_000}))
        with pytest.raises(InvalidEntity, match="its internal data is not what JSON can hold"):
            notes.check(Entity("a", "red sea", internal={"data": b"x"}))


def test_the_part_of_late_interaction_in_a_hybrid_search(notes: Collection) -> None:
    # BM25 weighs rare and repeated words in short texts, MaxSim counts different ones
    common = [Entity(str(n), "sea dog") for n in range(5)]
    notes.add([Entity("both", "sea sky " + "one two " * 60), Entity("often", "sky sky sky"), *common])
    by_words = ids(notes.search("sea sky", mode="text"))
    by_vectors = ids(notes.search("sea sky", mode="late_interaction"))
    assert by_words[0] != by_vectors[0]

    assert ids(notes.search("sea sky", mode="hybrid", weight=1.0))[0] == by_vectors[0]
    assert ids(notes.search("sea sky", mode="hybrid", weight=0))[0] == by_words[0]
    assert notes.search("sea sky", mode="hybrid", weight=0.5) == notes.search("sea sky", mode="hybrid")
    for wrong in (1.5, -0.1, True, "half"):
        with pytest.raises(InvalidQuery, match="weight is a number from 0"):
            notes.search("red", mode="hybrid", weight=wrong)  # type: ignore[call-overload]  # a tested mistake
    with pytest.raises(InvalidQuery, match="weight is for mode='hybrid'"):
        notes.search("red", weight=0.5)
