"""Read with LlamaIndex what LangChain has stored, and the other way round: the same ids, scores, texts and metadata.

    pip install '.[embedded,langchain,llama-index,pdf,static]' reportlab
    python examples/two_frameworks.py
    python examples/two_frameworks.py "What did we earn in 2024?" --folder ~/reports

It needs no LLM, and nothing leaves this machine. Without --folder the files are sample reports, which are drawn into
.demo/reports. Another run stores only what has changed.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[embedded,langchain,llama-index,pdf,static]", "reportlab>=4.2"]
# ///

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.shared import collection_name, errors_in_one_line, folder_of, options, print_stored

from colmilvus import Collection, langchain, llama_index
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.errors import UnreadableFile

PAGES = 3
QUESTION = "Why is Venus hotter than Mercury?"


@dataclass(frozen=True)
class Found:
    """What a framework has of a page that is found."""

    id: str | None
    score: float
    text: str
    metadata: Mapping[str, Any]
    picture: str | None


Store: TypeAlias = Callable[[Collection, Path], object]


def store_with_langchain(pages: Collection, folder: Path) -> None:
    store = langchain.LateInteractionVectorStore(pages)
    store.add_documents(langchain.PageLoader(folder, root=folder).load())


def store_with_llama_index(pages: Collection, folder: Path) -> None:
    index = llama_index.as_index(pages)
    index.insert_nodes(llama_index.PageReader(root=folder).load_data(folder))


def find_with_langchain(pages: Collection, question: str) -> list[Found]:
    documents = langchain.LateInteractionRetriever(pages, k=PAGES).invoke(question)
    # LangChain's Document has no places of their own for a score and a picture: they are in the metadata.
    own = [{k: v for k, v in page.metadata.items() if k not in ("image", "score", "similarity")} for page in documents]
    return [
        Found(page.id, page.metadata["score"], page.page_content, metadata, page.metadata.get("image"))
        for page, metadata in zip(documents, own, strict=True)
    ]


def find_with_llama_index(pages: Collection, question: str) -> list[Found]:
    hits = llama_index.LateInteractionRetriever(pages, similarity_top_k=PAGES).retrieve(question)
    return [
        Found(hit.node_id, hit.get_score(), hit.text, hit.metadata, getattr(hit.node, "image_path", None))
        for hit in hits
    ]


def compare(pages: Collection, question: str) -> bool:
    """Print what both frameworks find, side by side, and return whether it is the same."""
    pairs = list(zip(find_with_langchain(pages, question), find_with_llama_index(pages, question), strict=True))
    width = max((len(str(one.id)) for one, _ in pairs), default=0)
    print(f"{'page':{width}}  LangChain  LlamaIndex  text, metadata, picture")
    for one, other in pairs:
        name = str(one.id) if one.id == other.id else f"{one.id} / {other.id}"
        print(f"{name:{width}}  {one.score:9.4f}  {other.score:10.4f}  {_told(one, other)}")
    return all(one == other for one, other in pairs)


def _told(one: Found, other: Found) -> str:
    fields = ("text", "metadata", "picture")
    differ = [field for field in fields if getattr(one, field) != getattr(other, field)]
    return f"not the same: {', '.join(differ)}" if differ else f"the same: {len(one.text)} characters, {_keys(one)}"


def _keys(found: Found) -> str:
    return ", ".join([*found.metadata, *(["and a picture"] if found.picture else [])])


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("question", metavar="QUESTION", nargs="?", default=QUESTION, help=f"else: {QUESTION}")
    given = parser.parse_args()
    makers: Mapping[str, Store] = {"LangChain": store_with_langchain, "LlamaIndex": store_with_llama_index}
    with errors_in_one_line():
        folder = folder_of(given.folder)
        are_same = [_try(name, store, folder, given.db, given.question) for name, store in makers.items()]
        sys.exit(0 if all(are_same) else "The two frameworks do not find the same.")


def _try(name: str, store: Store, folder: Path, database: Path, question: str) -> bool:
    with Collection(collection_name(folder, f"by_{name.lower()}"), StaticEmbedder(), uri=database) as pages:
        with warnings.catch_warnings(record=True) as unreadable:  # one for each page, which print_stored sums up
            warnings.simplefilter("always")
            store(pages, folder)
        print_stored(folder, database, f"{pages.count()} by {name}", unreadable=bool(unreadable))
        if not pages.count():
            raise UnreadableFile(folder, "there is no page that can be searched")
        print(f"\nStored by {name}, asked by both: {question}")
        return compare(pages, question)


if __name__ == "__main__":
    main()
