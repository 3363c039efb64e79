"""What every test of a real model needs."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _torchvision() -> None:
    from tests.embedders.torchvision_on_cpu import make_torchvision_importable

    make_torchvision_importable()
