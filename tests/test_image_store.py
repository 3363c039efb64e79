"""Where pictures are kept: a folder, and an object store; whatever both do is asked of both."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from colmilvus.errors import DatabaseError, InvalidInput, UnreadableFile
from colmilvus.image_store import ImageStore
from colmilvus.images import image_key, open_image, reference_of
from tests.object_store import forbidding_store, told_to_fsspec
from tests.test_images import BLUE, RED, Drawn, bomb, two_colours


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for pictures."""
    if request.param == "folder":
        return str(tmp_path / "images")
    return str(request.getfixturevalue("bucket")) + "/pages"


@pytest.fixture
def store(place: str) -> ImageStore:
    return ImageStore(place)


def test_a_stored_picture_is_there_under_its_reference(store: ImageStore) -> None:
    reference = store.put(two_colours())
    kept = open_image(store.picture(reference))
    assert kept.size == (40, 20)
    assert np.abs(np.asarray(kept, dtype=int) - np.asarray(two_colours(), dtype=int)).max() < 40
    assert "\\" not in reference
    assert not Path(reference).is_absolute()


def test_small_print_stays_legible(store: ImageStore) -> None:
    rows, columns = np.mgrid[0:200, 0:300]
    lines = np.where((rows // 2 + columns // 2) % 2, 0, 255).astype(np.uint8)  # strokes of two pixels
    kept = np.asarray(open_image(store.picture(store.put(Image.fromarray(lines)))).convert("L"), dtype=float)
    assert np.array_equal(kept > 127, lines > 127)


def test_the_same_picture_is_drawn_and_written_once(store: ImageStore, place: str) -> None:
    lazy = Drawn("page 1", RED)
    first, second = store.put(lazy), store.put(lazy)
    other = ImageStore(place).put(Drawn("page 2", RED))
    assert first == second != other
    assert lazy.times == 1
    assert sorted(store.references()) == sorted([first, other])


def test_discarding_frees_the_file_and_forgives_what_is_gone(store: ImageStore) -> None:
    red, blue = store.put(Image.new("RGB", (4, 4), RED)), store.put(Image.new("RGB", (4, 4), BLUE))
    store.discard([red, red])
    store.discard([red, blue, reference_of(Drawn("nowhere", RED))])
    assert not store.has(red)
    assert list(store.references()) == []
    assert store.put(Image.new("RGB", (4, 4), BLUE)) == blue
    store.discard([])
    assert list(store.references()) == [blue]
    assert store.put(Image.new("RGB", (4, 4), RED)) == red


def test_a_store_that_was_never_written_is_empty(store: ImageStore) -> None:
    assert list(store.references()) == []
    assert list(store.notes()) == []
    store.remove_all()
    store.remove_unfinished(0)
    store.remove_note("unfinished-1.json")


@pytest.mark.parametrize("reference", ["../secret.jpg", "/etc/passwd", "", "ab/cd.jpg", "ab/" + "cd" * 20 + ".jpg"])
def test_a_reference_cannot_lead_out_of_the_store(tmp_path: Path, reference: str) -> None:
    store = ImageStore(tmp_path)
    with pytest.raises(InvalidInput, match="reference"):
        store.picture(reference)
    with pytest.raises(InvalidInput, match="reference"):
        store.has(reference)
    with pytest.raises(InvalidInput, match="reference"):
        store.discard([reference])


def test_an_unreadable_picture_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    with pytest.raises(UnreadableFile):
        store.put(b"no picture")
    assert not list(tmp_path.rglob("*.*"))


def test_threads_that_put_the_same_pictures_agree(store: ImageStore, tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (50, 50), (shade, 0, 0)) for shade in range(0, 200, 20)]
    kept: list[list[str]] = []

    def put_all() -> None:
        kept.append([store.put(picture) for picture in pictures])

    threads = [threading.Thread(target=put_all) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 6
    assert all(references == kept[0] for references in kept)
    assert sorted(store.references()) == sorted(kept[0])
    assert [open_image(store.picture(reference)).size for reference in kept[0]] == [(50, 50)] * 10
    assert not list(tmp_path.rglob("*.part"))


def test_pillows_own_limits_are_left_as_they_are(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    store = ImageStore(tmp_path)
    store.put(two_colours())
    with pytest.raises(UnreadableFile):
        store.put(bomb(50_000, 50_000))
    assert before == Image.MAX_IMAGE_PIXELS
    assert TiffImagePlugin.READ_LIBTIFF is False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of this kind on files")
def test_a_picture_of_which_the_disk_takes_only_a_part_is_not_kept(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from PIL import Image
from colmilvus.image_store import ImageStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    ImageStore(sys.argv[1]).put(Image.effect_noise((200, 200), 90).convert("RGB"))
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)

    assert "took only a part of a picture" in done.stdout or "File too large" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_kept_picture_that_is_put_again_keeps_its_reference(store: ImageStore) -> None:
    kept = store.picture(store.put(Image.new("RGB", (9, 9), "red")))

    assert store.put(kept) == store.put(str(kept)) == store.reference(kept)
    assert list(store.references()) == [store.reference(kept)]


def test_a_picture_of_another_folder_is_known_by_what_its_file_holds(tmp_path: Path) -> None:
    store, other = ImageStore(tmp_path / "kept"), ImageStore(tmp_path / "other")
    path = store.picture(store.put(Image.new("RGB", (9, 9), "red")))

    assert other.put(path) != store.reference(path)


def test_a_picture_in_an_object_store_is_known_unfetched(bucket: str) -> None:
    store = ImageStore(bucket)
    reference = store.put(two_colours())
    kept = store.picture(reference)
    store.remove_all()

    assert image_key(kept) == f"kept:{reference}"
    assert reference_of(kept) == reference
    with pytest.raises(UnreadableFile, match=f"{reference}: there is no such picture"):
        open_image(kept)


def test_another_store_takes_a_picture_byte_for_byte(place: str, tmp_path: Path) -> None:
    store, folder, back = ImageStore(place), ImageStore(tmp_path / "a"), ImageStore(tmp_path / "b")
    reference = folder.put(two_colours())

    store.adopt(reference, folder)
    back.adopt(reference, store)

    assert back.files.read(reference) == store.files.read(reference) == folder.files.read(reference)
    with pytest.raises(FileNotFoundError):
        store.adopt(reference_of(Drawn("nowhere", RED)), folder)


def test_what_lies_within_is_apart_and_goes_with_the_whole(store: ImageStore) -> None:
    inner = store.within("acme")
    reference = inner.put(two_colours())

    assert list(store.references()) == []
    assert list(inner.references()) == [reference]
    inner.leave_note("unfinished-1.json", "é")
    assert list(inner.notes()) == [("unfinished-1.json", "é")]
    assert list(store.notes()) == []
    store.remove_all()
    assert not inner.has(reference)
    assert list(inner.notes()) == []


def test_a_store_that_fails_is_not_taken_for_one_without_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with forbidding_store() as endpoint:
        told_to_fsspec(endpoint, monkeypatch)
        store = ImageStore("s3://bucket")
        with pytest.raises(DatabaseError, match="s3://bucket forbids it"):
            store.has(reference_of(two_colours()))
        with pytest.raises(DatabaseError, match="s3://bucket forbids it"):
            store.put(two_colours())
