"""What the documentation of the embedders shows is what happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.documents import MINILM, ROOT, run_python
from tests.pdfs import text_pdf


def test_the_python_of_the_guide_runs_from_top_to_bottom(
    tmp_path: Path, checkpoint: Callable[[str], Path], encoder: Callable[[str], Path]
) -> None:
    folder = tmp_path / "work"
    (folder / "reports").mkdir(parents=True)
    (folder / "reports" / "sea.pdf").write_bytes(text_pdf([f"Page {number} of 5" for number in range(1, 6)]))
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
