"""What the documentation of the embedders shows is what happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from examples.sample_reports import draw_reports

from tests.documents import MINILM, ROOT, run_python


def test_the_python_of_the_guide_runs_from_top_to_bottom(
    tmp_path: Path, checkpoint: Callable[[str], Path], encoder: Callable[[str], Path]
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    draw_reports(folder / "reports")
    models = {
        "vidore/colSmol-256M": checkpoint("ColIdefics3"),
        "lightonai/GTE-ModernColBERT-v1": encoder("pylate"),
        "sentence-transformers/all-MiniLM-L6-v2": MINILM,
    }
    done = run_python((ROOT / "docs" / "embedders.md").read_text(encoding="utf-8"), folder, models)

    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] in ("Corals build reefs.", "Steel is made of iron.")
    assert printed[1].endswith("Adobe: Adobe makes software.")
    assert printed[-1].startswith("Usage(requests=2, texts=5")
