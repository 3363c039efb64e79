"""What a report is made of: pages of prose with tables and charts, which name their figures by series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Bars", "Block", "Discs", "KeyFigures", "Line", "Page", "Report", "Table"]


@dataclass(frozen=True)
class Table:
    """Items down, series across: ``columns`` maps each heading to a series; ``items`` chooses some of the rows."""

    caption: str
    item_heading: str
    columns: dict[str, str]
    items: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the series shown."""
        return tuple(self.columns.values())


@dataclass(frozen=True)
class Bars:
    """One bar an item, lying on its side or upright; ``highlight`` names the item drawn in the accent colour."""

    caption: str
    y: str
    axis: str
    highlight: str = ""
    direction: Literal["across", "up"] = "across"

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the series shown."""
        return (self.y,)


@dataclass(frozen=True)
class Line:
    """A line through points: ``y`` over the items as numbers, or over the series ``x``; ``log`` for decades."""

    caption: str
    y: str
    x_axis: str
    y_axis: str
    x: str = ""
    log: bool = False
    named: bool = False
    steps: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the series shown."""
        return (self.y, self.x) if self.x else (self.y,)


@dataclass(frozen=True)
class Discs:
    """Round bodies drawn to one scale."""

    caption: str
    y: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the series shown."""
        return (self.y,)


@dataclass(frozen=True)
class KeyFigures:
    """A strip of large numbers, each of one item of one series, with what it means in words."""

    cells: tuple[tuple[str, str, str], ...]

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the series shown."""
        return tuple(name for name, _, _ in self.cells)


Block: TypeAlias = Table | Bars | Line | Discs | KeyFigures


@dataclass(frozen=True)
class Page:
    """One page: a heading, paragraphs between blank lines, then blocks. ``scanned`` makes it a picture without text."""

    heading: str
    text: str
    blocks: tuple[Block, ...] = ()
    cites: tuple[str, ...] = ()
    scanned: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        """The names of all series that the page shows or speaks of."""
        return tuple(name for block in self.blocks for name in block.series) + self.cites


@dataclass(frozen=True)
class Report:
    """One PDF file: a cover, a list of contents where ``contents`` says so (both numbered i, ii), and its pages."""

    file: str
    title: str
    subtitle: str
    summary: str
    colour: str
    pages: tuple[Page, ...]
    contents: bool = False

    @property
    def front_pages(self) -> int:
        """How many pages come before the first of ``pages``."""
        return 2 if self.contents else 1
