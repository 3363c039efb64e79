"""What became of entities that were to be stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from colmilvus.errors import ColmilvusError, InvalidInput, UnreadableFile, warn

__all__ = ["AddReport", "IncompleteAdd", "Problem"]


@dataclass(frozen=True)
class Problem:
    """One entity, page or file that was not stored, and why; ``error`` is the exception, if there was one."""

    id: str
    reason: str
    source: str | None = None
    page: int | None = None
    error: ColmilvusError | None = None

    @classmethod
    def about(cls, entity: object, reason: str, error: ColmilvusError | None = None) -> Problem:
        """The problem of an entity, or of what was passed in place of one, with the source and page of its metadata."""
        metadata = getattr(entity, "metadata", None)
        told = metadata if isinstance(metadata, Mapping) else {}
        source, page = told.get("source"), told.get("page")
        return cls(
            id=str(getattr(entity, "id", entity)),
            reason=reason,
            source=source if isinstance(source, str) else None,
            page=page if isinstance(page, int) else None,
            error=error,
        )

    @classmethod
    def unread(cls, failure: UnreadableFile) -> Problem:
        """The problem of a file, or of one page of it, that its reader could not read."""
        return cls(failure.id or failure.source, failure.reason, failure.source, failure.page, failure)

    def __str__(self) -> str:
        where = self.source or self.id
        return f"{where}, page {self.page}: {self.reason}" if self.page else f"{where}: {self.reason}"


@dataclass
class AddReport:
    """What ``Collection.add`` did: entities stored new, left as they were, replaced, removed with their old version.

    ``unreadable`` lists those that hold nothing that the embedder reads, ``failed`` those that could not be read or
    stored. What is held under the id of either stays, unless it comes from another version of its document and the
    new one could be read.
    """

    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    removed: int = 0
    unreadable: list[Problem] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind, in the order of the fields."""
        return {
            "added": self.added,
            "unchanged": self.unchanged,
            "replaced": self.replaced,
            "removed": self.removed,
            "unreadable": len(self.unreadable),
            "failed": len(self.failed),
        }

    def fail(self, entity: object, error: ColmilvusError) -> None:
        """List an entity as failed, and warn of what has nothing to do with how it was passed."""
        problem = Problem.about(entity, error.reason if isinstance(error, UnreadableFile) else str(error), error)
        self.failed.append(problem)
        if not isinstance(error, InvalidInput):
            warn(str(problem))

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing to add"


class IncompleteAdd(ColmilvusError):
    """Some entities were refused for what they hold; all others are stored. ``report`` says what became of each."""

    def __init__(self, report: AddReport, refused: Sequence[InvalidInput]) -> None:
        self.report = report
        self.refused = refused
        told = "\n".join(f"  {error}" for error in refused[:10])
        more = f"\n  ... and {len(refused) - 10} more" if len(refused) > 10 else ""
        super().__init__(f"not stored were {len(refused)} entities (otherwise: {report}):\n{told}{more}")
