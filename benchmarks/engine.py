"""The embedded engine against exact numpy and what a user would take instead, in one run over the same vectors.

python -m benchmarks.engine                             100, 1,000, 2,000 and 10,000 pages of three kinds: many hours
python -m benchmarks.engine --pages 100 1000 2000       without the largest size, and without half of it
python -m benchmarks.engine --pages 1000 --kinds text --rivals    this engine and exact numpy alone

A page has 1,030 float32 vectors of 128 dimensions, a query 20; what the three kinds of vectors are is told in
vectors.py. This engine is timed through ``Collection.search``, with the protocol and all checks in between; each system
runs in a process of its own, one answers ten queries in a row, then the other the same ten, in turn, and what is
compared are medians of the ratios for the same query, because a machine is not equally fast all the time. Recall counts
the pages among the first 10 whose exact score is one of the ten best. The rivals need an environment of their own,
which ``make bench`` makes.

ingest  ready vectors through ``Collection.add``, with ``durability="process"``, its default: an acknowledged write
        outlives the process, not a loss of power; until all of them are acknowledged, and by then they can be searched
warm    each query once, after one that is not counted, when all is written and indexed; the first of each row, which
        comes after the others' searches, is told apart, too: a machine's memory is slower where it was not used for a
        second, on some several times
cold    the first search after a fresh start with the database's files out of the page cache, and the ten after it
opening from a fresh process that has imported the package to the first answer to ``count``
memory  the most anonymous memory that the process had, less that of one with an empty collection
filters in turn with no filter, fifty queries in a row, so that neither finds warm what the other has just read for the
        same query; all twice: the second time counts, when every page that is compared was read before; they leave 1,
        10 and 50 of 100 pages; "without neighbours" leaves out the 200 best pages of the query itself (a fifth of the
        pages where there are fewer than 1,000), "without the 10 nearest" and "the 50 nearest" fewer
2 GB    all searches again in a control group of 2 GB, page cache included, where one can be made
half    half of the pages are replaced by others, while searches go on; recall and times during and after

The figures are kept in engine.json, beside the tables: a later run into the same folder replaces those of its own kinds
and sizes, so that all can be measured in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from benchmarks import vectors
from benchmarks.engine_report import report
from benchmarks.systems import SYSTEMS, Setting, group
from benchmarks.texts import CACHE
from benchmarks.workers import (
    Stretch,
    Worker,
    WorkerEnded,
    bytes_on_disk,
    control_group,
    drop_from_page_cache,
    median_ratio,
    percentile,
)
from numpy.typing import NDArray

K = 10
ROW = 10
APART = 50
"""So many queries in a row with a filter, then the same without: by then the memory that they touched is cold again."""
PAGES = (100, 1000, 2000, 10000)
RIVALS = ("numpy loop", "milvus-lite rows", "qdrant local", "lancedb", "lancedb scan", "fast-plaid")
MOST_PAGES = {"milvus-lite rows": 100, "numpy loop": 2000}
LIMIT = 2 << 30
NEIGHBOURS = 200
FEWER_NEIGHBOURS = (10, 50)
FROM_HALVES = 10000
EMPTY = "empty"

Row = dict[str, Any]
T = TypeVar("T")


@dataclass
class Case:
    """One kind of vectors at one size: where its pages lie, the queries, and every query's exact scores."""

    kind: str
    count: int
    file: Path
    queries: NDArray[np.float32]
    scores: NDArray[np.float32]  # (queries, pages)
    folder: Path
    seconds: float
    rows: list[Row] = field(default_factory=list)

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.file, 0, self.count)

    @property
    def bytes_of_vectors(self) -> int:
        return self.count * vectors.VECTORS * vectors.DIM * 4

    def tell(self, system: str, part: str, **measured: Any) -> None:
        row = {"kind": self.kind, "pages": self.count, "system": system, "part": part, **measured}
        self.rows.append(row)
        told = {name: round(value, 4) if isinstance(value, float) else value for name, value in measured.items()}
        print(f"{self.kind:8}{self.count:6}  {system:18}{part:22}{told}", flush=True)

    def recall(self, number: int, found: Iterable[int], allowed: NDArray[np.bool_] | None = None) -> float:
        """The share of the ten best, of those allowed, that was found; equal scores count as equally good."""
        scores = self.scores[number] if allowed is None else np.where(allowed, self.scores[number], -np.inf)
        wanted = min(K, int(np.isfinite(scores).sum()))
        least = np.partition(scores, -wanted)[-wanted] - 1e-4
        return sum(bool(scores[page] >= least) for page in set(found)) / wanted

    def mapped(self) -> NDArray[np.float32]:
        pages: NDArray[np.float32] = np.load(self.file, mmap_mode="r")[: self.count]
        return pages


