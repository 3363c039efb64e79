"""The vector store beyond LangChain's standard tests: scores, diversity, filters, deletion, misuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from pydantic import ValidationError

from colmilvus import Collection, MultiVector, maxsim
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.entity import Metric
from colmilvus.errors import (
    CollectionMismatch,
    InvalidEntity,
    InvalidFilter,
    InvalidInput,
    InvalidQuery,
    Unsupported,
)
from colmilvus.langchain import LateInteractionVectorStore
from tests.words import VOCABULARY, WordEmbedder

DOCUMENTS = [
    Document("red sea", id="a", metadata={"source": "x", "year": 2023, "tags": ["wet"]}),
    Document("red sea bird", id="b", metadata={"source": "x", "year": 2024, "tags": ["wet", "air"]}),
    Document("green tree", id="c", metadata={"source": "y", "year": 2025}),
    Document("red tree dog cat", id="d", metadata={"source": "y"}),
]


@pytest.fixture
def filled(store: LateInteractionVectorStore) -> LateInteractionVectorStore:
    store.add_documents(DOCUMENTS)
    return store


def ids(documents: Sequence[Document]) -> list[str | None]:
    return [document.id for document in documents]


class TestAdding:
    def test_documents_come_back_as_they_went_in(self, store: LateInteractionVectorStore) -> None:
        metadata: dict[str, Any] = {
            "id": 1,
            "text": None,
            "vectors": [1, 2.5, "x"],
            "metadata": {"metadata": {"deep": True}},
            "key": "k",
            "document": "d",
            "internal": {},
            "image": "not/a/picture.jpg",
            "score": 7,
            "日本": "ключ",
        }
        document = Document("red sea", id="a", metadata=metadata)

        store.add_documents([document])

        assert store.get_by_ids(["a"]) == [document]
        assert store.similarity_search("red") == [document]

    def test_ids_are_those_given_then_the_documents_own_then_new_ones(self, store: LateInteractionVectorStore) -> None:
        documents = [Document("red", id="own"), Document("sea", id="mine"), Document("dog")]

        added = store.add_documents(documents, ids=["given", None, None])

        assert added[:2] == ["given", "mine"]
        assert len(added[2]) == 36
        assert sorted(found.page_content for found in store.get_by_ids(added)) == ["dog", "red", "sea"]
        assert [document.id for document in documents] == ["own", "mine", None]

    def test_the_same_id_replaces_and_what_is_unchanged_is_not_embedded_again(
        self, store: LateInteractionVectorStore, words: WordEmbedder
    ) -> None:
        store.add_texts(["red", "sea"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
        store.add_texts(["red", "sky"], [{"n": 1}, {"n": 2, "new": []}], ids=["a", "b"])

        assert words.embedded == 3
        assert [found.page_content for found in store.get_by_ids(["b", "a"])] == ["sky", "red"]
        assert store.get_by_ids(["b"])[0].metadata == {"n": 2, "new": []}

    def test_what_the_embedder_cannot_read_is_left_out_with_a_warning(self, store: LateInteractionVectorStore) -> None:
        with pytest.warns(UserWarning, match="not stored: b: no words"):
            added = store.add_texts(["red", " ", "sea"], ids=["a", "b", "c"])

        assert added == ["a", "c"]

    def test_nothing_is_added_of_nothing(self, store: LateInteractionVectorStore) -> None:
        assert store.add_texts([]) == []
        assert store.add_documents([]) == []
        assert store.similarity_search("red") == []

    def test_a_generator_of_texts_will_do(self, store: LateInteractionVectorStore) -> None:
        assert store.add_texts((text for text in ("red", "sea")), ids=["a", "b"]) == ["a", "b"]

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"metadatas": [{}]}, InvalidInput, "metadatas has 1 items for 2 documents"),
            ({"ids": ["a", "b", "c"]}, InvalidInput, "ids has 3 items for 2 documents"),
            ({"ids": ["a", "a"]}, InvalidInput, "two documents have the id 'a'"),
            ({"metadatas": [{}, {"when": np.float32(1)}]}, InvalidEntity, "not what JSON can hold"),
            ({"metadatas": [{}, {"pair": (1, 2)}]}, InvalidEntity, "come back changed"),
            ({"metadatas": [{}, {"n": 2**70}]}, InvalidEntity, "64 bits"),
            ({"metadatas": [{}, {"long": "x" * 70_000}]}, InvalidEntity, "65536"),
            ({"timeout": 3}, InvalidInput, "no argument timeout; there are ids"),
            ({"metadatas": [{}, "x"]}, InvalidInput, "a dict for each text, not 'x'"),
            ({"ids": ["a", ""]}, InvalidInput, "an id is a string of at least one character"),
        ],
    )
    async def test_wrong_input_is_refused_before_anything_is_stored(
        self, store: LateInteractionVectorStore, arguments: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said):
            store.add_texts(["red", "sea"], **arguments)
        with pytest.raises(error, match=said):
            await store.aadd_texts(["red", "sea"], **arguments)

        assert store.collection.count() == 0

    @pytest.mark.parametrize("wrong", ["red", [3], [Document("red"), "sea"]])
    def test_what_is_no_list_of_documents_is_refused(self, store: LateInteractionVectorStore, wrong: Any) -> None:
        with pytest.raises(InvalidInput, match="list of"):
            store.add_documents(wrong) if isinstance(wrong, list) else store.add_texts(wrong)
        with pytest.raises(InvalidInput, match="an id is a string of at least one character, or None"):
            store.add_documents([Document("red", metadata={"source": "a", "page": 1})], ids=[7])  # type: ignore[list-item]
        with pytest.raises(InvalidInput, match="a text is a string"):
            store.add_texts(["red", None])  # type: ignore[list-item]  # the mistake that is tested


class TestSearching:
    def test_scores_are_maxsim(self, filled: LateInteractionVectorStore, words: WordEmbedder) -> None:
        for question in ("red", "red bird", "tree dog cat red red"):
            found = filled.similarity_search_with_score(question, k=10)
            (query,) = words.embed_queries([question])
            vectors = filled.collection.multi_vectors([document.id or "" for document, _ in found])

            assert len(found) == 4
            for document, score in found:
                assert score == pytest.approx(maxsim(query, vectors[document.id or ""]), abs=1e-5)
            assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)

    def test_relevance_does_not_depend_on_the_length_of_a_question(self, filled: LateInteractionVectorStore) -> None:
        for question in ("red", "red sea", "red sea " * 10):
            (best, relevance), *_ = filled.similarity_search_with_relevance_scores(question, k=1)

            assert best.id in ("a", "b")
            assert relevance == pytest.approx(1.0)
        (_, half), *_ = filled.similarity_search_with_relevance_scores("red blue", k=1)
        assert half == pytest.approx(0.75)

    @pytest.mark.parametrize("metric", ["COSINE", "IP"])
    def test_relevance_is_between_0_and_1(self, database: Path, metric: Metric) -> None:
        class Opposite(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [[1.0, 0.0] if "up" in text else [-1.0, 0.0] for text in texts]

            def embed_query(self, text: str) -> list[float]:
                return self.embed_documents([text])[0]

        embedder = SegmentEmbedder(Opposite(), metric=metric)
        store = LateInteractionVectorStore(Collection("signs", embedder, uri=database))
        store.add_texts(["up", "down"], ids=["up", "down"])

        found = {document.id: relevance for document, relevance in store.similarity_search_with_relevance_scores("up")}

        assert found == {"up": pytest.approx(1.0), "down": pytest.approx(0.0)}
        store.collection.close()

    async def test_a_threshold_keeps_what_is_relevant(self, filled: LateInteractionVectorStore) -> None:
        arguments: dict[str, Any] = {"k": 4, "score_threshold": 0.8}

        kept = filled.similarity_search_with_relevance_scores("red sea bird", **arguments)

        assert [(document.id, round(score, 3)) for document, score in kept] == [("b", 1.0), ("a", 0.833)]
        assert await filled.asimilarity_search_with_relevance_scores("red sea bird", **arguments) == kept
        assert ids(filled.search("red sea bird", "similarity_score_threshold", score_threshold=1)) == ["b"]

    def test_l2_ranks_but_has_no_relevance(self, database: Path) -> None:
        with Collection("far", WordEmbedder("L2"), uri=database) as collection:
            store = LateInteractionVectorStore(collection)
            store.add_documents(DOCUMENTS)

            assert [round(score, 3) for _, score in store.similarity_search_with_score("red tree", k=2)] == [0.0, 2.0]
            for search_type in ("similarity_score_threshold", "mmr"):
                with pytest.raises(InvalidQuery, match="L2 has no"):
                    store.search("red", search_type)
            with pytest.raises(InvalidQuery, match="L2 has no relevance"):
                store.similarity_search_with_relevance_scores("red")
            for search_type, arguments in (("similarity_score_threshold", {"score_threshold": 0.5}), ("mmr", {})):
                with pytest.raises(ValidationError, match="L2 has no"):
                    store.as_retriever(search_type=search_type, search_kwargs=arguments)

    def test_diversity_leaves_out_copies(self, store: LateInteractionVectorStore) -> None:
        store.add_texts(["red sea", "red sea", "red sea sky", "dog"], ids=["a", "copy", "c", "d"])

        assert ids(store.similarity_search("red sea", k=2)) == ["a", "copy"]
        assert ids(store.max_marginal_relevance_search("red sea", k=2)) == ["a", "c"]
        assert ids(store.max_marginal_relevance_search("red sea", k=2, lambda_mult=1.0)) == ["a", "copy"]
        assert ids(store.max_marginal_relevance_search("red sea", k=2, fetch_k=2)) == ["a", "copy"]
        assert ids(store.max_marginal_relevance_search("red sea", k=2, filter={"$id": ["c", "d"]})) == ["c", "d"]

    def test_vectors_can_be_asked_for(self, filled: LateInteractionVectorStore, words: WordEmbedder) -> None:
        (query,) = words.embed_queries(["green tree"])
        one = [float(word == "bird") for word in [*VOCABULARY, ""]]

        assert filled.similarity_search_by_vector(query.vectors.tolist(), k=1) == [DOCUMENTS[2]]
        assert filled.similarity_search_by_vector(one, k=1) == [DOCUMENTS[1]]
        (found, score), *_ = filled.similarity_search_with_score_by_vector(one, k=1)
        assert (found, round(score, 5)) == (DOCUMENTS[1], 1.0)
        assert filled.max_marginal_relevance_search_by_vector(one, k=1) == [DOCUMENTS[1]]
        with pytest.raises(InvalidInput, match="3 dimensions"):
            filled.similarity_search_by_vector([1.0, 2.0, 3.0])

    def test_similarity_is_by_late_interaction_whatever_mode_suits_the_embedder(self, database: Path) -> None:
        class HybridWords(WordEmbedder):
            mode = "hybrid"

        with Collection("mixed", HybridWords(), uri=database) as collection:
            store = LateInteractionVectorStore(collection)
            store.add_documents(DOCUMENTS)

            for search_type in ("similarity", "mmr", "similarity_score_threshold"):
                assert ids(store.search("red bird", search_type, k=4))[0] == "b"
                assert len(store.search("red bird", search_type, k=4)) == 4
            assert store.similarity_search_with_score("red bird", k=1)[0][1] == pytest.approx(2.0)
            assert ids(store.search("tree", "text")) == ["c", "d"]
            assert len(store.search("tree", "hybrid")) == 4

    async def test_asynchronous_twins_give_the_same(self, filled: LateInteractionVectorStore) -> None:
        arguments: dict[str, Any] = {"k": 3, "filter": {"source": ["x", "y"]}}
        one = [float(word == "bird") for word in [*VOCABULARY, ""]]

        assert await filled.asimilarity_search("red", **arguments) == filled.similarity_search("red", **arguments)
        assert await filled.asimilarity_search_with_score("red", **arguments) == filled.similarity_search_with_score(
            "red", **arguments
        )
        assert await filled.asimilarity_search_by_vector(one, 2) == filled.similarity_search_by_vector(one, 2)
        assert await filled.amax_marginal_relevance_search(
            "red", k=2, fetch_k=3, lambda_mult=0.2
        ) == filled.max_marginal_relevance_search("red", k=2, fetch_k=3, lambda_mult=0.2)
        assert await filled.amax_marginal_relevance_search_by_vector(
            one, k=2, filter={"source": "x"}
        ) == filled.max_marginal_relevance_search_by_vector(one, k=2, filter={"source": "x"})
        for search_type in ("similarity", "mmr", "hybrid", "text"):
            assert await filled.asearch("red", search_type, k=2) == filled.search("red", search_type, k=2)
        assert await filled.aget_by_ids(["a"]) == filled.get_by_ids(["a"])
        assert await filled.adelete(["a"])
        assert await filled.aadd_documents(DOCUMENTS[:1]) == ["a"]

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"k": 0}, InvalidQuery, "k is a number from 1"),
            ({"k": "4"}, InvalidQuery, "k is a number"),
            ({"param": {}}, InvalidInput, "no search argument param of search_type='similarity'; there are k"),
            ({"filter": {"year": {"$near": 1}}}, InvalidFilter, r"unknown operator '\$near' for the key 'year'"),
            ({"filter": {}, "expr": "year == 1"}, InvalidInput, "two names of one argument"),
            ({"filter": lambda _: True}, InvalidFilter, "a filter is a dict, a Milvus expression or a Struct"),
            ({"expr": "year =="}, InvalidFilter, "year"),
        ],
    )
    def test_wrong_arguments_are_refused_by_name(
        self, filled: LateInteractionVectorStore, arguments: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        for search in (filled.similarity_search, filled.similarity_search_with_score):
            with pytest.raises(error, match=said):
                search("red", **arguments)

    @pytest.mark.parametrize("wrong", [None, ["red", "sea"], 3])
    def test_a_question_is_a_text(self, filled: LateInteractionVectorStore, wrong: Any) -> None:
        for search in (
            filled.similarity_search,
            filled.similarity_search_with_score,
            filled.similarity_search_with_relevance_scores,
            filled.max_marginal_relevance_search,
        ):
            with pytest.raises(InvalidQuery, match="a question is a text, not"):
                search(wrong)

    def test_other_wrong_arguments(self, filled: LateInteractionVectorStore) -> None:
        for threshold in (1.5, -0.1, True, "high"):
            with pytest.raises(InvalidQuery, match="score_threshold is a number from 0 to 1"):
                filled.similarity_search_with_relevance_scores("red", score_threshold=threshold)
        with pytest.raises(InvalidQuery, match="no search_type 'best'; there are similarity, "):
            filled.search("red", "best")
        with pytest.raises(InvalidQuery, match="blank"):
            filled.similarity_search(" ")
        with pytest.raises(InvalidQuery, match="lambda_mult is a number"):
            filled.max_marginal_relevance_search("red", lambda_mult=2)
        with pytest.raises(InvalidQuery, match="fetch_k is a number"):
            filled.max_marginal_relevance_search("red", fetch_k=0)
        with pytest.raises(InvalidInput, match="no search argument min_similarity of search_type='mmr'"):
            filled.max_marginal_relevance_search("red", min_similarity=0.5)


class TestFilters:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"filter": {"source": "x"}}, "ab"),
            ({"filter": {"year": {"$gte": 2024}}}, "bc"),
            ({"filter": {"year": {"$ne": 2024}}}, "acd"),  # an absent key is unequal to everything
            ({"filter": {"tags": {"$contains": "air"}}}, "b"),
            ({"filter": {"year": None}}, "d"),
            ({"expr": 'source == "y"'}, "cd"),
            ({"expr": "year in [2023, 2025]"}, "ac"),
            ({"filter": 'year > 2023 and source == "x"'}, "b"),
            ({"expr": 'metadata["year"] == 2025'}, "c"),
            ({"expr": 'id in ["a", "d"]'}, "ad"),
            ({"filter": None}, "abcd"),
        ],
    )
    def test_each_form_of_a_filter(
        self, filled: LateInteractionVectorStore, arguments: dict[str, Any], expected: str
    ) -> None:
        assert sorted(str(name) for name in ids(filled.similarity_search("red", k=10, **arguments))) == list(expected)

    def test_typed_fields_are_columns(self, database: Path, words: WordEmbedder) -> None:
        with Collection("typed", words, uri=database, fields={"year": int}) as collection:
            store = LateInteractionVectorStore(collection)
            store.add_documents(DOCUMENTS)

            assert ids(store.similarity_search("green", expr="year >= 2024 and source == 'y'")) == ["c"]
            with pytest.raises(InvalidEntity, match="field 'year' holds int values, not '2024'"):
                store.add_texts(["red"], [{"year": "2024"}])

    def test_at_most_so_many_of_a_source(self, filled: LateInteractionVectorStore) -> None:
        assert ids(filled.similarity_search("red sea bird", per_document=1)) == ["b", "d"]


class TestDeleting:
    async def test_by_ids_by_filter_and_by_source(self, filled: LateInteractionVectorStore) -> None:
        assert filled.delete(["a", "unknown"]) is True
        assert await filled.adelete(filter={"year": 2025}) is True
        assert filled.delete(source="unknown") is True
        assert sorted(found.id or "" for found in filled.get_by_ids(["a", "b", "c", "d"])) == ["b", "d"]
        filled.delete(source="x")
        filled.delete(expr='source == "y"')

        assert filled.collection.count() == 0
        assert filled.delete([]) is True

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({}, "delete takes ids, or filter="),
            ({"ids": ["a"], "source": "x"}, "delete takes ids, or filter="),
            ({"filter": {}}, "matches everything"),
            ({"ids": "a"}, r"list of ids: \['a'\]"),
            ({"where": 1}, "no argument where"),
        ],
    )
    def test_what_is_unclear_deletes_nothing(
        self, filled: LateInteractionVectorStore, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(InvalidInput, match=said):
            filled.delete(**arguments)

        assert filled.collection.count() == 4


class TestRetriever:
    async def test_every_search_type(self, filled: LateInteractionVectorStore) -> None:
        for search_type in ("similarity", "mmr", "hybrid", "text"):
            retriever = filled.as_retriever(search_type=search_type, search_kwargs={"k": 2}, tags=["mine"])

            assert retriever.invoke("red tree") == filled.search("red tree", search_type, k=2)
            assert await retriever.ainvoke("red tree") == filled.search("red tree", search_type, k=2)
            assert retriever.tags == ["mine", "LateInteractionVectorStore"]
        above = filled.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9, "k": 2}
        )
        assert ids(above.invoke("red sea bird")) == ["b"]

    async def test_a_call_may_change_what_was_set(self, filled: LateInteractionVectorStore) -> None:
        retriever = filled.as_retriever(search_type="mmr", search_kwargs={"k": 1, "filter": {"source": "x"}})

        assert ids(retriever.invoke("red tree", expr='source == "y"')) == ["d"]
        assert ids(await retriever.ainvoke("red tree", filter={"year": 2025}, k=3)) == ["c"]
        assert ids(retriever.invoke("red tree")) == ["a"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"search_type": "best"}, "search_type of best not allowed"),
            ({"search_kwargs": {"k": 0}}, "k is a number from 1"),
            ({"search_kwargs": {"top_k": 3}}, "no search argument top_k of search_type='similarity'; there are "),
            ({"search_kwargs": {"filter": {"a": {"$near": 1}}}}, "unknown operator"),
            ({"search_kwargs": {"fetch_k": 0}, "search_type": "mmr"}, "fetch_k is a number"),
            ({"search_kwargs": {"lambda_mult": 3}, "search_type": "mmr"}, "lambda_mult is a number"),
            ({"search_kwargs": {"fusion": "best"}, "search_type": "hybrid"}, "fusion is 'min_max' or 'rrf'"),
            ({"search_kwargs": {"min_similarity": "high"}}, "min_similarity is a number"),
            ({"search_kwargs": {"expr": "year == (3"}}, "is missing in the filter 'year == "),
            ({"search_kwargs": {"score_threshold": 1.5}, "search_type": "similarity_score_threshold"}, "0 to 1"),
            ({"search_type": "similarity_score_threshold"}, "score_threshold"),
        ],
    )
    def test_wrong_ones_are_refused_when_it_is_made(
        self, filled: LateInteractionVectorStore, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ValidationError, match=said):
            filled.as_retriever(**arguments)


class TestMaking:
    def test_from_documents_with_a_multi_vector_embedder(self, database: Path) -> None:
        store = LateInteractionVectorStore.from_documents(
            DOCUMENTS, WordEmbedder(), uri=database, collection_name="made", fields={"year": int}
        )

        assert store.collection.spec.fields == {"year": int}
        assert store.embeddings is None
        assert ids(store.similarity_search("red sea bird", k=1)) == ["b"]
        store.collection.close()

    async def test_from_texts_with_plain_embeddings(self, database: Path) -> None:
        embeddings = DeterministicFakeEmbedding(size=6)
        texts = ["red sea", "green tree"]

        store = await LateInteractionVectorStore.afrom_texts(texts, embeddings, [{"n": 1}, {"n": 2}], uri=database)
        again = await LateInteractionVectorStore.afrom_documents([Document("dog", id="x")], embeddings, uri=database)

        assert store.embeddings is embeddings
        assert again.collection.name == "langchain"
        assert again.collection.count() == 3
        (best, score), *_ = store.similarity_search_with_score("green tree", k=1)
        query, stored = (MultiVector([embeddings.embed_query(text)]) for text in ("green tree", "green tree"))
        assert (best.page_content, best.metadata) == ("green tree", {"n": 2})
        assert score == pytest.approx(maxsim(query, stored), abs=1e-5)
        store.collection.close()
        again.collection.close()

    def test_documents_may_come_from_a_generator_and_keep_their_ids(self, database: Path) -> None:
        own = (document for document in DOCUMENTS)
        store = LateInteractionVectorStore.from_documents(own, WordEmbedder(), uri=database, ids=None)  # type: ignore[arg-type]

        assert store.get_by_ids(["a", "b", "c", "d"]) == DOCUMENTS
        store.collection.close()

    def test_what_fails_leaves_no_connection(self, database: Path) -> None:
        with pytest.raises(InvalidInput, match="no option connection_args; there are uri, analyzer"):
            LateInteractionVectorStore.from_texts(["red"], WordEmbedder(), uri=database, connection_args={})
        with pytest.raises(InvalidInput, match="two documents"):
            LateInteractionVectorStore.from_texts(["red", "sea"], WordEmbedder(), ids=["a", "a"], uri=database)
        with pytest.raises(InvalidInput, match="the type is bool, int, float or str"):
            LateInteractionVectorStore.from_texts(
                ["red"], WordEmbedder(), uri=database, collection_name="typed", fields={"year": list}
            )
        with pytest.raises(CollectionMismatch, match="words"):
            LateInteractionVectorStore.from_texts(["red"], DeterministicFakeEmbedding(size=6), uri=database)
        with Collection("langchain", uri=database) as collection:
            assert collection.count() == 0

    @pytest.mark.parametrize("wrong", ["colmilvus.db", DeterministicFakeEmbedding(size=6), None])
    def test_it_is_made_of_a_collection(self, wrong: Any) -> None:
        with pytest.raises(InvalidInput, match="this takes a Collection"):
            LateInteractionVectorStore(wrong)

    def test_grouping_needs_segments(self, notes: Collection) -> None:
        with pytest.raises(InvalidInput, match="make it with segments=True"):
            LateInteractionVectorStore(notes, group_by="source")
        with pytest.raises(InvalidInput, match="best_segments is a number from 1"):
            LateInteractionVectorStore(notes, best_segments=0)


def test_pictures_cannot_be_asked_of_an_embedder_of_words(filled: LateInteractionVectorStore, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"no picture")
    with pytest.raises(InvalidQuery, match="cannot look at pictures"):
        filled.similarity_search_by_image(str(tmp_path / "p.png"))


def test_deleting_a_source_is_refused_where_it_would_leave_parts(database: Path, words: WordEmbedder) -> None:
    with Collection("titles", words, uri=database, segments=True) as collection:
        store = LateInteractionVectorStore(collection, group_by="title")
        with pytest.raises(Unsupported, match="grouped by 'title'"):
            store.delete(source="x")
