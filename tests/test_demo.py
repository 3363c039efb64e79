"""The demo with a user's own files; that the sample reports are found is tested with the reports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.demo import collection_name

from tests.pdfs import broken_pages_pdf, encrypted_pdf, text_pdf

ROOT = Path(__file__).parents[1]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches programs started here, also where this one runs in the background and has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def demo(folder: Path, cwd: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", str(folder)],
        cwd=cwd,
        env=environment,
        text=True,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_demo_lists_what_it_cannot_read_and_answers_from_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "secret.pdf").write_bytes(encrypted_pdf("Bread", user="sesame", owner="boss"))
    (folder / "gap.pdf").write_bytes(broken_pages_pdf("White sharks hunt seals"))
    with demo(folder, tmp_path) as process:
        out, err = process.communicate("sharks\n", timeout=120)
    assert process.returncode == 0, err
    assert "1 page of 1 file in .demo" in out
    assert "Failed:\n  mine/gap.pdf, pages 1, 3: " in out
    assert "mine/secret.pdf: needs a password; use colmilvus index --password PASSWORD\n" in out
    assert re.search(r" gap\.pdf +2  White sharks hunt seals\n", out)
    assert "Warning" not in err
    assert "Traceback" not in err


def test_the_demo_without_the_folder_says_so(tmp_path: Path) -> None:
    with demo(tmp_path / "missing", tmp_path) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (2, "")
    assert out == f"{tmp_path / 'missing'}: there is no such file or folder\n"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_at_the_prompt_ends_the_demo_quietly(tmp_path: Path) -> None:
    (tmp_path / "sea.pdf").write_bytes(text_pdf(["White sharks"]))
    with demo(tmp_path, tmp_path) as process:
        assert process.stdout is not None
        assert any("1 page of 1 file" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("folder", "begins"),
    [("Büro 1", "Buro_1"), ("2024", "folder_2024"), ("東京", "folder"), ("a" * 300, "a" * 50), ("a--b", "a_b")],
)
def test_a_collection_is_named_after_its_folder(folder: str, begins: str) -> None:
    name = collection_name(Path("/home") / folder)
    assert re.fullmatch(rf"{begins}_[0-9a-f]{{8}}", name)
    assert name != collection_name(Path("/mnt") / folder)
