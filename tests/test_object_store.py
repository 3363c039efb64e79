"""A server's collection whose pictures are in an object store: what hits, adapters, copies and faults make of them."""

from __future__ import annotations

import json
import pickle
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from langchain_core.documents import Document
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import ImageNode, MetadataMode
from PIL import Image
from typer.testing import CliRunner

from colmilvus import Collection, Entity, Server
from colmilvus.cli.app import app
from colmilvus.errors import CollectionNotFound, DatabaseError, InvalidInput, UnreadableFile
from colmilvus.image_store import StoredImage
from colmilvus.images import open_image
from colmilvus.langchain import LateInteractionRetriever, LateInteractionVectorStore, to_message_content
from colmilvus.llama_index import LateInteractionRetriever as NodeRetriever
from colmilvus.llama_index import LateInteractionVectorStore as NodeStore
from colmilvus.pdf import named_picture
from tests.object_store import forbidding_store, told_to_fsspec
from tests.words import WordEmbedder

pytestmark = pytest.mark.everywhere(folder=False, flat=False)  # pictures are the same to every layout

RED, BLUE = (200, 10, 10), (10, 10, 200)
ENTITIES = [
    Entity("a", "red sea", image=Image.new("RGB", (30, 20), RED)),
    Entity("b", "blue sky", image=Image.new("RGB", (30, 20), BLUE)),
    Entity("c", "green tree"),
]


@pytest.fixture
def pages(database: Server, words: WordEmbedder, bucket: str) -> Any:
    with Collection("pages", words, uri=database, images=f"{bucket}/kept/") as collection:
        collection.add(ENTITIES, progress=False)
        yield collection


def picture(collection: Collection, id: str) -> StoredImage:
    (entity,) = collection.get([id])
    assert isinstance(entity.image, StoredImage)
    return entity.image


def kept(bucket: str) -> list[str]:
    """What lies in a bucket."""
    store = fsspec.filesystem("s3")
    store.invalidate_cache()
    return [f"s3://{path}" for path in store.find(bucket)]


def addresses(collection: Collection) -> dict[str, str]:
    return {entity.id: str(entity.image) for entity in collection.get(collection.ids()) if entity.image is not None}


def test_pictures_come_with_what_is_found_and_are_fetched_when_opened(pages: Collection, bucket: str) -> None:
    (hit,) = pages.search("red", k=1)

    assert pages.keeps_images
    assert isinstance(hit.entity.image, StoredImage)
    assert re.fullmatch(rf"{bucket}/kept/pages/(..)/\1[0-9a-f]{{38}}\.jpg", str(hit.entity.image))
    red = open_image(hit.entity.image)
    assert red.size == (30, 20)
    assert np.abs(np.asarray(red, dtype=int) - RED).max() < 8
    assert Image.open(BytesIO(hit.entity.image.read())).format == "JPEG"
    assert pickle.loads(pickle.dumps(hit.entity.image)) == hit.entity.image
    assert sorted(addresses(pages).values()) == kept(bucket)


def test_what_was_not_changed_is_neither_drawn_nor_written_again(pages: Collection, bucket: str) -> None:
    found = pages.get(["a"])

    assert pages.add(ENTITIES, progress=False).unchanged == 3
    assert pages.add([replace(found[0], metadata={"seen": True})], progress=False).replaced == 1
    assert addresses(pages)["a"] == str(found[0].image)
    assert len(kept(bucket)) == 2


@pytest.mark.everywhere(folder=False)
def test_pictures_go_with_what_names_them(pages: Collection, bucket: str) -> None:
    pages.add([Entity("d", "red bird", image=Image.new("RGB", (30, 20), RED))], progress=False)
    before = addresses(pages)
    assert before["d"] == before["a"]

    pages.delete(["a"])
    assert kept(bucket) == sorted({before["b"], before["d"]})
    pages.add([replace(ENTITIES[1], image=None)], progress=False)
    assert kept(bucket) == [before["d"]]
    pages.clear()
    assert kept(bucket) == []
    pages.add(ENTITIES, progress=False)
    pages.drop()
    assert kept(bucket) == []


def test_what_was_cut_short_is_freed_at_the_next_opening(pages: Collection, database: Server, bucket: str) -> None:
    lost = f"{bucket}/kept/pages/aa/aa{'0' * 38}.jpg"
    store = fsspec.filesystem("s3")
    store.pipe_file(lost, b"a picture")
    for name, owner, began in (("1", "elsewhere 1", 0.0), ("2", "elsewhere 1", 1e12)):
        note = json.dumps([owner, [lost.partition("pages/")[2]] if name == "1" else [], began])
        store.pipe_file(f"{bucket}/kept/pages/unfinished-{name}.json", note.encode())
    store.pipe_file(f"{bucket}/kept/pages/unfinished-3.json", b"[damaged")

    with Collection("pages", uri=database, images=f"{bucket}/kept"):
        left = kept(bucket)

    assert left == sorted([*addresses(pages).values(), f"{bucket}/kept/pages/unfinished-2.json"])


def test_a_picture_that_is_gone_is_told_by_its_address_and_comes_back(pages: Collection) -> None:
    found = picture(pages, "a")
    fsspec.filesystem("s3").rm(found.url)

    with pytest.raises(UnreadableFile, match=re.escape(f"{found}: there is no such picture")):
        open_image(found)
    assert pages.add(ENTITIES, progress=False).replaced == 1
    assert open_image(found).size == (30, 20)


