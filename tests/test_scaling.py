"""The figures of docs/scaling.md are what its formulas give, and small collections take what the formulas say."""

from __future__ import annotations

import math
import re
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pymilvus
import pytest
from packaging.version import Version
from pymilvus.grpc_gen import milvus_pb2

from colmilvus import Collection, Entity, MultiVector
from colmilvus.connection import Connection
from colmilvus.embedded import address, connect
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.entity import DType
from colmilvus.layouts.rows import SCALARS, Record
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.struct_array import StructArrayLayout
from colmilvus.layouts.table import Table
from tests.pdfs import text_pdf

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
BENCHMARK = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
SENDS_16_BITS = Version(pymilvus.__version__) >= Version("2.6.16")
needs_16_bits = pytest.mark.skipif(not SENDS_16_BITS, reason="pymilvus sends no such structs before 2.6.16")

MIB = 1 << 20
DIM = 128
LINKS = 30
DEGREE = 56
SECTOR = 4096
CODES, CACHE = 0.125, 0.1
TEXT = 2000
REST = 400
LOADED, NODE = 0.9, 256
RATIO = 3
CANDIDATES = 20 * 10 * RATIO
SECONDS = 0.18e-3
SECONDS_TO_EMBED = 0.39
PICTURE = 5e5
CODED, CODED_HALVES, LOG = 34, 18, 32

