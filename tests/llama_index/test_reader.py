"""Pages of files as LlamaIndex's documents: read, split, kept by docstores and caches, stored and found."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from llama_index.core import SimpleDirectoryReader
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document, ImageDocument, ImageNode, MediaResource, MetadataMode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.core.vector_stores.types import VectorStoreQuery
from PIL import Image
from pydantic import AnyUrl

from colmilvus import Collection
from colmilvus.errors import InvalidInput, UnreadableFile
from colmilvus.llama_index import (
    EmbedInStore,
    KeepPages,
    LateInteractionVectorStore,
    PageDocument,
    PageNode,
    PageReader,
)
from colmilvus.pdf import read_pages
from tests.colours import ColourEmbedder, png
from tests.llama_index.pictures import is_same, picture, pictures_of, texts_of
from tests.pdfs import encrypted_pdf, picture_pdf, text_pdf
from tests.words import WordEmbedder

SMALL = "0 0 250 800"
"""The area of a page in points: enough for a line of text, and soon drawn."""
IN_ANY_FOLDER: Any = {"exclude_hidden": False}
"""For early versions of LlamaIndex, which see no file where any folder above it is hidden."""
METADATA = ["source", "page", "page_label", "total_pages"]


@pytest.fixture
def rivers(tmp_path: Path) -> Path:
    path = tmp_path / "rivers.pdf"
    path.write_bytes(text_pdf(["red sea", "green tree"], media_box=SMALL))
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("shelf", WordEmbedder(), uri=tmp_path_factory.mktemp("shelf") / "kb.db") as collection:
        yield collection


@pytest.fixture
def store(shelf: Collection) -> LateInteractionVectorStore:
    """An empty store whose embedder reads words alone."""
    shelf.clear()
    return LateInteractionVectorStore(shelf)


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection("wall", ColourEmbedder(), uri=tmp_path_factory.mktemp("wall") / "kb.db") as collection:
        yield collection


@pytest.fixture
def album(wall: Collection) -> LateInteractionVectorStore:
    """An empty store whose embedder sees pictures alone."""
    wall.clear()
    return LateInteractionVectorStore(wall)


@pytest.fixture
def box() -> Iterator[Any]:
    """A file system in memory, with one picture and one PDF."""
    system = MemoryFileSystem()
    system.pipe("/box/red.png", png("red"))
    system.pipe("/box/rivers.pdf", text_pdf(["blue sky", "green tree"], media_box=SMALL))
    yield system
    system.rm("/box", recursive=True)


def best(store: LateInteractionVectorStore, question: str) -> BaseNode:
    found = store.query(VectorStoreQuery(query_str=question, similarity_top_k=1))
    return (found.nodes or [])[0]


def load(source: Any, fs: Any = None, **options: Any) -> list[PageDocument]:
    pages = PageReader(**options).load_data(source, fs=fs)
    assert all(isinstance(page, PageDocument) for page in pages)
    return [page for page in pages if isinstance(page, PageDocument)]


def shown(node: BaseNode) -> Image.Image:
    """The picture that a model is shown."""
    (found,) = pictures_of(node.get_content_blocks())
    return found


def names(nodes: Any) -> list[str]:
    return [node.node_id.rpartition("/")[2] for node in nodes]


class TestReading:
    def test_each_page_is_a_document_with_its_text_its_place_and_its_picture(self, rivers: Path) -> None:
        first, second = load(rivers, dpi=72)

        assert [first.id_, second.id_] == [f"{rivers}#1", f"{rivers}#2"]
        assert [first.text, second.text] == ["red sea", "green tree"]
        assert second.metadata == {"source": str(rivers), "page": 2, "page_label": "2", "total_pages": 2}
        assert isinstance(second, ImageDocument)
        assert second.document == str(rivers)
        assert second.image_url == f"{rivers.as_uri()}#page=2&dpi=72"

    def test_metadata_are_shown_to_models_and_not_embedded(self, rivers: Path) -> None:
        (page, _) = PageReader().load_data(rivers, extra_info={"year": 2025})

        assert page.metadata == {"year": 2025, **load(rivers)[0].metadata}
        assert page.get_content(MetadataMode.EMBED) == "red sea"
        assert page.get_metadata_str(MetadataMode.LLM).splitlines()[0] == f"source: {rivers}"
        assert "year" not in page.get_content(MetadataMode.LLM)
        assert sorted(page.excluded_embed_metadata_keys) == sorted([*METADATA, "year"])

    def test_files_folders_and_several_of_them_are_read(self, rivers: Path, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "red.png").write_bytes(png("red"))
        (tmp_path / "more" / "notes.txt").write_text("no page")

        assert names(load(tmp_path)) == ["red.png#1", "rivers.pdf#1", "rivers.pdf#2"]
        assert names(load([str(tmp_path / "more"), rivers])) == [*("red.png#1", "rivers.pdf#1", "rivers.pdf#2")]
        assert names(load(str(rivers))) == ["rivers.pdf#1", "rivers.pdf#2"]

    def test_what_read_pages_takes_it_takes(self, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(encrypted_pdf("secret plans", user="open", owner="own"))
        (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 cut off")
        failures: list[UnreadableFile] = []
        reader = PageReader(password="open", pages=iter([1]), root=tmp_path, on_error=failures.append)

        for _ in range(2):  # one reader may be used again
            (page,) = reader.lazy_load_data(tmp_path)
            assert (page.id_, page.document, page.text) == ("a.pdf#1", "a.pdf", "secret plans")

        assert [failure.source for failure in failures] == [str(tmp_path / "b.pdf")] * 2

    @pytest.mark.usefixtures("rivers")
    def test_a_damaged_file_is_left_out_with_a_warning_or_raised(self, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 cut off")
        with pytest.warns(UserWarning, match=r"a\.pdf: the PDF is damaged"):
            assert names(load(tmp_path)) == ["rivers.pdf#1", "rivers.pdf#2"]
        with pytest.raises(UnreadableFile, match=r"a\.pdf: the PDF is damaged"):
            load(tmp_path, on_error="raise")

    def test_pages_are_read_one_by_one(self, tmp_path: Path) -> None:
        for number in range(3):
            (tmp_path / f"{number}.pdf").write_bytes(text_pdf([f"text {number}", "more"]))
        pages = iter(PageReader().lazy_load_data(tmp_path))

        assert [page.text for page in itertools.islice(pages, 2)] == ["text 0", "more"]
        (tmp_path / "1.pdf").write_bytes(text_pdf(["changed"]))
        assert next(pages).text == "changed"

    async def test_asynchronous_calls_give_what_synchronous_ones_give(self, rivers: Path) -> None:
        expected = load(rivers)

        assert await PageReader().aload_data(rivers) == expected
        assert list(await PageReader().alazy_load_data(rivers)) == expected

    def test_what_is_not_there_is_named(self, tmp_path: Path) -> None:
        for missing in (tmp_path / "missing", tmp_path / "missing.pdf", [tmp_path / "missing.pdf"]):
            with pytest.raises(UnreadableFile, match=r"missing.*: there is no such file or folder"):
                load(missing)

    @pytest.mark.parametrize("source", [b"%PDF", BytesIO(b"%PDF"), 3, [b"%PDF"], None])
    def test_what_has_no_place_is_refused(self, source: Any) -> None:
        with pytest.raises(InvalidInput, match=r"PageReader takes paths, not \w+; for bytes there is read_pages"):
            load(source)

    def test_reader_and_pages_reach_other_processes(self, rivers: Path) -> None:
        reader = pickle.loads(pickle.dumps(PageReader(dpi=40)))
        pages = reader.load_data(rivers)

        assert pickle.loads(pickle.dumps(pages)) == pages
        assert [page.hash for page in pickle.loads(pickle.dumps(pages))] == [page.hash for page in pages]


class TestPictures:
    def test_nothing_is_drawn_before_somebody_looks(self, tmp_path: Path) -> None:
        (tmp_path / "cut.png").write_bytes(png("red")[:-20])

        (page,) = load(tmp_path / "cut.png")
        assert (page.metadata["page"], len(page.hash)) == (1, 64)
        for look in (page.get_content_blocks, page.resolve_image):
            with pytest.raises(UnreadableFile, match=r"cut\.png.* cannot be read as a picture"):
                look()

    def test_blocks_are_metadata_text_and_picture(self, rivers: Path) -> None:
        (_, page) = load(rivers)
        (_, drawn) = read_pages(rivers)

        described, text, image = page.get_content_blocks(MetadataMode.LLM)

        assert isinstance(described, TextBlock)
        assert described.text.splitlines()[1] == "page: 2"
        assert text == TextBlock(text="green tree")
        assert is_same(pictures_of([image])[0], drawn.image)
        assert [type(block) for block in page.get_content_blocks()] == [type(text), type(image)]

    def test_a_picture_is_resolved_as_a_file_or_in_base64(self, rivers: Path) -> None:
        page = load(rivers)[1]
        (_, drawn) = read_pages(rivers)

        assert is_same(page.resolve_image().read(), drawn.image)
        assert b64decode(page.resolve_image(as_base64=True).read()) == page.resolve_image().read()

    def test_a_page_without_text_is_shown_as_a_picture_alone(self, tmp_path: Path) -> None:
        (tmp_path / "scan.pdf").write_bytes(picture_pdf([picture("red", (60, 40)), picture("blue", (60, 40))]))
        (tmp_path / "scan.png").write_bytes(png("green"))
        pages = load(tmp_path)

        assert [page.text for page in pages] == ["", "", ""]
        blocks = [page.get_content_blocks() for page in pages]
        assert [len(each) for each in blocks] == [1, 1, 1]
        for colour, each in zip(("red", "blue", "green"), blocks, strict=True):
            assert is_same(pictures_of(each)[0], picture(colour))

    def test_pictures_of_the_users_own_are_resolved_as_llama_index_does(self) -> None:
        page = PageDocument(image_resource=MediaResource(data=png("red")))
        plain = PageDocument(text_resource=MediaResource(text="a page"))

        assert page.resolve_image().read() == png("red")
        assert b64decode(page.resolve_image(as_base64=True).read()) == png("red")
        assert plain.resolve_image().read() == b""
        assert len(plain.get_content_blocks()) == 1

    def test_a_picture_whose_file_is_gone_or_changed_is_not_that_of_another_page(self, rivers: Path) -> None:
        page, other = load(rivers)
        rivers.write_bytes(b"something else")
        with pytest.raises(UnreadableFile, match=r"rivers\.pdf"):
            page.get_content_blocks()
        rivers.unlink()
        with pytest.raises(UnreadableFile, match=r"rivers\.pdf.*there is no such file"):
            other.resolve_image()


class TestHashes:
    @pytest.mark.parametrize("pages", [None, [1]])
    def test_a_changed_file_changes_the_hash_though_text_and_metadata_stay(
        self, tmp_path: Path, pages: list[int] | None
    ) -> None:
        path = tmp_path / "scan.png"
        path.write_bytes(png("red"))
        (before,) = load(path, pages=pages)
        (again,) = load(path, pages=pages)
        path.write_bytes(png("blue"))
        (after,) = load(path, pages=pages)

        assert before.hash == again.hash
        assert (before.text, before.metadata, before.image_url) == (after.text, after.metadata, after.image_url)
        assert before.hash != after.hash

    def test_text_and_metadata_change_the_hash(self, rivers: Path) -> None:
        page = load(rivers)[0]
        before = page.hash

        page.metadata["year"] = 2025
        assert page.hash != before
        del page.metadata["year"]
        assert page.hash == before
        page.set_content("another text")
        assert page.hash != before


class TestJson:
    def test_a_page_reads_as_an_image_document_that_names_its_picture(self, rivers: Path) -> None:
        page = load(rivers)[1]

        again = json_to_doc(doc_to_json(page))

        assert type(again) is ImageDocument
        assert (again.id_, again.text, again.metadata) == (page.id_, page.text, page.metadata)
        assert again.image_url == page.image_url
        assert again.excluded_embed_metadata_keys == page.excluded_embed_metadata_keys

    def test_a_picture_that_is_carried_along_is_in_the_json(self, box: Any) -> None:
        (page,) = load("/box/red.png", fs=box)

        again = json_to_doc(doc_to_json(page))

        assert isinstance(again, ImageDocument)
        assert is_same(again.resolve_image().read(), picture("red"))
        assert "image_resource" not in page.to_dict(exclude={"image_resource"})

    def test_a_docstore_on_disk_keeps_pictures(self, rivers: Path, box: Any, tmp_path: Path) -> None:
        docstore = SimpleDocumentStore()
        pages = [*load(rivers), *load("/box/red.png", fs=box)]
        docstore.add_documents(pages)
        docstore.persist(str(tmp_path / "docstore.json"))

        kept = SimpleDocumentStore.from_persist_path(str(tmp_path / "docstore.json")).docs

        first, second, red = (kept[page.id_] for page in pages)
        assert [node.image_url for node in (first, second) if isinstance(node, ImageDocument)] == [
            page.image_url for page in pages[:2]
        ]
        assert isinstance(red, ImageDocument)
        assert is_same(red.resolve_image().read(), picture("red"))

    @pytest.mark.parametrize("place", ["disk", "memory"])
    def test_what_a_cache_hands_back_is_stored_with_its_picture(
        self, album: LateInteractionVectorStore, box: Any, tmp_path: Path, place: str
    ) -> None:
        (tmp_path / "red.png").write_bytes(png("red"))
        path, fs = {"disk": (tmp_path / "red.png", None), "memory": ("/box/red.png", box)}[place]
        cache = IngestionCache()

        def ingested() -> BaseNode:
            album.clear()
            pipeline = IngestionPipeline(
                transformations=[KeepPages(SentenceSplitter()), EmbedInStore()], vector_store=album, cache=cache
            )
            pipeline.run(documents=PageReader().load_data(path, fs=fs))
            return best(album, "red")

        first, second = ingested(), ingested()

        for found in (first, second):
            assert isinstance(found, PageNode)
            assert is_same(shown(found), picture("red"))
        assert (second.node_id, second.ref_doc_id) == (first.node_id, first.ref_doc_id) == (f"{path}#1", str(path))
        assert second.metadata == first.metadata

    def test_pages_below_a_root_are_still_those_of_their_file(
        self, store: LateInteractionVectorStore, rivers: Path
    ) -> None:
        pages = load(rivers, root=rivers.parent)
        store.add([json_to_doc(doc_to_json(page)) for page in pages])

        found = store.get_nodes()

        assert [type(node) for node in found] == [PageNode, PageNode]
        assert [node.ref_doc_id for node in found] == ["rivers.pdf", "rivers.pdf"]
        store.delete("rivers.pdf")
        assert store.get_nodes() == []


class TestSimpleDirectoryReader:
    def test_pages_have_the_metadata_of_both(self, rivers: Path, tmp_path: Path) -> None:
        (tmp_path / "red.png").write_bytes(png("red"))
        (tmp_path / "notes.txt").write_text("red bird")
        reader = PageReader()
        pages = SimpleDirectoryReader(
            tmp_path, file_extractor={".pdf": reader, ".png": reader}, **IN_ANY_FOLDER
        ).load_data()

        notes, red, first, second = sorted(pages, key=lambda page: str(page.metadata["file_path"]) + page.id_)
        assert notes.text == "red bird"
        assert names([red, first, second]) == ["red.png#1", "rivers.pdf#1", "rivers.pdf#2"]
        assert second.metadata["file_name"] == "rivers.pdf"
        assert [second.metadata[key] for key in METADATA] == [str(rivers), 2, "2", 2]
        assert second.get_content(MetadataMode.EMBED) == "green tree"
        assert {line.partition(":")[0] for line in second.get_metadata_str(MetadataMode.LLM).splitlines()} == {
            *METADATA
        }
        assert all(isinstance(page, PageDocument) for page in (red, first, second))

    def test_names_of_files_as_ids(self, rivers: Path) -> None:
        extractor: Any = {".pdf": PageReader()}
        pages = SimpleDirectoryReader(input_files=[rivers], file_extractor=extractor, filename_as_id=True).load_data()

        assert [page.id_ for page in pages] == [f"{rivers}_part_0", f"{rivers}_part_1"]
        assert [page.metadata["page"] for page in pages] == [1, 2]

    def test_a_page_that_is_gone_is_removed_by_such_a_name_too(self, rivers: Path, notes: Collection) -> None:
        store = LateInteractionVectorStore(notes)
        pipeline = IngestionPipeline(
            transformations=[EmbedInStore()],
            vector_store=store,
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        )
        extractor: Any = {".pdf": PageReader()}
        for texts in (["one", "two"], ["one"]):
            rivers.write_bytes(text_pdf(texts, media_box=SMALL))
            reader = SimpleDirectoryReader(input_files=[rivers], file_extractor=extractor, filename_as_id=True)
            pipeline.run(documents=reader.load_data())

            assert sorted(notes.ids()) == [f"{rivers}_part_{number}" for number in range(len(texts))]

    @pytest.mark.usefixtures("rivers")
    def test_a_bad_file_is_left_out_or_raised(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 cut off")

        def load(reader: PageReader, **options: Any) -> list[str]:
            return names(
                SimpleDirectoryReader(tmp_path, file_extractor={".pdf": reader}, **options, **IN_ANY_FOLDER).load_data()
            )

        with pytest.warns(UserWarning, match=r"bad\.pdf: the PDF is damaged"):
            assert load(PageReader()) == ["rivers.pdf#1", "rivers.pdf#2"]
        assert load(PageReader(on_error="raise")) == ["rivers.pdf#1", "rivers.pdf#2"]
        assert "bad.pdf" in capsys.readouterr().out  # where LlamaIndex says it
        with pytest.raises(Exception, match="Error loading file") as failed:
            load(PageReader(on_error="raise"), raise_on_error=True)
        assert isinstance(failed.value.__cause__, UnreadableFile)

    async def test_asynchronously_and_one_file_at_a_time(self, rivers: Path) -> None:
        extractor: Any = {".pdf": PageReader()}
        reader = SimpleDirectoryReader(input_files=[rivers], file_extractor=extractor)

        assert names(await reader.aload_data()) == ["rivers.pdf#1", "rivers.pdf#2"]
        assert [names(documents) for documents in reader.iter_data()] == [["rivers.pdf#1", "rivers.pdf#2"]]

    def test_files_of_another_file_system_carry_their_pictures_along(self, box: Any) -> None:
        extractor: Any = {".pdf": PageReader(dpi=72), ".png": PageReader()}
        red, first, second = SimpleDirectoryReader(input_dir="/box", fs=box, file_extractor=extractor).load_data()

        assert [page.id_ for page in (red, first, second)] == [
            *("/box/red.png#1", "/box/rivers.pdf#1", "/box/rivers.pdf#2")
        ]
        assert second.metadata["file_path"] == second.metadata["source"] == "/box/rivers.pdf"
        assert isinstance(red, PageDocument)
        assert is_same(red.resolve_image().read(), picture("red"))
        assert is_same(pictures_of(red.get_content_blocks())[0], picture("red"))
        assert isinstance(second, PageDocument)
        assert Image.open(second.resolve_image()).size == (250, 800)

    def test_a_file_system_takes_one_file(self, box: Any) -> None:
        with pytest.raises(InvalidInput, match="with fs= this takes the path of one file, not list"):
            load(["/box/red.png"], fs=box)
        with pytest.raises(FileNotFoundError):
            load("/box/missing.png", fs=box)

    def test_a_file_that_changes_there_changes_the_hash(self, box: Any) -> None:
        (before,) = load("/box/red.png", fs=box)
        box.pipe("/box/red.png", png("blue"))
        (after,) = load("/box/red.png", fs=box)

        assert before.hash != after.hash


class TestSplitting:
    def test_llama_indexs_own_splitter_gives_each_piece_the_picture_of_its_page(self, rivers: Path) -> None:
        pieces = SentenceSplitter()(load(rivers))

        assert [type(piece) for piece in pieces] == [ImageNode, ImageNode]
        assert [piece.ref_doc_id for piece in pieces] == [f"{rivers}#1", f"{rivers}#2"]
        assert [piece.image_url for piece in pieces if isinstance(piece, ImageNode)] == [
            f"{rivers.as_uri()}#page={number}&dpi=150" for number in (1, 2)
        ]

    def test_pieces_of_a_page_are_found_with_its_picture(
        self, store: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        path = tmp_path / "long.pdf"
        path.write_bytes(text_pdf(["red sea.\n" * 25 + "green tree.\n" * 25], media_box=SMALL))
        (page,) = load(path, dpi=20)
        pieces = SentenceSplitter(chunk_size=110, chunk_overlap=0)([page])

        store.add(pieces)
        found = best(store, "tree")

        assert len(pieces) > 1
        assert (found.ref_doc_id, found.metadata) == (page.id_, page.metadata)
        assert is_same(shown(found), page.resolve_image().read())
        store.delete(page.id_)
        assert store.get_nodes() == []

    async def test_pages_stay_whole_where_texts_are_split(self, rivers: Path) -> None:
        pages = load(rivers)
        text = Document(text="one. two. three. four.")
        keep = KeepPages(SentenceSplitter(chunk_size=4, chunk_overlap=0))

        for nodes in (keep([*pages, text]), await keep.acall([*pages, text])):
            assert len(nodes) > 3
            assert nodes[-2:] == pages
            assert all(node.ref_doc_id == text.id_ for node in nodes[:-2])
        assert keep(pages) == pages


class TestStore:
    def test_a_page_comes_back_with_everything_though_its_file_is_gone(
        self, store: LateInteractionVectorStore, rivers: Path
    ) -> None:
        pages = load(rivers)
        *texts, before = pages[1].get_content_blocks(MetadataMode.LLM)

        assert store.add(pages) == [page.id_ for page in pages]
        rivers.unlink()
        found = best(store, "tree")

        assert isinstance(found, PageNode)
        assert (found.node_id, found.text, found.metadata) == (pages[1].id_, "green tree", pages[1].metadata)
        assert found.ref_doc_id == str(rivers)
        assert found.excluded_embed_metadata_keys == pages[1].excluded_embed_metadata_keys
        assert is_same(shown(found), pictures_of([before])[0])
        assert texts_of(found.get_content_blocks(MetadataMode.LLM)) == texts_of(texts)

    def test_an_embedder_that_sees_finds_scans(self, album: LateInteractionVectorStore, tmp_path: Path) -> None:
        (tmp_path / "scan.pdf").write_bytes(picture_pdf([picture("red", (60, 40)), picture("blue", (60, 40))]))
        (tmp_path / "green.png").write_bytes(png("green"))
        album.add(load(tmp_path))

        for colour, name in (("red", "scan.pdf#1"), ("blue", "scan.pdf#2"), ("green", "green.png#1")):
            found = best(album, colour)
            assert names([found]) == [name]
            assert isinstance(found, PageNode)
            assert is_same(shown(found), picture(colour))

    def test_an_embedder_of_words_leaves_scans_out_with_a_warning(
        self, store: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        (tmp_path / "scan.png").write_bytes(png("red"))
        with pytest.warns(UserWarning, match=r"not stored: .*scan\.png.*: no words"):
            assert store.add(load(tmp_path / "scan.png")) == []

    def test_a_page_of_another_file_system_is_a_page_too(self, album: LateInteractionVectorStore, box: Any) -> None:
        album.add(load("/box/red.png", fs=box))
        found = best(album, "red")

        assert isinstance(found, PageNode)
        assert (found.node_id, found.ref_doc_id) == ("/box/red.png#1", "/box/red.png")
        assert is_same(shown(found), picture("red"))

    def test_what_is_read_again_is_neither_embedded_nor_drawn_again(
        self, shelf: Collection, store: LateInteractionVectorStore, rivers: Path
    ) -> None:
        assert isinstance(shelf.embedder, WordEmbedder)
        store.add(load(rivers))
        embedded = shelf.embedder.embedded
        kept = [node.image_path for node in store.get_nodes() if isinstance(node, PageNode)]

        store.add(load(rivers))

        assert shelf.embedder.embedded == embedded
        assert [node.image_path for node in store.get_nodes() if isinstance(node, PageNode)] == kept
        assert len(kept) == 2

    def test_a_file_is_deleted_by_its_name_and_a_page_by_its_id(
        self, store: LateInteractionVectorStore, rivers: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "other.pdf").write_bytes(text_pdf(["blue sky"]))
        store.add(load(tmp_path))

        store.delete(f"{rivers}#1")
        assert names(store.get_nodes()) == ["other.pdf#1", "rivers.pdf#2"]
        store.delete(str(rivers))
        assert names(store.get_nodes()) == ["other.pdf#1"]

    def test_a_page_whose_file_is_gone_is_left_out_with_a_warning(
        self, album: LateInteractionVectorStore, rivers: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "red.png").write_bytes(png("red"))
        pages = load(tmp_path)
        rivers.unlink()

        with pytest.warns(UserWarning, match=r"is not stored: .*rivers\.pdf: there is no such file"):
            added = album.add(pages)

        assert [name.rpartition("/")[2] for name in added] == names(album.get_nodes()) == ["red.png#1"]


class Ingested:
    """A folder that is ingested again and again, with one docstore, into one store."""

    def __init__(self, folder: Path, store: LateInteractionVectorStore, strategy: DocstoreStrategy) -> None:
        self.folder = folder
        self.pipeline = IngestionPipeline(
            transformations=[KeepPages(SentenceSplitter()), EmbedInStore()],
            vector_store=store,
            docstore=SimpleDocumentStore(),
            docstore_strategy=strategy,
        )

    def run(self) -> list[str]:
        return names(self.pipeline.run(documents=PageReader().load_data(self.folder)))


class TestIngestion:
    def test_upserts_store_what_is_new_or_changed(
        self, store: LateInteractionVectorStore, rivers: Path, tmp_path: Path
    ) -> None:
        ingested = Ingested(tmp_path, store, DocstoreStrategy.UPSERTS)

        assert ingested.run() == ["rivers.pdf#1", "rivers.pdf#2"]
        assert ingested.run() == []
        (tmp_path / "other.pdf").write_bytes(text_pdf(["blue sky"]))
        assert ingested.run() == ["other.pdf#1"]
        rivers.write_bytes(text_pdf(["red sea", "one bird"]))
        assert ingested.run() == ["rivers.pdf#1", "rivers.pdf#2"]
        assert sorted(node.get_content() for node in store.get_nodes()) == ["blue sky", "one bird", "red sea"]

    def test_a_page_that_is_no_more_is_removed(
        self, store: LateInteractionVectorStore, rivers: Path, tmp_path: Path
    ) -> None:
        ingested = Ingested(tmp_path, store, DocstoreStrategy.UPSERTS_AND_DELETE)
        (tmp_path / "other.pdf").write_bytes(text_pdf(["blue sky"]))
        ingested.run()

        rivers.write_bytes(text_pdf(["red sea"]))
        ingested.run()
        assert names(store.get_nodes()) == ["other.pdf#1", "rivers.pdf#1"]
        rivers.unlink()
        assert ingested.run() == []
        assert names(store.get_nodes()) == ["other.pdf#1"]

    def test_a_changed_picture_is_found_though_its_text_is_the_same(
        self, album: LateInteractionVectorStore, tmp_path: Path
    ) -> None:
        (tmp_path / "scan.png").write_bytes(png("red"))
        ingested = Ingested(tmp_path, album, DocstoreStrategy.UPSERTS)
        ingested.run()

        (tmp_path / "scan.png").write_bytes(png("blue"))
        assert ingested.run() == ["scan.png#1"]

        found = best(album, "blue")
        assert isinstance(found, PageNode)
        assert is_same(shown(found), picture("blue"))
        assert len(album.get_nodes()) == 1

    async def test_asynchronously(self, store: LateInteractionVectorStore, rivers: Path, tmp_path: Path) -> None:
        ingested = Ingested(tmp_path, store, DocstoreStrategy.UPSERTS_AND_DELETE)
        pages = await PageReader().aload_data(rivers)

        assert names(await ingested.pipeline.arun(documents=pages)) == ["rivers.pdf#1", "rivers.pdf#2"]
        assert await ingested.pipeline.arun(documents=pages) == []
        await ingested.pipeline.arun(documents=pages[:1])
        assert names(await asyncio.to_thread(store.get_nodes)) == ["rivers.pdf#1"]


def test_an_address_with_a_page_is_no_place_on_this_machine() -> None:
    page = PageDocument(image_resource=MediaResource(url=AnyUrl("https://x.org/a.pdf#page=3")))

    (image,) = page.get_content_blocks()

    assert isinstance(image, ImageBlock)
    assert str(image.url) == "https://x.org/a.pdf#page=3"
