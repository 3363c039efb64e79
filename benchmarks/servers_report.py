"""What the benchmark of servers measured: against the limits it is held to, and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.engine_report import AFTER_OTHERS, Row, limits, machine, of, put, said, same_case, times

LEAST_RECALL = 0.98
LEAST_RATIO = 20.0

BEGIN, END = "<!-- what benchmarks/servers.py measured -->", "<!-- end of servers -->"


def report(rows: Sequence[Row], folder: Path) -> None:
    """Print the limits, and put them with tables into the folder's README.md, whose other text stays."""
    checks = list(check(rows))
    for line in checks:
        print(line)
    put(folder, BEGIN, [machine(), limits(checks), *tables(rows)], END)


def check(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each limit and each case that it concerns, with both numbers: pass or FAIL."""
    for row in rows:
        if row["part"] == "warm" and row["system"].startswith("colmilvus"):
            how = row["system"].removeprefix("colmilvus")
            yield said(row, f"recall@10{how}", row["recall"], LEAST_RECALL, least=True)
    for row in of(rows, "tutorial", "warm"):
        if row["pages"] >= 1000:
            yield said(row, "p50 of the tutorial's method by ours", row["by_ours"], LEAST_RATIO, least=True)
    for one in of(rows, "colmilvus", "warm"):
        sent = [row for row in of(rows, "colmilvus", "requests") if same_case(row, one)]
        if sent:
            counts = [row[end] for row in sent for end in ("least", "most")]
            asked = " and ".join(str(row["k"]) for row in sent)
            yield said(one, f"requests of a search, most by least, for k of {asked}", max(counts) / min(counts), 1)


def tables(rows: Sequence[Row]) -> Iterator[str]:
    for kind, pages in dict.fromkeys((row["kind"], row["pages"]) for row in rows):
        some = [row for row in rows if (row["kind"], row["pages"]) == (kind, pages)]
        yield f"### {kind}, {pages:,} pages"
        yield searched(some)
        yield stored(some)


def searched(rows: Sequence[Row]) -> str:
    by = "by colmilvus on the server"
    lines = [f"| searches | queries | p50, ms | p95, ms | {AFTER_OTHERS} | recall@10 | {by} | requests, k 1, 10, 50 |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---|")
    for row in rows:
        if row["part"] == "warm":
            ratio = f"{row['by_ours']:.3g}" if "by_ours" in row else ""
            figures = f"{times(row)} | {row['recall']:.3f} | {ratio}"
            lines.append(f"| {row['system']} | {figures} | {sent(of(rows, row['system'], 'requests'))} |")
    return "\n".join(lines)


def sent(rows: Sequence[Row]) -> str:
    """How many requests searches sent, of several queries the least and the most."""
    return ", ".join(
        str(row["most"]) if row["least"] == row["most"] else f"{row['least']}-{row['most']}" for row in rows
    )


def stored(rows: Sequence[Row]) -> str:
    lines = ["| stored | pages/s | settled after, s | segments |", "|---|---:|---:|---:|"]
    for row in rows:
        if row["part"] == "ingest":
            settled = f"{row['settled']:.0f} | {row['segments']}" if "settled" in row else " | "
            lines.append(f"| {row['system']} | {row['pages_a_second']:.1f} | {settled} |")
    return "\n".join(lines)
