"""Collections move between databases and layouts with every number as it was, and nothing embedded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from colmilvus import Collection, CopyReport, Entity, MultiVector, Segment
from colmilvus.cli.app import app
from colmilvus.embedded import connect
from colmilvus.errors import CollectionMismatch, DatabaseError, InvalidInput, InvalidVectors, Unsupported
from colmilvus.images import open_image
from colmilvus.layouts.layout import Layout
from tests.words import WordEmbedder

DIM = 6
RNG = np.random.default_rng(3)


def entities(count: int) -> list[Entity]:
    return [
        Entity(
            f'"page"\\{number}#é',
            text=f"page {number}",
            image=Image.new("RGB", (30, 20), (number % 255, 10, 10)) if number % 3 == 0 else None,
            document=None if number % 5 == 0 else f"d{number % 4}.pdf",
            version="1",
            metadata={"n": number, "tags": ["a", str(number)], "deep": {"er": [None, 1.5]}},
            internal={"node": number},
        )
        for number in range(count)
    ]


def vectors(count: int) -> list[Any]:
    return [RNG.normal(size=(1 + number % 7, DIM)).astype(np.float32) for number in range(count)]


def filled(path: Path, count: int = 40, **options: Any) -> Collection:
    made = Collection("pages", dim=DIM, uri=path, fields={"n": int}, **options)
    made.add(entities(count), vectors=vectors(count), progress=False)
    return made


def contents(collection: Collection) -> dict[str, Any]:
    """All that a collection gives back, pictures as pixels."""
    found = collection.with_vectors(collection.ids())
    return {
        name: (
            {**vars(entity), "image": entity.image and np.asarray(open_image(entity.image)).tolist()},
            vectors.vectors.tolist(),
            None if vectors.segments is None else vectors.segments.tolist(),
        )
        for name, (entity, vectors) in found.items()
    }


def answers(collection: Collection) -> list[list[tuple[str, float]]]:
    queries = [MultiVector(np.random.default_rng(n).normal(size=(4, DIM))) for n in range(5)]
    found = [collection.search(query, 10, filter=wanted) for query in queries for wanted in (None, {"n": {"$gte": 20}})]
    return [[(hit.entity.id, round(hit.score, 4)) for hit in hits] for hits in found]


class TestThereAndBack:
    def test_from_a_folder_to_an_old_server_and_back(self, tmp_path: Path, old_uri: str) -> None:
        with filled(tmp_path / "a.db") as first:
            there = first.copy_to(old_uri, images=tmp_path / "pictures", progress=False)
            with Collection("pages", uri=old_uri, images=tmp_path / "pictures") as middle:
                back = middle.copy_to(tmp_path / "b.db", progress=False)
                assert contents(middle) == contents(first)
                assert answers(middle) == answers(first)
            with Collection("pages", uri=tmp_path / "b.db") as last:
                assert contents(last) == contents(first)
                assert answers(last) == answers(first)
                assert last.spec == first.spec

        assert there == back == CopyReport(copied=40, pictures=14)

    def test_from_arrays_of_structs_to_flat_rows_and_back(self, tmp_path: Path) -> None:
        with filled(tmp_path / "a.db") as first:
            first.copy_to(tmp_path / "b.db", "flat", layout="flat", progress=False)
            with Collection("flat", uri=tmp_path / "b.db") as flat:
                flat.copy_to(tmp_path / "c.db", "pages", layout="struct_array", progress=False)
                assert contents(flat) == contents(first)
            with Collection("pages", uri=tmp_path / "c.db") as last:
                assert contents(last) == contents(first)
                assert answers(last) == answers(first)

    def test_segments_in_several_parts(self, tmp_path: Path, old_uri: str) -> None:
        def entity(number: int) -> tuple[Entity, MultiVector]:
            owners = np.sort(RNG.integers(0, 5, size=20))
            owners[:5] = range(5)
            segments = tuple(Segment(f"{number}/{n}", f"text {n}", {"n": n}, {"own": n}) for n in range(5))
            return Entity(f"e{number}", segments=segments), MultiVector(RNG.normal(size=(20, DIM)), np.sort(owners))

        given = [entity(number) for number in range(6)]
        with Collection("split", dim=DIM, uri=tmp_path / "a.db", segments=True, capacity=15) as first:
            first.add([each for each, _ in given], vectors=[found for _, found in given], progress=False)
            first.copy_to(old_uri, progress=False)
            with Collection("split", uri=old_uri) as middle:
                assert contents(middle) == contents(first)
                middle.copy_to(tmp_path / "b.db", progress=False)
            with Collection("split", uri=tmp_path / "b.db") as last:
                assert contents(last) == contents(first)

    def test_every_tenant(self, tmp_path: Path) -> None:
        with Collection("shared", dim=DIM, uri=tmp_path / "a.db", tenant_field="tenant") as first:
            for tenant in ("a", "b/c"):
                first.for_tenant(tenant).add(entities(5), vectors=vectors(5), progress=False)
            report = first.copy_to(tmp_path / "b.db", progress=False)
            with Collection("shared", uri=tmp_path / "b.db") as last:
                assert report.copied == 10
                assert last.tenants() == {"a": 5, "b/c": 5}
                for tenant in ("a", "b/c"):
                    assert contents(last.for_tenant(tenant)) == contents(first.for_tenant(tenant))

    def test_what_was_copied_counts_as_added(self, tmp_path: Path, words: WordEmbedder) -> None:
        notes = [Entity(f"n{n}", text=f"red boat {n}", image=Image.new("RGB", (9, 9), (n, 0, 0))) for n in range(4)]
        with Collection("notes", words, uri=tmp_path / "a.db") as first:
            first.add(notes, progress=False)
            first.copy_to(tmp_path / "b.db", progress=False)
        with Collection("notes", words, uri=tmp_path / "b.db") as last:
            report = last.add(notes, progress=False)

            assert report.unchanged == 4
            assert last.search("boat", 1)

    def test_a_target_may_have_an_index_of_its_own(self, tmp_path: Path) -> None:
        index = {"index_type": "HNSW", "params": {"M": 16, "efConstruction": 100}}
        Collection("pages", dim=DIM, uri=tmp_path / "b.db", fields={"n": int}, index=index).close()
        with filled(tmp_path / "a.db", 3) as first:
            assert first.copy_to(tmp_path / "b.db", progress=False).copied == 3


class TestCutShort:
    def test_it_goes_on_where_it_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("colmilvus.layouts.table.PAGE", 10)
        writes = 0
        write = Layout.stored

        def failing(self: Layout, ids: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == 8:
                raise KeyboardInterrupt
            return write(self, ids)

        with filled(tmp_path / "a.db") as first:
            monkeypatch.setattr(Layout, "stored", failing)
            with pytest.raises(KeyboardInterrupt):
                first.copy_to(tmp_path / "b.db", progress=False)
            with Collection("pages", uri=tmp_path / "b.db") as last:
                before = last.count()
                assert 0 < before < 40
            report = first.copy_to(tmp_path / "b.db", progress=False)
            again = first.copy_to(tmp_path / "b.db", progress=False)
            with Collection("pages", uri=tmp_path / "b.db") as last:
                assert contents(last) == contents(first)

        assert (report.copied, report.unchanged) == (40 - before, before)
        assert again == CopyReport(unchanged=40, pictures=14)

    def test_what_changed_is_copied_again_and_others_stay(self, tmp_path: Path) -> None:
        with filled(tmp_path / "a.db", 10) as first:
            first.copy_to(tmp_path / "b.db", progress=False)
            with Collection("pages", uri=tmp_path / "b.db") as last:
                last.add([Entity("own")], vectors=[np.eye(DIM)], progress=False)
                changed = entities(10)[4]
                last.add([changed], vectors=[np.ones((2, DIM))], progress=False)
            report = first.copy_to(tmp_path / "b.db", progress=False)
            with Collection("pages", uri=tmp_path / "b.db") as last:
                found = contents(last)
                assert found.pop("own")
                assert found == contents(first)

        assert (report.copied, report.unchanged) == (1, 9)

    def test_what_does_not_read_back_as_written_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with filled(tmp_path / "a.db", 6) as first:
            monkeypatch.setattr("colmilvus.copying._equal", lambda *_: False)
            with pytest.raises(DatabaseError, match="6 entities do not read back as they were written, such as"):
                first.copy_to(tmp_path / "b.db", progress=False)


class TestPictures:
    def test_a_server_without_a_folder_keeps_none_and_says_so(self, tmp_path: Path, old_uri: str) -> None:
        with filled(tmp_path / "a.db", 7) as first, pytest.warns(UserWarning, match="3 entities have no picture"):
            report = first.copy_to(old_uri, progress=False)

        assert (report.copied, report.pictures, report.without_picture) == (7, 0, 3)

    def test_a_file_that_is_gone_is_counted(self, tmp_path: Path) -> None:
        with filled(tmp_path / "a.db", 7) as first:
            shutil.rmtree(tmp_path / "a.db" / "images")
            with pytest.warns(UserWarning, match="their files are gone"):
                report = first.copy_to(tmp_path / "b.db", progress=False)

        assert report.without_picture == 3

    def test_the_files_are_the_same_to_the_byte(self, tmp_path: Path) -> None:
        with filled(tmp_path / "a.db", 7) as first:
            first.copy_to(tmp_path / "b.db", progress=False)

        found = {
            side: {path.relative_to(tmp_path / side): path.read_bytes() for path in (tmp_path / side).rglob("*.jpg")}
            for side in ("a.db", "b.db")
        }
        assert len(found["a.db"]) == 3
        assert found["a.db"] == found["b.db"]

    def test_pictures_that_the_source_was_not_told_of_are_told(self, tmp_path: Path, old_uri: str) -> None:
        with filled(tmp_path / "a.db", 4) as first:
            first.copy_to(old_uri, images=tmp_path / "pictures", progress=False)
        with Collection("pages", uri=old_uri) as middle, pytest.warns(UserWarning, match="open this collection with"):
            middle.copy_to(tmp_path / "b.db", progress=False)


class TestRefused:
    def test_another_dimension(self, tmp_path: Path) -> None:
        Collection("pages", dim=4, uri=tmp_path / "b.db").close()
        with filled(tmp_path / "a.db", 3) as first, pytest.raises(CollectionMismatch, match="dim=4, not 6"):
            first.copy_to(tmp_path / "b.db", progress=False)

    def test_the_collection_itself(self, tmp_path: Path) -> None:
        with filled(tmp_path / "a.db", 3) as first, pytest.raises(InvalidInput, match="to itself"):
            first.copy_to(tmp_path / "a.db", progress=False)

    def test_16_bits_where_there_are_none(self, tmp_path: Path, old_uri: str) -> None:
        with filled(tmp_path / "a.db", 3, dtype="float16") as first:
            with pytest.raises(Unsupported, match="dtype='float32'"):
                first.copy_to(old_uri, progress=False)
            with pytest.warns(UserWarning, match="picture"):
                report = first.copy_to(old_uri, dtype="float32", progress=False)
            assert report.copied == 3

    def test_numbers_that_16_bits_do_not_hold(self, tmp_path: Path) -> None:
        with Collection("pages", dim=2, metric="IP", uri=tmp_path / "a.db") as first:
            first.add([Entity("a")], vectors=[[[1e6, 1]]], progress=False)
            with pytest.raises(InvalidVectors, match="entity 'a'"):
                first.copy_to(tmp_path / "b.db", dtype="float16", progress=False)


class TestCommand:
    def run(self, *arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def test_all_collections_there_and_back(self, tmp_path: Path, old_uri: str) -> None:
        with filled(tmp_path / "a.db", 12) as first:
            with Collection("others", dim=3, uri=tmp_path / "a.db") as others:
                others.add([Entity("x")], vectors=[np.eye(3)], progress=False)
            before = contents(first)

        there = self.run("migrate", tmp_path / "a.db", old_uri, "--images", tmp_path / "pictures")
        back = self.run(
            "migrate", old_uri, tmp_path / "b.db", "--collection", "pages", "--images", tmp_path / "pictures"
        )

        assert there.exit_code == 0, there.output
        assert "pages: 12 entities copied, 0 were there already, 4 with pictures" in there.stdout
        assert "others: 1 entities copied" in there.stdout
        assert back.exit_code == 0, back.output
        with Collection("pages", uri=tmp_path / "b.db") as last:
            assert contents(last) == before

    def test_what_something_else_made_is_named_and_left_out(self, tmp_path: Path) -> None:
        filled(tmp_path / "a.db", 2).close()
        client = connect(tmp_path / "a.db")
        client.create_collection("foreign", dimension=4)
        client.close()

        done = self.run("migrate", tmp_path / "a.db", tmp_path / "b.db")

        assert done.exit_code == 1
        assert "foreign is left out" in done.stderr
        assert "pages: 2 entities copied" in done.stdout

    @pytest.mark.parametrize("name", ["missing", "pages"])
    def test_what_is_not_there_is_an_error(self, tmp_path: Path, name: str) -> None:
        done = self.run("migrate", tmp_path / "none.db", tmp_path / "b.db", "--collection", name)

        assert done.exit_code == 2
        assert "there is no database" in done.stderr
        assert not (tmp_path / "b.db").exists()
