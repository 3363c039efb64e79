"""Hits as a table to read: score, file, page, the passage that answers, and where the page's picture lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from colmilvus.cli.passage import find_passage
from colmilvus.cli.paths import shown
from colmilvus.entity import Entity, Hit

__all__ = ["print_hits", "source_of"]

NOTHING = "-"
INDENT = GAP = "  "
HEADER = ("Score", "File", "Page", "Passage")


def print_hits(console: Console, hits: Sequence[Hit], query: str) -> None:
    """Print hits, best first, each with the passage that has the query's words and its picture's path below.

    File names are as short as tells them apart. Paths stand on a line of their own and are never cut or folded, so
    that they can be copied.
    """
    names = short_names(source_of(hit.entity) for hit in hits)
    decimals = _decimals(hit.score for hit in hits)
    rows = [
        (
            Text(f"{hit.score:.{decimals}f}"),
            Text(names[source_of(hit.entity)]),
            Text(str(hit.entity.metadata.get("page", NOTHING))),
            _passage(hit, query),
        )
        for hit in hits
    ]
    widths = _widths(rows, console.width)
    _print_row(console, [Text(title) for title in HEADER], widths, "bold")
    for hit, row in zip(hits, rows, strict=True):
        _print_row(console, row, widths)
        if hit.entity.image is not None:
            console.print(Text(f"{INDENT}{shown(str(hit.entity.image))}", "dim"), soft_wrap=True)


def source_of(entity: Entity) -> str:
    """The file or address that an entity comes from; its document or its id where none is told."""
    source = entity.metadata.get("source")
    return source if isinstance(source, str) else entity.document or entity.id


def short_names(sources: Iterable[str]) -> dict[str, str]:
    """For each source its file's name, with as many folders as tell it from all others of the same name."""
    parts = {source: PurePath(source).parts or (source,) for source in sources}
    return {source: _shortest(source, parts) for source in parts}


def _shortest(source: str, parts: dict[str, tuple[str, ...]]) -> str:
    own = parts[source]
    for count in range(1, len(own)):
        if not any(other[-count:] == own[-count:] for name, other in parts.items() if name != source):
            return str(PurePath(*own[-count:]))
    return source


def _decimals(scores: Iterable[float]) -> int:
    """Two; where all scores are below 0.1, as many as give the largest three digits."""
    largest = max((abs(score) for score in scores), default=0.0)
    return 2 - math.floor(math.log10(largest)) if 0 < largest < 0.1 else 2


def _passage(hit: Hit, query: str) -> Text:
    content = hit.entity.full_text
    passage = find_passage(content, query)
    text = Text(passage.text or "(no text)")
    for start, end in passage.marks:
        text.stylize("bold yellow", start, end)
    return text


def _widths(rows: Sequence[Sequence[Text]], console_width: int) -> list[int]:
    score, file, page = (
        max([len(title), *(row[column].cell_len for row in rows)]) for column, title in enumerate(HEADER[:3])
    )
    left = console_width - score - page - 3 * len(GAP)
    file = min(file, max(len(HEADER[1]), min(console_width * 3 // 10, left - len(HEADER[3]))))
    return [score, file, page, max(len(HEADER[3]), left - file)]


def _print_row(console: Console, cells: Sequence[Text], widths: Sequence[int], style: str = "") -> None:
    columns = [cell.wrap(console, width, overflow="fold") for cell, width in zip(cells, widths, strict=True)]
    for parts in zip_longest(*columns):
        line = Text(style=style)
        for title, width, part in zip(HEADER, widths, parts, strict=True):
            cell = part or Text()
            cell.align("right" if title in ("Score", "Page") else "left", width)
            line.append_text(cell).append(GAP)
        line.rstrip()
        console.print(line, soft_wrap=True)