@dataclass
class Asked:
    """What a system took for each query, in milliseconds, and how much of the truth it found."""

    times: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    after_others: list[float] = field(default_factory=list)

    def measured(self) -> Row:
        return {
            "p50": percentile(self.times, 0.5),
            "p95": percentile(self.times, 0.95),
            "recall": float(np.mean(self.recalls)),
            "queries": len(self.times),
        }

    def in_turn(self) -> Row:
        """The same, and what the searches took that came after another system's."""
        return {**self.measured(), "after_others": percentile(self.after_others, 0.5)}


Way = tuple[Callable[..., tuple[Any, float]], Callable[[int], Setting], Callable[[int], NDArray[np.bool_] | None]]


def plain(worker: Callable[..., tuple[Any, float]], setting: Setting | None = None) -> Way:
    return worker, lambda _: setting or {}, lambda _: None


def in_turn(case: Case, *ways: Way, length: int = ROW) -> list[Asked]:
    """Every query of a case, asked in each way, in rows of some in turn, until the time is over (at least one row)."""
    asked = [Asked() for _ in ways]
    for worker, setting, _ in ways:
        worker("search", case.queries[-1], K, setting(len(case.queries) - 1))
    begun, last = time.perf_counter(), -1
    for row, first in enumerate(range(0, len(case.queries), length)):
        numbers = range(first, min(first + length, len(case.queries)))
        for at in range(len(ways)):
            way = (at + row) % len(ways)
            times = ask_row(case, ways[way], numbers, asked[way])
            if way != last:
                asked[way].after_others.append(times[0])
            last = way
        if time.perf_counter() - begun > case.seconds * len(ways):
            break
    return asked


def ask_row(case: Case, way: Way, numbers: Iterable[int], asked: Asked) -> list[float]:
    """Ask these queries, and say what each took."""
    worker, setting, allowed = way
    times: list[float] = []
    for number in numbers:
        found, seconds = worker("search", case.queries[number], K, setting(number))
        times.append(1000 * seconds)
        asked.recalls.append(case.recall(number, found, allowed(number)))
    asked.times += times
    return times


def measure(case: Case, rivals: Sequence[str]) -> None:
    """All that is measured of one kind of vectors at one size."""
    own = case.folder / "colmilvus"
    base = memory_of_none(case)
    with Worker("colmilvus", own) as worker:
        worker("open")
        ingest(case, worker, "colmilvus", own, base)
        against_numpy(case, worker, base)
        filters(case, worker)
        case.tell("colmilvus", "all searches", memory=worker.peak - base)
        for rival in rivals:
            if case.count <= MOST_PAGES.get(rival, case.count):
                against(case, worker, rival)
    cold(case, "colmilvus", own)
    within_limit(case, own)
    if case.count == 1000:
        variant(case, "colmilvus IP", base)
    if case.count > 1000:
        variant(case, "colmilvus float16", base)
        half_replaced(case, own)


def measure_half(case: Case) -> None:
    """Searches alone, at half of a size, to hold the size itself against."""
    with Worker("colmilvus", case.folder / "colmilvus") as worker:
        worker("open")
        ingest(case, worker, "colmilvus", case.folder / "colmilvus")
        against_numpy(case, worker, 0.0)


def memory_of_none(case: Case) -> float:
    """The anonymous memory, in MiB, of a process with an empty collection that was searched."""
    folder = case.folder / EMPTY
    with Worker("colmilvus", folder) as worker:
        worker("open")
        worker("search", case.queries[0], K, {})
        return worker.peak


def ingest(case: Case, worker: Worker, name: str, folder: Path, base: float = 0.0) -> None:
    worker.peak = 0.0
    _, seconds = worker("build", case.stretch, 0)
    measured: Row = {"pages_a_second": case.count / seconds}
    if name.startswith("colmilvus"):
        measured["steadiness"] = worker("steadiness")[0]
        measured["behind"], measured["indexed_after"] = settle(worker, folder)
    measured["memory"] = worker.peak - base  # with what making the index took
    measured["size"] = bytes_on_disk(folder) / case.bytes_of_vectors
    case.tell(name, "ingest", **measured)


def settle(worker: Worker, folder: Path) -> tuple[int, float]:
    """Wait until the index holds everything; how many pages it was behind, and for how long.

    Then wait until nothing is written any more: parts of an index become one afterwards.
    """
    begun = time.perf_counter()
    behind, _ = worker("pending")
    while worker("pending")[0]:
        time.sleep(0.1)
    lasted = time.perf_counter() - begun
    before, size = -1, bytes_on_disk(folder)
    while size != before:
        os.sync()
        time.sleep(2)
        before, size = size, bytes_on_disk(folder)
    return behind, lasted


