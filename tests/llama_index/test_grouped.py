"""Chunks of one document as one entity: found as the document, or as themselves, in whatever batches they came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document, ImageNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery

from colmilvus import Collection, Entity, group, maxsim
from colmilvus.errors import InvalidInput
from colmilvus.llama_index import (
    DocumentNode,
    EmbedInStore,
    LateInteractionRetriever,
    LateInteractionVectorStore,
    as_index,
)
from tests.words import WordEmbedder

TEXTS = {"sea": ["red sea", "blue sea", "green sea bird"], "tree": ["green tree", "tree dog", "tree cat", "one two"]}


@pytest.fixture
def chunked(database: Path, words: WordEmbedder) -> Iterator[Collection]:
    with Collection("chunked", words, uri=database, segments=True) as collection:
        yield collection


@pytest.fixture
def store(chunked: Collection) -> LateInteractionVectorStore:
    return LateInteractionVectorStore(chunked, group_by="ref_doc_id", best_segments=2)


def chunks(document: str, start: int = 0) -> list[TextNode]:
    """Chunks whose ids do not tell in what order they stand."""
    source = {
        NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document, hash="h"),
        NodeRelationship.NEXT: RelatedNodeInfo(node_id="next", metadata={"n": 1}),
    }
    return [
        TextNode(
            id_=f"{document}-{9 - number}",
            text=text,
            metadata={"document": document, "number": number},
            relationships=source,
            start_char_idx=start + 100 * number,
            excluded_llm_metadata_keys=["document"],
        )
        for number, text in enumerate(TEXTS[document])
    ]


ALL = [*chunks("sea"), *chunks("tree")]


def asked(text: str, top_k: int = 2, **fields: object) -> VectorStoreQuery:
    return VectorStoreQuery(query_str=text, similarity_top_k=top_k, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_in_whatever_batches_they_come_they_are_one_entity(
    store: LateInteractionVectorStore, chunked: Collection, batch: int
) -> None:
    mixed = [ALL[index] for index in (5, 0, 3, 2, 6, 1, 4)]
    for start in range(0, len(mixed), batch):
        some = mixed[start : start + batch]
        assert store.add(some) == [node.node_id for node in some]

    sea, tree = chunked.get(["sea", "tree"])
    assert [part.text for part in sea.segments] == TEXTS["sea"]  # in the order of the document
    assert [part.text for part in tree.segments] == TEXTS["tree"]
    assert (sea.document, sea.metadata) == ("sea", {"document": "sea"})
    (query,) = WordEmbedder().embed_queries(["green sea dog"])
    expected = {name: maxsim(query, vectors) for name, vectors in chunked.multi_vectors(["sea", "tree"]).items()}
    found = store.query(asked("green sea dog"))
    assert dict(zip(found.ids or [], found.similarities or [], strict=True)) == pytest.approx(expected, abs=1e-4)


def test_a_hit_is_the_document_with_its_best_chunks(store: LateInteractionVectorStore) -> None:
    store.add(ALL)

    (node,) = store.query(asked("green sea bird", 1)).nodes or []

    assert isinstance(node, DocumentNode)
    assert (node.node_id, node.ref_doc_id, node.metadata) == ("sea", "sea", {"document": "sea"})
    assert [part.text for part in node.segments] == ["green sea bird", "red sea"]
    assert [part.node for part in node.segments] == [chunks("sea")[2], chunks("sea")[0]]
    assert node.text == "red sea\n\ngreen sea bird"  # these in their order
    assert node.excluded_llm_metadata_keys == ["document"]
    whole = LateInteractionRetriever(store.collection, 1, best_segments=None).retrieve("sea bird")[0]
    assert whole.text == "red sea\n\nblue sea\n\ngreen sea bird"


def test_chunks_are_found_as_themselves_where_that_is_asked_for(chunked: Collection) -> None:
    store = LateInteractionVectorStore(chunked, group_by="ref_doc_id", found="segments", best_segments=2)
    store.add(ALL)

    found = store.query(asked("green sea bird", 3))

    assert found.ids == ["sea-7", "sea-9", "tree-9"]
    assert (found.nodes or [])[0] == chunks("sea")[2]
    assert found.similarities == sorted(found.similarities or [], reverse=True)
    assert len(store.query(asked("green sea bird", 1)).ids or []) == 1
    by_retriever = LateInteractionRetriever(chunked, 3, found="segments", best_segments=2).retrieve("green sea bird")
    assert [node.node_id for node in by_retriever] == found.ids
    of_index = as_index(store).as_retriever(similarity_top_k=3).retrieve("green sea bird")
    assert [node.node_id for node in of_index] == found.ids


def test_bounds_are_those_of_chunks_and_documents(chunked: Collection) -> None:
    store = LateInteractionVectorStore(chunked, group_by="ref_doc_id", found="segments")
    store.add(ALL)
    sea = MetadataFilters(filters=[MetadataFilter(key="document", value="sea")])

    assert store.query(asked("tree", 9, node_ids=["sea-8", "tree-9"])).ids == ["tree-9", "sea-8"]
    assert len(store.query(asked("tree", 9, node_ids=["sea"])).ids or []) == 3
    assert set(store.query(asked("tree", 9, doc_ids=["sea"])).ids or []) == {"sea-9", "sea-8", "sea-7"}
    assert set(store.query(asked("tree", 9, filters=sea)).ids or []) == {"sea-9", "sea-8", "sea-7"}


def test_chunks_are_read_and_deleted_one_by_one(store: LateInteractionVectorStore, chunked: Collection) -> None:
    store.add(ALL)

    read: list[BaseNode] = store.get_nodes(["tree-8", "lost", "sea-9"])
    assert read == [chunks("tree")[1], chunks("sea")[0]]
    assert len(store.get_nodes()) == len(ALL)
    (document,) = store.get_nodes(["sea"])
    assert document.get_content() == "red sea\n\nblue sea\n\ngreen sea bird"
    assert store.node_ids("sea") == ["sea-9", "sea-8", "sea-7"]

    store.delete_nodes(["sea-9", "lost"])
    assert store.node_ids("sea") == ["sea-8", "sea-7"]
    store.delete("tree")
    store.delete("tree")
    assert chunked.ids() == ["sea"]
    store.delete_nodes(["sea-8", "sea-7"])
    assert chunked.count() == 0


def number(value: int, operator: str = "==") -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key="number", value=value, operator=operator)])  # type: ignore[arg-type]


def test_filters_see_each_chunk_where_chunks_are_read_and_deleted(
    store: LateInteractionVectorStore, chunked: Collection
) -> None:
    store.add(ALL)

    assert {node.node_id for node in store.get_nodes(filters=number(0))} == {"sea-9", "tree-9"}
    assert [node.node_id for node in store.get_nodes(["sea-9", "sea-8"], number(0, "!="))] == ["sea-8"]
    found = LateInteractionVectorStore(chunked, group_by="ref_doc_id", found="segments", best_segments=None)
    assert "sea-9" not in (found.query(asked("red sea", 9, filters=number(0, "!="))).ids or [])
    store.delete_nodes(["sea-9", "sea-8"], number(0))
    assert store.node_ids("sea") == ["sea-8", "sea-7"]
    store.delete_nodes(filters=number(1, ">"))
    assert (store.node_ids("sea"), store.node_ids("tree")) == (["sea-8"], ["tree-9", "tree-8"])


def test_a_chunk_that_is_given_another_document_leaves_the_one_that_it_had(store: LateInteractionVectorStore) -> None:
    store.add(ALL)
    moved = chunks("sea")[0].model_copy(deep=True)
    moved.relationships = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="tree")}

    store.add([moved])

    assert "sea-9" not in store.node_ids("sea")
    assert "sea-9" in store.node_ids("tree")


def test_what_is_no_chunk_is_an_entity_of_its_own(store: LateInteractionVectorStore, chunked: Collection) -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="sea")}
    picture = ImageNode(id_="picture", text="red sea", image_url="https://example.org/sea.png", relationships=source)
    whole = Document(id_="whole", text="blue sky")

    assert store.add([picture, whole, *chunks("sea")]) == ["picture", "whole", "sea-9", "sea-8", "sea-7"]

    assert sorted(chunked.ids()) == ["picture", "sea", "whole"]
    assert store.get_nodes(["picture", "whole"]) == [picture, whole]
    store.delete("sea")
    store.delete("whole")
    assert chunked.count() == 0
    with pytest.raises(InvalidInput, match="'sea' would be the id of a chunk and of a parent"):
        store.add([TextNode(id_="sea", text="red", relationships=source)])


def test_no_document_is_lost_to_its_chunks_nor_they_to_it(
    store: LateInteractionVectorStore, chunked: Collection
) -> None:
    whole = Document(id_="sea", text="all of the sea")
    with pytest.raises(InvalidInput, match="'sea' would be a node of its own and the document of other nodes"):
        store.add([whole, *chunks("sea")])
    store.add(ALL)
    for each in (store, LateInteractionVectorStore(chunked)):
        with pytest.raises(InvalidInput, match="'sea' is held with chunks, which would be lost"):
            each.add([whole])
    store.delete("sea")
    store.add([whole])
    with pytest.raises(InvalidInput, match="'sea' is held without chunks, and would be lost to them"):
        store.add(chunks("sea"))

    assert chunked.get(["sea"])[0].text == "all of the sea"
    assert len(store.node_ids("tree")) == 4


def test_without_grouping_the_id_of_a_chunk_is_not_taken_again(
    store: LateInteractionVectorStore, chunked: Collection
) -> None:
    store.add(ALL)
    with pytest.raises(InvalidInput, match="'sea-9' is the id of a chunk of 'sea'; open the store with the group_by="):
        LateInteractionVectorStore(chunked).add([TextNode(id_="sea-9", text="red")])


def test_an_index_and_a_pipeline_group_what_they_split(store: LateInteractionVectorStore, chunked: Collection) -> None:
    splitter = SentenceSplitter(chunk_size=15, chunk_overlap=0)
    text = " ".join(f"The {word} is here." for word in ("sea", "tree", "dog", "cat", "bird"))
    index = as_index(store, transformations=[splitter])
    index.insert(Document(id_="a", text=text))
    assert (chunked.ids(), len(store.node_ids("a")) > 1) == (["a"], True)
    assert as_index(store, transformations=[splitter]).refresh_ref_docs([Document(id_="a", text=text)]) == [False]
    index.update_ref_doc(Document(id_="a", text="The sky is here."))
    assert [node.get_content() for node in store.get_nodes(store.node_ids("a"))] == ["The sky is here."]

    pipeline = IngestionPipeline(
        transformations=[splitter, EmbedInStore()], vector_store=store, docstore=SimpleDocumentStore()
    )
    for _ in range(2):
        pipeline.run(documents=[Document(id_="b", text=text), Document(id_="c", text="one two")])
        assert sorted(chunked.ids()) == ["a", "b", "c"]
    pipeline.run(documents=[Document(id_="b", text="only this")])
    assert [node.get_content() for node in store.get_nodes(store.node_ids("b"))] == ["only this"]


def test_what_others_have_grouped_is_read_in_both_ways(chunked: Collection) -> None:
    parts = [Entity(f"p{n}", text, metadata={"title": "T", "n": n}) for n, text in enumerate(TEXTS["sea"])]
    chunked.add(group(parts, by="title"))

    (document,) = LateInteractionRetriever(chunked, 1, best_segments=1).retrieve("bird")
    assert (document.node_id, document.text, document.metadata) == ("T", "green sea bird", {"title": "T"})
    (part,) = LateInteractionRetriever(chunked, 1, found="segments").retrieve("bird")
    assert (part.node_id, part.metadata, part.node.ref_doc_id) == ("p2", {"title": "T", "n": 2}, "T")
