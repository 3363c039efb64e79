"""Models of colpali-engine: their vectors are the model's own, whatever they are embedded beside."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, maxsim
from colmilvus.embedder import Embedder
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import InvalidInput, InvalidQuery, InvalidVectors, UnusableModel
from colmilvus.images import open_image
from colmilvus.pdf import read_pages

# numpy of the PaliGemma processor in transformers, which hands it tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

Folder = Callable[[str], Path]

FAMILIES = ["ColPali", "ColQwen2", "ColQwen2_5", "ColIdefics3", "ColModernVBert"]
QUERIES = ["What was the revenue?", "A much longer question about table 3 and the appendix of the report", "x", "ünï"]
SIZES = [(170, 220), (220, 170), (96, 160), (300, 40), (64, 64)]


def page(size: tuple[int, int], seed: int = 0) -> Image.Image:
    shades = random.Random(seed)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for top in range(8, size[1], 22):
        draw.rectangle([8, top, shades.randrange(9, size[0]), top + 10], fill=(shades.randrange(256), 30, 90))
    return picture


PAGES = [page(size, seed) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def embedder(family: str, checkpoint: Folder) -> ColPaliEmbedder:
    return ColPaliEmbedder(checkpoint(family))


class Alone:
    """The engine's own model and processor, as its documentation uses them, on one input at a time."""

    def __init__(self, folder: Path, family: str) -> None:
        import colpali_engine.models as engine
        import torch

        from colmilvus.embedders.colpali.families import PROCESSORS

        self.model = getattr(engine, family).from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = getattr(engine, PROCESSORS[family]).from_pretrained(folder)

    def page(self, picture: Image.Image) -> NDArray[np.float32]:
        return self._rows(self.processor.process_images([picture]))

    def query(self, text: str) -> NDArray[np.float32]:
        return self._rows(self.processor.process_queries([text]))

    def _rows(self, batch: Any) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            rows: NDArray[np.float32] = self.model(**batch)[0].numpy()
        assert batch["attention_mask"].all(), "alone there is no padding"
        return rows


@pytest.fixture(scope="module")
def alone(family: str, checkpoint: Folder) -> Alone:
    return Alone(checkpoint(family), family)


def embed(embedder: ColPaliEmbedder, pictures: Sequence[Image.Image]) -> list[MultiVector]:
    answers = embedder.embed_entities([Entity(str(n), image=picture) for n, picture in enumerate(pictures)])
    assert all(isinstance(answer, MultiVector) for answer in answers)
    return [answer for answer in answers if isinstance(answer, MultiVector)]


