"""Flat rows on a real Milvus server of 2.3.5 against the method of Milvus's tutorial on ColPali, in one run.

python -m benchmarks.servers                              1,000 pages of three kinds: hours, most of it indexing
python -m benchmarks.servers --pages 30 --kinds patches   two minutes

The server has no arrays of structs, so that a row holds a vector for both: 1,030 rows a page, compared by inner
products. What the kinds of vectors are is told in vectors.py.

colmilvus  ``Collection.search`` as it is without options, on the server, and on the embedded engine with these pages
tutorial   ``TutorialRetriever`` of examples/colpali_tutorial.py, the method as it is published: in HNSW the 50 rows
           nearest to each vector of the query, then of each page among them 1,000 rows at most, in a request of its
           own, in 300 threads
indexed    the same rows and method, after the numbers of pages got an index: the tutorial defines one and makes none

ingest     ready vectors, ours through ``Collection.add``, the tutorial's page by page, until all are acknowledged
settled    how long after that until segments are flushed and compacted, and each is searched by its index
searches   each answers ten queries in a row, in turn, when all is settled; medians of the ratios for the same query;
           those that come next after another's are told apart, too; recall counts the pages among the first 10 whose
           exact score is one of the ten best; ours are asked right after storing, too, and both times with a filter
           that leaves a third of the pages
requests   what one search sends over gRPC, counted where it leaves the client, for ``k`` of 1, 10 and 50

The figures are kept in servers.json, beside the tables; a later run into the same folder replaces those of its own
kinds and sizes. The server is the one that the tests start, with a folder and ports of its own; it ends with the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from benchmarks import vectors
from benchmarks.engine import Case, K, Row, case_of, in_turn, plain
from benchmarks.servers_report import report
from benchmarks.texts import CACHE
from benchmarks.workers import median_ratio
from examples.colpali_tutorial import TutorialRetriever
from numpy.typing import NDArray
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2_grpc
from tests.milvus_server import running

from colmilvus import Collection, Entity
from colmilvus.embedded import connect

DEPTHS = (1, K, 50)
THIRD = {"third": 0}
SECONDS = 7200.0
"""Most that a collection is given to settle."""
QUIET = 75.0
SMALL = 1024
"""Rows of a segment below which Milvus makes no index (``rootCoord.minSegmentSizeToEnableIndex``)."""

Pages = NDArray[np.float32]  # (pages, vectors, dim)


class Ours:
    """This package, wherever a client leads to."""

    name = "colmilvus"

    def __init__(self, client: MilvusClient) -> None:
        self.client = client
        self.pages = Collection(self.name, uri=client, dim=vectors.DIM, metric="IP")

    def build(self, pages: Pages) -> None:
        entities = (Entity(str(number), metadata={"third": number % 3}) for number in range(len(pages)))
        self.pages.add(entities, vectors=map(np.array, pages), progress=False)

    def search(self, query: Pages, k: int, filter: Mapping[str, Any] | None = None) -> list[int]:
        return [int(hit.entity.id) for hit in self.pages.search(query, k, filter=filter)]


class Tutorial:
    """The tutorial's method as it is published."""

    name = "tutorial"

    def __init__(self, client: MilvusClient) -> None:
        self.client = client
        self.retriever = TutorialRetriever(client, self.name, vectors.DIM)

    def build(self, pages: Pages) -> None:
        self.retriever.create_collection()
        self.retriever.create_index()
        for number, page in enumerate(pages):
            self.retriever.insert({"colbert_vecs": page, "doc_id": number, "filepath": f"{number}.png"})

    def search(self, query: Pages, k: int) -> list[int]:
        return [number for _, number in self.retriever.search(query, k)]


class Timed:
    """Asks a system in this process as a worker asks one in another: for what it finds, and the seconds it takes."""

    def __init__(self, system: Ours | Tutorial) -> None:
        self._system = system

    def __call__(self, method: str, query: Pages, k: int, setting: Mapping[str, Any]) -> tuple[Any, float]:
        begun = time.perf_counter()
        found = getattr(self._system, method)(query, k, **setting)
        return found, time.perf_counter() - begun


