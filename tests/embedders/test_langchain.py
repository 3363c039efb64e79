"""LangChain's store over real model classes: the standard tests with ColBERT, page pictures with ColPali's family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from PIL import Image

from colmilvus import Collection, maxsim
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.embedders.sentence_transformers import MultiVectorEmbedder
from colmilvus.langchain import (
    LateInteractionReranker,
    LateInteractionVectorStore,
    PageLoader,
    create_search_tool,
    to_message_content,
)
from tests.pdfs import text_pdf

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def colbert(encoder: Folder) -> MultiVectorEmbedder:
    return MultiVectorEmbedder(encoder("colbert"))


class TestVectorStoreWithColBERT(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path, colbert: MultiVectorEmbedder) -> Iterator[VectorStore]:
        with Collection("standard", colbert, uri=tmp_path / "kb.db") as collection:
            yield LateInteractionVectorStore(collection)


@pytest.fixture(scope="module")
def colpali(checkpoint: Folder) -> ColPaliEmbedder:
    return ColPaliEmbedder(checkpoint("ColIdefics3"))


@pytest.fixture
def pages(database: Path, colpali: ColPaliEmbedder) -> Iterator[LateInteractionVectorStore]:
    with Collection("pages", colpali, uri=database) as collection:
        yield LateInteractionVectorStore(collection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "rivers.pdf").write_bytes(text_pdf(["The Danube", "The Rhine\nis a river\nin Europe"]))
    for colour in ("red", "green"):
        Image.new("RGB", (120, 90), colour).save(folder / f"{colour}.png")
    return folder


def test_pages_are_found_by_what_the_model_sees(
    pages: LateInteractionVectorStore, folder: Path, colpali: ColPaliEmbedder
) -> None:
    loaded = PageLoader(folder, dpi=40).load()
    added = pages.add_documents(loaded)

    for question in ("a river", Image.open(folder / "green.png")):
        hits = pages.collection.search(question, 4)
        (query,) = colpali.embed_queries([question])
        vectors = pages.collection.multi_vectors(added)
        ranked = sorted(added, key=lambda name: maxsim(query, vectors[name]), reverse=True)
        assert [hit.entity.id for hit in hits] == ranked
    (best,) = pages.similarity_search_by_image(folder / "red.png", k=1)
    assert best.metadata["source"] == str(folder / "red.png")
    assert len(pages.max_marginal_relevance_search("a river", k=3)) == 3
    (_, relevance), *_ = pages.similarity_search_with_relevance_scores("a river", k=1)
    assert 0 <= relevance <= 1


def test_the_reranker_and_the_tool_see_the_same_pages(
    pages: LateInteractionVectorStore, folder: Path, colpali: ColPaliEmbedder
) -> None:
    loaded = PageLoader(folder, dpi=40).load()
    pages.add_documents(loaded)

    ranked = LateInteractionReranker(embedder=colpali, top_n=None).compress_documents(loaded, "a river")
    message = create_search_tool(pages.collection).invoke(
        {"name": "search_documents", "args": {"query": "a river"}, "id": "1", "type": "tool_call"}
    )

    assert [page.id for page in ranked] == [page.id for page in message.artifact]
    assert [page.metadata["relevance_score"] for page in ranked] == pytest.approx(
        [page.metadata["similarity"] for page in message.artifact], abs=1e-3
    )
    assert message.content == to_message_content(message.artifact)
    assert [block["type"] for block in message.content] == ["text", "image"] * 4
