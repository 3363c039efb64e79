"""Pages of PDFs, found by late interaction: in reports drawn here, or in the files of a folder of your own.

python -m examples.demo           three questions to the sample reports
python -m examples.demo FOLDER    your own files; questions are read one a line until the end of input
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from examples.sample_reports import QUESTIONS, draw_reports
from rich.console import Console

from colmilvus import Collection
from colmilvus.cli.indexing import add_pages, listed_in_the_report
from colmilvus.cli.summary import counted, problems
from colmilvus.cli.table import print_hits
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import ColmilvusError, InvalidQuery
from colmilvus.pdf import read_pages

HOME = Path(".demo")
PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def main(arguments: list[str]) -> int:
    console = Console()
    try:
        if arguments:
            folder = Path(arguments[0]).expanduser().resolve()
            ask(console, folder, collection_name(folder), typed_questions(console))
        else:
            reports = HOME / "reports"
            draw_reports(reports)
            ask(console, reports, "sample_reports", [question.words for question in QUESTIONS])
    except ColmilvusError as error:
        console.print(str(error), style="bold red", **PLAIN)
        return 2
    except KeyboardInterrupt:
        console.print()
        return 130
    return 0


def collection_name(folder: Path) -> str:
    """The folder's name in letters, digits and underscores, and eight digits that tell it from its namesakes."""
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    words = re.sub(r"\W+", "_", plain).strip("_")[:50]
    digits = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    return f"{words}_{digits}" if words.isidentifier() else f"folder_{words}_{digits}".replace("__", "_")


def ask(console: Console, folder: Path, name: str, questions: Iterable[str]) -> None:
    found = read_pages(folder, on_error=listed_in_the_report)
    HOME.mkdir(exist_ok=True)
    with Collection(name, StaticEmbedder(), uri=HOME / "kb.db") as pages:
        console.print(f"Indexing the files in {folder} ...", **PLAIN)
        done = add_pages(pages, found)
        held = f"{counted(pages.count(), 'page')} of {counted(len(pages.documents()), 'file')}"
        console.print(f"{held} in {pages.uri} ({done}).", **PLAIN)
        for line in (*problems("Unreadable", done.unreadable), *problems("Failed", done.failed)):
            console.print(line, **PLAIN)
        for question in questions:
            start = time.perf_counter()
            try:
                hits = pages.search(question, k=3)
            except InvalidQuery as error:
                console.print(str(error), style="red", **PLAIN)
                continue
            took = 1000 * (time.perf_counter() - start)
            console.print(f"\n{question}  ({took:.0f} ms)", style="bold", markup=False, highlight=False)
            print_hits(console, hits, question)


def typed_questions(console: Console) -> Iterator[str]:
    if sys.stdin.isatty():
        console.print("Type a question and press Enter; end with Ctrl-D.")
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
