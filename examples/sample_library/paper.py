"""The paper of a report: cover, contents, running header and footer, prose, tables, and charts in the space left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Paragraph, Spacer
from reportlab.platypus import Table as Grid

from . import model
from .charts import draw_chart
from .figures import Figures, Series

__all__ = ["HEIGHT", "WIDTH", "paint_contents", "paint_cover", "paint_page", "sources"]

WIDTH, HEIGHT = A4
MARGIN = 58
INNER = WIDTH - 2 * MARGIN
TOP, BOTTOM = HEIGHT - 84, 66
TALLEST_CHART = 400
INK, GREY, STRIPE = HexColor("#262b33"), HexColor("#6b7482"), HexColor("#f3f5f8")

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=11.5, leading=17.5, textColor=INK, spaceAfter=8)
LEAD = ParagraphStyle("lead", BODY, fontSize=13, leading=20)
CAPTION = ParagraphStyle("caption", BODY, fontName="Helvetica-Bold", fontSize=9.5, leading=12, spaceAfter=4)
CELL = ParagraphStyle("cell", BODY, fontSize=10, leading=12.5, spaceAfter=0)
RIGHT = ParagraphStyle("right", CELL, alignment=TA_RIGHT)
HEADING = ParagraphStyle("heading", BODY, fontName="Helvetica-Bold", fontSize=21, leading=26, spaceAfter=10)


def sources(series: tuple[str, ...], figures: Figures) -> str:
    """Name the source and year of some series, each once: ``Source: A (2024); B (1976)``."""
    named = dict.fromkeys(f"{figures[name].source} ({figures[name].year})" for name in series)
    return f"Source: {'; '.join(named)}"


def paint_cover(canvas: Any, report: model.Report, figures: Figures) -> None:
    """Paint the first page: title, what the report is about, and where its figures are from."""
    canvas.setFillColor(HexColor(report.colour))
    canvas.rect(0, HEIGHT * 0.52, WIDTH, HEIGHT * 0.48, stroke=0, fill=1)
    _rings(canvas)
    canvas.setFillColor(white)
    canvas.rect(MARGIN, HEIGHT * 0.52 + 62, 64, 3, stroke=0, fill=1)
    title = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=36, leading=43, textColor=white)
    subtitle = ParagraphStyle("subtitle", fontName="Helvetica", fontSize=15, leading=21, textColor=white)
    _down(canvas, [Paragraph(report.title, title), Spacer(1, 14), Paragraph(report.subtitle, subtitle)], HEIGHT - 130)
    _down(canvas, [Paragraph(report.summary, LEAD)], HEIGHT * 0.52 - 46)
    used = tuple(name for page in report.pages for name in page.series)
    note = Paragraph(sources(used, figures).replace("Source:", "<b>Sources</b><br/>"), CELL)
    _, height = note.wrap(INNER, HEIGHT)
    note.drawOn(canvas, MARGIN, BOTTOM)
    canvas.setFillColor(HexColor(report.colour))
    canvas.rect(MARGIN, BOTTOM + height + 8, INNER, 0.8, stroke=0, fill=1)


def paint_contents(canvas: Any, report: model.Report, figures: Figures, label: str) -> None:
    """Paint the list of pages with their numbers."""
    used = tuple(name for page in report.pages for name in page.series)
    _frame(canvas, report, "Source: see the foot of each page; editions of " + _years(used, figures), label)
    lines = [[Paragraph(page.heading, BODY), str(number)] for number, page in enumerate(report.pages, 1)]
    grid = Grid(lines, colWidths=[INNER - 40, 40])
    grid.setStyle([("ALIGN", (1, 0), (1, -1), "RIGHT"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor("#d5dae1"))])
    _down(canvas, [_heading("Contents", report), grid], TOP)


def paint_page(canvas: Any, report: model.Report, page: model.Page, figures: Figures, label: str) -> None:
    """Paint one page. Raises ValueError where its text and tables need more than a page."""
    _frame(canvas, report, sources(page.series, figures), label)
    paragraphs = [Paragraph(_raised(words), BODY) for words in page.text.strip().split("\n\n")]
    strips = [_key_figures(block, figures, report) for block in page.blocks if isinstance(block, model.KeyFigures)]
    tables = [
        part for block in page.blocks if isinstance(block, model.Table) for part in _table(block, figures, report)
    ]
    y = _down(canvas, [_heading(page.heading, report), *strips, *paragraphs, *tables], TOP)
    charts = [block for block in page.blocks if isinstance(block, model.Bars | model.Line | model.Discs)]
    for place, chart in enumerate(charts):
        room = (y - BOTTOM) / (len(charts) - place) - 34
        caption = Paragraph(chart.caption, CAPTION)
        drawing = draw_chart(chart, figures, (INNER, min(room, TALLEST_CHART)), report.colour)
        y = _down(canvas, [Spacer(1, 8), caption, Spacer(1, 6), drawing], y)


def _rings(canvas: Any) -> None:
    canvas.saveState()
    band = canvas.beginPath()
    band.rect(0, HEIGHT * 0.52, WIDTH, HEIGHT * 0.48)
    canvas.clipPath(band, stroke=0, fill=0)
    canvas.setFillColor(white, alpha=0.06)
    for radius in (90, 160, 240, 330):
        canvas.circle(WIDTH - 60, HEIGHT * 0.52 + 20, radius, stroke=0, fill=1)
    canvas.restoreState()


def _frame(canvas: Any, report: model.Report, source: str, label: str) -> None:
    canvas.setFillColor(HexColor(report.colour))
    canvas.rect(0, HEIGHT - 10, WIDTH, 10, stroke=0, fill=1)
    canvas.setFont("Helvetica-Bold", 8.5)
    canvas.drawString(MARGIN, HEIGHT - 44, report.title)
    canvas.setFillColor(GREY)
    canvas.setStrokeColor(HexColor("#d5dae1"))
    canvas.line(MARGIN, HEIGHT - 52, WIDTH - MARGIN, HEIGHT - 52)
    canvas.line(MARGIN, 50, WIDTH - MARGIN, 50)
    canvas.setFont("Helvetica-Bold", 9)
    canvas.drawRightString(WIDTH - MARGIN, 36, label)
    note = Paragraph(source, ParagraphStyle("source", fontName="Helvetica", fontSize=8, leading=10, textColor=GREY))
    _, height = note.wrap(INNER - 50, 40)
    note.drawOn(canvas, MARGIN, 44 - height)


def _down(canvas: Any, parts: list[Flowable], y: float) -> float:
    for part in parts:
        _, height = part.wrapOn(canvas, INNER, HEIGHT)
        y -= height
        if y < BOTTOM - 10:
            raise ValueError(f"page {canvas.getPageNumber()} holds {BOTTOM - y:.0f} points more than fit on it")
        part.drawOn(canvas, MARGIN, y)
        y -= part.getSpaceAfter()
    return y


def _heading(words: str, report: model.Report) -> Paragraph:
    return Paragraph(words, ParagraphStyle("coloured", HEADING, textColor=HexColor(report.colour)))


def _table(block: model.Table, figures: Figures, report: model.Report) -> list[Flowable]:
    columns = [figures[name] for name in block.series]
    items = block.items or tuple(columns[0].values)
    styles = [CELL, *(RIGHT if _all_numbers(column) else CELL for column in columns)]
    heads = [ParagraphStyle("head", style, fontName="Helvetica-Bold", textColor=white) for style in styles]
    rows = [_row((block.item_heading, *block.columns), heads)]
    rows += [_row((item, *(column.shown(item) for column in columns)), styles) for item in items]
    grid = Grid(rows, colWidths=_widths([(block.item_heading, *items), *_words(block, columns)]))
    grid.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, 0), HexColor(report.colour)),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, STRIPE]),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor("#d5dae1")),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LEFTPADDING", (0, 0), (-1, -1), 9),
            ("RIGHTPADDING", (0, 0), (-1, -1), 9),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return [Spacer(1, 8), Paragraph(block.caption, CAPTION), Spacer(1, 4), grid, Spacer(1, 6)]


def _words(block: model.Table, columns: list[Series]) -> list[tuple[str, ...]]:
    return [
        (heading, *(column.shown(item) for item in column.values))
        for heading, column in zip(block.columns, columns, strict=True)
    ]


def _widths(columns: list[tuple[str, ...]]) -> list[float]:
    """Share the page's width: every word whole, whole lines where they fit."""
    words = [_widest(part for cell in column for part in cell.split()) for column in columns]
    lines = [_widest(column) for column in columns]
    spare = INNER - sum(lines)
    if spare >= 0:
        return [width + spare / len(lines) for width in lines]
    share = (INNER - sum(words)) / (sum(lines) - sum(words))
    return [least + share * (most - least) for least, most in zip(words, lines, strict=True)]


