"""LangChain's indexing API over the store, in every mode of clean-up, whole documents and chunks of one parent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Unreadable, embedded
from colmilvus.langchain import LateInteractionVectorStore, PageLoader
from tests.langchain.test_documents import ColourEmbedder
from tests.words import WordEmbedder

Mode = Literal["incremental", "full", "scoped_full"] | None


def chunks(source: str, *texts: str) -> list[Document]:
    return [Document(text, metadata={"source": source, "page": page}) for page, text in enumerate(texts, start=1)]


FIRST = [*chunks("x", "red sea", "green tree", "blue sky"), *chunks("y", "one dog", "two cat")]
SECOND = [*chunks("x", "red sea", "green bird"), *chunks("z", "three")]


def held(store: LateInteractionVectorStore) -> list[tuple[str, str]]:
    """The texts of every source that the store holds, chunk by chunk."""
    entities = store.collection.get([hit.entity.id for hit in store.collection.search("red", 100)])
    texts = [
        (str(part.metadata["source"]), part.text) for entity in entities for part in (entity.segments or (entity,))
    ]
    return sorted(texts)


def another(store: LateInteractionVectorStore) -> LateInteractionVectorStore:
    """The store as another process would open it."""
    return LateInteractionVectorStore(store.collection, group_by=store.group_by)


def texts(documents: Sequence[Document]) -> list[tuple[str, str]]:
    return sorted((document.metadata["source"], document.page_content) for document in documents)


@pytest.fixture(params=["whole", "grouped"])
def either(request: pytest.FixtureRequest) -> LateInteractionVectorStore:
    chosen: LateInteractionVectorStore = request.getfixturevalue("store" if request.param == "whole" else "grouped")
    return chosen


@pytest.fixture
def records() -> InMemoryRecordManager:
    manager = InMemoryRecordManager(namespace="test")
    manager.create_schema()
    return manager


def run(store: LateInteractionVectorStore, records: Any, documents: list[Document], **arguments: Any) -> dict[str, int]:
    told = index(documents, records, store, source_id_key="source", key_encoder="sha256", **arguments)
    return {name.removeprefix("num_"): count for name, count in told.items()}  # type: ignore[misc]  # a TypedDict


def expected(mode: Mode) -> list[Document]:
    y = FIRST[3:]
    if mode == "full":
        return SECOND
    return [*SECOND, *y] if mode is not None else [*SECOND, *y, FIRST[1], FIRST[2]]


@pytest.mark.parametrize("size", [2, 100])
@pytest.mark.parametrize("mode", [None, "incremental", "full", "scoped_full"])
def test_each_mode_leaves_what_it_should(
    either: LateInteractionVectorStore, records: InMemoryRecordManager, words: WordEmbedder, mode: Mode, size: int
) -> None:
    assert run(either, records, FIRST, cleanup=mode, batch_size=size)["added"] == 5
    assert held(either) == texts(FIRST)
    before = words.embedded
    again = run(another(either), records, FIRST, cleanup=mode, batch_size=size)
    assert (
        again["added"] == again["deleted"]
    )  # LangChain's "incremental" removes a source's later batches, and adds them
    assert words.embedded == before
    assert held(either) == texts(FIRST)

    told = run(another(either), records, SECOND, cleanup=mode, batch_size=size)

    assert held(either) == texts(expected(mode))
    assert words.embedded == before + 2
    if size == 100:
        assert told["deleted"] == {None: 0, "incremental": 2, "full": 4, "scoped_full": 2}[mode]
        assert (told["added"], told["skipped"]) == (2, 1)


@pytest.mark.parametrize("is_kept", [True, False])
def test_pages_that_have_not_changed_are_not_looked_at_again(
    tmp_path: Path, records: InMemoryRecordManager, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    frames = [Image.new("RGB", (8, 6), (40 * n, 255 - 40 * n, 99)) for n in range(7)]
    frames[0].save(tmp_path / "scan.tiff", save_all=True, append_images=frames[1:])
    looked_at: list[str] = []
    embed = ColourEmbedder.embed_entities

    def counting(self: ColourEmbedder, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        looked_at.extend(entity.id for entity in entities)
        return embed(self, entities)

    monkeypatch.setattr(ColourEmbedder, "embed_entities", counting)
    client = embedded.connect(tmp_path / "kb.db")  # holds the engine, which is asked as a server where none are kept
    uri, token = (tmp_path / "kb.db", None) if is_kept else embedded.address(tmp_path / "kb.db")
    with Collection("scans", ColourEmbedder(), uri=uri, token=token) as collection:  # type: ignore[arg-type]  # its metric
        for _ in range(3):
            store = LateInteractionVectorStore(collection)
            run(store, records, PageLoader(tmp_path / "scan.tiff").load(), cleanup="incremental", batch_size=2)

        assert collection.count() == 7
        assert len(looked_at) == 7
        assert len(list(tmp_path.glob("kb.db/images/scans/??/*.jpg"))) == (7 if is_kept else 0)
        hits = collection.search(frames[4], 2)
    assert hits[0].entity.metadata["page"] == 5
    assert hits[0].similarity == pytest.approx(1.0, abs=0.01)
    client.close()


def test_a_forced_update_embeds_nothing_that_is_held(
    either: LateInteractionVectorStore, records: InMemoryRecordManager, words: WordEmbedder
) -> None:
    run(either, records, FIRST, cleanup="full")
    before = words.embedded

    told = run(either, records, FIRST, cleanup="full", force_update=True)

    assert told == {"added": 0, "updated": 5, "skipped": 0, "deleted": 0}
    assert words.embedded == before
    assert held(either) == texts(FIRST)


@pytest.mark.parametrize("mode", ["incremental", "full", "scoped_full"])
async def test_the_asynchronous_form_does_the_same(
    either: LateInteractionVectorStore, records: InMemoryRecordManager, mode: Mode
) -> None:
    for documents in (FIRST, SECOND):
        await aindex(
            documents,
            records,
            either,
            cleanup=mode,
            source_id_key="source",
            batch_size=2,
            key_encoder="sha256",
        )

    assert held(either) == texts(expected(mode))


def test_a_source_that_is_deleted_from_the_store_can_be_indexed_again(
    either: LateInteractionVectorStore, records: InMemoryRecordManager
) -> None:
    run(either, records, FIRST, cleanup="incremental")
    either.delete(source="x")
    assert held(either) == texts(FIRST[3:])

    run(either, records, FIRST, cleanup="incremental", force_update=True)

    assert held(either) == texts(FIRST)


def test_a_chunk_that_moves_to_another_source_is_held_once(
    grouped: LateInteractionVectorStore, records: InMemoryRecordManager
) -> None:
    by_page: Callable[[Document], str] = lambda document: f"page {document.metadata['page']}"  # noqa: E731
    index(chunks("x", "red", "sea"), records, grouped, cleanup="full", key_encoder=by_page)

    index(chunks("y", "red", "sea"), records, grouped, cleanup="full", key_encoder=by_page, force_update=True)

    assert held(grouped) == [("y", "red"), ("y", "sea")]
    assert grouped.collection.count() == 1
