"""What the benchmark of the engine measured: against the limits it is held to, as tables, and as a picture."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

LEAST_RECALL = 0.99
FULL_PRECISION = ("qdrant local", "lancedb", "lancedb scan", "milvus-lite rows")
NOISE = 1.05
"""What the same search differs by from one turn to the next; where no extra cost is allowed, so much is not seen."""

AFTER_OTHERS = "p50 after another's"
"""Of the searches that came next after another system's, where systems were asked ten queries in turn."""

INGEST = (
    'Pages are stored as ready vectors through `Collection.add`, with `durability="process"`, the default: an '
    'acknowledged write outlives the process, not a loss of power. `durability="power"` has not been measured here.'
)
"""What the figures of ingest stand for; systems.py opens its collections so."""

BEGIN, END = "<!-- what benchmarks/engine.py measured -->", "<!-- end -->"


def report(rows: Sequence[Row], folder: Path) -> None:
    """Print the limits, and put them with tables and a picture into the folder's README.md, whose other text stays."""
    checks = list(check(rows))
    for line in checks:
        print(line)
    picture = draw(rows, folder / "engine.png")
    put(folder, BEGIN, [machine(), INGEST, limits(checks), *tables(rows), *([picture] if picture else [])], END)


def put(folder: Path, begin: str, parts: Sequence[str], end: str) -> None:
    """Replace what stands between two marks in a folder's README.md; one that has them not gets them at its end."""
    path = folder / "README.md"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin not in before:
        before += f"\n{begin}\n{end}\n"
    text = "\n\n".join([begin, *parts, end])
    path.write_text(re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: text, before, flags=re.DOTALL), "utf-8")


def machine() -> str:
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"Measured on {os.cpu_count()} cores, {system}."


# The limits


