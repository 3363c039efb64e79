"""LlamaIndex's store over real model classes: nodes by ColBERT, page pictures by ColPali's family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from PIL import Image

from colmilvus import Collection, maxsim
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.embedders.sentence_transformers import MultiVectorEmbedder
from colmilvus.llama_index import (
    LateInteractionReranker,
    LateInteractionVectorStore,
    PageNode,
    PageReader,
    as_index,
    create_search_tool,
    to_content_blocks,
)
from tests.pdfs import text_pdf

Folder = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "rivers.pdf").write_bytes(text_pdf(["The Danube", "The Rhine\nis a river\nin Europe"]))
    for colour in ("red", "green"):
        Image.new("RGB", (120, 90), colour).save(folder / f"{colour}.png")
    return folder


def test_nodes_are_found_as_colbert_scores_them(database: Path, encoder: Folder) -> None:
    colbert = MultiVectorEmbedder(encoder("colbert"))
    texts = {"boat": "a red boat at the quay", "tree": "green trees stand in rows", "sky": "the sky is blue"}
    with Collection("colbert", colbert, uri=database) as collection:
        store = LateInteractionVectorStore(collection)
        assert store.add([TextNode(id_=name, text=text) for name, text in texts.items()]) == list(texts)
        (query,) = colbert.embed_queries(["a boat"])
        vectors = collection.multi_vectors(list(texts))
        expected = sorted(((maxsim(query, vectors[name]), name) for name in texts), reverse=True)

        found = store.query(VectorStoreQuery(query_str="a boat", similarity_top_k=3))

        assert found.ids == [name for _, name in expected]
        assert found.similarities == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_pages_are_found_by_what_the_model_sees(database: Path, folder: Path, checkpoint: Folder) -> None:
    colpali = ColPaliEmbedder(checkpoint("ColIdefics3"))
    pages = PageReader(dpi=40).load_data(folder)
    with Collection("pages", colpali, uri=database) as collection:
        index = as_index(collection)
        assert index.refresh_ref_docs(pages) == [True] * 4
        assert index.refresh_ref_docs(PageReader(dpi=40).load_data(folder)) == [False] * 4
        names = [page.id_ for page in pages]
        vectors = collection.multi_vectors(names)

        for question in (QueryBundle("a river"), QueryBundle("", image_path=str(folder / "green.png"))):
            found = index.as_retriever(similarity_top_k=4).retrieve(question)
            asked = Image.open(question.image_path) if question.image_path else question.query_str
            (query,) = colpali.embed_queries([asked])
            ranked = sorted(names, key=lambda name: maxsim(query, vectors[name]), reverse=True)
            assert [node.node_id for node in found] == ranked
            assert {type(node.node) for node in found} == {PageNode}

        found = index.as_retriever(similarity_top_k=4).retrieve("a river")
        output = create_search_tool(collection)(query="a river")
        assert output.raw_output == found
        assert [type(block) for block in output.blocks] == [type(block) for block in to_content_blocks(found)]
        loaded = [NodeWithScore(node=page) for page in pages]
        reranked = LateInteractionReranker(colpali, top_n=None).postprocess_nodes(loaded, query_str="a river")
        assert [node.node_id for node in reranked] == [node.node_id for node in found]


def test_pictures_without_text_are_not_lost(database: Path, folder: Path, checkpoint: Folder) -> None:
    with Collection("pictures", ColPaliEmbedder(checkpoint("ColIdefics3")), uri=database) as collection:
        index = as_index(collection)
        index.insert_nodes([ImageNode(id_=name, image_path=str(folder / f"{name}.png")) for name in ("red", "green")])

        (found,) = index.as_retriever(similarity_top_k=1).image_to_image_retrieve(str(folder / "green.png"))
        assert found.node_id == "green"
