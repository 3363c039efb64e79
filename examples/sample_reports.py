"""Draw the sample reports: a small library of PDFs with prose, tables, charts and scanned pages.

Run ``python examples/sample_reports.py FOLDER``. Every figure comes from ``sample_figures.csv``, and two runs give the
same bytes.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.sample_library.air_and_water import AIR_AND_WATER
from examples.sample_library.elements import ELEMENTS
from examples.sample_library.figures import Figures, read_figures
from examples.sample_library.model import Page, Report
from examples.sample_library.paper import HEIGHT, WIDTH, paint_contents, paint_cover, paint_page
from examples.sample_library.questions import LABELLED_QUESTIONS, QUESTIONS, Question
from examples.sample_library.records import RECORDS
from examples.sample_library.scan import paint_scan
from examples.sample_library.solar_system import SOLAR_SYSTEM
from reportlab.pdfgen.canvas import Canvas

__all__ = ["LABELLED_QUESTIONS", "QUESTIONS", "REPORTS", "Question", "draw_reports"]

REPORTS = (SOLAR_SYSTEM, AIR_AND_WATER, ELEMENTS, RECORDS)
ROMAN = ("i", "ii")


def draw_reports(folder: str | PathLike[str]) -> list[Path]:
    """Draw all sample reports into ``folder``, which is made where it is missing, and return the files."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    figures = read_figures()
    return [_draw(report, figures, target / report.file) for report in REPORTS]


def _draw(report: Report, figures: Figures, file: Path) -> Path:
    canvas = Canvas(str(file), pagesize=(WIDTH, HEIGHT), invariant=True, pageCompression=1)
    canvas.setTitle(report.title)
    canvas.setSubject(report.subtitle)
    canvas.setAuthor("colmilvus sample reports")
    paint_cover(canvas, report, figures)
    canvas.showPage()
    if report.contents:
        _number_front_pages(canvas)
        paint_contents(canvas, report, figures, ROMAN[1])
        canvas.showPage()
    for place, page in enumerate(report.pages):
        _paint(canvas, report, page, figures, str(place + (1 if report.contents else 2)))
        canvas.showPage()
    canvas.save()
    return file


def _paint(canvas: Any, report: Report, page: Page, figures: Figures, label: str) -> None:
    paint = partial(paint_page, report=report, page=page, figures=figures, label=label)
    if page.scanned:
        paint_scan(canvas, paint)
    else:
        paint(canvas)


def _number_front_pages(canvas: Any) -> None:
    canvas.addPageLabel(0, style="ROMAN_LOWER", start=1)
    canvas.addPageLabel(len(ROMAN), style="ARABIC", start=1)


def main() -> None:
    """Draw the reports into the folder named on the command line, and list them."""
    parser = argparse.ArgumentParser(description="Draw the sample reports as PDF files.")
    parser.add_argument("folder", type=Path, help="where the files go")
    for file in draw_reports(parser.parse_args().folder):
        print(file)


if __name__ == "__main__":
    main()
