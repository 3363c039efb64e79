"""What the LlamaIndex examples share: pages in an index, an LLM by its name, what it is shown, and sources."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any

from examples import shared
from llama_index.core.base.llms.types import ContentBlock, TextBlock
from llama_index.core.llms import LLM
from llama_index.core.schema import NodeWithScore

from colmilvus import Collection
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import UnreadableFile
from colmilvus.llama_index import (
    LateInteractionIndex,
    PageDocument,
    PageReader,
    as_index,
    to_citations,
    to_content_blocks,
)

__all__ = ["NO_LLM", "content", "indexed", "load_llm", "options", "read_folder", "titles"]

NO_LLM = """\
This needs an LLM, --llm PROVIDER:MODEL. One of OpenAI's:

    pip install llama-index-llms-openai
    export OPENAI_API_KEY=...
    {command} --llm openai:gpt-5-mini

One on this machine, with Ollama running:

    ollama pull qwen3-vl
    pip install llama-index-llms-ollama
    {command} --llm ollama:qwen3-vl --llm-arg request_timeout=600

Any other class, LlamaIndex's or yours: --llm PACKAGE.MODULE:CLASS, with --llm-arg NAME=VALUE for each argument.
For a model that does not see pictures add --text-only.
"""
MODEL_FIELDS = ("model", "model_name", "model_id")


def options(about: str | None) -> argparse.ArgumentParser:
    told = "an LLM of the package llama-index-llms-PROVIDER, or PACKAGE.MODULE:CLASS for any other"
    parser = shared.options(about, "--llm", metavar="PROVIDER:MODEL", help=told)
    told = "an argument of the LLM, such as temperature=0; may be given several times"
    parser.add_argument("--llm-arg", metavar="NAME=VALUE", action="append", default=[], help=told)
    return parser


def load_llm(name: str, arguments: Sequence[str] = ()) -> LLM:
    """The LLM of that name, with arguments such as ``temperature=0``.

    Raises ImportError, which says what to install, ValueError for a name or an argument of another form, and what the
    LLM raises.
    """
    before, colon, model = name.partition(":")
    if not (before and colon and model):
        raise ValueError(f"--llm is PROVIDER:MODEL, such as openai:gpt-5-mini, or PACKAGE.MODULE:CLASS, not {name!r}")
    given = dict(_argument(text) for text in arguments)
    if "." in before:
        llm: LLM = getattr(importlib.import_module(before), model)(**given)
    else:
        kind = _llm_class(_provider(before), before)
        field = next((field for field in MODEL_FIELDS if field in kind.model_fields), MODEL_FIELDS[0])
        llm = kind(**{field: model, **given})
    # Some classes find out only later that they do not know a model or have no key; now nothing is stored yet.
    _ = llm.metadata
    if before == "openai" and not getattr(llm, "api_key", None):
        raise ValueError(f"--llm {name} needs a key: export OPENAI_API_KEY=..., or --llm-arg api_key=...")
    return llm


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--llm-arg is NAME=VALUE, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _provider(name: str) -> ModuleType:
    module = f"llama_index.llms.{name.replace('-', '_')}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise
        package = f"llama-index-llms-{name.replace('_', '-')}"
        raise ImportError(f"--llm {name}:... needs: pip install {package}, if there is such a provider") from error


def _llm_class(module: ModuleType, provider: str) -> type[LLM]:
    """The class that is called as the provider, or else the first; modules such as that of openai have several."""
    found = [getattr(module, name) for name in getattr(module, "__all__", dir(module))]
    classes: list[type[LLM]] = [each for each in found if isclass(each) and issubclass(each, LLM)]
    if not classes:
        raise ImportError(f"{module.__name__} has no LLM")
    named = provider.replace("-", "").replace("_", "").lower()
    return next((each for each in classes if each.__name__.lower() == named), classes[0])


@contextmanager
def indexed(folder: Path | None, database: Path) -> Iterator[LateInteractionIndex]:
    """An index over the pages of a folder's files, or of the sample reports; what is in it already is skipped."""
    root = shared.folder_of(folder)
    found = read_folder(root)
    # StaticEmbedder needs no download, and reads text alone; docs/embedders.md has those that look at the pictures.
    with Collection(shared.collection_name(root, "llama_index"), StaticEmbedder(), uri=database) as pages:
        index = as_index(pages)
        with warnings.catch_warnings(record=True) as unreadable:  # one for each page, which print_stored sums up
            warnings.simplefilter("always")
            index.insert_nodes(found)
        shared.print_stored(root, database, f"{pages.count()} of {len(found)}", unreadable=bool(unreadable))
        if not pages.count():
            raise UnreadableFile(root, "there is no page that can be searched")
        yield index


def read_folder(root: Path) -> list[PageDocument]:
    """The pages of all files in a folder; files that cannot be read are named and left out."""
    reader = PageReader(root=root, on_error=lambda problem: print(problem, file=sys.stderr))
    found = list(reader.lazy_load_data(root))
    for page in found:
        # Whatever is in the metadata can be filtered by: here the file, by its path below the folder.
        page.metadata["file"] = page.document
        page.excluded_embed_metadata_keys.append("file")
    return found


def content(text: str, pages: Sequence[NodeWithScore], pictures: int) -> list[ContentBlock]:
    """A text and the numbered pages after it, with so many pictures at most, for a message to an LLM."""
    return [TextBlock(text=f"{text}\n"), *to_content_blocks(pages, pages=pictures)]


def titles(pages: Sequence[NodeWithScore]) -> list[str]:
    """File and page for each number that ``to_content_blocks`` gives, in their order."""
    return [citation.title for citation in to_citations(pages)]