def _widest(texts: Iterable[str]) -> float:
    return 20 + max(float(stringWidth(text, "Helvetica-Bold", CELL.fontSize)) for text in texts)


def _row(cells: tuple[str, ...], styles: list[ParagraphStyle]) -> list[Flowable]:
    return [Paragraph(_raised(words), style) for words, style in zip(cells, styles, strict=True)]


def _all_numbers(series: Series) -> bool:
    return all(re.fullmatch(r"-?[\d.:]+", value) for value in series.values.values())


def _key_figures(block: model.KeyFigures, figures: Figures, report: model.Report) -> Flowable:
    big = ParagraphStyle("big", BODY, fontName="Helvetica-Bold", fontSize=19, leading=24, spaceAfter=0)
    big.textColor = HexColor(report.colour)
    cells = [
        [Paragraph(_raised(figures[name].shown(item)), big), Paragraph(words, CELL)]
        for name, item, words in block.cells
    ]
    strip = Grid([cells], colWidths=[INNER / len(cells)] * len(cells), spaceAfter=14)
    strip.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), STRIPE),
            ("LINEABOVE", (0, 0), (-1, 0), 1.6, HexColor(report.colour)),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 8),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
        ]
    )
    return strip


def _raised(words: str) -> str:
    return re.sub(r"\^(-?\d+)", r"<super>\1</super>", words)


def _years(series: tuple[str, ...], figures: Figures) -> str:
    return ", ".join(sorted({figures[name].year for name in series}))
