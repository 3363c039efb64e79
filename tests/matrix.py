"""The tests of the adapters and of the engine with older and newer releases, each in an environment of its own.

make test-matrix                         all combinations
make test-matrix ONLY=oldest-milvus-2.6  one of them
python3 tests/matrix.py --help           their names

An environment is kept in .cache/matrix and used again until pyproject.toml or what is asked for here changes; to have
newer releases than it was made with, remove it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Combination:
    """Releases that are tested together; pip takes the newest that are within the ranges and fit one another.

    ``ignored`` are beginnings of the warnings that such old releases give of themselves.
    """

    name: str
    releases: tuple[str, ...]
    ignored: tuple[str, ...] = ()


# The lowest langchain-core that we declare. No langchain 1.2 takes it, and of what langchain 1.1 needs two say that
# they fit and do not: langchain-core 1.2.0 lacks what langgraph-checkpoint 4.1 calls, and langgraph 1.0 what
# langgraph-prebuilt 1.0.9 imports.
LANGCHAIN_1_2_0 = (
    *("langchain-core==1.2.0", "langchain~=1.1.0", "langchain-openai~=1.1.0", "langchain-classic~=1.0"),
    *("langgraph-checkpoint<4.1", "langgraph-prebuilt<1.0.9"),
)
LANGCHAIN_1_2 = ("langchain-core~=1.2.0", "langchain~=1.2.0", "langchain-openai~=1.1.0", "langchain-classic~=1.0")
LANGCHAIN_NEWEST = ("langchain-core>=1.7,<2", "langchain>=1.4,<2", "langchain-openai>=1.5,<2", "langchain-classic~=1.0")
# The lowest llama-index-core that we declare, which calls itself 0.13.6 and is 0.14.0 by its metadata.
LLAMA_INDEX_0_14_0 = ("llama-index-core==0.14.0",)
# What it says of a newer pydantic, and of itself.
SAID_BY_LLAMA_INDEX_0_14_0 = (
    "The 'validate_default' attribute with value True",
    "Call to deprecated method get_doc_id",
)
LLAMA_INDEX_NEWEST = ("llama-index-core~=0.14.0",)
COMBINATIONS = (
    Combination(
        "oldest-milvus-2.6",
        (*LANGCHAIN_1_2_0, *LLAMA_INDEX_0_14_0, "pymilvus==2.6.14"),
        ignored=SAID_BY_LLAMA_INDEX_0_14_0,
    ),
    Combination(
        "older-milvus-3.0",
        (*LANGCHAIN_1_2, *LLAMA_INDEX_0_14_0, "pymilvus~=3.0.0"),
        ignored=SAID_BY_LLAMA_INDEX_0_14_0,
    ),
    Combination("newest-milvus-2.6", (*LANGCHAIN_NEWEST, *LLAMA_INDEX_NEWEST, "pymilvus~=2.6.14")),
    Combination("newest-milvus-3.0", (*LANGCHAIN_NEWEST, *LLAMA_INDEX_NEWEST, "pymilvus~=3.0.0")),
)
INSTALLED = ("--editable", ".[cli,embedded,langchain,llama-index,pdf,static]", "--group", "demo", "--group", "test")
# What the engine answers to the calls of a client, whose requests and names change from release to release.
ENGINE = (
    *("calls", "collections", "filters", "index_rules", "inverted", "name_rules", "partitions", "row_rules", "rows"),
    *("schema_rules", "search", "search_rules", "serve", "text"),
)
TESTED = (
    *("tests/langchain", "src/colmilvus/langchain", "tests/llama_index", "src/colmilvus/llama_index"),
    "tests/test_inserting.py",
    *(f"tests/embedded/test_{name}.py" for name in ENGINE),
)
STANDARD = "tests/langchain/test_standard.py"
SHOWN = ("langchain-core", "langchain-tests", "llama-index-core", "llama-index-llms-openai", "pymilvus", "pytest")

SENTENCES = "lib/python*/site-packages/llama_index/core/_static/nltk_cache"
"""What LlamaIndex splits texts with; its early versions would have it from the web."""

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"


@dataclass(frozen=True)
class Outcome:
    """What came of a combination; it is good if there is no problem."""

    name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    problems: tuple[str, ...] = ()

    def row(self) -> list[str]:
        counts = [str(self.tests.get(result, 0)) for result in ("passed", "failed", "skipped")]
        return [self.name, *(self.versions.get(name, "-") for name in SHOWN), *counts, f"{self.seconds:.0f}"]


def main() -> None:
    names = [combination.name for combination in COMBINATIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="all if not given")
    parser.add_argument("--jobs", default="1", metavar="N", help="processes that share the tests of a combination (1)")
    given = parser.parse_args()
    outcomes = [tried(each, given.jobs) for each in COMBINATIONS if each.name in given.only]
    say("\n" + table([outcome.row() for outcome in outcomes]))
    sys.exit("\n".join(f"{each.name}: {problem}" for each in outcomes for problem in each.problems) or None)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what this program is for


def tried(combination: Combination, jobs: str) -> Outcome:
    """Install a combination, unless it is, and run the tests with it."""
    say(f"\n{combination.name}: {', '.join(combination.releases)}")
    try:
        python = environment(combination)
    except subprocess.CalledProcessError as error:
        return Outcome(combination.name, problems=(f"could not be installed, exit status {error.returncode}",))
    report = CACHE / "matrix" / f"{combination.name}.xml"
    report.unlink(missing_ok=True)
    started = time.perf_counter()
    status = run_tests(python, report, jobs, combination.ignored)
    seconds = time.perf_counter() - started
    cases = read_cases(report)
    return Outcome(
        combination.name,
        versions_in(python),
        Counter(result for _, result in cases),
        seconds,
        tuple(problems_of(status, cases)),
    )


def environment(combination: Combination) -> Path:
    """The Python of a combination's environment, which is made anew if something else is asked for than it has."""
    folder = CACHE / "matrix" / combination.name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    asked = [*INSTALLED, *combination.releases]
    wanted = "\n".join([sys.version, *asked, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    stamp = folder / "asked_for"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        subprocess.run([*pip, *asked], cwd=ROOT, check=True)
        stamp.write_text(wanted, encoding="utf-8")
        say(f"installed in {time.perf_counter() - started:.0f} s")
    return python


def run_tests(python: Path, report: Path, jobs: str, ignored: Sequence[str]) -> int:
    """Run the tests as ``make test`` does, and write a report in JUnit's form; the exit status."""
    home, temporary = CACHE / "home", CACHE / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    settings = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    settings["NLTK_DATA"] = os.pathsep.join(map(str, python.parents[1].glob(SENTENCES)))
    options = ["-q", "-p", "no:cacheprovider", "--junitxml", str(report), "--numprocesses", jobs, "--dist", "worksteal"]
    warnings = [word for beginning in ignored for word in ("-W", f"ignore:{beginning}")]
    command = [str(python), "-m", "pytest", *options, *warnings, *TESTED]
    return subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode


def versions_in(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def read_cases(report: Path) -> list[tuple[str, str]]:
    """The class or module of each test, and whether it passed, failed or was skipped; none if the run broke off."""
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (FileNotFoundError, ElementTree.ParseError):
        return []
    return [(case.get("classname", ""), result_of({child.tag for child in case})) for case in cases]


def result_of(tags: set[str]) -> str:
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def problems_of(status: int, cases: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with a run; of the standard tests, each class must have run, whole."""
    if not any(result == "passed" for _, result in cases):
        yield f"no test passed, exit status {status}"
    elif status:
        yield f"failed, exit status {status}"
    module = STANDARD.removesuffix(".py").replace("/", ".")
    for name in re.findall(r"^class (Test\w+)", (ROOT / STANDARD).read_text(encoding="utf-8"), re.MULTILINE):
        results = {result for where, result in cases if where == f"{module}.{name}"}
        if not results or "skipped" in results:
            yield f"{name} of the standard tests {'was skipped in part' if results else 'did not run'}"


def table(rows: Sequence[Sequence[str]]) -> str:
    lines = [["combination", *SHOWN, "passed", "failed", "skipped", "seconds"], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    main()
