"""How well and how fast the pages of a folder of PDFs are found, in all three modes.

python benchmarks/pages.py FOLDER
python benchmarks/pages.py FOLDER --embedder segments:sentence-transformers/all-MiniLM-L6-v2

FOLDER holds PDFs and two files that say what to look for; all pages of all files are ranked together.

pages.json names the files, with how many pages each has:

    {"report.pdf": 12, "letter.pdf": 2}

qrels.jsonl has the questions, one JSON object a line, with the pages that answer them, counted from 1. A question that
pages of several files answer has a line for each file, with the same id:

    {"id": "1", "query": "What drove the net sales?", "doc": "report.pdf", "pages": [3, 4]}
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from colmilvus import Collection, Hit
from colmilvus.cli.embedders import FORMS, choose
from colmilvus.embedder import Embedder, SearchMode
from colmilvus.errors import ColmilvusError
from colmilvus.pdf import read_pages

MODES: tuple[SearchMode, ...] = get_args(SearchMode)
ROUNDS = 5


class WrongFormat(Exception):
    """A file in the folder is not written as the module's docstring says."""


@dataclass
class Question:
    """A query and the pages that answer it, as (file, 1-based page)."""

    query: str
    answers: set[tuple[str, int]] = field(default_factory=set)


def main() -> None:
    parser = make_parser()
    given = parser.parse_args()
    if not given.folder:
        parser.error("FOLDER is missing, and COLMILVUS_PAGES names none")
    folder = Path(given.folder)
    try:
        expected, questions = read_expected(folder / "pages.json"), read_questions(folder / "qrels.jsonl")
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}; --help says what FOLDER holds")
    except WrongFormat as error:
        parser.error(str(error))
    try:
        measure(folder, expected, questions, given.k, choose(given.embedder).make())
        print_import_time(given.imports)
    except ColmilvusError as error:
        parser.exit(2, f"{error}\n")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    help_folder = "PDFs with pages.json and qrels.jsonl; COLMILVUS_PAGES if not given"
    default = os.environ.get("COLMILVUS_PAGES")
    parser.add_argument("folder", nargs="?", default=default, metavar="FOLDER", help=help_folder)
    help_k = "question found if an answer is among the first K"
    parser.add_argument("--embedder", default="static", metavar="NAME", help=f"{FORMS}; static if not given")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5, 10], metavar="K", help=help_k)
    parser.add_argument("--imports", type=int, default=5, help="how often the import of colmilvus is measured (5)")
    return parser


def measure(
    folder: Path,
    expected: dict[str, int],
    questions: Sequence[Question],
    cutoffs: Sequence[int],
    embedder: Embedder,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        started = time.perf_counter()
        with Collection("pages", embedder, uri=Path(temporary) / "pages.db") as collection:
            report = collection.add(read_pages([folder / name for name in expected]))
            indexing = time.perf_counter() - started
            print(f"{collection.count()} of {sum(expected.values())} pages, {len(questions)} questions. {report}\n")
            print_table(collection, questions, cutoffs)
    print(f"\nread and indexed in {indexing:.1f} s, a new database included, the loading of the embedder not")


def read_expected(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(pages) for name, pages in json.loads(path.read_text(encoding="utf-8")).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise WrongFormat(f'{path} has no {{"file": pages}}, see --help: {error}') from error


def read_questions(path: Path) -> list[Question]:
    questions: dict[str, Question] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            question = questions.setdefault(row["id"], Question(row["query"]))
            question.answers.update((row["doc"], int(page)) for page in row["pages"])
        except (KeyError, TypeError, ValueError) as error:
            raise WrongFormat(f"{path}, line {number} is no question as --help has it: {error!r}") from error
    if not questions:
        raise WrongFormat(f"{path} has no questions; --help says how to write one")
    return list(questions.values())


def print_table(collection: Collection, questions: Sequence[Question], cutoffs: Sequence[int]) -> None:
    headings = [f"hit@{k}" for k in cutoffs]
    print(f"{'mode':18}" + "".join(f"{each:>8}" for each in headings) + f"{'nDCG@5':>9}{'search, ms':>12}")
    depth = max(5, *cutoffs)
    for mode in MODES:
        ranks = [
            ranks_of_answers(collection.search(question.query, k=depth, mode=mode), question) for question in questions
        ]
        hits = [sum(any(rank <= k for rank in found) for found in ranks) for k in cutoffs]
        gain = statistics.mean(ndcg(found, len(q.answers)) for found, q in zip(ranks, questions, strict=True))
        duration = median_seconds([searching(collection, question.query, mode) for question in questions])
        print(f"{mode:18}" + "".join(f"{each:8d}" for each in hits) + f"{gain:9.3f}{1000 * duration:12.1f}")


def ranks_of_answers(hits: Sequence[Hit], question: Question) -> list[int]:
    return [rank for rank, hit in enumerate(hits, start=1) if page_of(hit) in question.answers]


def page_of(hit: Hit) -> tuple[str, int]:
    return Path(hit.entity.metadata["source"]).name, int(hit.entity.metadata["page"])


def ndcg(ranks: Sequence[int], answers: int, k: int = 5) -> float:
    gained = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= k)
    return gained / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, answers) + 1))


def searching(collection: Collection, query: str, mode: SearchMode) -> Callable[[], object]:
    return lambda: collection.search(query, k=10, mode=mode)


def median_seconds(calls: Sequence[Callable[[], object]]) -> float:
    """The median time of one call; the caller has made each once before, so that all are warm."""
    durations = []
    for call in list(calls) * ROUNDS:
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def print_import_time(rounds: int) -> None:
    code = "import pymilvus, time; t = time.perf_counter(); import colmilvus; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(rounds)]
    seconds = statistics.median(float(run.stdout) for run in runs)
    print(f"import of colmilvus after pymilvus: {seconds:.2f} s (median of {rounds})")


if __name__ == "__main__":
    main()