def against_numpy(case: Case, worker: Worker, base: float) -> None:
    with Worker("numpy", case.folder / "numpy") as exact:
        exact("build", case.stretch, 0)
        worker.peak = 0.0
        ours, theirs = in_turn(case, plain(worker), plain(exact))
        ratio = median_ratio(ours.times, theirs.times)
        case.tell("colmilvus", "warm", **ours.in_turn(), ratio=ratio, memory=worker.peak - base)
        case.tell("numpy", "warm", **theirs.in_turn(), memory=exact.peak)


def against(case: Case, worker: Worker, name: str) -> None:
    """One rival at each of its settings, in turn with this engine."""
    folder = case.folder / name.replace(" ", "-")
    try:
        with Worker(name, folder) as rival:
            rival("open")
            ingest(case, rival, name, folder)
            rival.peak = 0.0
            for setting in SYSTEMS[name].settings:
                ours, theirs = in_turn(case, plain(worker), plain(rival, setting))
                ratio = median_ratio(ours.times, theirs.times)
                told = {"ours_by_theirs": ratio, "ours_recall": float(np.mean(ours.recalls)), "memory": rival.peak}
                case.tell(name, "warm", setting=dict(setting), **theirs.in_turn(), **told)
        if name in ("lancedb", "fast-plaid"):
            cold(case, name, folder)
    except (RuntimeError, WorkerEnded) as error:
        case.tell(name, "failed", reason=str(error)[:300])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def filters(case: Case, worker: Worker) -> None:
    """Searches with each filter, in turn with the same without."""
    groups = np.array([group(page) for page in range(case.count)])
    for share in (1, 10, 50):
        setting: Setting = {"filter": {"group": {"$lt": share}}}
        allowed = groups < share
        tell_filter(case, worker, f"filter {share} %", always(setting), always(allowed))
    for count in FEWER_NEIGHBOURS:
        without_nearest(case, worker, f"without the {count} nearest", count)
    without_nearest(case, worker, "without neighbours", NEIGHBOURS)


