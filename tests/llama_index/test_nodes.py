"""Nodes with pictures, what lies in the rows, and what is embedded of a node."""

from __future__ import annotations

import http.server
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import VectorStoreQuery
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Unreadable, embedded
from colmilvus.errors import InvalidEntity, InvalidInput
from colmilvus.llama_index import LateInteractionRetriever, LateInteractionVectorStore, PageNode
from tests.colours import ColourEmbedder, png
from tests.words import WordEmbedder


@pytest.fixture
def store(notes: Collection) -> LateInteractionVectorStore:
    return LateInteractionVectorStore(notes)


@pytest.fixture
def seeing(database: Path) -> Iterator[LateInteractionVectorStore]:
    with Collection("colours", ColourEmbedder(), uri=database) as collection:
        yield LateInteractionVectorStore(collection)


def encoded(colour: str) -> str:
    return b64encode(png(colour)).decode()


def illustrated(tmp_path: Path) -> dict[str, BaseNode]:
    """A red picture in each place where a node can have one."""
    path = tmp_path / "red picture.png"
    path.write_bytes(png("red"))
    data, uri = encoded("red"), f"data:image/png;base64,{encoded('red')}"
    return {
        "ImageNode.image": ImageNode(id_="n", image=data),
        "ImageNode.image, a data URI": ImageNode(id_="n", image=uri),
        "ImageNode.image_path": ImageNode(id_="n", image_path=str(path)),
        "ImageNode.image_url": ImageNode(id_="n", image_url=path.as_uri()),
        "ImageNode.image_url, a data URI": ImageNode(id_="n", image_url=uri),
        "Node.data": Node(id_="n", image_resource=MediaResource(data=png("red"))),
        "Node.path": Node(id_="n", image_resource=MediaResource(path=path)),
        "Node.url": Node(id_="n", image_resource=MediaResource(url=uri)),  # type: ignore[arg-type]  # pydantic reads it
        "Document": Document(id_="n", image_resource=MediaResource(data=png("red"))),
        "ImageDocument": ImageDocument(id_="n", image=data),
    }


def kept_picture(node: BaseNode) -> Path:
    """The path at which a node says that its picture is, and that it names no other place."""
    if isinstance(node, ImageNode):
        assert (node.image, node.image_url, node.image_mimetype) == (None, None, "image/jpeg")
        return Path(str(node.image_path))
    assert isinstance(node, Node)
    resource = node.image_resource
    assert resource is not None
    assert (resource.data, resource.url, resource.mimetype) == (None, None, "image/jpeg")
    return Path(str(resource.path))


def test_a_picture_without_text_is_kept_found_and_comes_back(
    seeing: LateInteractionVectorStore, tmp_path: Path
) -> None:
    for place, node in illustrated(tmp_path).items():
        assert seeing.add([node, ImageNode(id_="other", image=encoded("blue"))]) == ["n", "other"], place

        found = seeing.query(VectorStoreQuery(query_str="red", similarity_top_k=1)).nodes or []

        assert type(found[0]) is type(node), place
        path = kept_picture(found[0])
        assert str(path).startswith(str(Path(seeing.collection.uri).absolute() / "images"))
        with Image.open(path) as picture:
            assert picture.getpixel((1, 1)) == pytest.approx((254, 0, 0), abs=3)
        seeing.clear()


def test_no_picture_lies_in_a_row(seeing: LateInteractionVectorStore) -> None:
    data = b64encode(png("red") + b"\0" * 100_000).decode()
    seeing.add(
        [
            ImageNode(id_="a", text="words", image=data),
            Document(id_="b", image_resource=MediaResource(data=data.encode())),
        ]
    )

    for entity in seeing.collection.get(["a", "b"]):
        assert len(json.dumps([dict(entity.internal), dict(entity.metadata)])) < 500
    assert seeing.collection.get(["a"])[0].text == "words"


