"""Tiny checkpoints, each built once a session and only when a test asks for one; nothing is asked of any hub."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


class _Folders:
    """The folder of each checkpoint by the name of its builder, which is called when it is asked for first."""

    def __init__(self, root: Path, build: Callable[[str, Path], object]) -> None:
        self._root = root
        self._build = build

    def __call__(self, name: str) -> Path:
        folder = self._root / name
        if not folder.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the libraries say while a model is made is not ours
                self._build(name, folder)
        return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Models of colpali-engine, by the names of their classes."""

    def build(name: str, folder: Path) -> None:
        from tests.embedders.checkpoints import BUILDERS

        BUILDERS[name](folder)

    return _Folders(tmp_path_factory.mktemp("checkpoints"), build)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Models for sentence-transformers, by the names of their builders."""

    def build(name: str, folder: Path) -> None:
        from tests.embedders import encoders

        getattr(encoders, f"build_{name}")(folder)

    return _Folders(tmp_path_factory.mktemp("encoders"), build)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of an object store."""
    from tests.object_store import running_store

    with running_store() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket, which fsspec reaches."""
    from tests.object_store import made_bucket, told_to_fsspec

    told_to_fsspec(object_store, monkeypatch)
    return made_bucket(uuid4().hex)
