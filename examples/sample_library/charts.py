"""Charts as vector drawings: bars across, bars up, lines and discs, each with its axes named."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reportlab.graphics.shapes import Circle, Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor
from reportlab.pdfbase.pdfmetrics import stringWidth

from . import model
from .figures import Figures, shown

__all__ = ["draw_chart", "ticks"]

INK = HexColor("#333a45")
FAINT = HexColor("#dfe3e8")
SMALL = 8.5


@dataclass(frozen=True)
class Axis:
    """Where values lie on the paper, in points: ``low`` and ``high`` at ``start`` and ``end``, evenly or by decades."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        scale = math.log10 if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)

    def marks(self) -> list[float]:
        """The values to mark."""
        if self.log:
            return [10.0**n for n in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]
        return [mark for mark in ticks(self.low, self.high) if self.low <= mark <= self.high]


def ticks(low: float, high: float) -> list[float]:
    """Round values from below ``low`` to above ``high``: four to nine, in steps of 1, 2, 2.5 or 5 times a power."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    return [n * step for n in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def draw_chart(
    block: model.Bars | model.Line | model.Discs, figures: Figures, size: tuple[float, float], colour: str
) -> Drawing:
    """Draw a chart of ``size`` points in the report's colour."""
    drawing = Drawing(*size)
    accent = HexColor(colour)
    if isinstance(block, model.Discs):
        _discs(drawing, block, figures, accent)
    elif isinstance(block, model.Line):
        _line(drawing, block, figures, accent)
    elif block.direction == "across":
        _bars_across(drawing, block, figures, accent)
    else:
        _bars_up(drawing, block, figures, accent)
    return drawing


def _bars_across(drawing: Drawing, block: model.Bars, figures: Figures, accent: Color) -> None:
    series = figures[block.y]
    left = 10 + max(_width(item) for item in series.values)
    axis = _linear([series.number(item) for item in series.values], left, drawing.width - 48)
    _upright_grid(drawing, axis, 30, drawing.height, block.axis)
    pitch = (drawing.height - 34) / len(series.values)
    for row, item in enumerate(series.values):
        middle = drawing.height - (row + 0.5) * pitch
        zero, end = axis.at(0), axis.at(series.number(item))
        thickness = min(pitch * 0.66, 24)
        fill = _fill(block, item, accent)
        bar = Rect(min(zero, end), middle - thickness / 2, max(abs(end - zero), 0.8), thickness)
        drawing.add(_painted(bar, fill))
        _write(drawing, left - 6, middle - 3, item, "end")
        _write(drawing, max(zero, end) + 4, middle - 3, series.shown(item), "start", bold=True)
    drawing.add(Line(axis.at(0), 30, axis.at(0), drawing.height, strokeColor=INK, strokeWidth=0.6))


def _bars_up(drawing: Drawing, block: model.Bars, figures: Figures, accent: Color) -> None:
    series = figures[block.y]
    axis = _linear([series.number(item) for item in series.values], 34, drawing.height - 26)
    _level_grid(drawing, axis, 40, drawing.width, block.axis)
    pitch = (drawing.width - 44) / len(series.values)
    for column, item in enumerate(series.values):
        middle = 44 + (column + 0.5) * pitch
        zero, end = axis.at(0), axis.at(series.number(item))
        thickness = min(pitch * 0.62, 46)
        bar = Rect(middle - thickness / 2, zero, thickness, end - zero)
        drawing.add(_painted(bar, _fill(block, item, accent)))
        _write(drawing, middle, end + 4, series.shown(item), "middle", bold=True)
        for line, words in enumerate(_two_lines(item, pitch)):
            _write(drawing, middle, 20 - 10 * line, words, "middle")


def _line(drawing: Drawing, block: model.Line, figures: Figures, accent: Color) -> None:
    series = figures[block.y]
    across = [figures[block.x].number(item) if block.x else float(item) for item in series.values]
    up = [series.number(item) for item in series.values]
    x_axis, y_axis = _line_axes(drawing, block, across, up)
    _level_grid(drawing, y_axis, 46, drawing.width - 14, block.y_axis)
    _upright_grid(drawing, x_axis, 34, drawing.height - 22, block.x_axis, years=not block.x)
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in zip(across, up, strict=True)]
    path = _stairs(places) if block.steps else places
    drawing.add(PolyLine([value for place in path for value in place], strokeColor=accent, strokeWidth=2))
    for (x, y), item in zip(places, series.values, strict=True):
        if len(places) < 20:
            drawing.add(Circle(x, y, 3.2, fillColor=accent, strokeColor=HexColor("#ffffff"), strokeWidth=0.8))
        if block.named:
            _write(drawing, x - 7, y + 5, item, "end", bold=True)


