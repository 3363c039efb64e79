"""Tiny checkpoints, each built once a session; nothing is asked of any hub."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny checkpoint of a family, which is built when it is asked for first."""
    built: dict[str, Path] = {}

    def folder(family: str) -> Path:
        from tests.embedders.checkpoints import BUILDERS

        if family not in built:
            built[family] = tmp_path_factory.mktemp("checkpoint") / family
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the libraries say while a model is made is not ours
                BUILDERS[family](built[family])
        return built[family]

    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint for sentence-transformers, by the name of its builder."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        from tests.embedders import encoders

        if name not in built:
            built[name] = tmp_path_factory.mktemp("encoder") / name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the libraries say while a model is made is not ours
                getattr(encoders, f"build_{name}")(built[name])
        return built[name]

    return folder


@pytest.fixture(scope="session", autouse=True)
def _torchvision() -> None:
    from tests.embedders.torchvision_on_cpu import make_torchvision_importable

    make_torchvision_importable()
