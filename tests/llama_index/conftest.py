"""What LlamaIndex leaves behind is cleared away where it was left, and held against no test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def leftovers_cleared() -> Iterator[None]:
    """Its engines leave event loops and connections of its memory open, which would be noticed in some later test."""
    yield
    gc.collect()
