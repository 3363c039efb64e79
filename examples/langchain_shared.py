"""What the LangChain examples share: their options, pages in a collection, a chat model by its name, and sources."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import ColmilvusError, UnreadableFile
from colmilvus.langchain import to_citations
from colmilvus.pdf import read_pages

__all__ = [
    "CITED",
    "NO_MODEL",
    "collection_name",
    "errors_in_one_line",
    "indexed",
    "load_model",
    "options",
    "print_sources",
]

SAMPLES = Path(".demo") / "reports"
CITED = re.compile(r" ?\[(\d+(?:, ?\d+)*)\]")
NO_MODEL = """\
This needs a chat model, --model PROVIDER:MODEL. One of OpenAI's:

    pip install langchain langchain-openai
    export OPENAI_API_KEY=...
    {command} --model openai:gpt-5-mini

One on this machine, with Ollama running:

    ollama pull qwen3-vl
    pip install langchain langchain-ollama
    {command} --model ollama:qwen3-vl

For a model that does not see pictures add --text-only.
"""


def options(about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", metavar="PROVIDER:MODEL", help="a chat model, as LangChain's init_chat_model takes it")
    add("--text-only", action="store_true", help="show the model no pictures of pages, for one that does not see")
    add("--folder", type=Path, help="your PDFs and pictures, also in folders inside it; else sample reports")
    add("--db", type=Path, default=Path("colmilvus.db"), help="the folder to store pages in; else ./colmilvus.db")
    return parser


def load_model(name: str) -> BaseChatModel:
    """The chat model of that name. Raises ImportError, which says what to install, and what its provider raises."""
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        raise ImportError("--model needs: pip install langchain, and the package of the model's provider") from error
    model: BaseChatModel = init_chat_model(name)
    return model


@contextmanager
def indexed(folder: Path | None, database: Path) -> Iterator[Collection]:
    """The pages of a folder's files, or of the sample reports, in a collection; what is in it already is skipped."""
    root = (folder or _drawn_samples()).expanduser().resolve()
    found = read_pages(root, root=root, on_error=lambda problem: print(problem, file=sys.stderr))
    # StaticEmbedder needs no download, and reads text alone; docs/embedders.md has those that look at the pictures.
    with Collection(collection_name(root), StaticEmbedder(), uri=database) as pages:
        # Whatever is in the metadata can be filtered by: here the file, by its path below the folder.
        report = pages.add(replace(page, metadata={**page.metadata, "file": page.document}) for page in found)
        print(f"The pages of {root} are stored in {database.absolute()}: {report}", file=sys.stderr)
        if report.unreadable:
            print("Pages without text, such as scans, are unreadable to StaticEmbedder.", file=sys.stderr)
        if not pages.count():
            raise UnreadableFile(root, "there is no page that can be searched")
        yield pages


def _drawn_samples() -> Path:
    try:
        from examples.sample_reports import draw_reports
    except ModuleNotFoundError as error:
        raise ImportError("to draw the sample reports: pip install reportlab; for your own files: --folder") from error
    draw_reports(SAMPLES)
    return SAMPLES


def collection_name(folder: Path) -> str:
    """A collection's name for each folder, so that answers come from the folder that is asked about."""
    return f"pages_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def print_sources(answer: str, documents: Sequence[Document]) -> None:
    """Print file and page of each document that an answer cites by its number, or, if it cites none, of all."""
    titles = {number: citation["title"] for number, citation in enumerate(to_citations(documents), start=1)}
    numbers = {int(number) for numbers in CITED.findall(answer) for number in numbers.split(",")}
    cited = sorted(numbers & titles.keys())
    print("Sources:" if cited else "Sources (the answer cites none by its number; these were shown):")
    for number in cited or titles:
        print(f"[{number}] {titles[number]}")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program with code 2 and one line for whatever goes wrong: each provider has errors of its own."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        kind = "" if isinstance(error, ColmilvusError | ImportError) else f"{type(error).__name__}: "
        print(kind + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
