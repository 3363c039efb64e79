"""What the LangChain and the LlamaIndex examples share: their options, where the pages lie, sources, errors."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from typing import Any

from colmilvus.errors import ColmilvusError, UnreadableFile

with suppress(ImportError):  # not on Windows; elsewhere it lets input() edit a line and recall those before
    import readline  # noqa: F401

__all__ = [
    "CITED",
    "collection_name",
    "errors_in_one_line",
    "folder_of",
    "options",
    "print_sources",
    "print_stored",
    "typed_questions",
]

SAMPLES = Path(".demo") / "reports"
CITED = re.compile(r" ?\[(\d+(?:, ?\d+)*)\]")
ERROR = 400  # characters; some providers list all models that they know


def options(about: str | None, *model: str, **described: Any) -> argparse.ArgumentParser:
    """The options of an example, first the one that names a model: its flag, and what argparse is to know of it."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    if model:
        add(*model, **described)
        add("--text-only", action="store_true", help="show the model no pictures of pages, for one that does not see")
    add("--folder", type=Path, help="your PDFs and pictures, also in folders inside it; else sample reports")
    add("--db", type=Path, default=Path("colmilvus.db"), help="the folder to store pages in; else ./colmilvus.db")
    return parser


def folder_of(given: Path | None) -> Path:
    """The absolute path of what a user has given, or else of the sample reports, which are drawn for it.

    Raises UnreadableFile if there is no such file or folder: before a database is made.
    """
    root = (given or _drawn_samples()).expanduser().resolve()
    if not root.exists():
        raise UnreadableFile(root, "there is no such file or folder")
    return root


def _drawn_samples() -> Path:
    try:
        from examples.sample_reports import draw_reports
    except ModuleNotFoundError as error:
        raise ImportError("to draw the sample reports: pip install reportlab; for your own files: --folder") from error
    draw_reports(SAMPLES)
    return SAMPLES


def collection_name(folder: Path, made_by: str = "pages") -> str:
    """A collection's name for each folder, so that answers come from the folder that is asked about."""
    return f"{made_by}_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def print_stored(folder: Path, database: Path, told: object, *, unreadable: bool) -> None:
    print(f"The pages of {folder} are stored in {database.absolute()}: {told}", file=sys.stderr)
    if unreadable:
        print("Pages without text, such as scans, are unreadable to StaticEmbedder.", file=sys.stderr)


def typed_questions() -> Iterator[str]:
    """What is typed, up to an empty line, "exit" or the end of the input."""
    with suppress(EOFError):
        while (question := input("\nYou: ").strip()) and question.lower() != "exit":
            yield question


def print_sources(answer: str, titles: Sequence[str]) -> None:
    """Print the titles that an answer cites by their numbers, from 1, or, if it cites none, all."""
    by_number = dict(enumerate(titles, start=1))
    numbers = {int(number) for numbers in CITED.findall(answer) for number in numbers.split(",")}
    cited = sorted(numbers & by_number.keys())
    print("Sources:" if cited else "Sources (the answer cites none by its number; these were shown):")
    for number in cited or by_number:
        print(f"[{number}] {by_number[number]}")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program with code 2 and one line for whatever goes wrong: each provider has errors of its own."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        kind = "" if isinstance(error, ColmilvusError | ImportError) else f"{type(error).__name__}: "
        print(kind + shorten(str(error), ERROR, placeholder=" ..."), file=sys.stderr)
        sys.exit(2)