class TestVectors:
    def test_it_is_an_embedder(self, embedder: ColPaliEmbedder, family: str) -> None:
        assert isinstance(embedder, Embedder)
        assert (embedder.name, embedder.dim, embedder.metric) == ("colpali", 128, "COSINE")
        assert embedder.settings["family"] == family

    def test_pages_are_the_models_own_alone_and_in_any_batch(self, embedder: ColPaliEmbedder, alone: Alone) -> None:
        expected = [alone.page(picture) for picture in PAGES]
        for order in (range(5), [4, 2, 0, 1, 3], [3]):
            for index, vectors in zip(order, embed(embedder, [PAGES[n] for n in order]), strict=True):
                assert vectors.vectors == pytest.approx(expected[index], abs=1e-5)

    def test_queries_are_the_models_own_alone_and_in_any_batch(self, embedder: ColPaliEmbedder, alone: Alone) -> None:
        expected = {query: alone.query(query) for query in QUERIES}
        for order in (QUERIES, QUERIES[::-1], QUERIES[1:2]):
            for query, vectors in zip(order, embedder.embed_queries(order), strict=True):
                assert vectors.vectors == pytest.approx(expected[query], abs=1e-5)

    def test_a_query_has_a_row_a_token_and_the_familys_suffix(self, embedder: ColPaliEmbedder, family: str) -> None:
        (vectors,) = embedder.embed_queries(["seven77"])

        assert len(vectors) == 7 + 10 + (family == "ColPali")

    def test_a_picture_can_be_asked_with_and_finds_itself(self, embedder: ColPaliEmbedder) -> None:
        stored = embed(embedder, PAGES)
        for index, vectors in enumerate(embedder.embed_queries([*PAGES])):
            scores = [maxsim(vectors, other) for other in stored]
            assert scores.index(max(scores)) == index
            assert vectors.vectors == pytest.approx(stored[index].vectors, abs=1e-5)

    def test_texts_and_pictures_can_be_asked_with_together(self, embedder: ColPaliEmbedder) -> None:
        mixed = embedder.embed_queries([QUERIES[0], PAGES[0], QUERIES[1], PAGES[1]])
        apart = embedder.embed_queries(QUERIES[:2]), embedder.embed_queries(PAGES[:2])

        for index in range(2):
            assert mixed[2 * index].vectors == pytest.approx(apart[0][index].vectors, abs=1e-5)
            assert mixed[2 * index + 1].vectors == pytest.approx(apart[1][index].vectors, abs=1e-5)

    def test_the_rows_of_the_picture_alone_on_request(self, alone: Alone, checkpoint: Folder, family: str) -> None:
        embedder = ColPaliEmbedder(checkpoint(family), image_rows_only=True)
        batch = alone.processor.process_images(PAGES[:1])
        mask = alone.processor.get_image_mask(batch)[0].numpy()
        (vectors,) = embed(embedder, PAGES[:1])

        assert 0 < len(vectors) < len(mask)
        assert vectors.vectors == pytest.approx(alone.page(PAGES[0])[mask], abs=1e-5)

    def test_pooling_leaves_a_part_of_a_page_and_all_of_a_query(
        self, embedder: ColPaliEmbedder, checkpoint: Folder, family: str
    ) -> None:
        pooled = ColPaliEmbedder(checkpoint(family), pool=3)
        (whole,), (fewer,) = embed(embedder, PAGES[:1]), embed(pooled, PAGES[:1])

        assert len(fewer) == len(whole) // 3
        assert np.linalg.norm(fewer.vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert len(pooled.embed_queries(QUERIES[:1])[0]) == len(embedder.embed_queries(QUERIES[:1])[0])
        assert pooled.settings["pool"] == 3
        assert pooled.embed_queries([PAGES[0]])[0].vectors == pytest.approx(whole.vectors, abs=1e-5)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_half_precision_gives_nearly_the_same_in_rows_of_length_one(
        self, embedder: ColPaliEmbedder, checkpoint: Folder, family: str, dtype: str
    ) -> None:
        half = ColPaliEmbedder(checkpoint(family), dtype=dtype)
        for whole, vectors in zip(embed(embedder, PAGES), embed(half, PAGES), strict=True):
            assert np.linalg.norm(vectors.vectors, axis=1) == pytest.approx(1, abs=1e-6)
            assert vectors.vectors == pytest.approx(whole.vectors, abs=0.05)
        assert half.settings["dtype"] == dtype

    def test_twelve_pictures_find_themselves_through_pdf_and_database(
        self, embedder: ColPaliEmbedder, database: Path, tmp_path: Path
    ) -> None:
        pictures = [page((220, 300), seed) for seed in range(12)]
        pictures[0].save(tmp_path / "a.pdf", save_all=True, append_images=pictures[1:])
        with Collection("c", embedder, uri=database) as collection:
            assert collection.add(read_pages(tmp_path / "a.pdf")).added == 12
            for number, entity in enumerate(read_pages(tmp_path / "a.pdf"), start=1):
                assert entity.image is not None
                hits = collection.search(open_image(entity.image), k=3)
                assert hits[0].entity.metadata["page"] == number
                assert hits[0].similarity == pytest.approx(1, abs=1e-4)
                stored = collection.multi_vectors([hit.entity.id for hit in hits])
                (query,) = embedder.embed_queries([entity.image])
                for hit in hits:
                    assert hit.score == pytest.approx(maxsim(query, stored[hit.entity.id]), rel=1e-4)


class TestAdapters:
    def test_an_adapter_is_merged_into_its_base(self, checkpoint: Folder, family: str, tmp_path: Path) -> None:
        from tests.embedders.checkpoints import add_adapter

        with warnings_ignored():
            add_adapter(checkpoint(family), tmp_path / "adapter")
            expected = adapted(checkpoint(family), tmp_path / "adapter", family)
        embedder = ColPaliEmbedder(tmp_path / "adapter")

        assert embedder.settings["base"] == str(checkpoint(family))
        for query, vectors in zip(QUERIES, embedder.embed_queries(QUERIES), strict=True):
            assert vectors.vectors == pytest.approx(expected.query(query), abs=1e-5)
        for picture, vectors in zip(PAGES, embed(embedder, PAGES), strict=True):
            assert vectors.vectors == pytest.approx(expected.page(picture), abs=1e-5)
        assert not any("lora" in name for name, _ in embedder._runner._model.named_modules())

    def test_the_adapters_that_are_published_find_their_layers(
        self, checkpoint: Folder, family: str, tmp_path: Path
    ) -> None:
        """Their weights have the names that the classes had when they were trained."""
        from tests.embedders.checkpoints import add_adapter

        now, then = PUBLISHED[family]
        with warnings_ignored():
            add_adapter(checkpoint(family), tmp_path / "new")
            add_adapter(checkpoint(family), tmp_path / "old", lambda name: re.sub(now, then, name))
        names = [weight_names(tmp_path / name) for name in ("new", "old")]
        new, old = (ColPaliEmbedder(tmp_path / name) for name in ("new", "old"))

        assert names[0] != names[1]
        assert (new.embed_queries(QUERIES)[0].vectors == old.embed_queries(QUERIES)[0].vectors).all()

    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    def test_an_adapter_that_does_not_fit_is_refused(self, checkpoint: Folder, family: str, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        from tests.embedders.checkpoints import add_adapter

        with warnings_ignored():
            add_adapter(checkpoint(family), tmp_path / "a")
        file = tmp_path / "a" / "adapter_model.safetensors"
        weights = load_file(file)
        first = min(weights)
        for changed, told in (
            (
                {**weights, first: weights[first][:1]},
                r"does not fit its base model: .*\(1, 32\), the model's \(4, 32\)",
            ),
            (
                {**weights, "base_model.model.other.lora_A.weight": weights[first].clone()},
                r"does not fit .* \(no such layer\)",
            ),
            ({name: weight for name, weight in weights.items() if name != first}, "lacks 1 weights"),
        ):
            save_file(changed, file)
            with pytest.raises(UnusableModel, match=told):
                ColPaliEmbedder(tmp_path / "a")
        file.write_bytes(b"damaged")
        with pytest.raises(UnusableModel, match="cannot be read"):
            ColPaliEmbedder(tmp_path / "a")
        file.unlink()
        with pytest.raises(UnusableModel, match="holds no weights"):
            ColPaliEmbedder(tmp_path / "a")

    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    def test_an_adapter_whose_base_is_gone_names_both(self, checkpoint: Folder, family: str, tmp_path: Path) -> None:
        from tests.embedders.checkpoints import add_adapter

        shutil.copytree(checkpoint(family), tmp_path / "base")
        with warnings_ignored():
            add_adapter(tmp_path / "base", tmp_path / "a")
        shutil.rmtree(tmp_path / "base")

        with pytest.raises(
            UnusableModel, match=r"a is an adapter to .*base, which is not to be had: there is no folder"
        ):
            ColPaliEmbedder(tmp_path / "a")


PUBLISHED = {
    "ColPali": (r"model\.model\.language_model\.", "model.language_model.model."),
    "ColQwen2": (r"model\.language_model\.", "model.model."),
    "ColQwen2_5": (r"model\.language_model\.", "model.model."),
    "ColIdefics3": (r"^base_model\.model\.model\.text_model\.", "base_model.model.text_model."),
    "ColModernVBert": (r"^base_model\.", ""),
}
"""How the weights of a new adapter are named, and those in vidore's and ModernVBERT's files."""


def weight_names(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
        return sorted(weights.keys())


@contextmanager
def warnings_ignored() -> Iterator[None]:
    """What peft and transformers say of one another while a fixture is made is not ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def adapted(base: Path, adapter: Path, family: str) -> Alone:
    from peft import PeftModel

    model = Alone(base, family)
    peft_model: Any = PeftModel.from_pretrained(model.model, str(adapter)).eval()
    model.model = peft_model.base_model.model
    return model


class TestTexts:
    @pytest.mark.parametrize("text", ["an <image> here", "<|image_pad|><|im_end|>", "<bos><loc0001>", "<row_1_col_1>"])
    def test_control_tokens_in_a_question_are_text(self, embedder: ColPaliEmbedder, text: str) -> None:
        (vectors,) = embedder.embed_queries([text])

        assert len(vectors) >= len(text) + 10  # a row a byte: none was read as one token
        assert len(vectors) <= len(text) + text.count("<") + 11

    @pytest.mark.parametrize("family", ["ColQwen2_5"], indirect=True)
    def test_a_long_question_is_cut_by_tokens_and_that_is_told(self, checkpoint: Folder, family: str) -> None:
        embedder = ColPaliEmbedder(checkpoint(family), max_query_tokens=20)
        with pytest.warns(UserWarning, match="a query of 60 tokens was cut to 20") as told:
            (vectors,) = embedder.embed_queries(["abc" * 20])

        assert Path(told[0].filename).name == Path(__file__).name
        assert len(vectors) == 20 + 10
        assert (vectors.vectors == embedder.embed_queries([("abc" * 20)[:20]])[0].vectors).all()

    @pytest.mark.parametrize("text", ["", "  \n"])
    def test_a_blank_question_is_refused(self, embedder: ColPaliEmbedder, text: str) -> None:
        with pytest.raises(InvalidQuery, match="blank"):
            embedder.embed_queries(["good", text])

    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    def test_a_question_that_is_no_list_is_not_taken_for_its_letters(self, embedder: ColPaliEmbedder) -> None:
        with pytest.raises(InvalidQuery, match=r"this takes a list of queries: \['What was sold\?'\]"):
            embedder.embed_queries("What was sold?")

    def test_half_a_surrogate_pair_is_read_as_one_unknown_sign(self, embedder: ColPaliEmbedder) -> None:
        assert len(embedder.embed_queries(["a\ud800b"])[0]) > 12

    def test_no_query_no_vectors(self, embedder: ColPaliEmbedder) -> None:
        assert embedder.embed_queries([]) == []
        assert embedder.embed_entities([]) == []


class TestPictures:
    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    def test_what_cannot_be_read_is_told_and_the_others_are_embedded(self, embedder: ColPaliEmbedder) -> None:
        answers = embedder.embed_entities(
            [
                Entity("text", "only words"),
                Entity("page", image=PAGES[0]),
                Entity("damaged", image=b"no picture"),
                Entity("segments", image=PAGES[0], segments=(Segment("s", "words"),)),
            ]
        )

        assert [type(answer) for answer in answers] == [Unreadable, MultiVector, Unreadable, Unreadable]
        reasons = [answer.reason for answer in answers if isinstance(answer, Unreadable)]
        assert ["no picture" in reasons[0], "cannot be read" in reasons[1], "segments" in reasons[2]] == [True] * 3

    def test_pictures_of_every_kind_and_shape_are_taken(self, embedder: ColPaliEmbedder) -> None:
        transparent = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
        pictures = [
            transparent,
            Image.new("L", (30, 30), 128),
            Image.new("1", (30, 30)),
            Image.new("P", (30, 30)),
            Image.new("CMYK", (30, 30)),
            Image.new("I;16", (30, 30), 40_000),
            Image.new("RGB", (1, 1)),
            Image.new("RGB", (3000, 4)),
            Image.new("RGB", (4, 3000)),
        ]
        vectors = embed(embedder, [*pictures, Image.new("RGB", (80, 80), "white")])

        assert vectors[0].vectors == pytest.approx(vectors[-1].vectors, abs=1e-5)  # transparent is white, not black

    @pytest.mark.parametrize("family", ["ColQwen2_5"], indirect=True)
    def test_a_very_long_picture_keeps_to_the_models_limit(self, embedder: ColPaliEmbedder) -> None:
        (vectors,) = embed(
            ColPaliEmbedder(str(embedder.settings["checkpoint"]), image_rows_only=True), [page((3000, 20))]
        )

        assert len(vectors) <= 64

    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    def test_a_damaged_picture_to_ask_with_is_refused(self, embedder: ColPaliEmbedder) -> None:
        with pytest.raises(InvalidQuery, match=r"the picture to ask with cannot be read: .*nobody.png"):
            embedder.embed_queries([Path("nobody.png")])


class TestRunning:
    def test_no_layer_that_makes_words_of_rows_is_run(self, embedder: ColPaliEmbedder) -> None:
        import torch

        model: Any = embedder._runner._model
        words = model.get_input_embeddings().num_embeddings
        heads = [each for each in model.modules() if isinstance(each, torch.nn.Linear) and each.out_features == words]
        run: list[object] = []
        hooks = [head.register_forward_hook(lambda module, *_: run.append(module)) for head in heads]
        embedder.embed_queries(["a"])
        embedder.embed_entities([Entity("a", image=PAGES[0])])
        for hook in hooks:
            hook.remove()

        assert not run

    def test_questions_of_like_length_share_a_batch(
        self, embedder: ColPaliEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batches: list[list[int]] = []
        embed = embedder._runner.embed_texts

        def watched(texts: Sequence[str]) -> list[NDArray[np.float32]]:
            batches.append([len(text) for text in texts])
            return embed(texts)

        monkeypatch.setattr(embedder._runner, "embed_texts", watched)
        monkeypatch.setattr(embedder._batches, "size", 2)
        answers = embedder.embed_queries(["a" * length for length in (30, 1, 31, 2)])

        assert batches == [[1, 2], [30, 31]]
        assert len(answers[0]) > len(answers[1])

    @pytest.mark.parametrize("family", ["ColModernVBert"], indirect=True)
    def test_several_threads_share_one_model(self, embedder: ColPaliEmbedder) -> None:
        expected = embed(embedder, PAGES), embedder.embed_queries(QUERIES)
        failures: list[object] = []

        def work(seed: int) -> None:
            shuffled = random.Random(seed)
            for _ in range(10):
                order = shuffled.sample(range(4), 3)
                pages, queries = (
                    embed(embedder, [PAGES[n] for n in order]),
                    embedder.embed_queries([QUERIES[n] for n in order]),
                )
                for got, kind in ((pages, 0), (queries, 1)):
                    for index, vectors in zip(order, got, strict=True):
                        if not np.allclose(vectors.vectors, expected[kind][index].vectors, atol=1e-5):
                            failures.append((kind, index))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    @pytest.mark.parametrize("family", ["ColQwen2"], indirect=True)
    @pytest.mark.parametrize("size", [1, 2, 100])
    def test_the_size_of_a_batch_changes_no_vector(
        self, embedder: ColPaliEmbedder, checkpoint: Folder, family: str, size: int
    ) -> None:
        other = ColPaliEmbedder(checkpoint(family), batch_size=size)
        for one, two in zip(embed(embedder, PAGES), embed(other, PAGES), strict=True):
            assert one.vectors == pytest.approx(two.vectors, abs=1e-5)


class TestCheckpoints:
    def test_a_folder_that_has_moved_is_the_same_model(
        self, checkpoint: Folder, database: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(checkpoint("ColQwen2"), tmp_path / "moved")
        with Collection("c", ColPaliEmbedder(checkpoint("ColQwen2")), uri=database) as collection:
            collection.add([Entity("a", image=PAGES[0])])
        with Collection("c", ColPaliEmbedder(tmp_path / "moved", dtype="bfloat16"), uri=database) as collection:
            assert collection.search(PAGES[0])[0].entity.id == "a"

    def test_another_model_and_other_settings_are_refused_by_name(self, checkpoint: Folder, database: Path) -> None:
        from colmilvus.errors import CollectionMismatch

        Collection("c", ColPaliEmbedder(checkpoint("ColQwen2")), uri=database).close()
        for other, told in (
            (ColPaliEmbedder(checkpoint("ColQwen2_5")), "family='ColQwen2', now 'ColQwen2_5'"),
            (ColPaliEmbedder(checkpoint("ColQwen2"), pool=2), "pool=1, now 2"),
        ):
            with pytest.raises(CollectionMismatch, match=told):
                Collection("c", other, uri=database)

    @pytest.mark.parametrize(
        ("config", "told"),
        [
            ({"architectures": ["BertModel"]}, "is a BertModel, no multi-vector model of colpali-engine"),
            ({"architectures": ["BiQwen2"]}, "gives one vector a page; take its Col"),
            ({"architectures": ["ColPaliForRetrieval"]}, "load it with MultiVectorEmbedder"),
            ({"model_type": "bert"}, "is a bert, no multi-vector model"),
        ],
    )
    def test_what_is_no_model_of_the_engine_is_refused(self, tmp_path: Path, config: dict[str, Any], told: str) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UnusableModel, match=told):
            ColPaliEmbedder(tmp_path)

    def test_a_folder_of_something_else_says_what_it_holds(self, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").touch()
        with pytest.raises(UnusableModel, match=r"holds no config.json and no adapter_config.json, but letter.txt"):
            ColPaliEmbedder(tmp_path)

    def test_a_folder_without_weights_is_refused(self, checkpoint: Folder, tmp_path: Path) -> None:
        shutil.copytree(checkpoint("ColQwen2"), tmp_path / "c", ignore=shutil.ignore_patterns("*.safetensors"))
        with pytest.raises(UnusableModel, match="holds no weights"):
            ColPaliEmbedder(tmp_path / "c")

    def test_weights_that_are_missing_or_of_another_shape_are_refused(self, checkpoint: Folder, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "c"
        shutil.copytree(checkpoint("ColQwen2"), folder)
        weights = load_file(folder / "model.safetensors")
        name = "custom_text_proj.weight"
        left = {key: weight for key, weight in weights.items() if key != name}
        save_file(left, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(
            UnusableModel, match=r"not hold the weights of a ColQwen2: 1 are missing \(custom_text_proj"
        ):
            ColPaliEmbedder(folder)
        save_file({**weights, name: weights[name][:64].contiguous()}, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(UnusableModel, match=r"c(annot be loaded|.* have another shape)"):
            ColPaliEmbedder(folder)
        (folder / "model.safetensors").write_bytes(b"damaged")
        with pytest.raises(UnusableModel, match="cannot be loaded"):
            ColPaliEmbedder(folder)

    def test_numbers_that_do_not_fit_are_no_vectors(self, checkpoint: Folder) -> None:
        import torch

        embedder = ColPaliEmbedder(checkpoint("ColQwen2"))
        with torch.no_grad():
            embedder._runner._model.custom_text_proj.bias.fill_(float("nan"))

        with pytest.raises(InvalidVectors, match="take dtype='float32'"):
            embedder.embed_queries(["a"])
        with pytest.raises(InvalidVectors, match="take dtype='float32'"):
            embedder.embed_entities([Entity("a", image=PAGES[0])])

    def test_a_checkpoint_without_a_processor_is_refused(self, checkpoint: Folder, tmp_path: Path) -> None:
        shutil.copytree(checkpoint("ColPali"), tmp_path / "c", ignore=shutil.ignore_patterns("*token*", "*process*"))
        with pytest.raises(UnusableModel, match="has no processor that ColPali can use"):
            ColPaliEmbedder(tmp_path / "c")

    def test_no_such_folder_and_no_network(self) -> None:
        with pytest.raises(UnusableModel, match=r"there is no folder \./nobody; a checkpoint is a folder, or a name"):
            ColPaliEmbedder("./nobody")
        with pytest.raises(UnusableModel, match="'vidore/nobody' is not on this machine; without local_files_only"):
            ColPaliEmbedder("vidore/nobody", local_files_only=True)

    def test_a_folder_has_no_revision_and_a_whole_model_no_base(self, checkpoint: Folder) -> None:
        with pytest.raises(UnusableModel, match="a folder has no revision 'main'"):
            ColPaliEmbedder(checkpoint("ColQwen2"), revision="main")
        with pytest.raises(UnusableModel, match="is no adapter, and has no base"):
            ColPaliEmbedder(checkpoint("ColQwen2"), base_revision="main")

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"device": "cuda"}, r"device='cuda' cannot be used: .* \(this torch has: cpu\)"),
            ({"device": "toaster"}, "device='toaster' cannot be used"),
            ({"dtype": "int4"}, "dtype is one of float32, bfloat16, float16"),
            ({"batch_size": 0}, "batch_size is a number from 1"),
            ({"pool": 0}, "pool is a number from 1"),
            ({"max_query_tokens": True}, "max_query_tokens is a number from 1"),
        ],
    )
    def test_other_arguments_are_refused(self, checkpoint: Folder, options: dict[str, Any], told: str) -> None:
        with pytest.raises(InvalidInput, match=told):
            ColPaliEmbedder(checkpoint("ColQwen2"), **options)
