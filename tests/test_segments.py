from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from colmilvus.embedder import Embedder, Unreadable
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.entity import Entity, MultiVector, Segment
from colmilvus.errors import InvalidInput, InvalidQuery, InvalidVectors


class Lengths:
    """The vector of a text is (its characters, its words); ``calls`` keeps how many texts each call brought."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        self.calls.append(len(texts))
        return [[len(text), len(text.split())] for text in texts]


def rows(embedder: SegmentEmbedder, entity: Entity) -> list[list[float]]:
    [vectors] = embedder.embed_entities([entity])
    assert isinstance(vectors, MultiVector)
    return [[float(value) for value in row] for row in vectors.vectors]


def test_it_is_an_embedder_with_the_name_metric_and_settings_given() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths", dim=2, metric="IP", settings={"model": "ruler"})

    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dim, embedder.metric) == ("lengths", 2, "IP")
    assert embedder.settings == {"model": "ruler"}


def test_the_dimension_is_found_by_asking_once() -> None:
    lengths = Lengths()

    assert SegmentEmbedder(lengths, name="lengths").dim == 2
    assert lengths.calls == [1]


def test_a_given_dimension_is_not_asked_for() -> None:
    lengths = Lengths()
    SegmentEmbedder(lengths, name="lengths", dim=2)

    assert lengths.calls == []


def test_a_whole_text_has_one_vector() -> None:
    assert rows(SegmentEmbedder(Lengths(), name="lengths"), Entity("1", "three little words")) == [[18, 3]]


def test_a_text_is_split_by_the_function_given() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths", split_text=lambda text: text.split(". "))

    assert rows(embedder, Entity("1", "one. two and. \n. three")) == [[3, 1], [7, 2], [5, 1]]


def test_an_entitys_own_segments_come_before_any_splitting() -> None:
    segments = (Segment("a", "first one"), Segment("b", "  "), Segment("c", "third"))
    embedder = SegmentEmbedder(Lengths(), name="lengths", split_text=str.split)
    [vectors] = embedder.embed_entities([Entity("1", "not read", segments=segments)])

    assert isinstance(vectors, MultiVector)
    assert vectors.segments is not None
    assert vectors.segments.tolist() == [0, 2]
    assert vectors.vectors.tolist() == [[9, 2], [5, 1]]


def test_pieces_of_a_split_text_name_no_segments() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths", split_text=str.split)
    [vectors] = embedder.embed_entities([Entity("1", "two pieces")])

    assert isinstance(vectors, MultiVector)
    assert vectors.segments is None


def test_entities_are_embedded_together_in_batches_and_given_back_in_order() -> None:
    lengths = Lengths()
    embedder = SegmentEmbedder(lengths, name="lengths", dim=2, split_text=str.split, batch_size=2)
    entities = [Entity("1", "a bb ccc"), Entity("2", " "), Entity("3", "dddd"), Entity("4", "eeeee")]
    first, blank, third, fourth = embedder.embed_entities(entities)

    assert lengths.calls == [2, 2, 1]
    assert blank == Unreadable("no text")
    assert [
        vectors.vectors[:, 0].tolist() for vectors in (first, third, fourth) if isinstance(vectors, MultiVector)
    ] == [
        [1, 2, 3],
        [4],
        [5],
    ]


def test_without_any_text_the_function_is_not_called() -> None:
    lengths = Lengths()
    embedder = SegmentEmbedder(lengths, name="lengths", dim=2, split_text=str.split)

    assert embedder.embed_entities([Entity("1"), Entity("2", image=b"a picture")]) == [Unreadable("no text")] * 2
    assert embedder.embed_entities([]) == []
    assert embedder.embed_queries([]) == []
    assert lengths.calls == []


def test_a_query_is_one_vector_of_the_whole() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths", split_text=str.split, batch_size=1)

    assert [query.vectors.tolist() for query in embedder.embed_queries(["two words", "one"])] == [[[9, 2]], [[3, 1]]]


def test_queries_go_through_their_own_function_if_there_is_one() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths", embed_query=lambda texts: [[0, 7]] * len(texts))

    assert embedder.embed_queries(["anything"])[0].vectors.tolist() == [[0, 7]]
    assert rows(embedder, Entity("1", "anything")) == [[8, 1]]


def test_arrays_of_any_float_type_are_taken() -> None:
    embedder = SegmentEmbedder(lambda texts: np.ones((len(texts), 3), dtype=np.float16), name="ones")

    assert embedder.embed_queries(["x"])[0].vectors.dtype == np.float32


def test_a_wrong_number_of_vectors_is_refused_with_both_numbers() -> None:
    embedder = SegmentEmbedder(lambda texts: [[1, 1] for _ in texts[:1]], name="one", split_text=str.split)

    with pytest.raises(InvalidVectors, match="gave 1 vectors for 3 texts"):
        embedder.embed_entities([Entity("1", "a b c")])


def test_a_wrong_dimension_is_refused_with_both_numbers() -> None:
    embedder = SegmentEmbedder(lambda texts: [[len(text)] * len(texts[0]) for text in texts], name="odd", dim=4)

    assert rows(embedder, Entity("1", "four")) == [[4, 4, 4, 4]]
    with pytest.raises(InvalidVectors, match="vectors of 5 dimensions, expected 4"):
        embedder.embed_entities([Entity("1", "fives")])


@pytest.mark.parametrize("values", [[1.0, 2.0], [[float("nan")]], [["a"]], 3])
def test_what_is_no_matrix_of_numbers_is_refused(values: ArrayLike) -> None:
    with pytest.raises(InvalidVectors):
        SegmentEmbedder(lambda _: values, name="broken")


def test_a_blank_query_and_a_picture_are_refused() -> None:
    embedder = SegmentEmbedder(Lengths(), name="lengths")

    with pytest.raises(InvalidQuery, match="blank"):
        embedder.embed_queries(["good", " "])
    with pytest.raises(InvalidQuery, match="visual model such as ColPali"):
        embedder.embed_queries([Path("page.png")])


class TestModels:
    """The libraries whose models fit as they are."""

    def test_embeddings_of_langchain(self) -> None:
        from langchain_core.embeddings import DeterministicFakeEmbedding

        model = DeterministicFakeEmbedding(size=6)
        embedder = SegmentEmbedder(model)

        assert (embedder.name, embedder.dim) == ("DeterministicFakeEmbedding", 6)
        assert rows(embedder, Entity("1", "a text")) == [pytest.approx(model.embed_documents(["a text"])[0], rel=1e-6)]
        assert embedder.embed_queries(["why"])[0].vectors[0] == pytest.approx(model.embed_query("why"), rel=1e-6)

    def test_embeddings_of_llama_index(self) -> None:
        from llama_index.core.embeddings import MockEmbedding

        embedder = SegmentEmbedder(MockEmbedding(embed_dim=5, model_name="mock-1"))

        assert (embedder.name, embedder.dim, embedder.settings) == ("MockEmbedding", 5, {"model": "mock-1"})
        assert rows(embedder, Entity("1", "a text")) == [[0.5] * 5]

    def test_splitters_of_llama_index_and_functions(self) -> None:
        from llama_index.core.node_parser import SentenceSplitter

        splitter = SentenceSplitter(chunk_size=8, chunk_overlap=0, tokenizer=str.split)
        text = "One two three four five. Six seven eight nine ten. Eleven."
        pieces = splitter.split_text(text)

        assert len(pieces) > 1
        for split in (splitter, splitter.split_text):
            embedder = SegmentEmbedder(Lengths(), name="lengths", split_text=split)
            assert [row[0] for row in rows(embedder, Entity("1", text))] == [len(piece) for piece in pieces]

    def test_what_is_no_model_and_no_splitter_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match=r"takes a function .* got int"):
            SegmentEmbedder(7)
        with pytest.raises(InvalidInput, match="revision= is for a model that is loaded here"):
            SegmentEmbedder(Lengths(), name="lengths", revision="main")
        with pytest.raises(InvalidInput, match="pass name="):
            SegmentEmbedder(Lengths())
        with pytest.raises(InvalidInput, match="split_text is a function"):
            SegmentEmbedder(Lengths(), name="lengths", split_text=7)  # type: ignore[arg-type]  # as it is meant
