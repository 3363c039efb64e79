"""How well and how fast the pages of a folder of PDFs are found, without a model download, in all three modes.

python benchmarks/pages.py FOLDER

The folder holds PDFs, ``pages.json`` ({file: pages}) and ``qrels.jsonl``, one JSON object a line: ``id``, ``query``,
``doc`` (the file) and ``pages`` (1-based, those that answer the question). All pages of all files are ranked together.
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
from colmilvus.embedder import SearchMode
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.pdf import read_pages

MODES: tuple[SearchMode, ...] = get_args(SearchMode)
IMPORTS = 5
ROUNDS = 5


@dataclass
class Question:
    """A query and the pages that answer it, as (file, 1-based page)."""

    query: str
    answers: set[tuple[str, int]] = field(default_factory=set)


def main() -> None:
    arguments = parse_arguments()
    folder: Path = arguments.folder
    questions = read_questions(folder / "qrels.jsonl")
    expected: dict[str, int] = json.loads((folder / "pages.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        started = time.perf_counter()
        with Collection("pages", StaticEmbedder(), uri=Path(temporary) / "pages.db") as collection:
            report = collection.add(read_pages([folder / name for name in expected]))
            indexing = time.perf_counter() - started
            print(f"{collection.count()} of {sum(expected.values())} pages, {len(questions)} questions. {report}\n")
            print_table(collection, questions, arguments.k)
    print(f"\nread and indexed in {indexing:.1f} s, the loading of the embedder and a new database included")
    print(f"import of colmilvus after pymilvus: {import_seconds():.2f} s (median of {IMPORTS})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("COLMILVUS_PAGES")
    help_folder = "PDFs with pages.json and qrels.jsonl; COLMILVUS_PAGES if not given"
    parser.add_argument("folder", type=Path, nargs="?" if default else None, default=default, help=help_folder)
    help_k = "question found if an answer is among the first K"
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5, 10], metavar="K", help=help_k)
    return parser.parse_args()


def read_questions(path: Path) -> list[Question]:
    questions: dict[str, Question] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question = questions.setdefault(row["id"], Question(row["query"]))
        question.answers.update((row["doc"], page) for page in row["pages"])
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


def import_seconds() -> float:
    code = "import pymilvus, time; t = time.perf_counter(); import colmilvus; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(IMPORTS)]
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    main()
