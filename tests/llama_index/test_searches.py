"""The modes of LlamaIndex's searches, their bounds, and questions in pictures, against MaxSim and the core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from colmilvus import Collection, Entity, maxsim
from colmilvus.errors import InvalidInput, InvalidQuery, InvalidVectors, UnreadableFile, Unsupported
from colmilvus.llama_index import LateInteractionRetriever, LateInteractionVectorStore
from tests.colours import ColourEmbedder, png
from tests.words import WordEmbedder

TEXTS = {
    "sea": "red sea sea sea",
    "bird": "red sea bird",
    "tree": "green tree tree",
    "dog": "red tree dog cat",
    "sky": "blue sky one two",
}
QUESTION = "red sea bird"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("pages", WordEmbedder(), uri=tmp_path_factory.mktemp("pages") / "kb.db") as collection:
        collection.add([Entity(name, text, document=name[0]) for name, text in TEXTS.items()])
        yield collection


@pytest.fixture(scope="module")
def store(pages: Collection) -> LateInteractionVectorStore:
    return LateInteractionVectorStore(pages)


def asked(mode: str = "default", **fields: Any) -> VectorStoreQuery:
    fields = {"query_str": QUESTION, "similarity_top_k": 3, **fields}
    return VectorStoreQuery(mode=VectorStoreQueryMode(mode), **fields)


def test_scores_are_maxsim(pages: Collection, store: LateInteractionVectorStore) -> None:
    (query,) = WordEmbedder().embed_queries([QUESTION])
    vectors = pages.multi_vectors(list(TEXTS))
    expected = sorted(((maxsim(query, vectors[name]), name) for name in TEXTS), reverse=True)

    found = store.query(asked(similarity_top_k=len(TEXTS)))

    assert found.similarities == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert dict(zip(found.ids or [], found.similarities or [], strict=True)) == pytest.approx(
        {name: score for score, name in expected}, abs=1e-4
    )


@pytest.mark.parametrize(
    ("mode", "core"),
    [
        ("default", "late_interaction"),
        ("late_interaction", "late_interaction"),
        ("hybrid", "hybrid"),
        ("text_search", "text"),
        ("sparse", "text"),
        ("text", "text"),
    ],
)
def test_each_mode_is_one_of_the_core(pages: Collection, mode: Any, core: Any) -> None:
    hits = pages.search(QUESTION, 3, mode=core)

    found = LateInteractionRetriever(pages, 3, mode=mode).retrieve(QUESTION)

    assert [(node.node_id, node.score) for node in found] == [(hit.entity.id, hit.score) for hit in hits]
    if mode in set(VectorStoreQueryMode):
        result = LateInteractionVectorStore(pages).query(asked(mode))
        assert result.ids == [hit.entity.id for hit in hits]
        by_member = LateInteractionRetriever(pages, 3, mode=VectorStoreQueryMode(mode)).retrieve(QUESTION)
        assert by_member == found


def test_alpha_is_the_part_of_late_interaction_in_a_hybrid_search(store: LateInteractionVectorStore) -> None:
    for alpha in (0.0, 0.3, 1.0):
        hits = store.collection.search(QUESTION, 3, mode="hybrid", weight=alpha)
        assert store.query(asked("hybrid", alpha=alpha)).similarities == [hit.score for hit in hits]
    assert len(store.query(asked("hybrid", similarity_top_k=5, hybrid_top_k=2)).ids or []) == 2
    for mode in ("default", "text_search", "mmr"):
        with pytest.raises(InvalidQuery, match=r"alpha=0.3 is for mode='hybrid'"):
            store.query(asked(mode, alpha=0.3))


def test_diverse_searches_are_those_of_the_core(pages: Collection, store: LateInteractionVectorStore) -> None:
    for threshold in (0.0, 0.5, 1.0):
        expected = [hit.entity.id for hit in pages.search_diverse(QUESTION, 3, candidates=4, relevance=threshold)]
        assert store.query(asked("mmr"), mmr_threshold=threshold, mmr_prefetch_k=4).ids == expected
        assert store.query(asked("mmr", mmr_threshold=threshold), mmr_prefetch_factor=4 / 3).ids == expected
        retriever = LateInteractionRetriever(pages, 3, mode="mmr", mmr_threshold=threshold, mmr_prefetch_k=4)
        assert [node.node_id for node in retriever.retrieve(QUESTION)] == expected
    with pytest.raises(InvalidQuery, match="relevance"):
        store.query(asked("mmr"), mmr_threshold=2)


def test_at_most_so_many_of_one_document(pages: Collection, store: LateInteractionVectorStore) -> None:
    expected = [hit.entity.id for hit in pages.search(QUESTION, 3, per_document=1)]

    assert store.query(asked(), per_document=1).ids == expected
    assert [n.node_id for n in LateInteractionRetriever(pages, 3, per_document=1).retrieve(QUESTION)] == expected


def test_an_embedding_is_asked_with_where_there_is_no_text(
    pages: Collection, store: LateInteractionVectorStore
) -> None:
    (query,) = WordEmbedder().embed_queries(["green"])
    embedding = query.vectors[0].tolist()

    found = store.query(VectorStoreQuery(query_embedding=embedding, similarity_top_k=1))
    assert found.ids == ["tree"]
    of_bundle = LateInteractionRetriever(pages, 1).retrieve(QueryBundle("", embedding=embedding))
    assert [node.node_id for node in of_bundle] == ["tree"]
    # one that another retriever has left in the question is of another model
    left = QueryBundle("green tree", embedding=[0.5, 0.5])
    assert [node.node_id for node in LateInteractionRetriever(pages, 1).retrieve(left)] == ["tree"]
    with pytest.raises(InvalidVectors, match="2 dimensions, the collection of 13"):
        store.query(VectorStoreQuery(query_embedding=[0.5, 0.5], similarity_top_k=1))


def test_several_texts_are_asked_together(pages: Collection) -> None:
    """HyDE and the like: MaxSim with all of them is the sum of that with each."""
    bundle = QueryBundle("unheard of", custom_embedding_strs=["green tree", "dog cat"])
    vectors = pages.multi_vectors(list(TEXTS))
    queries = WordEmbedder().embed_queries(["green tree", "dog cat"])
    expected = {name: sum(maxsim(query, vectors[name]) for query in queries) for name in TEXTS}

    found = LateInteractionRetriever(pages, len(TEXTS)).retrieve(bundle)

    assert {node.node_id: node.score for node in found} == pytest.approx(expected, abs=1e-4)
    by_words = LateInteractionRetriever(pages, 3, mode="text").retrieve(QueryBundle("sky", custom_embedding_strs=["x"]))
    assert [node.node_id for node in by_words] == ["sky"]


def test_what_this_store_cannot_serve_is_refused_by_name(store: LateInteractionVectorStore) -> None:
    for mode in ("svm", "logistic_regression", "linear_regression", "semantic_hybrid"):
        with pytest.raises(InvalidQuery, match=f"not '{mode}'"):
            store.query(asked(mode))
    fields: dict[str, Any] = {"sparse_top_k": 3, "output_fields": ["text"], "embedding_field": "emb"}
    for field, value in fields.items():
        with pytest.raises(Unsupported, match=f"{field}="):
            store.query(asked(**{field: value}))
    with pytest.raises(InvalidInput, match="no argument search_kwargs of query; there are per_document"):
        store.query(asked(), search_kwargs={})
    with pytest.raises(InvalidQuery, match="neither text nor embedding"):
        store.query(VectorStoreQuery(query_str=" "))
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(InvalidQuery, match="similarity_top_k is a number from 1"):
            store.query(asked(similarity_top_k=wrong))
    with pytest.raises(InvalidInput, match="no argument batch_size of add"):
        store.add([TextNode(text="red")], batch_size=3)
    with pytest.raises(InvalidInput, match="no argument x of delete"):
        store.delete("d", x=1)
    with pytest.raises(InvalidInput, match=r"to remove everything use clear\(\)"):
        store.delete_nodes()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"found": "chunks"}, "found is 'documents' or 'segments', not 'chunks'"),
        ({"best_segments": 0}, "best_segments is a number from 1"),
    ],
)
def test_wrong_options_are_refused_at_once(pages: Collection, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        LateInteractionVectorStore(pages, **fields)
    with pytest.raises(InvalidInput, match=told):
        LateInteractionRetriever(pages, **fields)


def test_ids_come_in_lists_and_an_empty_one_finds_nothing(pages: Collection, store: LateInteractionVectorStore) -> None:
    for name in ("node_ids", "doc_ids"):
        nothing: dict[str, Any] = {name: []}
        assert LateInteractionRetriever(pages, 2, **nothing).retrieve("red") == []
        assert len(store.query(asked(**nothing)).ids or []) == 3  # so LlamaIndex's own index asks
        for wrong, told in (
            ("sea", "ids come in a list"),
            (3, "ids come in a list"),
            ([1], "an id is a string, not 1"),
        ):
            given: dict[str, Any] = {name: wrong}
            with pytest.raises(InvalidInput, match=told):
                LateInteractionRetriever(pages, 2, **given)
            with pytest.raises(InvalidInput, match=told):
                store.query(asked(**given))
    for method in (store.delete_nodes, store.get_nodes):
        with pytest.raises(InvalidInput, match="this takes a list of ids"):
            method("sea")
    with pytest.raises(InvalidQuery, match="mode is one of"):
        LateInteractionRetriever(pages, mode=["hybrid"])  # type: ignore[arg-type]  # a tested mistake
    with pytest.raises(InvalidQuery, match="an address is not fetched for a question"):
        LateInteractionRetriever(pages).image_to_image_retrieve("https://example.org/a.png")


def test_only_a_collection_is_taken(pages: Collection) -> None:
    with pytest.raises(InvalidInput, match=r"takes a Collection, .* not str"):
        LateInteractionVectorStore("pages")  # type: ignore[arg-type]  # a tested mistake
    with pytest.raises(InvalidInput, match=r"takes a Collection, .* not LateInteractionVectorStore"):
        LateInteractionRetriever(LateInteractionVectorStore(pages))  # type: ignore[arg-type]  # a tested mistake
    with pytest.raises(InvalidInput, match="was made without; make it with segments=True"):
        LateInteractionVectorStore(pages, group_by="ref_doc_id")
    with pytest.raises(InvalidInput, match="group_by is 'ref_doc_id' or None, not 'title'"):
        LateInteractionVectorStore(pages, group_by="title")  # type: ignore[arg-type]  # a tested mistake


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Pictures, and one text that would match best."""
    with Collection("colours", ColourEmbedder(), uri=tmp_path_factory.mktemp("colours") / "kb.db") as collection:
        collection.add([Entity(name, image=png(name)) for name in ("red", "blue", "lime")])
        collection.add([Entity("text", "all is red")])
        yield collection


