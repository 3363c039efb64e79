from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from colmilvus.embedder import Embedder, Unreadable, preferred_mode
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidQuery, MissingExtra
from colmilvus.maxsim import maxsim


@pytest.fixture(scope="module")
def static() -> StaticEmbedder:
    return StaticEmbedder()


def embed(static: StaticEmbedder, text: str) -> MultiVector:
    [vectors] = static.embed_entities([Entity("page", text)])
    assert isinstance(vectors, MultiVector)
    return vectors


def ask(static: StaticEmbedder, query: str) -> MultiVector:
    [vectors] = static.embed_queries([query])
    return vectors


def distinct_words(count: int) -> str:
    return " ".join(f"{first}{second}" for first in "bcdfghjk" for second in "lmnpqrst")[: 3 * count]


def test_it_is_an_embedder_whose_mode_is_hybrid(static: StaticEmbedder) -> None:
    assert isinstance(static, Embedder)
    assert (static.name, static.dim, static.metric, preferred_mode(static)) == ("static", 256, "IP", "hybrid")
    assert set(static.settings) == {"model", "window", "step", "wordllama_version"}


@pytest.mark.parametrize(
    ("words", "windows"), [(1, 1), (10, 1), (11, 1), (20, 1), (21, 2), (30, 2), (31, 3), (40, 3), (41, 4)]
)
def test_a_window_of_20_words_begins_every_10_words(static: StaticEmbedder, words: int, windows: int) -> None:
    assert embed(static, distinct_words(words)).vectors.shape == (windows, 256)


