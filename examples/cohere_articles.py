"""Find articles by their paragraphs: one entity an article, one vector a paragraph, from Cohere's API.

    pip install '.[cohere,embedded]'
    export CO_API_KEY=...
    python examples/cohere_articles.py paragraphs.jsonl "Adobe software"

The file has one JSON object a line, such as {"id": "17", "title": "Adobe Inc.", "text": "Adobe is ..."}; what else it
has is kept as metadata. Each word of the question is a vector of its own, and an article's score sums, over the words,
how close its closest paragraph comes. The articles are stored in the folder colmilvus.db of the working directory;
another run embeds only paragraphs that are new.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[cohere,embedded]"]
# ///

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from colmilvus import Collection, Entity, Hit, group
from colmilvus.embedders.cohere import CohereEmbedder
from colmilvus.errors import ColmilvusError

DATABASE = Path("colmilvus.db")
MODEL = "embed-multilingual-v3.0"


def read_paragraphs(file: Path) -> Iterator[Entity]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        text = row.pop("text")
        yield Entity(str(row.pop("id", number)), text, metadata=row)


def find_articles(file: Path, question: str, embedder: CohereEmbedder) -> list[Hit]:
    print(f"The articles are stored in {DATABASE.absolute()}", file=sys.stderr)
    with Collection("cohere_articles", embedder, uri=DATABASE, segments=True) as articles:
        report = articles.add(group(read_paragraphs(file), by="title"))
        print(f"{report}; {embedder.usage}", file=sys.stderr)
        return articles.search(question, k=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", type=Path, help="paragraphs, one JSON object a line")
    parser.add_argument("question", metavar="WORDS")
    parser.add_argument("--model", default=MODEL, help=f"one of Cohere's ({MODEL})")
    given = parser.parse_args()
    try:
        hits = find_articles(given.file, given.question, CohereEmbedder(given.model, query="words"))
    except (ColmilvusError, OSError, ValueError, KeyError) as error:
        parser.exit(2, f"{error!r}\n" if isinstance(error, KeyError) else f"{error}\n")
    for hit in hits:
        paragraph, similarity = hit.segments[0]
        print(f"{hit.score:.4f}  {hit.entity.id}\n        {similarity:.3f}  {paragraph.text[:100]}")


if __name__ == "__main__":
    main()
