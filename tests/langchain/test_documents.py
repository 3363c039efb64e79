"""Documents into entities and back: pages with their pictures, and chunks of one parent."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, embedded, maxsim
from colmilvus.embedder import Query
from colmilvus.errors import InvalidEntity, InvalidInput, UnreadableFile
from colmilvus.images import open_image
from colmilvus.langchain import (
    LateInteractionRetriever,
    LateInteractionVectorStore,
    PageLoader,
    to_message_content,
)
from colmilvus.pdf import read_pages
from tests.pdfs import encrypted_pdf, text_pdf
from tests.words import WordEmbedder

CHUNKS = [
    Document("red sea", id="x-1", metadata={"source": "x", "year": 2024, "page": 1, "start_index": 0}),
    Document("green tree", id="x-2", metadata={"source": "x", "year": 2024, "page": 1, "start_index": 8}),
    Document("red bird", id="x-3", metadata={"source": "x", "year": 2024, "page": 2, "start_index": 0}),
    Document("one dog", id="y-1", metadata={"source": "y", "year": 2025}),
]


class ColourEmbedder:
    """One vector a picture: the mean colour of its pixels, centred on grey; reads nothing else."""

    name, dim, metric, reads_images = "colours", 3, "COSINE", True
    settings: dict[str, str] = {}  # noqa: RUF012 - a protocol's attribute, never changed

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        return [self._of(entity.image) if entity.image is not None else Unreadable("no picture") for entity in entities]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        named = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
        return [
            MultiVector([np.subtract(named[query], 127)]) if isinstance(query, str) else self._of(query)
            for query in queries
        ]

    def _of(self, image: Any) -> MultiVector:
        return MultiVector([np.asarray(open_image(image), dtype=float).mean(axis=(0, 1)) - 127])


@pytest.fixture
def album(database: Path) -> Iterator[LateInteractionVectorStore]:
    with Collection("album", ColourEmbedder(), uri=database) as collection:  # type: ignore[arg-type]  # metric is a str
        yield LateInteractionVectorStore(collection)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (8, 6), colour).save(folder / f"{colour}.png")
    return folder


def same_picture(left: Any, right: Any, most: float = 3) -> bool:
    difference = np.asarray(open_image(left), dtype=int) - np.asarray(open_image(right), dtype=int)
    return bool(np.abs(difference).mean() < most)  # JPEG


class TestPages:
    def test_a_loaded_page_is_kept_with_its_picture(self, store: LateInteractionVectorStore, tmp_path: Path) -> None:
        path = tmp_path / "rivers.pdf"
        path.write_bytes(text_pdf(["red sea", "green tree"]))
        loaded = PageLoader(path, dpi=40).load()

        added = store.add_documents(loaded)
        (found,) = store.similarity_search("tree", k=1)

        assert added == [f"{path}#1", f"{path}#2"]
        assert found.page_content == "green tree"
        assert found.metadata.pop("image").endswith(".jpg")
        reference = loaded[1].metadata.pop("image")
        assert reference == f"{path.as_uri()}#page=2&dpi=40"
        assert found == loaded[1]
        (drawn,) = read_pages(path, pages=[2], dpi=40)
        (kept,) = store.collection.get([added[1]])
        assert same_picture(kept.image, drawn.image)
        assert (kept.document, kept.metadata["page"]) == (str(path), 2)

    def test_pages_of_the_core_and_of_the_loader_are_the_same_entities(
        self, store: LateInteractionVectorStore, tmp_path: Path, database: Path
    ) -> None:
        path = tmp_path / "rivers.pdf"
        path.write_bytes(text_pdf(["red sea", "green tree"]))
        store.collection.add(read_pages(path))
        before = store.get_by_ids([f"{path}#1"])

        store.add_documents(PageLoader(path).load())

        assert store.collection.count() == 2
        assert store.get_by_ids([f"{path}#1"]) == before
        assert len(list(database.glob("images/notes/??/*.jpg"))) == 2

    def test_a_found_page_can_be_added_to_another_store_with_its_picture(
        self, store: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"]))
        store.add_documents(PageLoader(tmp_path / "rivers.pdf").load())
        found = store.similarity_search("red")

        with Collection("other", WordEmbedder(), uri=tmp_path / "other.db") as collection:
            other = LateInteractionVectorStore(collection)
            other.add_documents(found)
            (moved,) = other.similarity_search("red")

        assert moved.metadata["image"] != found[0].metadata["image"]
        assert str(tmp_path / "other.db") in moved.metadata["image"]
        assert same_picture(moved.metadata["image"], found[0].metadata["image"])

    def test_pictures_are_embedded_and_found_by_picture(self, album: LateInteractionVectorStore, photos: Path) -> None:
        album.add_documents(PageLoader(photos).load())

        for question in ("green", photos / "green.png"):
            found = album.collection.search(question, 1)
            assert found[0].entity.metadata["source"] == str(photos / "green.png")
        for picture in (photos / "blue.png", str(photos / "blue.png"), (photos / "blue.png").read_bytes()):
            (best,) = album.similarity_search_by_image(picture, k=1)
            assert best.metadata["source"] == str(photos / "blue.png")
            assert same_picture(best.metadata["image"], photos / "blue.png")

    async def test_a_picture_is_asked_for_in_a_thread_too(
        self, album: LateInteractionVectorStore, photos: Path
    ) -> None:
        album.add_documents(PageLoader(photos).load())
        picture = Image.new("RGB", (2, 2), "red")

        found = await album.asimilarity_search_by_image(picture, 2, filter={"page": 1})

        assert found == album.similarity_search_by_image(picture, 2)
        assert found[0].metadata["source"] == str(photos / "red.png")

    @pytest.mark.parametrize("form", ["path", "file URI", "data URI", "wrapped data URI"])
    def test_an_embedder_that_sees_looks_at_what_image_names_which_is_kept(
        self, album: LateInteractionVectorStore, photos: Path, form: str
    ) -> None:
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 99, (300, 300, 3), np.uint8))
        noise.save(photos / "noise.png")
        encoded = b64encode((photos / "noise.png").read_bytes()).decode()
        wrapped = "\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
        image = {
            "path": str(photos / "noise.png"),
            "file URI": (photos / "noise.png").as_uri(),
            "data URI": f"data:image/png;base64,{encoded}",
            "wrapped data URI": f"data:image/png;name=noise.png;base64,{wrapped}",
        }[form]
        document = Document("", id="a", metadata={"image": image, "year": 2025})

        assert album.add_documents([document]) == ["a"]
        (photos / "noise.png").unlink()  # an upload that was there for a moment
        (found,) = album.similarity_search("blue")

        assert found.metadata.pop("year") == 2025
        assert same_picture(found.metadata.pop("image"), noise, most=12)
        assert found == Document("", id="a")
        assert document.metadata["image"] == image

    def test_what_names_no_picture_stays_as_it_is(
        self, album: LateInteractionVectorStore, store: LateInteractionVectorStore, photos: Path
    ) -> None:
        with pytest.warns(UserWarning, match="not stored: gone: no picture"):
            album.add_texts([""], [{"image": str(photos / "gone.png")}], ids=["gone"])
        words = [Document("red", id="a", metadata={"image": str(photos / "red.png")})]
        store.add_documents(words)

        assert store.similarity_search("red") == words  # nothing looks at it: it is the user's

    def test_a_found_page_that_is_added_again_keeps_its_picture(
        self, store: LateInteractionVectorStore, tmp_path: Path, database: Path
    ) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"]))
        store.add_documents(PageLoader(tmp_path / "rivers.pdf").load())
        (found,) = store.similarity_search("red")
        kept = Path(found.metadata["image"]).read_bytes()

        for year in (2024, 2025):
            found.metadata["year"] = year
            store.add_documents([found])

        (again,) = store.similarity_search("red")
        assert again.metadata == found.metadata
        assert [path.read_bytes() for path in database.glob("images/notes/??/*.jpg")] == [kept]

    def test_without_a_place_for_pictures_the_reference_stays(self, database: Path, tmp_path: Path) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"]))
        loaded = PageLoader(tmp_path / "rivers.pdf").load()
        embedded.connect(database).close()
        with Collection("keeper", WordEmbedder(), uri=database):  # holds the engine, which is asked as a server below
            uri, token = embedded.address(database)
            with Collection("served", WordEmbedder(), uri=uri, token=token) as collection:
                served = LateInteractionVectorStore(collection)
                served.add_documents(loaded)

                assert served.similarity_search("red") == loaded
                assert [block["type"] for block in to_message_content(served.similarity_search("red"))] == [
                    "text",
                    "image",
                ]

    def test_a_page_whose_file_is_gone_is_refused_before_anything_is_stored(
        self, store: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        path = tmp_path / "rivers.pdf"
        path.write_bytes(text_pdf(["red sea"]))
        loaded = PageLoader(path).load()
        path.unlink()

        with pytest.raises(UnreadableFile, match=r"rivers\.pdf: there is no such file"):
            store.add_documents([Document("red"), *loaded])
        assert store.collection.count() == 0

    def test_images_can_be_left_out_of_metadata(self, store: LateInteractionVectorStore, tmp_path: Path) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea"]))
        store.add_documents(PageLoader(tmp_path / "rivers.pdf").load())
        retriever = LateInteractionRetriever(store.collection)

        assert "image" in retriever.invoke("red")[0].metadata
        assert "image" not in retriever.invoke("red", images=False)[0].metadata
        assert "image" not in LateInteractionRetriever(store.collection, images=False).invoke("red")[0].metadata


class TestLoader:
    def test_pages_are_loaded_lazily(self, tmp_path: Path) -> None:
        for number in range(3):
            (tmp_path / f"{number}.pdf").write_bytes(text_pdf([f"text {number}", "more"]))
        pages = PageLoader(tmp_path).lazy_load()

        assert [page.page_content for page in itertools.islice(pages, 2)] == ["text 0", "more"]
        (tmp_path / "1.pdf").write_bytes(text_pdf(["changed"]))
        assert next(pages).page_content == "changed"

    async def test_what_read_pages_takes_it_takes(self, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(encrypted_pdf("secret plans", user="open", owner="own"))
        Image.new("RGB", (4, 4), "red").save(tmp_path / "b.png")
        failures: list[UnreadableFile] = []
        (tmp_path / "c.pdf").write_bytes(b"%PDF-1.4 cut off")

        loader = PageLoader(
            [tmp_path / "a.pdf", str(tmp_path / "b.png"), tmp_path / "c.pdf"],
            password="open",
            pages=[1],
            root=tmp_path,
            on_error=failures.append,
        )
        loaded = [page async for page in loader.alazy_load()]

        assert [page.id for page in loaded] == ["a.pdf#1", "b.png#1"]
        assert "secret plans" in loaded[0].page_content
        assert [page.metadata["page"] for page in loaded] == [1, 1]
        assert loaded[1].metadata["image"] == (tmp_path / "b.png").as_uri() + "#page=1"
        assert [failure.source for failure in failures] == [str(tmp_path / "c.pdf")]
        assert loader.load() == loaded

    @pytest.mark.parametrize("source", [b"%PDF", BytesIO(b"%PDF"), 3, [b"%PDF"]])
    def test_what_has_no_place_is_refused(self, source: Any) -> None:
        with pytest.raises(InvalidInput, match="for bytes there is read_pages"):
            PageLoader(source)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile, match="missing: there is no such file or folder"):
            PageLoader(tmp_path / "missing").load()


class TestGroups:
    def test_a_hit_is_the_parent_with_its_best_chunks(
        self, grouped: LateInteractionVectorStore, words: WordEmbedder
    ) -> None:
        assert grouped.add_documents(CHUNKS) == ["x-1", "x-2", "x-3", "y-1"]

        (best, score), (other, _) = grouped.similarity_search_with_score("red bird")

        assert grouped.collection.count() == 2
        assert (best.id, best.page_content) == ("x", "red sea\n\nred bird")
        assert best.metadata == {
            "source": "x",
            "year": 2024,
            "segments": [
                {"id": "x-3", "text": "red bird", "similarity": 1.0, "metadata": CHUNKS[2].metadata},
                {"id": "x-1", "text": "red sea", "similarity": 0.5, "metadata": CHUNKS[0].metadata},
            ],
        }
        (query,) = words.embed_queries(["red bird"])
        assert score == pytest.approx(maxsim(query, grouped.collection.multi_vectors(["x"])["x"]))
        assert other.id == "y"

    @pytest.mark.parametrize("most", [1, 3, None])
    def test_so_many_chunks_make_its_text(self, grouped: LateInteractionVectorStore, most: int | None) -> None:
        grouped.add_documents(CHUNKS)
        store = LateInteractionVectorStore(grouped.collection, group_by="source", best_segments=most)
        retriever = LateInteractionRetriever(grouped.collection, best_segments=most, k=1)
        texts = {1: "red bird", 3: "red sea\n\ngreen tree\n\nred bird", None: "red sea\n\ngreen tree\n\nred bird"}

        for (found,) in (store.similarity_search("bird", k=1), retriever.invoke("bird")):
            assert found.page_content == texts[most]
            assert len(found.metadata["segments"]) == (most or 3)
        (called,) = retriever.invoke("bird", best_segments=1)
        assert called.page_content == "red bird"

    def test_chunks_are_got_and_deleted_one_by_one(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS)

        assert grouped.get_by_ids(["y-1", "x-2", "none"]) == [CHUNKS[3], CHUNKS[1]]
        (parent,) = grouped.get_by_ids(["x"])
        assert parent.page_content == "red sea\n\ngreen tree\n\nred bird"
        grouped.delete(["x-1", "y-1"])
        assert grouped.get_by_ids(["x-1", "x-2", "x-3", "y-1"]) == CHUNKS[1:3]
        assert grouped.collection.count() == 1
        grouped.delete(["x"])
        assert grouped.collection.count() == 0

    def test_a_whole_source_is_deleted(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS)
        grouped.delete(source="x")

        assert [found.id for found in grouped.similarity_search("red")] == ["y"]
        assert grouped.collection.documents() == {"y": 1}

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_portions_make_no_difference(
        self, grouped: LateInteractionVectorStore, words: WordEmbedder, size: int
    ) -> None:
        shuffled = [CHUNKS[2], CHUNKS[3], CHUNKS[0], CHUNKS[1]]
        for start in range(0, 4, size):
            grouped.add_documents(shuffled[start : start + size])
        embedded = words.embedded
        grouped.add_documents(CHUNKS)

        assert words.embedded == embedded
        assert [segment.id for segment in grouped.collection.get(["x"])[0].segments] == ["x-1", "x-2", "x-3"]
        assert grouped.collection.get(["x"])[0].metadata == {"source": "x", "year": 2024}

    def test_a_chunk_that_is_given_another_parent_leaves_the_one_it_had(
        self, grouped: LateInteractionVectorStore
    ) -> None:
        grouped.add_documents(CHUNKS)
        moved = Document("red sea", id="x-1", metadata={"source": "y"})

        grouped.add_documents([moved, CHUNKS[1]])

        assert grouped.collection.parents(["x-1"]) == {"y": ["x-1"]}
        assert grouped.get_by_ids(["x-1"]) == [moved]
        assert [segment.id for segment in grouped.collection.get(["x"])[0].segments] == ["x-2", "x-3"]

    def test_filters_see_what_all_chunks_share(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS)

        assert [found.id for found in grouped.similarity_search("red", filter={"year": 2025})] == ["y"]
        assert grouped.similarity_search("red", filter={"page": 2}) == []

    def test_metadata_that_all_chunks_share_again_are_found_again(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents([Document(f"red {n}", id=f"old {n}", metadata={"source": "p", "y": 1}) for n in range(2)])
        grouped.add_documents([Document(f"red {n}", id=f"new {n}", metadata={"source": "p", "y": 2}) for n in range(2)])
        assert grouped.similarity_search("red", filter={"y": 2}) == []

        grouped.delete(["old 0", "old 1"])

        (found,) = grouped.similarity_search("red", filter={"y": 2})
        assert (found.id, found.metadata["y"]) == ("p", 2)

    def test_its_words_are_found_by_text_too(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS)

        for mode in ("text", "hybrid"):
            assert grouped.search("green tree", mode, k=1)[0].id == "x"
            assert grouped.as_retriever(search_type=mode, search_kwargs={"k": 1}).invoke("dog")[0].id == "y"
        assert LateInteractionRetriever(grouped.collection, mode="text").invoke("bird")[0].id == "x"

    @pytest.mark.parametrize("portions", [[0, 2], [0, 1, 2]])
    def test_one_id_is_not_that_of_a_chunk_and_of_a_parent(
        self, grouped: LateInteractionVectorStore, portions: list[int]
    ) -> None:
        chunks = [
            Document("red", id="A", metadata={"source": "B"}),
            Document("blue", id="x", metadata={"source": "A"}),
        ]
        for order in (chunks, chunks[::-1]):
            *before, last = (order[start:end] for start, end in pairwise(portions))
            for portion in before:
                grouped.add_documents(portion)
            with pytest.raises(InvalidInput, match="'A' would be the id of a chunk and of a parent"):
                grouped.add_documents(last)
            grouped.delete(["A", "x"])
            grouped.delete(["B"])

    def test_a_text_search_shows_the_chunks_with_its_words(self, grouped: LateInteractionVectorStore) -> None:
        chunks = [Document(f"tree dog page{n:02}", id=f"{n}", metadata={"source": "x", "page": n}) for n in range(30)]
        grouped.add_documents(chunks)

        (found,) = grouped.search("dog page17", "text")

        assert [part["id"] for part in found.metadata["segments"]] == ["17", "0"]
        assert [part["similarity"] for part in found.metadata["segments"]] == [1.0, 0.5]
        assert found.page_content == "tree dog page00\n\ntree dog page17"
        assert to_message_content([found])[0]["text"] == "[1] x, page 17\ntree dog page17"

    def test_an_update_that_cannot_be_read_is_not_told_as_stored(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS[:2])
        blank = Document(" ", id="x-1", metadata=CHUNKS[0].metadata)
        new = Document("dog", id="x-2", metadata=CHUNKS[1].metadata)

        with pytest.warns(UserWarning, match="what is held under its id, if anything, stays"):
            added = grouped.add_documents([blank, new])

        assert added == ["x-2"]
        assert grouped.get_by_ids(["x-1", "x-2"]) == [CHUNKS[0], new]

    def test_threads_that_move_a_chunk_do_not_lose_it(self, grouped: LateInteractionVectorStore) -> None:
        def move(source: str) -> None:
            for _ in range(8):
                grouped.add_documents([Document("red", id="c", metadata={"source": source})])

        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(move, source) for source in "xyz"]:
                done.result(timeout=60)

        assert [len(held) for held in grouped.collection.parents(["c"]).values()] == [1]
        assert len(grouped.get_by_ids(["c"])) == 1

    def test_values_of_two_kinds_name_no_parent_together(self, grouped: LateInteractionVectorStore) -> None:
        chunks = [Document("red", metadata={"source": 1}), Document("sea", metadata={"source": "1"})]
        with pytest.raises(InvalidEntity, match="holds 1 and '1', which would be one parent"):
            grouped.add_documents(chunks)

    def test_chunks_are_not_added_again_as_documents(self, grouped: LateInteractionVectorStore) -> None:
        grouped.add_documents(CHUNKS)
        plain = LateInteractionVectorStore(grouped.collection)

        with pytest.raises(InvalidInput, match="'x-1' is the id of a chunk of 'x'; open the store with the group_by="):
            plain.add_documents(CHUNKS[:1])
        assert plain.add_documents([Document("red", id="other")]) == ["other"]

    @pytest.mark.parametrize("metadata", [{}, {"source": None}, {"source": ""}, {"source": ["x"]}, {"title": "x"}])
    def test_a_chunk_without_parent_is_refused_before_anything_is_stored(
        self, grouped: LateInteractionVectorStore, metadata: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidEntity, match="document 'z' names no parent by 'source'"):
            grouped.add_documents([*CHUNKS, Document("red", id="z", metadata=metadata)])

        assert grouped.collection.count() == 0

    def test_a_key_may_hold_numbers_and_may_be_any(self, database: Path, words: WordEmbedder) -> None:
        store = LateInteractionVectorStore.from_documents(CHUNKS, words, uri=database, group_by="year")

        assert sorted(found.id or "" for found in store.similarity_search("red")) == ["2024", "2025"]
        assert store.collection.documents() == {}  # a parent may have chunks of several sources
        store.collection.close()

    def test_an_unreadable_chunk_is_left_out_with_a_warning(self, grouped: LateInteractionVectorStore) -> None:
        class Words(WordEmbedder):
            def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
                return [Unreadable("it is too dark") for _ in entities]

        with Collection("dark", Words(), uri=grouped.collection.uri, segments=True) as collection:
            store = LateInteractionVectorStore(collection, group_by="source")
            with pytest.warns(UserWarning, match="not stored: x, page 1: it is too dark"):
                assert store.add_documents(CHUNKS[:2]) == []

    def test_pages_become_chunks_that_still_name_their_pictures(
        self, grouped: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        (tmp_path / "rivers.pdf").write_bytes(text_pdf(["red sea", "green tree"]))
        loaded = PageLoader(tmp_path / "rivers.pdf").load()

        grouped.add_documents(loaded)
        (found,) = grouped.similarity_search("tree")

        assert found.metadata["segments"][0]["metadata"] == loaded[1].metadata
        assert grouped.get_by_ids([loaded[0].id or ""]) == [loaded[0]]


def test_what_the_core_gathered_is_shown_the_same_way(database: Path, words: WordEmbedder) -> None:
    with Collection("core", words, uri=database, segments=True) as collection:
        collection.add([Entity("p", segments=(Segment("s", "red", {"page": 3}), Segment("t", "sea")))])
        store = LateInteractionVectorStore(collection)
        store.add_documents([Document("red dog", id="plain")])

        first, second = store.similarity_search("red sea")

    assert (first.id, first.page_content) == ("p", "sea\n\nred")
    assert sorted(segment["id"] for segment in first.metadata["segments"]) == ["s", "t"]
    assert second == Document("red dog", id="plain")
