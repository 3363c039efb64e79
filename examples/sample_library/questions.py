"""Questions that the sample reports answer, each with the page and the words that answer it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LABELLED_QUESTIONS", "QUESTIONS", "Question"]


@dataclass(frozen=True)
class Question:
    """A question, the file and page (from 1) that answer it, and the answer as it stands in that page's text."""

    words: str
    file: str
    page: int
    answer: str


_PROSE = Question("Why is Venus hotter than Mercury?", "solar-system.pdf", 8, "blanket of carbon dioxide")
_TABLE = Question("How many years does water stay in Lake Superior?", "air-and-water.pdf", 11, "191")
_CHART = Question("Which metal has the highest melting point?", "chemical-elements.pdf", 3, "3,422")

QUESTIONS = (_PROSE, _TABLE, _CHART)
"""Three questions for a first look: one answered in prose, one by a table, one by a chart."""

LABELLED_QUESTIONS = (
    *QUESTIONS,
    Question("Which planet would float on water?", "solar-system.pdf", 4, "Saturn would float"),
    Question("Who discovered the four large moons of Jupiter?", "solar-system.pdf", 10, "Galileo Galilei"),
    Question("What causes the seasons on Mars?", "solar-system.pdf", 11, "They come from tilt"),
    Question("How much carbon dioxide was measured at Mauna Loa in 1959?", "air-and-water.pdf", 5, "315.98"),
    Question("How deep is the Pacific Ocean on average?", "air-and-water.pdf", 9, "4,080"),
    Question(
        "How much of the fresh water is frozen in ice caps and glaciers?", "air-and-water.pdf", 10, "68.7 per cent"
    ),
    Question("Why are overhead power lines made of aluminium?", "chemical-elements.pdf", 5, "conductance by weight"),
    Question("half-life of carbon-14", "chemical-elements.pdf", 10, "5,700 years"),
    Question("Who discovered phosphorus?", "chemical-elements.pdf", 9, "Hennig Brand"),
    Question("When was Annapurna first climbed?", "world-records.pdf", 2, "1950"),
    Question("What is the longest suspension bridge?", "world-records.pdf", 6, "2,023 metres"),
    Question("Who holds the marathon world record?", "world-records.pdf", 9, "Kelvin Kiptum"),
    Question("How many people lived on Earth in 2020?", "world-records.pdf", 10, "7,841"),
)
"""All labelled questions, the three above included."""
