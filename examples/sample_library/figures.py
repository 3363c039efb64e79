"""The figures behind the sample reports: one CSV file, a source and a year in every row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FIGURES_FILE", "Figures", "Series", "read_figures", "shown"]

FIGURES_FILE = Path(__file__).parents[1] / "sample_figures.csv"


@dataclass(frozen=True)
class Series:
    """One measured quantity: the values of several items, in one unit, from one edition of one source."""

    name: str
    unit: str
    source: str
    year: str
    values: dict[str, str]

    def number(self, item: str) -> float:
        """The value of one item as a number. Raises ValueError where it is a word."""
        return float(self.values[item])

    def shown(self, item: str) -> str:
        """The value of one item as a reader expects it, with thousands marked except in years."""
        value = self.values[item]
        return value if self.unit == "year" else shown(value)


Figures = dict[str, Series]


def read_figures(file: Path = FIGURES_FILE) -> Figures:
    """Read the CSV file into series by name; items keep their order. Raises ValueError where a series mixes sources."""
    figures: Figures = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            name, unit, source, year = row["series"], row["unit"], row["source"], row["year"]
            series = figures.setdefault(name, Series(name, unit, source, year, {}))
            if (series.unit, series.source, series.year) != (unit, source, year):
                raise ValueError(f"series {name!r} has two units, sources or years: see item {row['item']!r}")
            series.values[row["item"]] = row["value"]
    return figures


def shown(value: str) -> str:
    """A number with its thousands marked and its decimals as they were written; anything else unchanged."""
    whole, point, decimals = value.partition(".")
    return f"{int(whole):,}{point}{decimals}" if whole.lstrip("-").isdigit() else value
