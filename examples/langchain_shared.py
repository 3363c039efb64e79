"""What the LangChain examples share: pages in a collection, a chat model by its name, and sources."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from examples import shared
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import UnreadableFile
from colmilvus.langchain import to_citations
from colmilvus.pdf import read_pages

__all__ = ["NO_MODEL", "indexed", "load_model", "options", "print_sources"]

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
    told = "a chat model, as LangChain's init_chat_model takes it"
    return shared.options(about, "--model", metavar="PROVIDER:MODEL", help=told)


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
    root = shared.folder_of(folder)
    found = read_pages(root, root=root, on_error=lambda problem: print(problem, file=sys.stderr))
    # StaticEmbedder needs no download, and reads text alone; docs/embedders.md has those that look at the pictures.
    with Collection(shared.collection_name(root), StaticEmbedder(), uri=database) as pages:
        # Whatever is in the metadata can be filtered by: here the file, by its path below the folder.
        report = pages.add(replace(page, metadata={**page.metadata, "file": page.document}) for page in found)
        shared.print_stored(root, database, report, unreadable=bool(report.unreadable))
        if not pages.count():
            raise UnreadableFile(root, "there is no page that can be searched")
        yield pages


def print_sources(answer: str, documents: Sequence[Document]) -> None:
    """Print file and page of each document that an answer cites by its number, or, if it cites none, of all."""
    shared.print_sources(answer, [str(citation["title"]) for citation in to_citations(documents)])
