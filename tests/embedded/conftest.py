"""A database of the test's own, and a client of its engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from colmilvus.embedded import connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
def client(path: Path) -> Iterator[MilvusClient]:
    client = connect(path)
    yield client
    client.close()