def check(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each limit and each case that it concerns, with both numbers: pass or FAIL."""
    for row in rows:
        for limit in LIMITS.get((row["system"], row["part"]), ()):
            yield from limit(row)
    yield from doubling(rows)
    yield from rivals(rows)


def said(row: Row, what: str, value: float, limit: float, *, least: bool = False) -> str:
    holds = value >= limit if least else value <= limit
    case = f"{row['kind']}, {row['pages']:,} pages"
    return f"{'pass' if holds else 'FAIL'}  {case}: {what} {value:.3g} ({'>=' if least else '<='} {limit:g})"


def warm(row: Row) -> Iterator[str]:
    if row["pages"] >= 2000:
        yield said(row, f"{row['system']}, recall@10", row["recall"], LEAST_RECALL, least=True)
    if row["pages"] >= 10000:
        yield said(row, "p50 by that of exact numpy", row["ratio"], 0.1)
    if row["pages"] <= 1000:
        yield said(row, f"{row['system']}, recall@10", row["recall"], 1.0, least=True)
    if row["pages"] == 1000:
        yield said(row, f"{row['system']}, p50 by that of exact numpy", row["ratio"], 1.1)


def half(row: Row) -> Iterator[str]:
    if row["pages"] >= 2000:
        yield said(row, "float16, recall@10", row["recall"], LEAST_RECALL, least=True)


def exact_half(row: Row) -> Iterator[str]:
    yield said(row, "float16, size by the float32 vectors", row["size"], 0.55)


def ingested(row: Row) -> Iterator[str]:
    if row["pages"] >= 1000:
        yield said(row, "pages a second through Collection.add", row["pages_a_second"], 100, least=True)
        yield said(row, "size by the vectors", row["size"], 1.1)


def remembered(row: Row) -> Iterator[str]:
    if row["pages"] >= 10000 and "memory" in row:
        yield said(row, f"{row['part']}, MiB of anonymous memory more than with none", row["memory"], 600)


def filtered(row: Row) -> Iterator[str]:
    yield said(row, f"{row['part']}, recall@10", row["recall"], LEAST_RECALL, least=True)
    yield said(row, f"{row['part']}, p50 by that without", row["ratio_to_none"], NOISE)


def limited(row: Row) -> Iterator[str]:
    if row["pages"] >= 10000:
        least = min(row.get("recall", 0.0), row.get("least_recall_filtered", 0.0))
        yield said(row, "recall@10 within 2 GB in all", least, LEAST_RECALL, least=True)
        if "peak" in row:
            yield said(row, "MiB of anonymous memory of them", row["peak"], 600)


def opened(row: Row) -> Iterator[str]:
    yield said(row, "seconds to open", row["opening"], 2)


def replaced(row: Row) -> Iterator[str]:
    yield said(row, "recall@10 after half were replaced", row["recall"], 0.98, least=True)


LIMITS: dict[tuple[str, str], tuple[Callable[[Row], Iterator[str]], ...]] = {
    ("colmilvus", "warm"): (warm, remembered),
    ("colmilvus", "all searches"): (remembered,),
    ("colmilvus IP", "warm"): (warm,),
    ("colmilvus float16", "warm"): (half,),
    ("colmilvus float16", "ingest"): (exact_half,),
    ("colmilvus", "ingest"): (ingested, remembered),
    **{("colmilvus", f"filter {share} %"): (filtered,) for share in (1, 10, 50)},
    **{("colmilvus", f"without the {count} nearest"): (filtered,) for count in (10, 50)},
    ("colmilvus", "without neighbours"): (filtered,),
    ("colmilvus", "2 GB"): (limited,),
    ("colmilvus", "cold"): (opened,),
    ("colmilvus", "half replaced"): (replaced,),
}


def doubling(rows: Sequence[Row]) -> Iterator[str]:
    """The time by that of half as many pages, a run of its own: each by what exact numpy took for a page beside it."""
    warm = {(row["kind"], row["pages"]): row for row in of(rows, "colmilvus", "warm")}
    for (kind, pages), row in warm.items():
        half_as_many = warm.get((kind, pages // 2))
        if half_as_many and pages >= 10000:
            what = f"p50 by that of {pages // 2:,} pages, each in exact numpy's time for a page"
            yield said(row, what, 2 * row["ratio"] / half_as_many["ratio"], 1.3)


def rivals(rows: Sequence[Row]) -> Iterator[str]:
    """Ours by the fastest setting of a rival whose recall is ours, or its best where it does not come so far."""
    for row in of(rows, "colmilvus", "warm"):
        if row["pages"] < 2000:
            continue
        for name in FULL_PRECISION:
            theirs = [one for one in of(rows, name, "warm") if same_case(one, row)]
            equal = [one for one in theirs if one["recall"] >= min(row["recall"], LEAST_RECALL)]
            if equal:
                best = min(equal, key=lambda one: float(one["p50"]))
                yield compared(row, best)
            elif theirs:
                most = max(one["recall"] for one in theirs)
                yield f"pass  {row['kind']}, {row['pages']:,} pages: {name} finds {most:.3f} at most"
            else:
                yield f"open  {row['kind']}, {row['pages']:,} pages: {name} was not measured"


def compared(ours: Row, theirs: Row) -> str:
    """Whether ours is faster than a rival that finds as much; one that finds less than it may is not."""
    wanted = min(LEAST_RECALL, theirs["recall"])
    faster = theirs["ours_by_theirs"] if ours["recall"] >= wanted else float("inf")
    what = f"p50 by that of {theirs['system']} (recall {ours['recall']:.3f} and {theirs['recall']:.3f})"
    return said(ours, what, faster, 1)


def of(rows: Sequence[Row], system: str, part: str) -> list[Row]:
    return [row for row in rows if (row["system"], row["part"]) == (system, part)]


def same_case(one: Row, other: Row) -> bool:
    return (one["kind"], one["pages"]) == (other["kind"], other["pages"])


# Tables


def limits(checks: Sequence[str]) -> str:
    lines = [f"| {line[:4]} | {line[6:].replace('|', '/')} |" for line in checks]
    return "\n".join(["| | limit |", "|---|---|", *lines])


def tables(rows: Sequence[Row]) -> Iterator[str]:
    for kind, pages in dict.fromkeys((row["kind"], row["pages"]) for row in rows):
        some = [row for row in rows if (row["kind"], row["pages"]) == (kind, pages)]
        yield f"### {kind}, {pages:,} pages"
        yield searched(some)
        yield kept(some)


def searched(rows: Sequence[Row]) -> str:
    lines = [f"| searches | queries | p50, ms | p95, ms | {AFTER_OTHERS} | recall@10 | against | memory, MiB |"]
    lines.append("|---|---:|---:|---:|---:|---:|---|---:|")
    for row in rows:
        if "p50" not in row:
            continue
        name = ", ".join(filter(None, [row["system"], row["part"] if row["part"] != "warm" else "", setting(row)]))
        memory = f"{row['memory']:,.0f}" if "memory" in row else ""
        lines.append(f"| {name} | {times(row)} | {row['recall']:.3f} | {against(row)} | {memory} |")
    return "\n".join(lines)


def times(row: Row) -> str:
    """How many queries were asked, and what they took; not every row tells apart those that came after another's."""
    after = f"{row['after_others']:.1f}" if "after_others" in row else ""
    return f"{row['queries']} | {row['p50']:.1f} | {row['p95']:.1f} | {after}"


def setting(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.get("setting", {}).items())


def against(row: Row) -> str:
    if "ratio" in row:
        return f"{row['ratio']:.2f} of exact numpy"
    if "ours_by_theirs" in row:
        return f"colmilvus takes {row['ours_by_theirs']:.3f} of it"
    if "ratio_to_none" in row:
        first = f", {row['ratio_at_first']:.2f} at first" if "ratio_at_first" in row else ""
        return f"{row['ratio_to_none']:.2f} of none{first}"
    if "first" in row:
        return f"first search {row['first']:.0f} ms, open in {row['opening']:.2f} s"
    if "during_p50" in row:
        return f"while replacing: p50 {row['during_p50']:.0f}, p95 {row['during_p95']:.0f} ms"
    return ""


def kept(rows: Sequence[Row]) -> str:
    head = "| stored | pages/s | last third by first | size by the vectors | memory, MiB | index behind by, for |"
    head += "\n|---|---:|---:|---:|---:|---|"
    lines = [head]
    for row in rows:
        if row["part"] == "ingest":
            behind = f"{row['behind']:,} pages, {row['indexed_after']:.1f} s" if "behind" in row else ""
            steady = f"{row['steadiness']:.2f}" if "steadiness" in row else ""
            figures = f"{row['pages_a_second']:.0f} | {steady} | {row['size']:.2f} | {row['memory']:,.0f}"
            lines.append(f"| {row['system']} | {figures} | {behind} |")
        elif "reason" in row:
            lines.append(f"| {row['system']} {row['part']}: {row['reason']} | | | | | |")
    return "\n".join(lines)


# The picture


def draw(rows: Sequence[Row], path: Path) -> str:
    """Recall against p50 at the largest size, and p50 against pages, for each kind; "" where there is no matplotlib."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("no picture: matplotlib is not installed here; make bench installs it")
        return ""
    mpl.use("Agg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    systems = list(dict.fromkeys(row["system"] for row in rows if "p50" in row))
    colours = {name: f"C{number}" for number, name in enumerate(systems)}
    figure, axes = pyplot.subplots(len(kinds), 2, figsize=(11, 3.6 * len(kinds)), squeeze=False, layout="constrained")
    for (left, right), kind in zip(axes, kinds, strict=True):
        measured = [row for row in rows if row["kind"] == kind and row["part"] == "warm"]
        _recall_by_time(left, measured, colours)
        _time_by_pages(right, measured, colours)
        left.set_title(f"{kind}, {max(row['pages'] for row in measured):,} pages")
        right.set_title(f"{kind}, at recall of at least {LEAST_RECALL:g}")
    handles = {label: one for ax in axes.flat for one, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return f"![Recall and time of each system, for each kind of vectors]({path.name})"


def _recall_by_time(axes: Any, rows: Sequence[Row], colours: dict[str, str]) -> None:
    most = max(row["pages"] for row in rows)
    for name, colour in colours.items():
        points = sorted((row["p50"], row["recall"]) for row in rows if row["system"] == name and row["pages"] == most)
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
    axes.axhline(LEAST_RECALL, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlabel="p50, ms", ylabel="recall@10")
    _plain_numbers(axes.xaxis)


def _time_by_pages(axes: Any, rows: Sequence[Row], colours: dict[str, str]) -> None:
    for name, colour in colours.items():
        best: dict[int, float] = {}
        for row in rows:
            if row["system"] == name and row["recall"] >= LEAST_RECALL:
                best[row["pages"]] = min(row["p50"], best.get(row["pages"], row["p50"]))
        if best:
            axes.plot(*zip(*sorted(best.items()), strict=True), "o-", color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="pages", ylabel="p50, ms")
    pages = sorted({row["pages"] for row in rows})
    axes.set_xticks(pages, [f"{count:,}" for count in pages], rotation=40)
    axes.set_xticks([], minor=True)
    axes.set_xlim(pages[0] / 1.5, pages[-1] * 1.5)
    _plain_numbers(axes.yaxis)


def _plain_numbers(axis: Any) -> None:
    """Numbers as they are read, at 1, 2 and 5 of each power of ten."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(ticker.NullFormatter())
