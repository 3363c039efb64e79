"""Pages of PDFs, found by late interaction: in reports drawn here, or in the files of a folder of your own.

python -m examples.demo           three questions to the sample reports
python -m examples.demo FOLDER    your own files; questions are read one a line until the end of input
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from examples.sample_reports import QUESTIONS, draw_reports
from rich.console import Console

from colmilvus import Collection
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
            name = f"own_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
            ask(console, folder, name, typed_questions(console))
        else:
            reports = HOME / "reports"
            draw_reports(reports)
            ask(console, reports, "sample_reports", [question.words for question in QUESTIONS])
    except ColmilvusError as error:
        console.print(str(error), style="bold red", markup=False)
        return 2
    return 0


def ask(console: Console, folder: Path, name: str, questions: Iterable[str]) -> None:
    with Collection(name, StaticEmbedder(), uri=HOME / "kb.db") as pages:
        console.print(f"Indexing the files in {folder} ...", **PLAIN)
        done = pages.add(read_pages(folder))
        console.print(f"{pages.count()} pages of {len(pages.documents())} files in {pages.uri} ({done}).", **PLAIN)
        for problem in done.unreadable:
            console.print(
                f"  {Path(problem.source or problem.id).name}, page {problem.page}: {problem.reason}", **PLAIN
            )
        for question in questions:
            start = time.perf_counter()
            try:
                hits = pages.search(question, k=3)
            except InvalidQuery as error:
                console.print(str(error), style="red", markup=False)
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
