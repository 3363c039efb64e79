"""Programs written for langchain-milvus, whose documented calls stay as they are after the construction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import ParrotFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.langchain import LateInteractionVectorStore
from tests.words import WordEmbedder

POSTS = [
    Document("The red bird flew over the sea this morning", metadata={"source": "tweet"}),
    Document("Tomorrow the sky is blue, the sea is warm", metadata={"source": "news"}),
    Document("We build a search over three kinds of documents", metadata={"source": "tweet"}),
    Document("Thieves took one million from the bank in the green street", metadata={"source": "news"}),
    Document("Is the new cat film worth it? Read on", metadata={"source": "website"}),
    Document("The two best dog players of the world", metadata={"source": "website"}),
]


class OneVector(Embeddings):
    """A plain model: the sum of a text's word vectors."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        (words,) = WordEmbedder().embed_queries([text])
        return [float(value) for value in words.vectors.sum(axis=0)]


@pytest.fixture(params=["multi-vector", "plain"])
def vector_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LateInteractionVectorStore]:
    """What takes the place of ``Milvus(embedding_function=..., connection_args={"uri": ...})``."""
    if request.param == "plain":
        store = LateInteractionVectorStore.from_documents([], OneVector(), uri=tmp_path / "kb.db")
    else:
        store = LateInteractionVectorStore(Collection("posts", StaticEmbedder(), uri=tmp_path / "kb.db"))
    yield store
    store.collection.close()


def test_the_documented_use(vector_store: LateInteractionVectorStore) -> None:
    ids = [str(uuid4()) for _ in POSTS]
    vector_store.add_documents(documents=POSTS, ids=ids)
    assert vector_store.delete(ids=[ids[-1]])

    results = vector_store.similarity_search("search over documents of three kinds", k=2, expr='source == "tweet"')
    assert [found.metadata for found in results] == [{"source": "tweet"}] * 2

    scored = vector_store.similarity_search_with_score("Will the sea be warm tomorrow?", k=1, expr='source == "news"')
    for found, score in scored:
        assert (found.page_content, found.metadata) == (POSTS[1].page_content, {"source": "news"})
        assert f"{score:3f}" > "0"

    retriever = vector_store.as_retriever(search_type="mmr", search_kwargs={"k": 1})
    (robbed,) = retriever.invoke("one million from the bank in the green street", expr='source == "news"')
    assert robbed.page_content == POSTS[3].page_content

    own = vector_store.as_retriever(search_kwargs={"expr": 'source in ["website"]', "k": 3})
    assert [found.page_content for found in own.invoke("cat")] == [POSTS[4].page_content]


def test_the_documented_chain(vector_store: LateInteractionVectorStore) -> None:
    vector_store.add_documents(POSTS)
    retriever = vector_store.as_retriever(search_kwargs={"k": 1})
    prompt = ChatPromptTemplate.from_template("{context} ? {question}")

    def joined(found: list[Document]) -> str:
        return "\n\n".join(document.page_content for document in found)

    chain = (
        {"context": retriever | joined, "question": RunnablePassthrough()}
        | prompt
        | ParrotFakeChatModel()
        | StrOutputParser()
    )

    assert chain.invoke("red bird over the sea") == f"{POSTS[0].page_content} ? red bird over the sea"


def test_deleting_by_expression(vector_store: LateInteractionVectorStore) -> None:
    vector_store.add_documents(POSTS)

    assert vector_store.delete(expr='source == "tweet"')
    assert len(vector_store.similarity_search("red", k=10)) == 4
