"""Draw the picture at the head of the README: a question, and the three pages that were found.

python -m examples.picture docs/search.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from examples.sample_reports import QUESTIONS, draw_reports
from PIL import Image, ImageDraw, ImageFont

from colmilvus import Collection, Hit
from colmilvus.embedders.static import StaticEmbedder
from colmilvus.images import open_image
from colmilvus.pdf import read_pages

SIZE = (1600, 860)
PAGE_HEIGHT = 580
INK, GREY, PAPER, ACCENT = "#1b2330", "#6b7686", "#f3f5f8", "#1f5fa8"


def find(question: str) -> tuple[list[Hit], int, list[Image.Image]]:
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder) / "reports"
        draw_reports(reports)
        with Collection("pages", StaticEmbedder(), uri=Path(folder) / "kb.db") as pages:
            pages.add(read_pages(reports))
            hits = pages.search(question, k=3)
            return hits, pages.count(), [open_image(hit.entity.image) for hit in hits if hit.entity.image is not None]


def draw(question: str) -> Image.Image:
    hits, count, pictures = find(question)
    canvas = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.rounded_rectangle((40, 34, SIZE[0] - 40, 114), radius=16, fill="white", outline="#cfd6df", width=2)
    pen.text((72, 55), question, fill=INK, font=ImageFont.load_default(32))
    pen.text((SIZE[0] - 72, 62), f"{count} pages searched", fill=GREY, font=ImageFont.load_default(22), anchor="ra")
    column = (SIZE[0] - 80) // len(hits)
    for rank, (hit, picture) in enumerate(zip(hits, pictures, strict=True)):
        draw_hit(canvas, rank, hit, picture, 40 + column * rank + column // 2)
    return canvas


def draw_hit(canvas: Image.Image, rank: int, hit: Hit, picture: Image.Image, middle: int) -> None:
    pen = ImageDraw.Draw(canvas)
    width = round(picture.width * PAGE_HEIGHT / picture.height)
    left, top = middle - width // 2, 144
    outline = ACCENT if rank == 0 else "#cfd6df"
    pen.rectangle((left - 3, top - 3, left + width + 2, top + PAGE_HEIGHT + 2), outline=outline, width=3)
    canvas.paste(picture.resize((width, PAGE_HEIGHT), Image.Resampling.LANCZOS), (left, top))
    source = Path(str(hit.entity.metadata["source"])).name
    label = f"{rank + 1}.  {source}, page {hit.entity.metadata['page']}"
    pen.text((left, top + PAGE_HEIGHT + 18), label, fill=INK, font=ImageFont.load_default(26))
    score = f"score {hit.score:.2f}"
    pen.text((left, top + PAGE_HEIGHT + 54), score, fill=GREY, font=ImageFont.load_default(22))
    bar = (left + 130, top + PAGE_HEIGHT + 62, left + width, top + PAGE_HEIGHT + 76)
    pen.rounded_rectangle(bar, radius=7, fill="#dde3ea")
    full = bar[0] + max(14, round((bar[2] - bar[0]) * min(hit.score, 1)))
    pen.rounded_rectangle((bar[0], bar[1], full, bar[3]), radius=7, fill=ACCENT)


if __name__ == "__main__":
    draw(QUESTIONS[1].words).save(sys.argv[1], optimize=True)