def _line_axes(drawing: Drawing, block: model.Line, across: list[float], up: list[float]) -> tuple[Axis, Axis]:
    x_range = _decades(across) if block.log else (min(across), max(across))
    y_range = _decades(up) if block.log else _rounded(up)
    return (
        Axis(*x_range, 46, drawing.width - 14, block.log),
        Axis(*y_range, 34, drawing.height - 22, block.log),
    )


def _decades(values: list[float]) -> tuple[float, float]:
    return 10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)))


def _rounded(values: list[float]) -> tuple[float, float]:
    marks = ticks(min(values), max(values))
    return marks[0], marks[-1]


def _discs(drawing: Drawing, block: model.Discs, figures: Figures, accent: Color) -> None:
    series = figures[block.y]
    sizes = {item: series.number(item) for item in series.values}
    per_row = math.ceil(len(sizes) / 2)
    pitch = drawing.width / per_row
    scale = min(pitch * 0.94, drawing.height / 2 - 54) / max(sizes.values())
    for place, (item, size) in enumerate(sizes.items()):
        x = (place % per_row + 0.5) * pitch
        y = drawing.height * (0.77 if place < per_row else 0.29)
        drawing.add(_painted(Circle(x, y, size * scale / 2), accent))
        below = y - size * scale / 2 - 14
        _write(drawing, x, below, item, "middle", bold=True)
        _write(drawing, x, below - 12, f"{series.shown(item)} {series.unit}", "middle")


def _linear(values: list[float], start: float, end: float) -> Axis:
    return Axis(*_rounded([0.0, *values]), start, end)


def _upright_grid(drawing: Drawing, axis: Axis, low: float, high: float, title: str, *, years: bool = False) -> None:
    for mark in axis.marks():
        x = axis.at(mark)
        drawing.add(Line(x, low, x, high, strokeColor=INK if mark == 0 else FAINT, strokeWidth=0.6))
        _write(drawing, x, low - 12, f"{mark:g}" if years and mark > 1000 else _mark(mark), "middle")
    _write(drawing, (axis.start + axis.end) / 2, low - 26, title, "middle", italic=True)


def _level_grid(drawing: Drawing, axis: Axis, left: float, right: float, title: str) -> None:
    for mark in axis.marks():
        y = axis.at(mark)
        drawing.add(Line(left, y, right, y, strokeColor=INK if mark == 0 else FAINT, strokeWidth=0.6))
        _write(drawing, left - 5, y - 3, _mark(mark), "end")
    _write(drawing, 0, drawing.height - 9, title, "start", italic=True)


def _write(
    drawing: Drawing, x: float, y: float, words: str, anchor: str, *, bold: bool = False, italic: bool = False
) -> None:
    font = "Helvetica-Bold" if bold else "Helvetica-Oblique" if italic else "Helvetica"
    drawing.add(String(x, y, words, textAnchor=anchor, fontName=font, fontSize=SMALL, fillColor=INK))


def _painted(shape: Rect | Circle, fill: Color) -> Rect | Circle:
    shape.fillColor, shape.strokeColor = fill, None
    return shape


def _fill(block: model.Bars, item: str, accent: Color) -> Color:
    plain = Color(accent.red, accent.green, accent.blue)
    pale = Color(*(0.45 * part + 0.55 for part in (plain.red, plain.green, plain.blue)))
    return plain if item == block.highlight or not block.highlight else pale


def _stairs(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    path = [places[0]]
    for x, y in places[1:]:
        path += [(x, path[-1][1]), (x, y)]
    return path


def _two_lines(words: str, width: float) -> tuple[str, ...]:
    if _width(words) <= width or " " not in words:
        return (words,)
    head, _, tail = words.rpartition(" ")
    return (head, tail)


def _mark(value: float) -> str:
    return shown(f"{round(value, 6):f}".rstrip("0").rstrip("."))


def _width(words: str) -> float:
    return float(stringWidth(words, "Helvetica", SMALL))
