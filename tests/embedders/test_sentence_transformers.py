"""Multi-vector models of sentence-transformers: nothing of a text is cut off, and no projection is made up."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, group, maxsim
from colmilvus.embedder import Embedder
from colmilvus.embedders.sentence_transformers import MultiVectorEmbedder
from colmilvus.errors import InvalidInput, InvalidQuery, UnusableModel
from colmilvus.images import open_image
from colmilvus.pdf import read_pages
from tests.embedders.test_colpali import PAGES, page

Folder = Callable[[str], Path]

TEXTS = ["Coral reefs shelter fish.", "White sharks hunt seals!", "x", "ünï"]
LONG = "Reefs are built by corals over thousands of years, and storms break them. " * 4


@pytest.fixture(scope="module", params=["colbert", "pylate", "stanford"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def embedder(kind: str, encoder: Folder) -> MultiVectorEmbedder:
    return MultiVectorEmbedder(encoder(kind))


class Alone:
    """The encoder's own forward on one text or picture at a time."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import MultiVectorEncoder

        self.model: Any = MultiVectorEncoder(str(folder), device="cpu").eval()

    def rows(self, item: Any, task: str) -> NDArray[np.float32]:
        import torch

        prompt = None if isinstance(item, Image.Image) else self.model.prompts.get(task)
        features = self.model.preprocess([item], prompt=prompt, task=task)
        with torch.inference_mode():
            out = self.model(features, task=task)
        kept: NDArray[np.float32] = out["token_embeddings"][0][out["attention_mask"][0].bool()].numpy()
        return kept


@pytest.fixture(scope="module")
def alone(kind: str, encoder: Folder) -> Alone:
    return Alone(encoder(kind))


def embed(embedder: MultiVectorEmbedder, entities: Sequence[Entity]) -> list[MultiVector]:
    answers = embedder.embed_entities(entities)
    assert all(isinstance(answer, MultiVector) for answer in answers)
    return [answer for answer in answers if isinstance(answer, MultiVector)]


