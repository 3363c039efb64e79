"""The guide to LlamaIndex: its code runs, and prints what it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from examples.sample_reports import draw_reports

from tests.llama_index.conformance import is_newest_meaning

ROOT = Path(__file__).parents[2]
STRICT = ("-W", "error") if is_newest_meaning() else ()  # older versions warn of themselves
GUIDE = (ROOT / "docs" / "llama_index.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path: Path) -> None:
    draw_reports(tmp_path / "reports")
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL))

    done = subprocess.run(
        [
            sys.executable,
            *(["-W", "error"] if is_newest_meaning() else []),
            "-c",
            code,
        ],  # old versions warn of themselves
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()

    assert printed[0] == "[True, True] [False, False]"
    assert printed[1] == "harbour 1.0"
    assert printed[2] == "['grey'] {'doc_id': 'mine'}"
    assert printed[3] == "2"
    assert "air-and-water.pdf" in printed[4]
    assert printed[4].endswith(".jpg")
    assert printed[5] == "['TextBlock', 'ImageBlock']"
    assert printed[6] == "search_documents ['query', 'page', 'min_page', 'max_page']"
    assert printed[7].startswith("[1] ")
    assert printed[8].startswith("harbour [0.")
    assert printed[8].endswith(" 2")
    assert any(line.startswith("harbour 0 Red boats") for line in printed[9:-1])
    assert printed[-1] == "harbour"


def test_its_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]

    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)
