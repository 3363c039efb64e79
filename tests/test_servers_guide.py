"""The guide to servers: its code runs on a real one, and prints what it should."""

from __future__ import annotations

import re
from pathlib import Path

from tests.documents import run_python

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(old_uri: str, tmp_path: Path) -> None:
    done = run_python(GUIDE.replace("http://localhost:19530", old_uri), tmp_path, {})

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[('b', 2.0)]",
        f"Server(uri='{old_uri}', user='root', db_name='default', ca=None, certificate=None, server_name=None, "
        "consistency='Strong')",
        "['theirs']",
        "{'acme': 1, 'other': 1}",
        "2 entities copied, 0 were there already",
        "second",
    ]


def test_its_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]

    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)
