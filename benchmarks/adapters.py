"""What the adapters of the frameworks add to a search of the core, in milliseconds; the searches take turns."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from llama_index.core.vector_stores.types import VectorStoreQuery

from colmilvus import Collection, Entity, langchain, llama_index
from colmilvus.embedders.static import StaticEmbedder

WORDS = ("red", "green", "blue", "sea", "sky", "tree", "dog", "cat", "river", "city", "ocean", "planet", "year")


def searches(collection: Collection, k: int) -> dict[str, Callable[[str], object]]:
    """The same search by each way to call it."""
    return {
        "core": lambda question: collection.search(question, k, mode="late_interaction"),
        **of_langchain(collection, k),
        **of_llama_index(collection, k),
    }


def of_langchain(collection: Collection, k: int) -> dict[str, Callable[[str], object]]:
    store = langchain.LateInteractionVectorStore(collection)
    retriever = langchain.LateInteractionRetriever(collection, k=k, mode="late_interaction")
    return {
        "LangChain store": lambda question: store.similarity_search(question, k),
        "LangChain retriever": retriever.invoke,
        "LangChain store's retriever": store.as_retriever(search_kwargs={"k": k}).invoke,
    }


def of_llama_index(collection: Collection, k: int) -> dict[str, Callable[[str], object]]:
    store = llama_index.LateInteractionVectorStore(collection)
    retriever = llama_index.LateInteractionRetriever(collection, k, mode="late_interaction")
    return {
        "LlamaIndex store": lambda question: store.query(VectorStoreQuery(query_str=question, similarity_top_k=k)),
        "LlamaIndex retriever": retriever.retrieve,
        "LlamaIndex index's retriever": llama_index.as_index(store).as_retriever(similarity_top_k=k).retrieve,
    }


def measure(ways: Mapping[str, Callable[[str], object]], rounds: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds of each search, one question a round, in another order each time."""
    random = np.random.default_rng(seed)
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        question = " ".join(random.choice(WORDS, 5))
        for name in random.permutation(names):
            begun = time.perf_counter()
            ways[name](question)
            times[name].append(1000 * (time.perf_counter() - begun))
    return times


def fill(collection: Collection, pages: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    collection.add(
        [Entity(str(n), " ".join(random.choice(WORDS, 120)), metadata={"page": n}) for n in range(pages)],
        progress=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=500, help="pages of the collection (%(default)s)")
    parser.add_argument("--rounds", type=int, default=500, help="questions, each asked in every way (%(default)s)")
    parser.add_argument("--k", type=int, default=4, help="documents of a search (%(default)s)")
    given = parser.parse_args()
    embedder = StaticEmbedder()
    embedder.mode = "late_interaction"  # the other is hybrid; LlamaIndex's default mode is that of the embedder
    with (
        tempfile.TemporaryDirectory() as folder,
        Collection("pages", embedder, uri=Path(folder) / "kb.db") as collection,
    ):
        fill(collection, given.pages, seed=0)
        ways = searches(collection, given.k)
        measure(ways, 20, seed=1)
        times = measure(ways, given.rounds, seed=2)
    for name, each in times.items():
        added = statistics.median([mine - own for mine, own in zip(each, times["core"], strict=True)])
        told = "" if name == "core" else f"   {added:+.3f} ms to the core"
        print(f"{name:30}{statistics.median(each):8.3f} ms{told}")
    print(f"medians of {given.rounds} questions to {given.pages} pages, k={given.k}")


if __name__ == "__main__":
    main()