def test_pictures_are_found_by_words_and_by_pictures(colours: Collection, tmp_path: Path) -> None:
    (tmp_path / "question.png").write_bytes(png("red"))
    retriever = LateInteractionRetriever(colours, 2)

    assert {node.node_id for node in retriever.retrieve("red")} == {"red", "text"}
    by_words = retriever.text_to_image_retrieve("red")
    by_picture = retriever.image_to_image_retrieve(str(tmp_path / "question.png"))

    assert by_words[0].node_id == by_picture[0].node_id == "red"
    assert "text" not in {node.node_id for node in (*by_words, *by_picture)}
    assert len(by_words) == len(by_picture) == 2
    with pytest.raises(InvalidQuery, match="asks with a picture"):
        retriever.image_to_image_retrieve(QueryBundle("red"))
    with pytest.raises(UnreadableFile, match="no such file"):
        retriever.image_to_image_retrieve("lost.png")


async def test_pictures_are_found_asynchronously_too(colours: Collection, tmp_path: Path) -> None:
    (tmp_path / "question.png").write_bytes(png("blue"))
    retriever = LateInteractionRetriever(colours, 1)
    question = QueryBundle("", image_path=str(tmp_path / "question.png"))

    for found in (
        await retriever.aretrieve(question),
        await retriever.aimage_to_image_retrieve(question),
        await retriever.atext_to_image_retrieve("blue"),
    ):
        assert [node.node_id for node in found] == ["blue"]