def test_a_window_is_the_mean_of_its_words(static: StaticEmbedder) -> None:
    text = distinct_words(35)
    words = ask(static, text).vectors
    windows = embed(static, text).vectors

    assert len(words) == 35
    np.testing.assert_allclose(windows[0], words[:20].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(windows[1], words[10:30].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(windows[2], words[20:].mean(axis=0), atol=1e-6)


def test_no_vector_is_longer_than_1_and_their_lengths_differ(static: StaticEmbedder) -> None:
    lengths = np.linalg.norm(ask(static, "amortisation of goodwill one two").vectors, axis=1)

    assert lengths.max() <= 1
    assert lengths.max() > 1.2 * lengths.min() > 0


def test_function_words_and_question_words_are_left_out_of_a_query(static: StaticEmbedder) -> None:
    question = ask(static, "What drove the reduction in net sales, and why did it?")

    np.testing.assert_array_equal(question.vectors, ask(static, "drove reduction net sales").vectors)


def test_a_query_of_function_words_alone_keeps_them(static: StaticEmbedder) -> None:
    assert len(ask(static, "What is it?")) == 3


def test_function_words_stay_in_a_page(static: StaticEmbedder) -> None:
    assert not np.array_equal(embed(static, "the net sales").vectors, embed(static, "net sales").vectors)


def test_a_word_that_a_query_repeats_counts_once(static: StaticEmbedder) -> None:
    np.testing.assert_array_equal(ask(static, "sales, net sales; SALES").vectors, ask(static, "sales net").vectors)


def test_case_and_ligatures_make_no_difference(static: StaticEmbedder) -> None:
    np.testing.assert_array_equal(
        embed(static, "Pro\N{LATIN SMALL LIGATURE FI}t").vectors, embed(static, "profit").vectors
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("P&L 47.5%", 4),
        ("FY2023_Q4 EX-99.1", 5),
        ("Umsatzerlöse größer", 2),
        ("чистая прибыль", 2),
        ("東京タワー", 5),
        ("순이익 증가", 2),
        ("a" * 50_000, 1),
    ],
)
def test_codes_numbers_and_other_scripts_have_vectors(static: StaticEmbedder, query: str, words: int) -> None:
    vectors = ask(static, query).vectors

    assert vectors.shape == (words, 256)
    assert (np.linalg.norm(vectors, axis=1) > 0).all()


def test_vectors_do_not_depend_on_the_batch_or_on_the_instance(static: StaticEmbedder) -> None:
    entities = [Entity("1", "net sales rose"), Entity("2", distinct_words(64)), Entity("3", "a")]
    other = StaticEmbedder()

    for entity, together in zip(entities, static.embed_entities(entities), strict=True):
        [alone] = other.embed_entities([entity])
        assert isinstance(together, MultiVector)
        assert isinstance(alone, MultiVector)
        np.testing.assert_array_equal(together.vectors, alone.vectors)


def test_a_related_text_scores_higher_than_an_unrelated_one(static: StaticEmbedder) -> None:
    query = ask(static, "How many cars did the company sell?")
    texts = ["Automobile sales: 1,200 vehicles", "Boil the potatoes in salted water", "Colourless green ideas sleep"]
    scores = [maxsim(query, embed(static, text), "IP") for text in texts]

    assert scores.index(max(scores)) == 0


def test_rows_name_the_segment_that_they_are_of(static: StaticEmbedder) -> None:
    segments = (Segment("a", distinct_words(21)), Segment("b", " "), Segment("c", "profit"))
    [vectors] = static.embed_entities([Entity("page", "not read", segments=segments)])

    assert isinstance(vectors, MultiVector)
    assert vectors.segments is not None
    assert vectors.segments.tolist() == [0, 0, 2]
    np.testing.assert_array_equal(vectors.vectors[2:], embed(static, "profit").vectors)
    assert embed(static, "profit").segments is None


def test_the_longest_text_fits_into_4096_vectors(static: StaticEmbedder) -> None:
    text = "a " * 32_767 + "a"

    assert len(text) == 65_535
    assert len(embed(static, text)) == 3_276


def test_a_page_without_text_is_unreadable_and_says_what_would_read_it(static: StaticEmbedder) -> None:
    readable, scan, dots = static.embed_entities(
        [Entity("1", "text"), Entity("2", image=b"a picture"), Entity("3", " ... \n")]
    )

    assert isinstance(readable, MultiVector)
    assert isinstance(scan, Unreadable)
    assert "no text layer" in scan.reason
    assert "colmilvus[colpali]" in scan.reason
    assert dots == Unreadable("no words in its text")


@pytest.mark.parametrize("query", ["", " \t\n", "?!", "\ud800"])
def test_a_query_without_words_is_refused(static: StaticEmbedder, query: str) -> None:
    with pytest.raises(InvalidQuery, match="holds no words"):
        static.embed_queries(["good", query])


def test_a_picture_as_a_query_is_refused(static: StaticEmbedder) -> None:
    with pytest.raises(InvalidQuery, match="a picture needs a visual model such as ColPali"):
        static.embed_queries([Path("page.png")])


@pytest.mark.parametrize("package", ["wordllama", "bm25s"])
def test_without_its_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra, match=r"pip install 'colmilvus\[static\]'"):
        StaticEmbedder()


def test_a_process_reads_its_vectors_once(static: StaticEmbedder) -> None:
    tracemalloc.start()
    try:
        other = StaticEmbedder()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # they are 33 MB
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(other.embed_queries(["sales"])[0].vectors, static.embed_queries(["sales"])[0].vectors)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_module_loads_no_model_library() -> None:
    done = run_python(
        "import sys, colmilvus.embedders.static\n"
        "assert not {'wordllama', 'tokenizers', 'safetensors', 'bm25s'} & set(sys.modules)"
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_loading_is_silent_opens_no_connection_and_leaves_logging_alone() -> None:
    done = run_python(
        "import logging, sys\n"
        "def refuse(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        raise AssertionError(event)\n"
        "sys.addaudithook(refuse)\n"
        "from colmilvus.embedders.static import StaticEmbedder\n"
        "assert len(StaticEmbedder().embed_queries(['net sales'])[0]) == 2\n"
        "root = logging.getLogger()\n"
        "assert (root.handlers, root.level) == ([], logging.WARNING), (root.handlers, root.level)"
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