class TestTexts:
    def test_it_is_an_embedder(self, embedder: MultiVectorEmbedder) -> None:
        assert isinstance(embedder, Embedder)
        assert (embedder.name, embedder.dim, embedder.metric) == ("multi-vector", 16, "COSINE")
        assert not embedder.reads_images

    def test_texts_are_the_models_own_alone_and_in_any_batch(self, embedder: MultiVectorEmbedder, alone: Alone) -> None:
        expected = {text: alone.rows(text, "document") for text in TEXTS}
        for order in (TEXTS, TEXTS[::-1], TEXTS[1:2]):
            for text, vectors in zip(order, embed(embedder, [Entity(text, text) for text in order]), strict=True):
                assert vectors.segments is None
                assert vectors.vectors == pytest.approx(expected[text], abs=1e-5)

    def test_queries_are_the_models_own_alone_and_in_any_batch(
        self, embedder: MultiVectorEmbedder, alone: Alone
    ) -> None:
        queries = ["reefs", "sharks that hunt", "x"]
        expected = {query: alone.rows(query, "query") for query in queries}
        for order in (queries, queries[::-1], queries[1:2]):
            for query, vectors in zip(order, embedder.embed_queries(order), strict=True):
                assert len(vectors) == 24
                assert vectors.vectors == pytest.approx(expected[query], abs=1e-5)

    def test_a_long_text_is_embedded_to_its_end(self, embedder: MultiVectorEmbedder, alone: Alone) -> None:
        (vectors,) = embed(embedder, [Entity("a", LONG)])
        windows = embedder._pieces(Entity("a", LONG))

        assert "".join(text for _, text in windows).replace(" ", "") == LONG.replace(" ", "")
        assert all(text == text.strip() for _, text in windows[1:-1])
        assert vectors.vectors == pytest.approx(
            np.concatenate([alone.rows(text, "document") for _, text in windows]), abs=1e-5
        )

    def test_each_segment_has_rows_of_its_own(self, embedder: MultiVectorEmbedder, alone: Alone) -> None:
        segments = (Segment("a", TEXTS[0]), Segment("b", "  "), Segment("c", LONG))
        (vectors,) = embed(embedder, [Entity("1", "not read", segments=segments)])

        assert vectors.segments is not None
        assert sorted(set(vectors.segments.tolist())) == [0, 2]
        assert vectors.vectors[vectors.segments == 0] == pytest.approx(alone.rows(TEXTS[0], "document"), abs=1e-5)

    def test_what_has_no_text_is_unreadable(self, embedder: MultiVectorEmbedder) -> None:
        blank, picture, read = embedder.embed_entities(
            [Entity("1", " "), Entity("2", image=PAGES[0]), Entity("3", "x")]
        )

        assert blank == Unreadable("no text")
        assert picture == Unreadable("no text, and this model does not see pictures")
        assert isinstance(read, MultiVector)
        assert embedder.embed_entities([]) == []

    def test_several_threads_share_one_model(self, embedder: MultiVectorEmbedder) -> None:
        entities = [Entity(str(n), f"{n} {LONG[:75] * (1 + n % 3)}") for n in range(6)]
        expected = embedder.embed_entities(entities)
        asked = embedder.embed_queries(TEXTS[2:])
        wrong: list[object] = []

        def work() -> None:
            try:
                for _ in range(8):
                    answers = [*embedder.embed_entities(entities), *embedder.embed_queries(TEXTS[2:])]
                    for answer, before in zip(answers, [*expected, *asked], strict=True):
                        assert isinstance(answer, MultiVector)
                        assert isinstance(before, MultiVector)
                        np.testing.assert_allclose(answer.vectors, before.vectors, atol=1e-5)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_a_question_longer_than_the_model_reads_is_told(self, embedder: MultiVectorEmbedder) -> None:
        with pytest.warns(UserWarning, match=r"a query of 60 tokens was cut to 2\d"):
            (vectors,) = embedder.embed_queries(["abc" * 20])
        assert len(vectors) == 24

    def test_blank_questions_and_pictures_are_refused(self, embedder: MultiVectorEmbedder) -> None:
        with pytest.raises(InvalidQuery, match="blank"):
            embedder.embed_queries(["good", " "])
        with pytest.raises(InvalidQuery, match="a visual model such as ColPali"):
            embedder.embed_queries([PAGES[0]])

    def test_control_tokens_in_a_text_are_text(self, embedder: MultiVectorEmbedder) -> None:
        (with_tokens,), (without,) = (embed(embedder, [Entity("a", text)]) for text in ("a [MASK] b", "a [xyzw] b"))

        assert len(with_tokens) == len(without) + 1  # the space that breaks it

    @pytest.mark.parametrize("kind", ["colbert"], indirect=True)
    def test_pooling_leaves_a_part_of_a_document_and_all_of_a_query(
        self, embedder: MultiVectorEmbedder, encoder: Folder
    ) -> None:
        pooled = MultiVectorEmbedder(encoder("colbert"), pool=3)
        (whole,), (fewer,) = (embed(each, [Entity("a", TEXTS[0])]) for each in (embedder, pooled))

        assert len(fewer) < 0.4 * len(whole)
        assert len(pooled.embed_queries(["reefs"])[0]) == 24

    def test_passages_are_found_through_the_database(self, embedder: MultiVectorEmbedder, database: Path) -> None:
        chunks = [Entity(f"c{n}", text, metadata={"title": "AB"[n % 2]}) for n, text in enumerate([*TEXTS, LONG])]
        with Collection("c", embedder, uri=database, segments=True) as collection:
            assert collection.add(group(chunks, by="title")).added == 2
            hits = collection.search("sharks hunting", k=2)
            stored = collection.multi_vectors(["A", "B"])
        (query,) = embedder.embed_queries(["sharks hunting"])
        scores = {name: maxsim(query, vectors) for name, vectors in stored.items()}

        assert [hit.entity.id for hit in hits] == sorted(scores, key=lambda name: -scores[name])
        assert hits[0].score == pytest.approx(max(scores.values()), rel=1e-5)
        assert {segment.id for hit in hits for segment, _ in hit.segments} == {f"c{n}" for n in range(5)}


@pytest.fixture(scope="module", params=["native_colpali", "native_colqwen2"])
def visual(request: pytest.FixtureRequest, encoder: Folder) -> Path:
    return encoder(request.param)


class TestPictures:
    def test_pages_and_queries_are_the_models_own_alone_and_in_any_batch(self, visual: Path) -> None:
        embedder, alone = MultiVectorEmbedder(visual), Alone(visual)
        assert (embedder.reads_images, embedder.dim, embedder.metric) == (True, 128, "COSINE")
        for order in (range(5), [4, 2, 0, 1, 3], [3]):
            pages = embed(embedder, [Entity(str(n), image=PAGES[n]) for n in order])
            for index, vectors in zip(order, pages, strict=True):
                assert vectors.vectors == pytest.approx(alone.rows(PAGES[index], "document"), abs=1e-5)
        for query, vectors in zip(TEXTS, embedder.embed_queries(TEXTS), strict=True):
            assert vectors.vectors == pytest.approx(alone.rows(query, "query"), abs=1e-5)

    def test_twelve_pictures_find_themselves_through_pdf_and_database(
        self, visual: Path, database: Path, tmp_path: Path
    ) -> None:
        pictures = [page((220, 300), seed) for seed in range(12)]
        pictures[0].save(tmp_path / "a.pdf", save_all=True, append_images=pictures[1:])
        with Collection("c", MultiVectorEmbedder(visual), uri=database) as collection:
            assert collection.add(read_pages(tmp_path / "a.pdf")).added == 12
            for number, entity in enumerate(read_pages(tmp_path / "a.pdf"), start=1):
                assert entity.image is not None
                assert collection.search(open_image(entity.image), k=1)[0].entity.metadata["page"] == number

    def test_a_long_question_is_cut_and_that_is_told(self, visual: Path) -> None:
        embedder = MultiVectorEmbedder(visual)
        with pytest.warns(UserWarning, match="was cut to 512"):
            (long,) = embedder.embed_queries(["ab " * 1000])

        assert len(long) < 600

    def test_a_text_is_no_page(self, visual: Path) -> None:
        (answer,) = MultiVectorEmbedder(visual).embed_entities([Entity("a", "only words")])

        assert isinstance(answer, Unreadable)


