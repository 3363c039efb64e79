"""The guide to LangChain: its code runs, and prints what it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from examples.sample_reports import draw_reports

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "langchain.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path: Path) -> None:
    draw_reports(tmp_path / "reports")
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()

    assert "air-and-water.pdf" in printed[0]
    assert printed[0].endswith(".jpg")
    assert printed[1].startswith("['text', 'text', 'image'] air-and-water.pdf, page ")
    assert printed[2] == "search_documents ['query', 'page', 'min_page', 'max_page']"
    assert printed[3].startswith("[1] ")
    assert [line.split()[:2] for line in printed[4:6]] in ([["p1", "1"], ["p2", "2"]], [["p2", "2"], ["p1", "1"]])
    assert printed[6] == "{'num_added': 3, 'num_updated': 0, 'num_skipped': 0, 'num_deleted': 0}"
    assert "'num_added': 0" in printed[7]
    assert 0 < float(printed[8]) <= 1


def test_its_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]

    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)
