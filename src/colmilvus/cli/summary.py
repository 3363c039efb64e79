"""What ``index`` did, in words: counts, and every page that was not stored with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from colmilvus.cli.paths import shown
from colmilvus.report import AddReport, Problem

__all__ = ["counted", "counts", "page_ranges", "problems"]

IN_PYTHON = ': read_pages(..., password="...")'
HERE = "; use colmilvus index --password PASSWORD"


def counted(number: int, thing: str) -> str:
    """The number with its noun: "1 page", "2 pages"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def counts(report: AddReport) -> str:
    """One line with the six numbers of a report, always all of them and in this order."""
    return ", ".join(f"{number} {name}" for name, number in report.counts.items())


def problems(title: str, found: Iterable[Problem]) -> Iterator[str]:
    """A title and one line for each file and reason, with the pages that it holds for; nothing without problems."""
    grouped: dict[tuple[str, str], list[int]] = {}
    for problem in found:
        pages = grouped.setdefault((problem.source or problem.id, problem.reason), [])
        if problem.page is not None:
            pages.append(problem.page)
    if grouped:
        yield f"{title}:"
    for (source, reason), pages in grouped.items():
        reason = reason.replace(IN_PYTHON, HERE)
        yield f"  {shown(source)}{_where(pages)}: {reason}"


def _where(pages: Sequence[int]) -> str:
    if not pages:
        return ""
    return f", page{'s' if len(pages) > 1 else ''} {page_ranges(pages)}"


def page_ranges(pages: Iterable[int]) -> str:
    """Page numbers as a reader writes them: "3, 7-9"."""
    ranges: list[list[int]] = []
    for page in sorted(set(pages)):
        if ranges and page == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], page]
        else:
            ranges.append([page])
    return ", ".join("-".join(map(str, each)) for each in ranges)