def test_text_is_stored_once_and_nothing_is_added_to_the_metadata(
    store: LateInteractionVectorStore,
) -> None:
    text = "a red boat of an unheard-of name"
    for node in (TextNode(id_="t", text=text, metadata={"k": 1}), Document(id_="d", text=text, metadata={"k": 1})):
        store.add([node])
        (entity,) = store.collection.get([node.node_id])

        assert (entity.text, entity.metadata) == (text, {"k": 1})
        assert "unheard-of" not in json.dumps(dict(entity.internal))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of files, which has one picture."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "red.png").write_bytes(png("red"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_picture_at_an_address_is_fetched_for_an_embedder_that_sees(
    seeing: LateInteractionVectorStore, store: LateInteractionVectorStore, address: str
) -> None:
    node = ImageNode(id_="n", text="red", image_url=f"{address}/red.png")
    for each in (seeing, store):
        each.add([node])
        (read,) = each.get_nodes(["n"])
        assert isinstance(read, ImageNode)
        assert read.image_url == node.image_url
        assert (read.image_path is not None) == (each is seeing)
    with pytest.warns(UserWarning, match=r"node 'm' is not stored: .*/lost.png: .*404"):
        assert seeing.add([ImageNode(id_="m", image_url=f"{address}/lost.png")]) == []