def without_nearest(case: Case, worker: Worker, part: str, count: int) -> None:
    """Searches that leave out the best pages of each query, at most a fifth of all."""
    best = np.argsort(-case.scores, axis=1)[:, : min(count, case.count // 5)]

    def without(number: int) -> Setting:
        return {"filter": {"$id": {"$nin": [str(page) for page in best[number]]}}}

    def allowed(number: int) -> NDArray[np.bool_]:
        return ~np.isin(np.arange(case.count), best[number])

    tell_filter(case, worker, part, without, allowed)


def always(value: T) -> Callable[[int], T]:
    """A function of a query's number whose value is the same for all."""
    return lambda _: value


def tell_filter(
    case: Case,
    worker: Worker,
    part: str,
    setting: Callable[[int], Setting],
    allowed: Callable[[int], NDArray[np.bool_]],
) -> None:
    ways: tuple[Way, Way] = ((worker, setting, allowed), plain(worker))
    # A filter leads to pages that no search read before: the system's part in that is told apart.
    (before, whole_before), (filtered, whole) = (in_turn(case, *ways, length=APART) for _ in range(2))
    case.tell(
        "colmilvus",
        part,
        **filtered.measured(),
        ratio_to_none=median_ratio(filtered.times, whole.times),
        ratio_at_first=median_ratio(before.times, whole_before.times),
    )


def cold(case: Case, name: str, folder: Path, starts: int = 3) -> None:
    """Fresh processes with nothing of the database in the page cache: opening, the first search, and ten more."""
    opened: list[float] = []
    first: list[float] = []
    after = Asked()
    for start in range(starts):
        drop_from_page_cache(folder)
        with Worker(name, folder) as worker:
            _, seconds = worker("open")
            opened.append(seconds)
            for at in range(min(11, len(case.queries))):
                number = (start * 11 + at) % len(case.queries)
                found, seconds = worker("search", case.queries[number], K, SYSTEMS[name].settings[0])
                (after.times if at else first).append(1000 * seconds)
                after.recalls.append(case.recall(number, found))
    case.tell(name, "cold", opening=float(np.median(opened)), first=float(np.median(first)), **after.measured())


def within_limit(case: Case, folder: Path) -> None:
    """All searches, and those with filters, by a process that may use 2 GB in all."""
    with control_group(LIMIT) as path:
        if path is None:
            case.tell("colmilvus", "2 GB", reason="no control group can be made here; see memory")
            return
        drop_from_page_cache(folder)
        inner = Case(case.kind, case.count, case.file, case.queries, case.scores, case.folder, case.seconds)
        try:
            with Worker("colmilvus", folder, group=path) as worker:
                worker("open")
                (asked,) = in_turn(inner, plain(worker))
                filters(inner, worker)
                recalls = [row["recall"] for row in inner.rows]
                case.tell("colmilvus", "2 GB", **asked.measured(), least_recall_filtered=min(recalls), peak=worker.peak)
        except WorkerEnded as error:
            case.tell("colmilvus", "2 GB", reason=str(error))


def variant(case: Case, name: str, base: float) -> None:
    """The same pages in a collection made otherwise, in turn with exact numpy."""
    folder = case.folder / name.replace(" ", "-")
    with Worker(name, folder) as worker, Worker("numpy", case.folder / "numpy") as exact:
        worker("open")
        ingest(case, worker, name, folder, base)
        exact("build", case.stretch, 0)
        ours, theirs = in_turn(case, plain(worker), plain(exact))
        case.tell(name, "warm", **ours.in_turn(), ratio=median_ratio(ours.times, theirs.times))
    shutil.rmtree(folder, ignore_errors=True)


def half_replaced(case: Case, folder: Path) -> None:
    """Half of the pages get other vectors while searches go on, and the index follows."""
    numbers = list(range(0, case.count, 2))
    other = case.folder / "other.npy"
    vectors.write(other, case.kind, [1_000_000 + number for number in numbers])
    fresh = np.load(other, mmap_mode="r")
    scores = case.scores.copy()
    scores[:, numbers] = exact_scores(case.queries, fresh)
    after = Case(case.kind, case.count, case.file, case.queries, scores, case.folder, case.seconds)
    during: list[float] = []
    with Worker("colmilvus", folder) as worker:
        worker("open")
        begun = time.perf_counter()
        worker("replace", Stretch(other, 0, len(numbers)), numbers)
        while worker("replacing")[0] or worker("pending")[0]:
            found, seconds = worker("search", case.queries[len(during) % len(case.queries)], K, {})
            during.append(1000 * seconds)
            if len(set(found)) != min(K, case.count):
                raise RuntimeError(f"a search during the replacing found {len(set(found))} pages")
        lasted = time.perf_counter() - begun
        (asked,) = in_turn(after, plain(worker))
    told = {"during_p50": percentile(during, 0.5), "during_p95": percentile(during, 0.95), "during": len(during)}
    size = bytes_on_disk(folder) / case.bytes_of_vectors
    case.tell("colmilvus", "half replaced", **asked.measured(), **told, seconds=lasted, size=size)
    other.unlink()


def exact_scores(queries: NDArray[np.float32], pages: NDArray[np.float32]) -> NDArray[np.float32]:
    """MaxSim of every query with every page, ``(queries, pages)``."""
    stacked = queries.reshape(-1, queries.shape[2])
    found = np.empty((len(queries), len(pages)), np.float32)
    for first in range(0, len(pages), 8):
        block = np.asarray(pages[first : first + 8])
        products = (stacked @ block.reshape(-1, block.shape[2]).T).reshape(
            len(queries), queries.shape[1], len(block), -1
        )
        found[:, first : first + len(block)] = products.max(axis=3).sum(axis=1)
    return found


def truth(kind: str, count: int, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """The exact scores of a kind's first pages, kept beside its vectors."""
    folder = CACHE / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{count}-{len(queries)}.npy"
    if not path.exists():
        np.save(path, exact_scores(queries, vectors.pages(kind, count)))
    scores: NDArray[np.float32] = np.load(path)
    return scores


def main() -> None:
    given = arguments(sys.argv[1:])
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "engine.json"
    kept: list[Row] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    for kind in given.kinds:
        vectors.file_of(kind, max(given.pages))  # the other sizes are its first pages
        halves = {count // 2 for count in given.pages if count >= FROM_HALVES} - set(given.pages)
        for count in sorted({*given.pages, *halves}):
            shutil.rmtree(given.work, ignore_errors=True)
            case = case_of(kind, count, given.queries, given.work, given.seconds)
            measure_half(case) if count in halves else measure(case, given.rivals)
            shutil.rmtree(given.work, ignore_errors=True)
            kept = [row for row in kept if (row["kind"], row["pages"]) != (kind, count)] + case.rows
            kept.sort(key=lambda row: (vectors.KINDS.index(row["kind"]), row["pages"]))
            results.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            report(kept, given.out)


def case_of(kind: str, count: int, queries: int, folder: Path, seconds: float) -> Case:
    asked = vectors.queries(kind, queries)
    return Case(kind, count, vectors.file_of(kind, count), asked, truth(kind, count, asked), folder, seconds)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=PAGES, help=f"sizes ({' '.join(map(str, PAGES))})")
    parser.add_argument("--kinds", nargs="+", choices=vectors.KINDS, default=vectors.KINDS, help="(all)")
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=RIVALS, help="beside exact numpy (all)")
    parser.add_argument("--queries", type=int, default=100, help="of each kind (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=30, help="most that a system is asked for at once (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=CACHE / "engine", help="folder of the table and the plots")
    parser.add_argument("--work", type=Path, default=CACHE / "work", help="folder of the databases, which is emptied")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
