"""The sample reports: enough of them, sources named, the same bytes every time, and the questions answered."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest

pytest.importorskip("reportlab")

from examples.sample_library.charts import ticks
from examples.sample_library.figures import FIGURES_FILE, read_figures, shown
from examples.sample_reports import LABELLED_QUESTIONS, QUESTIONS, REPORTS, Question, draw_reports

ROOT = Path(__file__).parents[1]
SCANNED = {
    (report.file, number)
    for report in REPORTS
    for number, page in enumerate(report.pages, report.front_pages + 1)
    if page.scanned
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_reports(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def texts(library: list[Path]) -> dict[tuple[str, int], str]:
    return {(file.name, number): text for file in library for number, text in enumerate(_page_texts(file), 1)}


def _page_texts(file: Path) -> Iterator[str]:
    document = pypdfium2.PdfDocument(file)
    try:
        for page in document:
            yield " ".join(page.get_textpage().get_text_bounded().split())
    finally:
        document.close()


def test_there_are_at_least_three_files_and_thirty_pages(texts: dict[tuple[str, int], str]) -> None:
    assert len({file for file, _ in texts}) >= 3
    assert len(texts) >= 30


def test_every_file_stays_small(library: list[Path]) -> None:
    assert all(file.stat().st_size < 1_000_000 for file in library)


def test_two_runs_draw_the_same_bytes(library: list[Path], tmp_path: Path) -> None:
    again = draw_reports(tmp_path / "deeper" / "folder")

    assert [file.name for file in again] == [file.name for file in library]
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in library]


def test_running_the_script_draws_the_same_files(library: list[Path], tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "sample_reports.py")

    done = subprocess.run([sys.executable, script, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)

    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(tmp_path / file.name) for file in library]
    assert [(tmp_path / file.name).read_bytes() for file in library] == [file.read_bytes() for file in library]


def test_a_scanned_page_has_a_picture_and_no_text_at_all(library: list[Path]) -> None:
    assert 3 <= len(SCANNED) <= 5
    for file in library:
        document = pypdfium2.PdfDocument(file)
        for number, page in enumerate(document, 1):
            if (file.name, number) in SCANNED:
                kinds = [part.type for part in page.get_objects()]
                assert kinds == [pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]
                assert page.get_textpage().count_chars() == 0
        document.close()


def test_every_other_page_names_its_source_and_year(texts: dict[tuple[str, int], str]) -> None:
    years = {series.year for series in read_figures().values()}
    for place, text in texts.items():
        if place not in SCANNED:
            assert "Source" in text, place
            assert any(year in text for year in years), place


def test_a_page_of_a_report_names_the_source_of_every_figure_it_shows(texts: dict[tuple[str, int], str]) -> None:
    figures = read_figures()
    for report in REPORTS:
        for number, page in enumerate(report.pages, report.front_pages + 1):
            if not page.scanned:
                for name in page.series:
                    assert f"{figures[name].source} ({figures[name].year})" in texts[report.file, number]


def test_every_row_of_the_figures_has_a_value_a_unit_a_source_and_a_year() -> None:
    with FIGURES_FILE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))

    assert len(rows) > 500
    for row in rows:
        assert all(row[column].strip() for column in ("series", "item", "value", "unit", "source", "year")), row
        assert 1900 < int(row["year"]) <= 2025
    assert len({(row["series"], row["item"]) for row in rows}) == len(rows)


def test_every_series_is_shown_somewhere() -> None:
    shown_series = {name for report in REPORTS for page in report.pages for name in page.series}

    assert shown_series == set(read_figures())


def test_a_series_with_two_sources_is_refused(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("series,item,value,unit,year,source\nheight,A,1,m,2020,X\nheight,B,2,m,2020,Y\n", encoding="utf-8")

    with pytest.raises(ValueError, match="'height' has two units, sources or years: see item 'B'"):
        read_figures(mixed)


@pytest.mark.parametrize("question", LABELLED_QUESTIONS, ids=lambda question: question.words)
def test_the_labelled_page_holds_the_answer(question: Question, texts: dict[tuple[str, int], str]) -> None:
    assert question.answer in texts[question.file, question.page]


def test_the_first_three_questions_lead_to_three_files_and_no_scanned_page() -> None:
    assert len({question.file for question in QUESTIONS}) == 3
    assert not SCANNED & {(question.file, question.page) for question in LABELLED_QUESTIONS}


def test_the_first_file_numbers_its_front_pages_in_roman(library: list[Path]) -> None:
    document = pypdfium2.PdfDocument(library[0])
    labels = [document.get_page_label(index) for index in range(len(document))]
    document.close()

    assert labels[:4] == ["i", "ii", "1", "2"]


def test_pages_are_told_apart_by_their_text(texts: dict[tuple[str, int], str]) -> None:
    prose = [text for place, text in texts.items() if place not in SCANNED]

    assert len(set(prose)) == len(prose)
    assert all(len(text.split()) > 30 for text in prose)


def test_thousands_are_marked_and_decimals_kept() -> None:
    assert [shown(value) for value in ("142984", "-5832.5", "0.330", "2:00:35")] == [
        "142,984",
        "-5,832.5",
        "0.330",
        "2:00:35",
    ]


def test_ticks_are_round_and_enclose_the_values() -> None:
    assert ticks(0, 464) == [0, 100, 200, 300, 400, 500]
    assert ticks(-200, 464) == [-200, 0, 200, 400, 600]
    assert ticks(316, 425) == [300, 320, 340, 360, 380, 400, 420, 440]
