"""``colmilvus index``: files into a collection, as far as they can be read, and a report of the rest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from colmilvus.cli.embedders import Choice
from colmilvus.cli.opening import Database
from colmilvus.cli.prune import check_folders, gone
from colmilvus.cli.summary import counted, counts, problems
from colmilvus.collection import Collection
from colmilvus.errors import UnreadableFile
from colmilvus.pdf import Pages, read_pages
from colmilvus.report import AddReport, IncompleteAdd, Problem

__all__ = ["Indexing", "add_pages", "listed_in_the_report"]


@dataclass(frozen=True)
class Indexing:
    """What was asked of ``colmilvus index``."""

    paths: Sequence[str]
    password: str | None
    prune: bool

    def run(self, database: Database, collection: str, named: Choice | None) -> int:
        """Index, tell what happened, and return the exit code. Raises ColmilvusError where nothing can be done."""
        folders = check_folders(self.paths) if self.prune else []
        probe = self._pages()
        if _is_without_pages(probe) and not database.holds(collection):  # then none is made
            _tell_problems(
                "Failed", [Problem(each.source, each.reason, each.source, each.page) for each in probe.failures]
            )
            typer.echo("colmilvus: there is nothing to read; no page was stored", err=True)
            return 2
        with database.open_to_index(collection, named) as opened:
            try:
                report = add_pages(opened, self._pages())
                pruned = _prune(opened, folders)
            except KeyboardInterrupt:
                _tell_stopped(database, opened)
                return 130
            report.removed += pruned
            _tell(report, database, opened)
        return _exit_code(report)

    def _pages(self) -> Pages:
        """The pages of all paths that can be read; those that cannot are among its failures."""
        usable, failures = [], []
        for path in self.paths:
            try:
                read_pages(path)
                usable.append(path)
            except UnreadableFile as failure:
                if not (self.prune and Path(path).is_dir()):  # to prune, an emptied folder is as good as another
                    failures.append(failure)
        pages = read_pages(usable, password=self.password, on_error=listed_in_the_report)
        pages.failures += failures
        return pages


def listed_in_the_report(failure: UnreadableFile) -> None:
    """What cannot be read is told at the end, file by file, and not one warning after the other."""


def _is_without_pages(pages: Pages) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they come again when the pages are read to be stored
        return next(pages, None) is None


def add_pages(collection: Collection, pages: Pages) -> AddReport:
    """Add the pages; what was refused is in the report, and each warning becomes a line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            report = collection.add(pages)
        except IncompleteAdd as error:
            report = error.report
    told = {str(problem) for problem in report.failed}
    for message in dict.fromkeys(str(each.message) for each in caught):
        if message not in told:
            typer.echo(f"colmilvus: {message}", err=True)
    return report


def _prune(collection: Collection, folders: Sequence[Path]) -> int:
    documents = gone(collection.documents(), folders) if folders else []
    return sum(collection.delete(document=document) for document in documents)


def _tell(report: AddReport, database: Database, collection: Collection) -> None:
    _tell_problems("Unreadable", report.unreadable)
    _tell_problems("Failed", report.failed)
    held = counted(collection.count(), "page")
    typer.echo(f"{counts(report)}; {held} in {database.shown}, collection {collection.name}")


def _tell_problems(title: str, found: Sequence[Problem]) -> None:
    for line in problems(title, found):
        typer.echo(line, err=True)


def _tell_stopped(database: Database, collection: Collection) -> None:
    held = counted(collection.count(), "page")
    typer.echo(f"colmilvus: stopped with {held} in {database.shown}; the same command goes on from there", err=True)


def _exit_code(report: AddReport) -> int:
    if not (report.added or report.unchanged or report.replaced or report.removed):
        return 2
    return 1 if report.failed else 0