def test_a_picture_that_cannot_be_read_is_named_and_stops_no_other(
    seeing: LateInteractionVectorStore, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(png("red")[:30])
    red = TextNode(id_="red", text="red")
    for told, wrong in {
        "no such file": ImageNode(id_="n", image_path=str(tmp_path / "lost.png")),
        "cannot be read as a picture": ImageNode(id_="n", image_path=str(tmp_path / "broken.png")),
        "its picture: is not in base64": ImageNode(id_="n", image="%%%"),
    }.items():
        with pytest.warns(UserWarning, match=told):
            assert seeing.add([wrong, red]) == ["red"]
    assert seeing.collection.ids() == ["red"]


def test_where_pictures_are_not_kept_they_come_back_as_they_were(database: Path, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png("red"))
    with Collection("colours", ColourEmbedder(), uri=database):
        uri, token = embedded.address(database)
        with Collection("served", ColourEmbedder(), uri=uri, token=token) as served:
            store = LateInteractionVectorStore(served)
            nodes = [
                ImageNode(id_="path", image_path=str(tmp_path / "red.png")),
                ImageNode(id_="inline", image=encoded("red")),
                Node(id_="node", image_resource=MediaResource(data=png("red"), mimetype="image/png")),
            ]
            store.add(nodes)

            for node, read in zip(nodes, store.get_nodes(["path", "inline", "node"]), strict=True):
                assert read == node
            assert store.query(VectorStoreQuery(query_str="red", similarity_top_k=3)).similarities == [1, 1, 1]
            with pytest.raises(InvalidEntity, match=r"'big': its internal data has .* at most 57344"):
                store.add([ImageNode(id_="big", image=b64encode(png("red") + b"\0" * 90_000).decode())])


def test_a_sound_too_large_for_a_row_is_refused_by_name(store: LateInteractionVectorStore) -> None:
    with pytest.raises(InvalidEntity, match="'n': its internal data has"):
        store.add([Document(id_="n", text="red", audio_resource=MediaResource(data=b"\1" * 90_000))])


class RecordingEmbedder(WordEmbedder):
    """Remembers the texts that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        self.texts += [text for entity in entities for text in self._texts(entity) or [entity.text]]
        return super().embed_entities(entities)


def test_nodes_are_embedded_with_the_metadata_that_llama_index_would_embed(database: Path) -> None:
    embedder = RecordingEmbedder()
    with Collection("recorded", embedder, uri=database, segments=True) as collection:
        shared: dict[str, Any] = {
            "metadata": {"title": "Boats", "secret": "x"},
            "excluded_embed_metadata_keys": ["secret"],
            "excluded_llm_metadata_keys": ["title"],
            "metadata_template": "{key}={value}",
            "text_template": "{metadata_str} | {content}",
        }
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d")}
        LateInteractionVectorStore(collection).add([TextNode(id_="whole", text="a red boat", **shared)])
        grouped = LateInteractionVectorStore(collection, group_by="ref_doc_id")
        grouped.add([TextNode(id_="part", text="a green boat", relationships=source, **shared)])

        assert embedder.texts == ["title=Boats | a red boat", "title=Boats | a green boat"]
        assert collection.get(["whole"])[0].text == "a red boat"


def test_metadata_do_not_stand_in_for_what_cannot_be_read(store: LateInteractionVectorStore) -> None:
    blank = [TextNode(id_="blank", text=" ", metadata={"a": "red"}), ImageNode(id_="seen", image=encoded("red"))]
    with pytest.warns(UserWarning, match="not stored: "):
        assert store.add([*blank, TextNode(id_="text", text="red")]) == ["text"]
    assert store.collection.ids() == ["text"]


def test_what_is_stored_already_is_not_embedded_again(store: LateInteractionVectorStore, words: WordEmbedder) -> None:
    node = TextNode(id_="n", text="red", metadata={"k": 1}, embedding=[0.5])
    store.add([node, Document(id_="d", text="blue")])
    assert words.embedded == 2

    store.add([node, Document(id_="d", text="blue")])
    assert words.embedded == 2
    store.add([node.model_copy(update={"excluded_embed_metadata_keys": ["k"]})])
    assert words.embedded == 3


def test_wrong_nodes_are_refused_before_anything_is_stored(store: LateInteractionVectorStore) -> None:
    good = TextNode(text="red")
    with pytest.raises(InvalidInput, match="two nodes have the id 'n'"):
        store.add([good, TextNode(id_="n", text="red"), TextNode(id_="n", text="blue")])
    with pytest.raises(InvalidInput, match="LlamaIndex's nodes, not str"):
        store.add([good, "red"])  # type: ignore[list-item]  # a tested mistake
    with pytest.raises(InvalidEntity, match="node 'n' cannot be written as JSON"):
        store.add([good, IndexNode(id_="n", text="red", index_id="x", obj=object())])
    with pytest.raises(InvalidEntity, match="'n': its metadata is not what JSON can hold"):
        store.add([good, TextNode(id_="n", text="red", metadata={"k": {1, 2}})])
    with pytest.raises(InvalidEntity, match="'n': its text has 70000 bytes"):
        store.add([good, TextNode(id_="n", text="x" * 70_000)])
    assert store.collection.count() == 0


class RatedNode(TextNode):
    """A class of a user's own."""

    rating: int = 0


def test_a_class_of_ones_own_comes_back_as_the_one_that_it_extends(store: LateInteractionVectorStore) -> None:
    store.add([RatedNode(id_="plain", text="red")])
    with pytest.warns(UserWarning, match="node 'rated' is kept as TextNode, which has no rating"):
        store.add([RatedNode(id_="rated", text="red", rating=3)])

    assert [type(node) for node in store.get_nodes(["plain", "rated"])] == [TextNode, TextNode]


def test_what_others_have_stored_comes_as_pages_and_texts(store: LateInteractionVectorStore) -> None:
    picture = Image.new("RGB", (4, 4), "red")
    store.collection.add([Entity("p#1", "red", image=picture, document="p"), Entity("q", "blue", metadata={"k": 1})])

    page, text = store.get_nodes(["p#1", "q"])

    assert isinstance(page, PageNode)
    assert (page.text, page.ref_doc_id) == ("red", "p")
    assert (type(text), text.metadata, text.relationships) == (TextNode, {"k": 1}, {})
    assert text.get_content(MetadataMode.EMBED) == "blue"  # as it was embedded
    assert text.get_content(MetadataMode.LLM) == "k: 1\n\nblue"
    assert {node.node_id for node in LateInteractionRetriever(store.collection).retrieve("red")} == {"p#1", "q"}
