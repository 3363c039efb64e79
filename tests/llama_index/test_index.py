"""as_index: an index that embeds in its store, keeps nothing beside it, and knows what was stored before."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from llama_index.core import Settings, StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, ImageDocument, ImageNode, IndexNode, TextNode, TransformComponent
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import VectorStoreQuery

from colmilvus import Collection, Entity, MultiVector, Unreadable
from colmilvus.errors import InvalidInput, InvalidQuery, Unsupported
from colmilvus.llama_index import (
    EmbedInStore,
    KeepPages,
    LateInteractionIndex,
    LateInteractionRetriever,
    LateInteractionVectorStore,
    as_index,
)
from tests.colours import ColourEmbedder, png
from tests.words import WordEmbedder

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of LlamaIndex's engines
    pytest.mark.usefixtures("leftovers_cleared"),
]

SPLITTER = SentenceSplitter(chunk_size=20, chunk_overlap=0)
THINGS = ("sea", "tree", "dog", "cat")
LONG = " ".join(f"The {colour} {thing} ." for colour in ("red", "green", "blue") for thing in THINGS)


@pytest.fixture
def index(notes: Collection) -> LateInteractionIndex:
    return as_index(notes, transformations=[SPLITTER])


def texts(index: LateInteractionIndex, document: str) -> list[str]:
    store = LateInteractionVectorStore(index.as_retriever().collection)
    return sorted(node.get_content() for node in store.get_nodes(store.node_ids(document)))


def test_documents_are_inserted_found_and_deleted(index: LateInteractionIndex, notes: Collection) -> None:
    assert isinstance(index, VectorStoreIndex)
    index.insert(Document(id_="long", text=LONG, metadata={"k": 1}))
    index.insert(Document(id_="short", text="one bird"))

    assert len(texts(index, "long")) > 1
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("green dog")
    assert "green" in found.text
    assert (found.node.ref_doc_id, found.metadata) == ("long", {"k": 1})
    index.delete_ref_doc("long", delete_from_docstore=True)
    assert [entity.text for entity in notes.get(filter={})] == ["one bird"]
    index.delete_nodes(notes.ids())
    assert notes.count() == 0
    index.delete_ref_doc("never was there")


async def test_the_asynchronous_methods_do_the_same(index: LateInteractionIndex, notes: Collection) -> None:
    await index.ainsert(Document(id_="long", text=LONG))
    await index.ainsert_nodes([TextNode(id_="n", text="one bird")])
    await index.aupdate_ref_doc(Document(id_="long", text="two birds"))
    assert texts(index, "long") == ["two birds"]
    assert await index.arefresh_ref_docs([Document(id_="long", text="two birds"), Document(id_="new", text="x")]) == [
        False,
        True,
    ]
    await index.adelete_ref_doc("long")
    await index.adelete_nodes(["n"])
    assert [entity.text for entity in notes.get(filter={})] == ["x"]
    found = await index.as_query_engine(llm=MockLLM()).aquery("x")
    assert len(found.source_nodes) == 1


def test_what_has_changed_is_refreshed_by_another_process_too(notes: Collection, words: WordEmbedder) -> None:
    first = [Document(id_="a", text=LONG), Document(id_="b", text="one bird"), Document(id_="c", text="two dogs")]
    assert as_index(notes, transformations=[SPLITTER]).refresh_ref_docs(first) == [True, True, True]
    embedded = words.embedded

    later = as_index(notes, transformations=[SPLITTER])  # which has no memory of its own
    assert later.refresh_ref_docs(first) == [False, False, False]
    assert words.embedded == embedded
    changed = [Document(id_="a", text="red sea"), Document(id_="b", text="one bird", metadata={"k": 1}), first[2]]
    assert later.refresh_ref_docs(changed) == [True, True, False]
    assert (texts(later, "a"), texts(later, "b")) == (["red sea"], ["one bird"])
    assert notes.count() == 3
    later.delete_ref_doc("c")
    assert later.refresh_ref_docs(changed[1:]) == [False, True]


def test_a_document_that_was_stored_whole_is_refreshed_too(notes: Collection) -> None:
    whole = as_index(notes, transformations=[EmbedInStore()])
    assert whole.refresh_ref_docs([Document(id_="a", text="red sea")]) == [True]
    assert as_index(notes, transformations=[EmbedInStore()]).refresh_ref_docs([Document(id_="a", text="red sea")]) == [
        False
    ]
    assert whole.refresh_ref_docs([Document(id_="a", text="blue sea")]) == [True]
    assert [entity.text for entity in notes.get(filter={})] == ["blue sea"]


class FailingEmbedder(WordEmbedder):
    """Cannot embed what is green."""

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        if any("green" in entity.text for entity in entities):
            raise ConnectionError("the model is away")
        return super().embed_entities(entities)


def test_a_document_keeps_its_old_nodes_until_the_new_ones_are_stored(database: Path) -> None:
    with Collection("notes", FailingEmbedder(), uri=database) as collection:
        index = as_index(collection, transformations=[SPLITTER])
        index.insert(Document(id_="a", text="red sea"))
        with pytest.raises(ConnectionError):
            index.update_ref_doc(Document(id_="a", text="green sea"))

        assert texts(index, "a") == ["red sea"]


class InterruptedEmbedder(WordEmbedder):
    """Is interrupted after so many batches."""

    left = 1_000

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().embed_entities(entities)


@pytest.mark.parametrize("group_by", [None, "ref_doc_id"])
def test_what_was_cut_short_is_seen_and_made_good(database: Path, group_by: Literal["ref_doc_id"] | None) -> None:
    embedder = InterruptedEmbedder()
    document = Document(id_="a", text=" ".join(f"red sea {number} ." for number in range(400)))
    with Collection("notes", embedder, uri=database, segments=True) as collection:
        store = LateInteractionVectorStore(collection, group_by=group_by)
        embedder.left = 1 if group_by is None else 0  # of a grouped document everything is stored at once
        with pytest.raises(KeyboardInterrupt):
            as_index(store, transformations=[SPLITTER]).refresh_ref_docs([document, Document(id_="b", text="x " * 99)])
        embedder.left = 1_000

        for expected in (True, False):
            later = as_index(store, transformations=[SPLITTER])
            assert later.refresh_ref_docs([document]) == [expected]
            assert len(store.node_ids("a")) == len(SPLITTER([document]))


def test_old_nodes_that_stayed_beside_new_ones_are_seen(notes: Collection) -> None:
    index = as_index(notes, transformations=[SPLITTER])
    index.insert(Document(id_="a", text="red sea"))
    index.insert(Document(id_="a", text="green tree"))  # as an update that was cut before it removed the old ones

    assert index.refresh_ref_docs([Document(id_="a", text="green tree")]) == [True]
    assert texts(index, "a") == ["green tree"]
    assert index.refresh_ref_docs([Document(id_="a", text="green tree")]) == [False]


def test_updates_at_once_leave_the_nodes_of_one(notes: Collection) -> None:
    index = as_index(notes, transformations=[SPLITTER])
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(index.update_ref_doc, Document(id_="a", text=f"sea {n}")) for n in range(4)]:
            done.result(timeout=60)
    assert len(texts(index, "a")) == 1


def test_pages_stay_whole_and_pictures_without_text_are_stored(database: Path) -> None:
    picture = b64encode(png("red")).decode()
    with Collection("colours", ColourEmbedder(), uri=database) as collection:
        page = ImageDocument(id_="page", text=LONG, image=picture)
        nodes = [ImageNode(id_="scan", image=picture), page]
        index = LateInteractionIndex(
            nodes, storage_context=StorageContext.from_defaults(vector_store=LateInteractionVectorStore(collection))
        )
        assert sorted(collection.ids()) == ["page", "scan"]
        collection.clear()

        index.insert(page)
        index.insert_nodes([nodes[0], TextNode(id_="text", text="all is blue")])

        assert sorted(collection.ids()) == ["page", "scan", "text"]
        # LlamaIndex's own index would now look among its nodes with pictures alone
        assert index.as_retriever(similarity_top_k=1).retrieve("blue")[0].node_id == "text"
        assert not index.docstore.docs


def test_nodes_that_hold_nothing_are_named_not_printed(notes: Collection, capsys: pytest.CaptureFixture[str]) -> None:
    context = StorageContext.from_defaults(vector_store=LateInteractionVectorStore(notes))
    with pytest.warns(UserWarning, match="1 of 2 nodes have neither text nor picture"):
        LateInteractionIndex([TextNode(id_="a", text="red"), TextNode(text="")], storage_context=context)
    assert (notes.ids(), capsys.readouterr().out) == (["a"], "")


def test_an_index_node_leads_to_its_object(notes: Collection) -> None:
    there = TextNode(id_="there", text="what it leads to")
    index = as_index(notes, objects=[IndexNode(id_="way", text="red sea", index_id="elsewhere", obj=there)])
    other = LateInteractionRetriever(notes)
    index.insert_nodes([IndexNode(id_="retriever", text="green tree", index_id="more", obj=other)])

    assert [node.node_id for node in index.as_retriever(similarity_top_k=1).retrieve("red sea")] == ["there"]
    assert "way" in {node.node_id for node in index.as_retriever(similarity_top_k=1).retrieve("green tree")}


def test_llama_indexs_own_index_works_over_the_store(notes: Collection) -> None:
    store = LateInteractionVectorStore(notes)
    context = StorageContext.from_defaults(vector_store=store)
    documents = [Document(id_="a", text=LONG), Document(id_="b", text="one bird")]

    for model in (EmbedInStore(), MockEmbedding(3)):
        VectorStoreIndex.from_documents(
            documents, storage_context=context, embed_model=model, transformations=[SPLITTER], show_progress=False
        )
        index = VectorStoreIndex.from_vector_store(store, embed_model=model)
        (found,) = index.as_retriever(similarity_top_k=1).retrieve("one bird")
        assert found.node.ref_doc_id == "b"
        store.clear()


async def test_a_pipeline_leaves_embedding_to_the_store(notes: Collection) -> None:
    store = LateInteractionVectorStore(notes)
    pipeline = IngestionPipeline(transformations=[SPLITTER, EmbedInStore()], vector_store=store)

    nodes = pipeline.run(documents=[Document(id_="a", text=LONG)])
    assert {tuple(node.embedding or [1.0]) for node in nodes} == {(1.0,)}
    assert notes.count() == len(nodes) > 1
    await pipeline.arun(documents=[Document(id_="b", text="one bird")])
    assert store.query(VectorStoreQuery(query_str="one bird", similarity_top_k=1)).nodes[0].ref_doc_id == "b"  # type: ignore[index]
    with pytest.raises(InvalidQuery, match="embeds questions itself"):
        EmbedInStore().get_query_embedding("one bird")


async def test_pages_go_round_a_parser() -> None:
    page = ImageNode(id_="page", text=LONG, image=b64encode(png("red")).decode())
    keep = KeepPages(SPLITTER)

    for nodes in (keep([page, Document(text=LONG)]), await keep.acall([Document(text=LONG), page])):
        assert len(nodes) > 2
        assert [node for node in nodes if isinstance(node, ImageNode)] == [page]
    assert keep([page]) == [page]
    assert KeepPages.from_dict({"parser": SPLITTER}).to_dict()["parser"]["chunk_size"] == 20


def test_the_settings_own_transformations_are_used_where_none_are_given(
    notes: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "_transformations", [SPLITTER])
    index = as_index(notes)
    index.insert(Document(id_="a", text=LONG))
    assert len(texts(index, "a")) > 1


def test_pages_stay_whole_with_a_parser_and_from_documents(database: Path) -> None:
    page = ImageDocument(id_="page", text=LONG, image=b64encode(png("red")).decode())
    with Collection("colours", ColourEmbedder(), uri=database) as collection:
        context = StorageContext.from_defaults(vector_store=LateInteractionVectorStore(collection))
        choices: list[list[TransformComponent] | None] = [None, [SPLITTER]]
        for chosen in choices:
            index = LateInteractionIndex.from_documents([page], storage_context=context, transformations=chosen)
            index.insert(page)
            assert collection.ids() == ["page"]


def test_a_retriever_of_an_index_takes_what_the_store_takes(notes: Collection) -> None:
    index = as_index(notes)
    index.insert_nodes([TextNode(id_=word, text=word) for word in ("red", "green", "blue", "sea")])

    assert len(index.as_retriever(vector_store_query_mode="hybrid", hybrid_top_k=1).retrieve("red sea")) == 1
    diverse = index.as_retriever(mode="mmr", vector_store_kwargs={"mmr_threshold": 0.2, "mmr_prefetch_factor": 2.0})
    assert (diverse.mmr_threshold, diverse.mmr_prefetch_k) == (0.2, 4)
    assert index.as_retriever(vector_store_kwargs=None).retrieve("red")
    with pytest.raises(Unsupported, match="sparse_top_k=9"):
        index.as_retriever(sparse_top_k=9)
    with pytest.raises(InvalidInput, match="no bogus in vector_store_kwargs; there are per_document"):
        index.as_retriever(vector_store_kwargs={"bogus": 1})


def test_a_store_is_copied_as_itself_and_not_pickled(notes: Collection) -> None:
    store = LateInteractionVectorStore(notes)
    assert copy.deepcopy(store) is store
    with pytest.raises(Unsupported, match="cannot be pickled"):
        pickle.dumps(store)
    with pytest.raises(InvalidInput, match="said where the store is made"):
        as_index(store, found="segments")


def test_only_a_store_of_this_package_is_taken(notes: Collection) -> None:
    with pytest.raises(InvalidInput, match="not SimpleVectorStore"):
        LateInteractionIndex([], storage_context=StorageContext.from_defaults(vector_store=SimpleVectorStore()))
    store = LateInteractionVectorStore(notes)
    assert as_index(store).vector_store is store


def test_no_other_package_is_asked_for(tmp_path: Path) -> None:
    """LlamaIndex takes OpenAI's models where none are named, and asks for the package of these."""
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("openai", "langchain_core") or name.startswith("llama_index.llms"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from llama_index.core.llms import MockLLM
from llama_index.core.schema import Document
from colmilvus import Collection, Entity, MultiVector, Unreadable
from colmilvus.llama_index import as_index
from tests.words import WordEmbedder


with Collection("notes", WordEmbedder(), uri="kb.db") as notes:
    index = as_index(notes)
    index.insert(Document(text="red sea"))
    print(len(index.as_query_engine(llm=MockLLM()).query("red").source_nodes))
    print(len(index.as_chat_engine(llm=MockLLM()).chat("red").source_nodes))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["1", "1"], done.stderr