class Counted(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """Counts the requests that a client sends, by their names."""

    def __init__(self, client: MilvusClient) -> None:
        self.sent: Counter[str] = Counter()
        handler = client._get_connection()
        handler._stub = milvus_pb2_grpc.MilvusServiceStub(grpc.intercept_channel(handler._final_channel, self))

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        self.sent[details.method.rpartition("/")[2]] += 1
        return continuation(details, request)


def measure(case: Case, uri: str) -> None:
    """All that is measured of one kind of vectors at one size."""
    with ExitStack() as stack:
        # each with a channel of its own, for their requests are counted
        ours = Ours(stack.enter_context(closing(MilvusClient(uri, dedicated=True))))
        theirs = Tutorial(stack.enter_context(closing(MilvusClient(uri, dedicated=True))))
        embedded = Ours(stack.enter_context(closing(connect(case.folder / "kb.db"))))
        for system, name in ((ours, "colmilvus"), (theirs, "tutorial"), (embedded, "colmilvus, embedded")):
            ingest(case, system, name)
        searches(case, ours, theirs, embedded)
        third(case, ours)
        requests(case, ours, theirs)
        add_index(theirs)
        again, indexed = in_turn(case, plain(Timed(ours)), plain(Timed(theirs)))
        ratio = median_ratio(indexed.times, again.times)
        case.tell("tutorial, indexed", "warm", **indexed.in_turn(), by_ours=ratio)
        for system in (ours, theirs):
            system.client.drop_collection(system.name)


def ingest(case: Case, system: Ours | Tutorial, name: str) -> None:
    begun = time.perf_counter()
    system.build(case.mapped())
    stored = time.perf_counter()
    measured: Row = {"pages_a_second": case.count / (stored - begun)}
    if name == "colmilvus":
        just_stored(case, system)
    if name != "colmilvus, embedded":
        measured["segments"] = settle(system.client, system.name, case.count * vectors.VECTORS)
        measured["settled"] = time.perf_counter() - stored
    case.tell(name, "ingest", **measured)


def just_stored(case: Case, ours: Ours | Tutorial) -> None:
    (asked,) = in_turn(case, plain(Timed(ours)))
    case.tell("colmilvus, just stored", "warm", **asked.in_turn())
    third(case, ours, ", just stored")


def settle(client: MilvusClient, name: str, rows: int) -> int:
    """Wait until segments are flushed, compacted, and searched by their indexes; how many there are then.

    They are to be the same for so long that the server has looked for more to compact, which it does once a minute.
    """
    client.flush(name, timeout=600)
    job = client.compact(name)
    begun = since = time.perf_counter()
    before: set[int] = set()
    while time.perf_counter() - since < QUIET:
        if time.perf_counter() > begun + SECONDS:
            raise RuntimeError(f"collection {name!r} was not settled within {SECONDS:g} s")
        time.sleep(2)
        segments = client._get_connection().get_query_segment_info(name)
        indexed = all(segment.indexID or segment.num_rows < SMALL for segment in segments)
        whole = sum(segment.num_rows for segment in segments) == rows
        found = {segment.segmentID for segment in segments}
        if found != before or not (indexed and whole and client.get_compaction_state(job) == "Completed"):
            before, since = found, time.perf_counter()
    return len(before)


def searches(case: Case, ours: Ours, theirs: Tutorial, embedded: Ours) -> None:
    flat, published, engine = in_turn(case, *(plain(Timed(system)) for system in (ours, theirs, embedded)))
    case.tell("colmilvus", "warm", **flat.in_turn())
    case.tell("tutorial", "warm", **published.in_turn(), by_ours=median_ratio(published.times, flat.times))
    case.tell("colmilvus, embedded", "warm", **engine.in_turn(), by_ours=median_ratio(engine.times, flat.times))


def third(case: Case, ours: Ours | Tutorial, when: str = "") -> None:
    """Searches with a filter that leaves a third of the pages."""
    matching = np.arange(case.count) % 3 == 0
    (asked,) = in_turn(case, (Timed(ours), lambda _: {"filter": THIRD}, lambda _: matching))
    case.tell(f"colmilvus, filter{when}", "warm", **asked.in_turn())


def requests(case: Case, *systems: Ours | Tutorial) -> None:
    """What a search sends, each query once: the most and the least, by ``k``."""
    for system in systems:
        counted = Counted(system.client)
        for k in DEPTHS:
            numbers = []
            for query in case.queries[:5]:
                counted.sent.clear()
                system.search(query, k)
                numbers.append(counted.sent.total())
            names = " ".join(sorted(counted.sent))
            case.tell(system.name, "requests", k=k, least=min(numbers), most=max(numbers), names=names)


def add_index(theirs: Tutorial) -> None:
    """An index for the numbers of pages, of the kind that this server has: the tutorial's INVERTED came with 2.4."""
    client = theirs.client
    client.release_collection(theirs.name)
    params = client.prepare_index_params()
    params.add_index(field_name="doc_id", index_name="doc_id_index", index_type="STL_SORT")
    client.create_index(theirs.name, params)
    client.load_collection(theirs.name)


def main() -> None:
    given = arguments(sys.argv[1:])
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "servers.json"
    kept: list[Row] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    for kind in given.kinds:
        shutil.rmtree(given.work, ignore_errors=True)
        case = case_of(kind, given.pages, given.queries, given.work, given.seconds)
        with running(given.work / "milvus") as server:
            measure(case, server.uri)
        shutil.rmtree(given.work, ignore_errors=True)
        kept = [row for row in kept if (row["kind"], row["pages"]) != (kind, given.pages)] + case.rows
        kept.sort(key=lambda row: (vectors.KINDS.index(row["kind"]), row["pages"]))
        results.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        report(kept, given.out)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=vectors.KINDS, default=vectors.KINDS, help="(all)")
    parser.add_argument("--queries", type=int, default=100, help="of each kind (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="most that a system is asked for at once (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=CACHE / "servers", help="folder of the tables")
    parser.add_argument("--work", type=Path, default=CACHE / "servers-work", help="folder of the databases, emptied")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