def test_each_tenant_has_pictures_of_its_own(database: Server, words: WordEmbedder, bucket: str) -> None:
    with Collection("pages", words, uri=database, images=bucket, tenant_field="tenant") as pages:
        acme, other = pages.for_tenant("acme"), pages.for_tenant("other")
        for view in (acme, other):
            view.add(ENTITIES, progress=False)
        assert len(kept(bucket)) == 4

        acme.clear()

        assert kept(bucket) == sorted(addresses(other).values())
        assert picture(other, "a").open().size == (30, 20)


def test_copies_take_pictures_along_byte_for_byte(pages: Collection, tmp_path: Path) -> None:
    assert pages.copy_to(tmp_path / "a.db", progress=False).pictures == 2
    with Collection("pages", uri=tmp_path / "a.db") as laptop:
        there = {entity.id: entity.image for entity in laptop.get(laptop.ids())}
        for name in ("a", "b"):
            assert Path(str(there[name])).read_bytes() == picture(pages, name).read()
        assert there["c"] is None


class TestAdapters:
    """Both frameworks hand a picture in an object store to models that see, and take it back."""

    def test_langchain_names_the_address_and_shows_the_picture(self, pages: Collection) -> None:
        retriever = LateInteractionRetriever(collection=pages, k=1)

        (document,) = retriever.invoke("red")

        assert document.metadata["image"] == addresses(pages)["a"]
        (_, shown) = to_message_content([document])
        assert Image.open(BytesIO(b64decode(shown["base64"]))).size == (30, 20)

    def test_langchain_takes_back_what_it_gave(self, pages: Collection, bucket: str) -> None:
        store = LateInteractionVectorStore(pages)
        (document,) = store.get_by_ids(["a"])
        store.add_documents([Document(document.page_content, id="new", metadata=document.metadata)])

        assert addresses(pages)["new"] == addresses(pages)["a"]
        assert len(kept(bucket)) == 2

    def test_llama_index_has_a_node_that_shows_the_picture(self, pages: Collection, bucket: str) -> None:
        (found,) = NodeRetriever(pages, similarity_top_k=1).retrieve("red")
        node = found.node

        assert isinstance(node, ImageNode)
        assert (node.image_url, node.image_path) == (addresses(pages)["a"], None)
        resolved = node.resolve_image()
        assert isinstance(resolved, BytesIO)
        assert Image.open(resolved).size == (30, 20)
        blocks = node.get_content_blocks(MetadataMode.NONE)
        shown = [block for block in blocks if isinstance(block, ImageBlock)]
        assert [Image.open(BytesIO(block.resolve_image().read())).size for block in shown] == [(30, 20)]
        NodeStore(pages).add([node])
        assert addresses(pages)["a"] == node.image_url
        assert len(kept(bucket)) == 2


class TestAddresses:
    """What can be kept where, and what is only ever read."""

    @pytest.mark.parametrize(
        ("images", "told"),
        [
            ("https://example.org/pages", "cannot be kept at 'https://example.org/pages'; take one such as s3://"),
            ("simplecache::s3://bucket", "cannot be kept at"),
            ("nosuch://bucket/pages", "cannot be kept at nosuch://bucket/pages"),
            ("dask://bucket/pages", "cannot be kept at dask://bucket/pages: .*nstall"),
            ("sftp://me:hidden@host/pages", "'sftp://host/pages' came with a password"),
        ],
    )
    def test_an_address_where_nothing_can_be_kept_is_refused(
        self, database: Server, words: WordEmbedder, images: str, told: str
    ) -> None:
        with pytest.raises(InvalidInput, match=told) as caught:
            Collection("pages", words, uri=database, images=images)
        assert "hidden" not in str(caught.value)
        with pytest.raises(CollectionNotFound):
            Collection("pages", uri=database)

    def test_a_bucket_that_is_not_there_is_told(self, database: Server, words: WordEmbedder, bucket: str) -> None:
        with Collection("pages", words, uri=database, images=f"{bucket}-gone/pages") as pages:
            with pytest.raises(DatabaseError, match=f"{bucket}-gone/pages/pages fails: .*is the address"):
                pages.add(ENTITIES, progress=False)
            assert pages.count() == 0

    def test_keys_without_rights_are_told_and_not_shown(
        self, database: Server, words: WordEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with forbidding_store() as endpoint:
            told_to_fsspec(endpoint, monkeypatch)
            with pytest.raises(DatabaseError, match=r"s3://bucket/pages forbids it: .*; use keys that may") as caught:
                Collection("pages", words, uri=database, images="s3://bucket")
        assert "a secret key" not in str(caught.value)

    @pytest.mark.parametrize("scheme", ["http", "https", "simplecache::http", "data", "github"])
    def test_no_text_of_others_makes_it_ask_the_web(self, scheme: str) -> None:
        name = f"ab/ab{'0' * 38}.jpg"
        assert named_picture(f"{scheme}://127.0.0.1/{name}") is None
        assert named_picture("s3://bucket/holiday.jpg") is None
        assert named_picture(f"s3://bucket/{name}") == StoredImage(f"s3://bucket/{name}")


def test_migrate_moves_pictures_into_an_object_store(
    database: Server, words: WordEmbedder, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collection("pages", words, uri=tmp_path / "a.db") as laptop:
        laptop.add(ENTITIES, progress=False)
    monkeypatch.setenv("COLMILVUS_TO_TOKEN", database.token or "")

    done = CliRunner().invoke(app, ["migrate", str(tmp_path / "a.db"), database.uri, "--images", bucket])

    assert "3 entities copied, 0 were there already, 2 with pictures" in done.output
    with Collection("pages", words, uri=database, images=bucket) as pages:
        assert sorted(addresses(pages).values()) == kept(bucket)
        assert picture(pages, "a").open().size == (30, 20)
