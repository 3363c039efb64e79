"""Pages a second and memory of ColPaliEmbedder, beside colpali-engine used as its documentation says.

python -m benchmarks.embedders FOLDER                  ColPali at real size with random weights, made in FOLDER (6 GB)
python -m benchmarks.embedders FOLDER --adapter        the same with a LoRA adapter, as checkpoints are published
python -m benchmarks.embedders FOLDER --device cuda    on a GPU

Both have the same weights in the same precision and embed the same pages, one by one and in turn, in one process;
the memory of each is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.random_colpali import build
from PIL import Image, ImageDraw

from colmilvus import Entity, MultiVector

os.environ.setdefault("HF_HUB_OFFLINE", "1")

A4 = (1240, 1754)
SIDES = ("colpali-engine", "colmilvus")

Result = TypeVar("Result")


def main() -> None:
    given = make_parser().parse_args()
    import colpali_engine.models  # noqa: F401 - once for all processes that are forked from this one

    if not (given.folder / "config.json").is_file():
        print(f"making {given.folder} ...", file=sys.stderr)
        apart(build, given.folder, layers=given.layers)
    memory = {side: apart(memory_of, side, given) for side in SIDES}  # before anything is computed here
    compare(given)
    for side, peak in memory.items():
        print(f"{side:15} {peak / 2**30:7.2f} GiB at most")


def apart(work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """What a function gives in a process of its own."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(work, *arguments, **options).result()


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the model lies, or is made")
    parser.add_argument("--adapter", action="store_true", help="load the LoRA adapter beside the model")
    parser.add_argument("--dtype", default="bfloat16", help="precision of both (bfloat16)")
    parser.add_argument("--device", default="cpu", help="device of both (cpu)")
    parser.add_argument("--pages", type=int, default=5, help="pages that are measured, after one that is not (5)")
    parser.add_argument("--layers", type=int, help="a smaller model, for trying")
    return parser


def compare(given: argparse.Namespace) -> None:
    embed = {side: make(side, given) for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(given.pages + 1):
        for side in SIDES if number % 2 else SIDES[::-1]:
            elapsed = timed(partial(embed[side], page(number)), given.device)
            if number:
                seconds[side].append(elapsed)
    billions = sum(file.stat().st_size for file in given.folder.glob("*.safetensors")) / 2e9  # two bytes each
    what = f"ColPali, {billions:.2f} B parameters{' and an adapter' if given.adapter else ''}"
    print(f"{what}, {given.dtype}, {given.device}; {given.pages} pages, in turn")
    for side in SIDES:
        median = statistics.median(seconds[side])
        print(f"{side:15} {median:7.2f} s a page (median), {1 / median:6.3f} pages/s")
    ratios = [theirs / ours for theirs, ours in zip(*(seconds[side] for side in SIDES), strict=True)]
    print(f"ratio           {statistics.median(ratios):7.2f} (median of pairs, {min(ratios):.2f} to {max(ratios):.2f})")


def make(side: str, given: argparse.Namespace) -> Callable[[Image.Image], Any]:
    """A function that embeds one page."""
    checkpoint = given.folder / "adapter" if given.adapter else given.folder
    return _ours(checkpoint, given) if side == "colmilvus" else _theirs(checkpoint, given)


def _ours(checkpoint: Path, given: argparse.Namespace) -> Callable[[Image.Image], Any]:
    from colmilvus.embedders.colpali import ColPaliEmbedder

    embedder = ColPaliEmbedder(checkpoint, dtype=given.dtype, device=given.device)

    def embed(picture: Image.Image) -> Any:
        (vectors,) = embedder.embed_entities([Entity("page", image=picture)])
        if not isinstance(vectors, MultiVector):
            raise TypeError(f"no vectors: {vectors}")
        return vectors

    return embed


def _theirs(checkpoint: Path, given: argparse.Namespace) -> Callable[[Image.Image], Any]:
    import torch
    from colpali_engine.models import ColPali, ColPaliProcessor

    dtype = getattr(torch, given.dtype)
    model = ColPali.from_pretrained(checkpoint, dtype=dtype, device_map=given.device).eval()
    processor = ColPaliProcessor.from_pretrained(checkpoint)

    def embed(picture: Image.Image) -> Any:
        batch = processor.process_images([picture]).to(model.device)
        with torch.no_grad():
            return model(**batch).float().cpu()

    return embed


def timed(embed: Callable[[], Any], device: str) -> float:
    """Seconds of a call; what is left to do on a GPU counts."""
    import torch

    started = time.perf_counter()
    embed()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def page(number: int) -> Image.Image:
    """A page of lines in the place of words, each page another."""
    picture = Image.new("RGB", A4, "white")
    draw = ImageDraw.Draw(picture)
    for line in range(60):
        length = 200 + (line * 379 + number * 531) % 900
        draw.rectangle([80, 80 + 27 * line, 80 + length, 92 + 27 * line], fill=(40, 40, 60))
    return picture


def memory_of(side: str, given: argparse.Namespace) -> int:
    """The most bytes that a side takes for one page, in this process."""
    embed = make(side, given)
    embed(page(1))
    if given.device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    return peak_memory()


def peak_memory() -> int:
    """The most bytes that this process has held; what its parent held counts in getrusage on Linux."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
