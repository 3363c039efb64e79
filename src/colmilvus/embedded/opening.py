"""What the files of records say when they are opened: which records there are, and what is wrong with the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from colmilvus.embedded.halves import Column
from colmilvus.embedded.log import Entry, entries
from colmilvus.embedded.places import Places
from colmilvus.embedded.segments import Segment

__all__ = ["Opened", "opened"]

NAME = re.compile(r"(\d{8})\..+")


@dataclass(frozen=True)
class Opened:
    """Segments by number, their records, faults in words, and the first number that no file has."""

    segments: dict[int, Segment]
    table: Places
    faults: list[str]
    free: int


def opened(folder: Path, columns: Sequence[Column]) -> Opened:
    """Read the logs of a folder. Raises DatabaseDamaged where one is not what was written."""
    logs = {path.name.partition(".")[0] for path in folder.glob("*.log*")}
    lone = {path.name.partition(".")[0] for path in folder.glob("*.vectors")} - logs
    faults = [f"{folder / name}.log is missing" for name in sorted(lone)]
    files = [match for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    segments: dict[int, Segment] = {}
    found = []
    for number in sorted(int(match[1]) for match in files if match.string.endswith(".log")):
        segment = segments[number] = Segment(folder, number, columns)
        found += [(number, start, entry) for start, entry in _read(segment, faults)]
    free = max((int(match[1]) + 1 for match in files), default=0)
    return Opened(segments, Places.of(found, len(columns)), faults, free)


def _read(segment: Segment, faults: list[str]) -> Iterator[tuple[int, Entry]]:
    available, shortest = segment.available()
    for entry in entries(segment.log, len(segment.columns)):
        if segment.count + entry.count > available:
            faults.append(f"{shortest} is missing or ends after {available} vectors")
            return
        start = segment.remember(entry)
        if not entry.mark:
            yield start, entry
    if segment.log_size < segment.log.stat().st_size:
        faults.append(f"{segment.log} ends in the middle of a record")
