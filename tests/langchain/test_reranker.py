"""Other retrievers' documents in the order of MaxSim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda
from PIL import Image
from pydantic import ValidationError

from colmilvus import Entity, MultiVector, Unreadable, maxsim
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.entity import Metric
from colmilvus.errors import InvalidQuery
from colmilvus.langchain import LateInteractionReranker, PageLoader
from tests.langchain.test_documents import ColourEmbedder
from tests.words import VOCABULARY, WordEmbedder

DOCUMENTS = [Document("dog", id="a"), Document("red sea", id="b", metadata={"n": 1}), Document("red dog", id="c")]


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_the_order_is_that_of_maxsim(metric: Metric) -> None:
    random = np.random.default_rng(1)
    documents = [
        Document(" ".join(random.choice(VOCABULARY, random.integers(1, 9))), id=str(number)) for number in range(40)
    ]
    embedder = WordEmbedder(metric)

    for question in ("red", "tree dog cat", "one two red"):
        found = LateInteractionReranker(embedder=embedder, top_n=None).compress_documents(documents, question)
        (query,) = embedder.embed_queries([question])
        vectors = embedder.embed_entities([Entity("x", document.page_content) for document in found])
        scores = [maxsim(query, vector, metric) for vector in vectors if isinstance(vector, MultiVector)]

        assert len(found) == 40
        assert scores == sorted(scores, reverse=metric != "L2")
        length = 1 if metric == "L2" else len(question.split())
        told = [document.metadata["relevance_score"] for document in found]
        assert told == pytest.approx([score / length for score in scores], abs=1e-6)


async def test_the_best_come_as_copies_with_their_score() -> None:
    ranked = LateInteractionReranker(embedder=WordEmbedder(), top_n=2)

    found = ranked.compress_documents(DOCUMENTS, "red sea")

    assert [document.id for document in found] == ["b", "c"]
    assert found[0].metadata == {"n": 1, "relevance_score": 1.0}
    assert DOCUMENTS[1].metadata == {"n": 1}
    assert await ranked.acompress_documents(DOCUMENTS, "red sea") == found
    assert ranked.compress_documents(found[::-1], "dog")[0].metadata == {"relevance_score": 1.0}
    assert ranked.compress_documents([], "red") == []


def test_each_document_is_embedded_once() -> None:
    embedder = WordEmbedder()
    ranked = LateInteractionReranker(embedder=embedder)

    for question in ("red", "sea", "dog"):
        ranked.compress_documents([*DOCUMENTS, *DOCUMENTS], question)

    assert embedder.embedded == 3


def test_another_embedder_ranks_by_its_own_vectors() -> None:
    by_words = LateInteractionReranker(embedder=WordEmbedder())
    by_words.compress_documents(DOCUMENTS, "red")
    directions = SegmentEmbedder(lambda texts: [[3, 4] if "dog" in text else [1, 0] for text in texts], name="turns")
    by_direction = by_words.model_copy(update={"embedder": directions})

    assert by_direction.compress_documents(DOCUMENTS[:1], "red")[0].metadata == {"relevance_score": pytest.approx(0.6)}


def test_pages_are_ranked_by_their_pictures(tmp_path: Path) -> None:
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (8, 6), colour).save(tmp_path / f"{colour}.png")
    pages = PageLoader(tmp_path).load()
    by_path = [Document("", metadata={"image": str(tmp_path / "red.png")}), *pages]

    found = LateInteractionReranker(embedder=ColourEmbedder(), top_n=1).compress_documents(pages, "green")
    also = LateInteractionReranker(embedder=ColourEmbedder(), top_n=2).compress_documents(by_path, "red")

    assert found[0].metadata["source"] == str(tmp_path / "green.png")
    assert [document.metadata["relevance_score"] for document in also] == pytest.approx([1.0, 1.0], abs=0.01)


def test_what_cannot_be_read_comes_last_and_is_told() -> None:
    documents = [Document(" ", id="blank", metadata={"relevance_score": 9}), *DOCUMENTS]
    with pytest.warns(UserWarning, match="document 'blank' is not ranked and comes last: no words"):
        found = LateInteractionReranker(embedder=WordEmbedder()).compress_documents(documents, "red")

    assert [document.id for document in found] == ["b", "c", "a", "blank"]
    assert found[-1].metadata == {}


def test_a_damaged_picture_does_not_spoil_the_others(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "red").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "gone.png").write_bytes((tmp_path / "good.png").read_bytes())
    gone = PageLoader(tmp_path / "gone.png").load()
    (tmp_path / "gone.png").unlink()
    named = [Document(name, id=name, metadata={"image": str(tmp_path / name)}) for name in ("bad.png", "good.png")]
    ranked = LateInteractionReranker(embedder=ColourEmbedder(), top_n=None)

    with pytest.warns(UserWarning, match="is not ranked and comes last") as told:
        found = ranked.compress_documents([*named, *gone], "red")

    assert [document.id for document in found] == ["good.png", "bad.png", gone[0].id]
    assert ["bad.png" in str(told[0].message), "gone.png" in str(told[1].message)] == [True, True]


def test_copies_share_nothing_with_what_came_in() -> None:
    document = Document("red", metadata={"list": [1]})
    (copy,) = LateInteractionReranker(embedder=WordEmbedder()).compress_documents([document], "red")
    copy.metadata["list"].append(2)

    assert document.metadata == {"list": [1]}


def test_plain_embeddings_rank_by_one_vector() -> None:
    embeddings = DeterministicFakeEmbedding(size=6)
    documents = [Document(text) for text in ("red", "sea", "dog", "cat")]

    found = LateInteractionReranker(embedder=embeddings, top_n=1).compress_documents(documents, "dog")

    assert found[0].page_content == "dog"
    assert found[0].metadata["relevance_score"] == pytest.approx(1.0)


def test_it_works_behind_any_retriever() -> None:
    retriever: Any = RunnableLambda(lambda _: DOCUMENTS)
    ranked = LateInteractionReranker(embedder=WordEmbedder(), top_n=1)
    chain: Any = RunnableLambda(lambda question: ranked.compress_documents(retriever.invoke(question), question))

    assert [document.id for document in chain.invoke("red sea")] == ["b"]


def test_in_langchains_compression_retriever(tmp_path: Path) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers", reason="langchain-classic is not installed here")
    from colmilvus import Collection
    from colmilvus.langchain import LateInteractionRetriever

    with Collection("base", WordEmbedder(), uri=tmp_path / "kb.db") as collection:
        collection.add([Entity(document.id or "", document.page_content) for document in DOCUMENTS])
        chain = retrievers.ContextualCompressionRetriever(
            base_compressor=LateInteractionReranker(embedder=WordEmbedder(), top_n=1),
            base_retriever=LateInteractionRetriever(collection, k=3),
        )
        assert [document.id for document in chain.invoke("red sea")] == ["b"]


@pytest.mark.parametrize(
    ("fields", "named"), [({"top_n": 0}, "top_n"), ({"model": 3}, "model"), ({"embedder": 3}, "SegmentEmbedder takes")]
)
def test_wrong_fields_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        LateInteractionReranker(**{"embedder": WordEmbedder(), **fields})


def test_a_blank_question_and_a_wrong_number_of_vectors_are_refused() -> None:
    class Short(WordEmbedder):
        def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            return super().embed_entities(entities)[1:]

    with pytest.raises(InvalidQuery, match="blank"):
        LateInteractionReranker(embedder=WordEmbedder()).compress_documents(DOCUMENTS, " ")
    with pytest.raises(ValueError, match="2 multi-vectors for 3 documents"):
        LateInteractionReranker(embedder=Short()).compress_documents(DOCUMENTS, "red")
