"""Whether reading, embedding and storing go on at the same time.

python -m benchmarks.overlap                                  an embedder that waits, as a remote API does
python -m benchmarks.overlap --embedder segments:MODEL        a model on this machine, which takes its processors

Pages of a PDF that is drawn here are read, embedded and stored by Collection.add, and by the same steps one after the
other; both in turn, several times. Of an embedder that waits the time is held against the longest of the three steps,
for the others can hide behind it; of a model on this machine against all three together, for nothing can be won where
the processors are busy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from colmilvus import Collection, Entity, MultiVector, Unreadable
from colmilvus.cli.embedders import FORMS, choose
from colmilvus.embedder import Embedder
from colmilvus.embedders.segments import SegmentEmbedder
from colmilvus.ingest.drawing import DrawnOnce
from colmilvus.ingest.embedding import Pace
from colmilvus.pdf import read_pages

CALL = 0.2
TEXTS_A_CALL = 8
DIM = 1024
STEPS = ("reading", "embedding", "storing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedder", metavar="NAME", help=f"{FORMS}; one that waits {CALL} s a call if not given")
    parser.add_argument("--pages", type=int, default=400, help="pages of the PDF (400)")
    parser.add_argument("--rounds", type=int, default=5, help="how often both are measured (5)")
    given = parser.parse_args()
    embedder = choose(given.embedder).make() if given.embedder else waiting_embedder()
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "pages.pdf"
        draw(file, given.pages)
        measure(file, Path(temporary), embedder, given.rounds, is_local=given.embedder is not None)


def waiting_embedder() -> Embedder:
    """Stands in for an API: each call takes 200 ms and none of this machine's time, and embeds eight texts."""

    def call(texts: list[str]) -> list[list[float]]:
        time.sleep(CALL)
        return [[float(len(text) % 7 + 1), *[1.0] * (DIM - 1)] for text in texts]

    return SegmentEmbedder(call, name="waiting", dim=DIM, batch_size=TEXTS_A_CALL)


def draw(file: Path, count: int) -> None:
    """A PDF of pages with text and a picture on each, as reports have them."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(file), pagesize=A4)
    for number in range(count):
        picture = Image.effect_noise((400, 300), 30 + number % 60).convert("RGB")
        ImageDraw.Draw(picture).text((20, 20), f"figure {number}", fill="red")
        canvas.drawImage(ImageReader(picture), 80, 400, 400, 300)
        for line in range(30):
            canvas.drawString(
                80, 380 - 11 * line, f"Page {number}, line {line}: net sales rose by {number * line} per cent."
            )
        canvas.showPage()
    canvas.save()


def measure(file: Path, folder: Path, embedder: Embedder, rounds: int, *, is_local: bool) -> None:
    together, apart = [], []
    for number in range(rounds):
        for is_first in (number % 2 == 0, number % 2 == 1):
            if is_first:
                together.append(at_once(file, folder / f"a{number}", embedder))
            else:
                apart.append(one_after_the_other(file, folder / f"b{number}", embedder))
    for step in STEPS:
        print(f"{step:10} {statistics.median(each[step] for each in apart):7.2f} s")
    print(f"at once    {statistics.median(together):7.2f} s (median of {rounds})")
    against = "all three" if is_local else "the longest"
    ratios = [whole / (sum if is_local else max)(steps.values()) for whole, steps in zip(together, apart, strict=True)]
    print(f"at once / {against}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def at_once(file: Path, database: Path, embedder: Embedder) -> float:
    with Collection("pages", embedder, uri=database) as pages:
        started = time.perf_counter()
        pages.add(read_pages(file))
        return time.perf_counter() - started


def one_after_the_other(file: Path, database: Path, embedder: Embedder) -> dict[str, float]:
    """The seconds of each step, over portions as large as add takes them."""
    spent = dict.fromkeys(STEPS, 0.0)
    source = read_pages(file)
    size = Pace.MOST_PICTURES
    with Collection("pages", embedder, uri=database) as pages:
        while True:
            with counted(spent, "reading"):
                portion = [drawn(entity) for entity, _ in zip(source, range(size), strict=False)]
            if not portion:
                return spent
            with counted(spent, "embedding"):
                vectors = embed(embedder, portion)
            with counted(spent, "storing"):
                pages.add(portion, vectors=vectors)


def drawn(entity: Entity) -> Entity:
    if entity.image is None:
        return entity
    picture = DrawnOnce(entity.image)
    picture.draw()
    return replace(entity, image=picture)


def embed(embedder: Embedder, entities: Sequence[Entity]) -> list[MultiVector]:
    answers = embedder.embed_entities(entities)
    unreadable = [answer for answer in answers if isinstance(answer, Unreadable)]
    if unreadable:
        raise ValueError(f"the embedder does not read these pages: {unreadable[0].reason}")
    return [answer for answer in answers if isinstance(answer, MultiVector)]


@contextmanager
def counted(spent: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[step] += time.perf_counter() - started


if __name__ == "__main__":
    main()
