"""Rows of the columns that the readers of Milvus's guides have: paragraphs of Wikipedia, and pictures of pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.embedders.cohere_server import vector_of

__all__ = ["drawn_pictures", "page_rows", "paragraph_rows", "unit_vectors"]

WORDS = (
    "Adobe",
    "browser",
    "code",
    "free",
    "kernel",
    "network",
    "page",
    "program",
    "software",
    "user",
    "web",
    "window",
)


def paragraph_rows(seed: int, titles: int, most: int = 6, dim: int = 1024) -> list[dict[str, Any]]:
    """``_id``, ``url``, ``title``, ``text`` and ``emb``, up to ``most`` rows a title, of all titles mixed together."""
    rng = np.random.default_rng(seed)
    rows = []
    for title in (f"Article {i}" for i in range(titles)):
        for _ in range(int(rng.integers(1, most + 1))):
            text = " ".join(rng.choice(WORDS, size=8))
            rows.append({"url": f"https://simple.example/{title}", "title": title, "text": text})
    return [{"_id": f"r{i}", **rows[i], "emb": vector_of(rows[i]["text"], dim)} for i in rng.permutation(len(rows))]


def drawn_pictures(seed: int, number: int) -> Iterator[Image.Image]:
    """Pages with bars of many colours and a word."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        picture = Image.new("RGB", (170, 220), "white")
        draw = ImageDraw.Draw(picture)
        for _ in range(6):
            x, y, width, height = (int(value) for value in rng.integers(5, 120, 4))
            draw.rectangle((x, y, x + width, y + height), fill=tuple(int(value) for value in rng.integers(0, 255, 3)))
        draw.text((10, 5), str(rng.choice(WORDS)), fill="black")
        yield picture


def page_rows(seed: int, number: int) -> Iterator[dict[str, Any]]:
    """``corpus_id``, ``image``, ``doc_id``, ``markdown`` and ``page_number_in_doc``, three pages a document."""
    for i, picture in enumerate(drawn_pictures(seed, number)):
        file = io.BytesIO()
        picture.save(file, "PNG")
        yield {
            "corpus_id": 100 + i,
            "image": {"bytes": file.getvalue(), "path": None},
            "doc_id": f"report {i // 3}.pdf",
            "markdown": f"# Page {i}\n\n" + "Net revenue rose in the quarter. " * 40,
            "page_number_in_doc": i % 3,
        }


def unit_vectors(rng: np.random.Generator, number: int, dim: int = 128) -> NDArray[np.float32]:
    vectors = rng.normal(size=(number, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
