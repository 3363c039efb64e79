"""Find the pages of PDFs by what they look like: text, tables, charts and scans, with a model such as ColPali.

    pip install '.[colpali,embedded,pdf]'
    python examples/colpali_pages.py FOLDER "question"
    python examples/colpali_pages.py FOLDER "question" --checkpoint vidore/colqwen2-v1.0

The checkpoint is downloaded once from the Hugging Face hub; a folder with one does as well. docs/embedders.md compares
them. The pages are stored in the folder colmilvus.db of the working directory; another run skips what is there.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[colpali,embedded,pdf]"]
# ///

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from colmilvus import Collection, Hit
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import ColmilvusError
from colmilvus.pdf import read_pages

DATABASE = Path("colmilvus.db")
CHECKPOINT = "vidore/colSmol-256M"


def find_pages(folder: str, question: str, checkpoint: str, pool: int) -> list[Hit]:
    embedder = ColPaliEmbedder(checkpoint, pool=pool)
    print(f"{checkpoint} runs on {embedder.device}; the pages are stored in {DATABASE.absolute()}", file=sys.stderr)
    with Collection("colpali_pages", embedder, uri=DATABASE) as pages:
        report = pages.add(read_pages(folder))
        print(report, file=sys.stderr)
        return pages.search(question, k=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="PDFs and pictures, also in folders inside it")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help=f"a name on the hub, or a folder ({CHECKPOINT})")
    parser.add_argument("--pool", type=int, default=1, metavar="N", help="keep one vector of N, to need less room (1)")
    given = parser.parse_args()
    try:
        hits = find_pages(given.folder, given.question, given.checkpoint, given.pool)
    except ColmilvusError as error:
        parser.exit(2, f"{error}\n")
    for hit in hits:
        page, picture = hit.entity.metadata, str(hit.entity.image)
        print(f"{hit.similarity:.3f}  {page['source']}, page {page['page']}  {picture}")


if __name__ == "__main__":
    main()