Row = Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """A page of so many vectors, and what it takes by the formulas, in bytes."""

    count: int
    dtype: DType

    @property
    def width(self) -> int:
        return 4 if self.dtype == "float32" else 2

    @property
    def vectors(self) -> int:
        return self.count * DIM * self.width

    @property
    def hnsw(self) -> int:
        return self.vectors + self.count * 2 * LINKS * 4

    @property
    def diskann_memory(self) -> float:
        return (CODES + CACHE) * self.vectors

    @property
    def diskann_disk(self) -> float:
        return self.count * SECTOR / (SECTOR // (DIM * self.width + 4 + 4 * DEGREE))

    @property
    def on_the_wire(self) -> int:
        return self.vectors + TEXT + REST

    @property
    def in_a_segment(self) -> int:
        return 1024 * MIB // self.vectors

    @property
    def codes(self) -> int:
        return self.count * (CODED if self.dtype == "float32" else CODED_HALVES)

    @property
    def in_the_engine(self) -> int:
        """Without an inverted file, which holds ``codes``."""
        return self.count * (DIM * self.width + 4) + LOG


PAGES = {
    "ColPali, float32": Page(1030, "float32"),
    "ColPali, float16": Page(1030, "float16"),
    "pooled, float32": Page(1030 // 3, "float32"),
    "pooled, float16": Page(1030 // 3, "float16"),
}
SIZES = {"100 thousand": 10**5, "10 million": 10**7, "1 billion": 10**9}


def segments(page: Page, pages: int) -> int:
    return math.ceil(pages / page.in_a_segment)


def nodes(size: float) -> int:
    return math.ceil(size / (LOADED * NODE * 1e9))


def compared(page: Page, pages: int) -> int:
    return segments(page, pages) * min(page.in_a_segment, CANDIDATES)


def in_units(size: float) -> str:
    unit, name = next((unit, name) for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")) if size >= unit)
    return f"{size / unit:.3g} {name}"


def seconds(page: Page, pages: int) -> str:
    taken = compared(page, pages) * SECONDS * page.count / 1030
    return f"{taken:,.{0 if taken >= 10 else 1 if taken >= 1 else 2}f} s"


def table(heading: str, number: int = 0) -> dict[str, Row]:
    """A table of a chapter, by its first column: what each row has in the other columns."""
    (chapter,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, flags=re.DOTALL | re.MULTILINE)
    lines = re.findall(r"(?:^\|.*\n)+", chapter, flags=re.MULTILINE)[number].splitlines()
    first, *names = _cells(lines[0])
    assert first == "page"
    return {name: dict(zip(names, cells, strict=True)) for name, *cells in map(_cells, lines[2:])}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_formulas_are_those_that_it_states() -> None:
    stated = dict(line[:2] for line in map(_cells, re.findall(r"^\|.*", GUIDE, flags=re.MULTILINE)) if len(line) == 3)
    parts = {
        "vectors": f"n x {DIM} x s",
        "HNSW": f"n x 2 x M x 4; M is {LINKS}",
        "DISKANN, memory": f"vectors x ({CODES} + {CACHE})",
        "DISKANN, disk": f"n x {SECTOR:,} / (vectors that fit into a sector of {SECTOR:,} bytes); "
        f"one takes {DIM} x s + 4 + {DEGREE} x 4",
        "segments, at least": "N / (pages that fit into 1 GiB)",
        "query nodes": f"memory / ({LOADED} x {NODE} GB)",
        "one request": f"vectors + text + {REST} bytes a page",
        "pages compared": f"(pages in a segment, q x k x {RATIO})",
        "time to compare them": f"{SECONDS * 1000:.2f} ms of a core for a page of 1,030 vectors and 20 query vectors",
        "embedded engine, disk": f"n x ({DIM} x s + 4 + {CODED}) + {LOG}; {CODED_HALVES} in place of {CODED}",
    }

    assert {name: part for name, part in parts.items() if part not in stated[name]} == {}


def test_the_table_of_one_page() -> None:
    assert table("One page") == {
        name: {
            "vectors": f"{page.count:,}",
            "their bytes": f"{page.vectors:,}",
            "HNSW": f"{page.hnsw:,}",
            "DISKANN, memory": f"{page.diskann_memory:,.0f}" if page.width == 4 else "-",
            "DISKANN, disk": f"{page.diskann_disk:,.0f}" if page.width == 4 else "-",
            "embedded engine, disk": f"{page.in_the_engine + page.codes:,}",
        }
        for name, page in PAGES.items()
    }


def test_the_table_of_pages_that_fit() -> None:
    assert table("One page", 1) == {
        name: {
            "request of 64 MiB": f"{64 * MIB // page.on_the_wire:,}",
            "request of this package, 8 MiB": f"{8 * MIB // page.vectors:,}",
            "answer with vectors, 100 MiB": f"{100 * MIB // page.on_the_wire:,}",
            "segment, 1 GiB": f"{page.in_a_segment:,}",
        }
        for name, page in PAGES.items()
    }


@pytest.mark.parametrize("size", SIZES)
def test_the_table_of_a_size(size: str) -> None:
    pages = SIZES[size]

    assert table(f"{size} pages") == {
        name: {
            "vectors": in_units(pages * page.vectors),
            "HNSW, memory": in_units(pages * page.hnsw),
            "vectors and HNSW": in_units(pages * (page.vectors + page.hnsw)),
            "DISKANN, memory": in_units(pages * page.diskann_memory) if page.width == 4 else "-",
            "DISKANN, disk": in_units(pages * page.diskann_disk) if page.width == 4 else "-",
            "segments": f"{segments(page, pages):,}",
            "nodes, HNSW": f"{nodes(pages * page.hnsw):,}",
            "nodes, DISKANN": f"{nodes(pages * page.diskann_memory):,}" if page.width == 4 else "-",
        }
        for name, page in PAGES.items()
    }


def test_the_table_of_work() -> None:
    assert table("Work of a search") == {
        name: {size: f"{compared(page, pages):,}; {seconds(page, pages)}" for size, pages in SIZES.items()}
        for name, page in PAGES.items()
    }


def test_the_figures_in_its_sentences() -> None:
    words = " ".join(GUIDE.split())
    pictures = [in_units(pages * PICTURE) for pages in SIZES.values()]
    links = [1 - page.vectors / page.hnsw for page in (PAGES["pooled, float32"], PAGES["pooled, float16"])]
    few, more, most = (pages * SECONDS_TO_EMBED / 86_400 for pages in SIZES.values())

    assert f"that is {pictures[0]}, {pictures[1]} and {pictures[2]}" in words
    assert f"they are {links[0]:.0%} of a float32 index, and {links[1]:.0%} of a float16 one" in words.replace(
        " %", "%"
    )
    assert f"take {few:.2f} days of one GPU, 10 million {more:.0f} and 1 billion {most:,.0f}" in words


def test_what_the_benchmark_measured_fits_the_formulas() -> None:
    float32, float16 = PAGES["ColPali, float32"], PAGES["ColPali, float16"]
    size = [float(told) for told in re.findall(r"\d0,000 pages: size by the vectors ([\d.]+)", BENCHMARK)]
    half = [
        float(told) for told in re.findall(r"\d0,000 pages: float16, size by the float32 vectors ([\d.]+)", BENCHMARK)
    ]
    engine = BENCHMARK.partition("<!-- end of servers -->")[2]
    scored = re.findall(r"### text, 1,000 pages\n.*?^\| numpy \| \d+ \| ([\d.]+) ", engine, flags=re.DOTALL | re.M)

    assert size == pytest.approx([(float32.in_the_engine + float32.codes) / float32.vectors] * 3, abs=0.01)
    assert half == pytest.approx([(float16.in_the_engine + float16.codes) / float32.vectors] * 3, abs=0.01)
    assert [2 * float(told) / 1000 for told in scored] == pytest.approx([1000 * SECONDS], abs=0.005)


class Counted:
    """A connection's stub that counts the bytes and rows of the upserts that are sent through it."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub
        self.requests: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stub, name)

    def Upsert(self, request: Any, *args: Any, **options: Any) -> Any:  # noqa: N802
        self.requests.append((request.num_rows, request.ByteSize()))
        return self.stub.Upsert(request, *args, **options)


@dataclass(frozen=True)
class Measured:
    """What a hundred pages of a kind took: rows and bytes of each request, bytes of an answer of 20, bytes on disk."""

    page: Page
    name: str
    requests: list[tuple[int, int]]
    answer: int
    rows: int
    disk: int


COUNT, ASKED = 100, 20


def record(number: int, page: Page) -> Record:
    """A page as ``read_pages`` names it, with 2,000 bytes of text."""
    path = f"2025/reports/report-{number:04}.pdf"
    metadata = {"source": f"/data/{path}", "page": 1, "page_label": "1", "total_pages": 12}
    vectors = np.random.default_rng(number).normal(size=(page.count, DIM)).astype(np.float32)
    entity = Entity(f"{path}#1", "x" * TEXT, document=path, version="0" * 64, metadata=metadata)
    return Record(entity, MultiVector(vectors), {"digest": "0" * 64})


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[needs_16_bits] if "16" in n else []) for n in PAGES])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    page, folder = PAGES[request.param], tmp_path_factory.mktemp("sizes") / "kb.db"
    client = connect(folder)
    table, spec = Table(Connection(client, "kb.db", 10, folder), "pages"), CollectionSpec(dim=DIM, dtype=page.dtype)
    StructArrayLayout.make(table, spec)
    layout = StructArrayLayout.open(table, spec)
    handler = client._get_connection()
    counted = handler._stub = Counted(handler._stub)
    layout.write([record(number, page) for number in range(COUNT)], {})
    handler._stub = counted.stub
    wanted = milvus_pb2.QueryRequest(
        collection_name="pages", expr="part == 0", output_fields=["key", *SCALARS, "vectors"]
    )
    wanted.query_params.add(key="limit", value=str(ASKED))
    answer = handler._stub.Query(wanted).ByteSize()
    (row,) = client.query("pages", filter="", output_fields=["count(*)"])
    client.close()
    disk = sum(file.stat().st_size for file in folder.glob("lite/collections/pages/structs/**/*") if file.is_file())
    return Measured(page, request.param, counted.requests, answer, row["count(*)"], disk)


def test_a_page_is_a_row_and_takes_that_on_disk(measured: Measured) -> None:
    assert measured.rows == COUNT
    assert measured.disk == pytest.approx(COUNT * measured.page.in_the_engine, rel=1e-4)


def test_requests_and_answers_take_that(measured: Measured) -> None:
    rest = [size / rows - measured.page.vectors - TEXT for rows, size in measured.requests]
    most = max(rows for rows, _ in measured.requests)

    assert sum(rows for rows, _ in measured.requests) == COUNT
    assert str(most) == table("One page", 1)[measured.name]["request of this package, 8 MiB"]
    assert rest == pytest.approx([REST] * len(rest), abs=40)
    assert measured.answer / ASKED - measured.page.vectors - TEXT == pytest.approx(REST, abs=60)


def programs() -> list[str]:
    """The guide's Python, with an embedder that needs no download in place of its own."""
    found = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    for given, other in (
        (
            "from colmilvus.embedders.colpali import ColPaliEmbedder",
            "from colmilvus.embedders.static import StaticEmbedder",
        ),
        ('ColPaliEmbedder("vidore/colpali-v1.3", pool=3)', "StaticEmbedder()"),
    ):
        assert sum(given in program for program in found) == 2
        found = [program.replace(given, other) for program in found]
    return found


@needs_16_bits
def test_its_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reports = tmp_path / "reports"
    (reports / "2025").mkdir(parents=True)
    for i in range(12):
        pages = [
            "The harbour is twelve metres deep." if i == 3 else "Wheat grows on the hills.",
            f"Appendix of part {i}",
        ]
        (reports / "2025" / f"q{i}.pdf").write_bytes(text_pdf(pages))
    client = connect(tmp_path / "kb.db")
    uri, token = address(tmp_path / "kb.db")
    monkeypatch.setenv("COLMILVUS_TOKEN", token)

    def run(program: str, *arguments: str) -> str:
        for given, here in (("http://localhost:19530", uri), ("/data", str(tmp_path))):
            program = program.replace(given, here)
        (tmp_path / "program.py").write_text(program)
        monkeypatch.setattr(sys, "argv", ["program.py", *arguments])
        runpy.run_path(str(tmp_path / "program.py"))
        return capsys.readouterr().out.strip()

    search, index, worker = programs()
    added = [run(worker, str(i), "3") for i in range(3)]
    again = [run(worker, str(i), "2") for i in range(2)]
    found = [run(search)]
    run(index)
    found.append(run(search))

    assert [word for told in added for word in told.split()[1:]] == ["added"] * 3
    assert [word for told in again for word in told.split()[1:]] == ["unchanged"] * 2
    assert sum(int(told.split()[0]) for told in added) == sum(int(told.split()[0]) for told in again) == 24
    assert all(told.splitlines()[0].split()[1] == "2025/q3.pdf#1" for told in found)
    assert client.describe_index("tuned", "vectors[emb]")["M"] == "16"
    with Collection("pages", StaticEmbedder(), uri=tmp_path / "kb.db") as filled:
        assert filled.count() == 24
    client.close()


def test_its_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]

    assert links
    assert all((ROOT / "docs" / link.partition("#")[0]).is_file() for link in links)


# What compose files may say, of what this one needs (Compose Specification, "services").
OF_SERVICES = {
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "image",
    "ports",
    "restart",
    "security_opt",
    "volumes",
}
OF_HEALTH = {"interval", "retries", "start_period", "test", "timeout"}


def test_the_server_to_try_is_for_this_machine_and_ranks_rightly() -> None:
    yaml = pytest.importorskip("yaml")  # which LangChain and LlamaIndex bring along
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = file["services"]

    assert file.keys() == {"name", "services"}
    assert services.keys() == {"etcd", "minio", "standalone"}
    assert all(service.keys() <= OF_SERVICES for service in services.values())
    assert all(service["healthcheck"].keys() <= OF_HEALTH for service in services.values())
    assert all(
        volume.startswith("${MILVUS_DATA:-./milvus-data}/") for each in services.values() for volume in each["volumes"]
    )
    assert {name: service.get("ports", []) for name, service in services.items()} == {
        "etcd": [],
        "minio": [],
        "standalone": ["127.0.0.1:19530:19530", "127.0.0.1:9091:9091"],
    }
    assert services["standalone"]["depends_on"].keys() == {"etcd", "minio"}
    (version,) = re.findall(r"^milvusdb/milvus:\$\{MILVUS_VERSION:-v([\d.]+)\}$", services["standalone"]["image"])
    assert Version(version) >= Version("2.6.20")
    assert f"Milvus {version}, on this machine only" in GUIDE