class TestModels:
    def test_a_plain_encoder_is_refused(self, encoder: Folder) -> None:
        with pytest.raises(UnusableModel, match=r"is a BertModel, a plain encoder .* a projection of random numbers"):
            MultiVectorEmbedder(encoder("plain_encoder"))

    def test_a_single_vector_model_is_refused(self, encoder: Folder) -> None:
        with pytest.raises(UnusableModel, match=r"gives one vector a text, .* with SegmentEmbedder"):
            MultiVectorEmbedder(encoder("single_vector"))

    def test_a_model_of_the_engine_is_refused(self, checkpoint: Folder) -> None:
        with pytest.raises(UnusableModel, match=r"is a ColQwen2, .* load it with ColPaliEmbedder"):
            MultiVectorEmbedder(checkpoint("ColQwen2"))

    def test_a_projection_that_is_made_up_is_refused(self, encoder: Folder, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        shutil.copytree(encoder("stanford"), tmp_path / "c")
        weights = load_file(tmp_path / "c" / "model.safetensors")
        del weights["linear.weight"]
        save_file(weights, tmp_path / "c" / "model.safetensors", {"format": "pt"})
        config = json.loads((tmp_path / "c" / "config.json").read_text())
        (tmp_path / "c" / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
        (tmp_path / "c" / "config_sentence_transformers.json").write_text('{"model_type": "MultiVectorEncoder"}')

        with pytest.raises(UnusableModel, match="stand in none of its files: sentence-transformers has made them up"):
            MultiVectorEmbedder(tmp_path / "c")

    @pytest.mark.parametrize(("gone", "count"), [("layer.1.attention.self.query.weight", 1), ("query.weight", 2)])
    def test_weights_that_are_missing_are_told(self, encoder: Folder, tmp_path: Path, gone: str, count: int) -> None:
        from safetensors.torch import load_file, save_file
        from transformers.utils import logging

        shutil.copytree(encoder("pylate"), tmp_path / "c")
        weights = load_file(tmp_path / "c" / "model.safetensors")
        left = {name: value for name, value in weights.items() if not name.endswith(gone)}
        assert len(weights) - len(left) == count
        save_file(left, tmp_path / "c" / "model.safetensors")
        logging.set_verbosity_error()  # which must not hide it
        try:
            with pytest.raises(UnusableModel, match=r"lacks 1 of its weights, such as .*attention.self.query"):
                MultiVectorEmbedder(tmp_path / "c")
        finally:
            logging.set_verbosity_warning()

    def test_a_model_that_is_loaded_already_is_taken(self, encoder: Folder) -> None:
        from sentence_transformers import MultiVectorEncoder

        loaded = MultiVectorEncoder(str(encoder("colbert")), device="cpu")
        ready, own = MultiVectorEmbedder(loaded), MultiVectorEmbedder(encoder("colbert"))

        assert (ready.embed_queries(["x"])[0].vectors == own.embed_queries(["x"])[0].vectors).all()
        assert ready.settings["content"] == MultiVectorEmbedder(loaded).settings["content"]
        with pytest.raises(InvalidInput, match="device= is for a model that is loaded here"):
            MultiVectorEmbedder(loaded, device="cpu")
        with pytest.raises(InvalidInput, match="or a MultiVectorEncoder; got int"):
            MultiVectorEmbedder(7)  # type: ignore[arg-type]

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableModel, match="there is no folder"):
            MultiVectorEmbedder("./nobody")
        with pytest.raises(UnusableModel, match=r"holds no config.json, but nothing"):
            MultiVectorEmbedder(tmp_path)

    def test_half_precision_on_request(self, encoder: Folder) -> None:
        half, whole = MultiVectorEmbedder(encoder("pylate"), dtype="bfloat16"), MultiVectorEmbedder(encoder("pylate"))

        assert half.settings["dtype"] == "bfloat16"
        assert half.embed_queries(["x"])[0].vectors == pytest.approx(whole.embed_queries(["x"])[0].vectors, abs=0.1)
