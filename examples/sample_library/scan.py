"""A page as a scanner would give it: only a picture, a little askew and grey, with no text behind it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pypdfium2
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from .paper import HEIGHT, WIDTH

__all__ = ["paint_scan"]

DOTS_PER_INCH = 110
TILT_DEGREES = 0.55
QUALITY = 55


def paint_scan(canvas: Any, paint: Callable[[Any], None]) -> None:
    """Let ``paint`` paint on a sheet of its own, and put a scan of that sheet on the canvas's page."""
    sheet = io.BytesIO()
    original = Canvas(sheet, pagesize=(WIDTH, HEIGHT), invariant=True)
    paint(original)
    original.save()
    canvas.drawImage(ImageReader(_scanned(sheet.getvalue())), 0, 0, WIDTH, HEIGHT)


def _scanned(sheet: bytes) -> io.BytesIO:
    document = pypdfium2.PdfDocument(sheet)
    try:
        clean = document[0].render(scale=DOTS_PER_INCH / 72).to_pil().convert("L")
    finally:
        document.close()
    askew = clean.rotate(TILT_DEGREES, Image.Resampling.BICUBIC, fillcolor=250)
    grain = np.random.default_rng(seed=7).normal(0, 2.5, (askew.height, askew.width))
    paper = np.asarray(askew, dtype=np.float64) * 0.94 + grain
    scan = io.BytesIO()
    Image.fromarray(paper.clip(0, 255).astype(np.uint8)).save(scan, "JPEG", quality=QUALITY)
    scan.seek(0)
    return scan
