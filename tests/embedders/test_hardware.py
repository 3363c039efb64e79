"""Devices, precisions, and batches that are halved where memory runs out, with errors of real allocators."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from colmilvus.embedders.hardware import Batches, choose_device, choose_dtype, compute_in_float32, is_out_of_memory
from colmilvus.errors import OutOfMemory

ROOT = Path(__file__).parents[2]


def fitting(limit: int, error: Callable[[], Exception]) -> tuple[list[int], Callable[[Sequence[int]], list[int]]]:
    """Doubles numbers, at most ``limit`` at a time; the sizes of the batches that were tried are listed."""
    tried: list[int] = []

    def embed(batch: Sequence[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > limit:
            raise error()
        return [2 * number for number in batch]

    return tried, embed


def out_of_cuda() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    "error",
    [
        out_of_cuda,
        MemoryError,
        lambda: RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_where_memory_runs_out_batches_are_halved_and_stay_so(error: Callable[[], Exception]) -> None:
    tried, embed = fitting(3, error)
    batches = Batches(8, "cpu")

    assert batches.run(range(10), embed) == [2 * number for number in range(10)]
    assert tried == [8, 4, 2, 2, 2, 2, 2]
    assert batches.run([1, 2, 3], embed) == [2, 4, 6]
    assert tried[-2:] == [2, 1]


def test_an_error_that_comes_of_it_counts_too() -> None:
    error = ValueError("Unable to create tensor")
    error.__cause__ = MemoryError()
    tried, embed = fitting(2, lambda: error)

    assert Batches(4, "cpu").run([1, 2, 3], embed) == [2, 4, 6]
    assert tried == [3, 1, 1, 1]


def test_where_not_even_one_has_room_the_error_says_what_to_try() -> None:
    tried, embed = fitting(0, out_of_cuda)

    with pytest.raises(OutOfMemory, match=r"'cpu' for one item at a time: CUDA out of memory.*; try dtype='bfloat16'"):
        Batches(4, "cpu").run([1, 2, 3], embed)
    assert tried == [3, 1]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("unable to mmap 8 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory_that_has_run_out_is_known_by_what_the_libraries_say(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(OSError(errno.ENOENT, "no such file"))


def test_a_device_can_be_named_as_torch_does() -> None:
    assert choose_device(torch.device("cpu")) == "cpu"
    assert Batches(None, "cpu:0").size == Batches(None, "cpu").size


def test_other_errors_go_through() -> None:
    _, embed = fitting(0, lambda: RuntimeError("shapes differ"))

    with pytest.raises(RuntimeError, match="shapes differ"):
        Batches(4, "cpu").run([1, 2], embed)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_what_a_device_takes_at_once_is_chosen_for_it() -> None:
    assert Batches(None, "cpu").size < Batches(None, "cuda").size
    assert Batches(7, "cuda").size == 7


def test_a_cpu_computes_in_float32_unless_it_is_told() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_dtype(None, "cpu") == torch.float32
    assert choose_dtype("bfloat16", "cpu") == torch.bfloat16
    assert choose_dtype(None, "mps") == torch.float16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_weights_compute_as_their_floats_would(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Embedding(20, 16), torch.nn.Linear(16, 32), torch.nn.LayerNorm(32), torch.nn.Linear(32, 4)]
    half = torch.nn.Sequential(*layers).to(dtype)
    whole = torch.nn.Sequential(torch.nn.Embedding(20, 16), torch.nn.Linear(16, 32), torch.nn.LayerNorm(32))
    whole.append(torch.nn.Linear(32, 4))
    whole.load_state_dict({name: weight.float() for name, weight in half.state_dict().items()})
    compute_in_float32(half)
    asked = torch.arange(20)
    with torch.inference_mode():
        assert np.array_equal(half(asked).numpy(), whole(asked).numpy())
    assert all(weight.dtype == dtype for weight in half.parameters())


LIMITED = """
import json, resource, sys
import numpy, torch
from colmilvus.embedders.hardware import Batches
from colmilvus.errors import OutOfMemory

torch.set_num_threads(1)
torch.ones(8, 8) @ torch.ones(8, 8)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + (700 << 20), -1))
ones = numpy.ones if sys.argv[1] == "numpy" else torch.ones
kind = numpy.float32 if ones is numpy.ones else torch.float32
tried = []

def embed(batch):
    tried.append(len(batch))
    return [float(ones(len(batch) * (200 << 20) // 4, dtype=kind).sum())] * len(batch)

batches = Batches(8, "cpu")
results = batches.run(range(8), embed)
try:
    batches.run([1], lambda batch: [ones(1 << 30, dtype=kind)])
except OutOfMemory as error:
    print(json.dumps([tried, len(results), batches.size, str(error)]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set beside what /proc says is in use")
@pytest.mark.parametrize("allocator", ["torch", "numpy"])
def test_under_a_limit_of_the_address_space(allocator: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, allocator], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    tried, results, size, message = json.loads(done.stdout)

    assert tried[:3] == [8, 4, 2]
    assert (results, size) == (8, 2)
    assert "there is not enough memory on 'cpu' for one item at a time" in message
    assert "allocate" in message


MISMATCHED = """
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import UnusableModel
try:
    ColPaliEmbedder("nobody")
except UnusableModel as error:
    print(error)
"""


def test_torch_and_torchvision_that_do_not_match_are_told(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{MISMATCHED}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "are builds that do not match: operator torchvision::nms does not exist; install both anew" in done.stdout


def test_importing_the_embedders_loads_no_model_library() -> None:
    modules = ["colpali", "cohere", "sentence_transformers", "segments", "static"]
    imported = ", ".join(f"colmilvus.embedders.{name}" for name in modules if exists(name))
    heavy = ["torch", "transformers", "colpali_engine", "cohere", "sentence_transformers", "huggingface_hub", "httpx"]
    code = f"import sys, {imported}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def exists(name: str) -> bool:
    folder = ROOT / "src" / "colmilvus" / "embedders"
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def test_without_the_engine_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "colpali_engine.py").write_text("raise ModuleNotFoundError('No module', name='colpali_engine')")
    (tmp_path / "torchvision.py").write_text("")  # can be imported, and fast
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import MissingExtra
try:
    ColPaliEmbedder("nobody")
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ColPaliEmbedder needs the 'colpali' extra: pip install 'colmilvus[colpali]'\n"


EMBED_UNDER_A_LIMIT = """
import resource, sys
from tests.embedders.torchvision_on_cpu import make_torchvision_importable; make_torchvision_importable()
import torch
from PIL import Image
from colmilvus import Entity
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import OutOfMemory

torch.set_num_threads(1)
embedder = ColPaliEmbedder(sys.argv[1], batch_size=256, max_query_tokens=50_000)
pages = [Entity(str(n), image=Image.new("RGB", (200, 260), (n, 0, 0))) for n in range(256)]
embedder.embed_entities(pages[:1])
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + (60 << 20), -1))
print(len(embedder.embed_entities(pages)), embedder._batches.size)
try:
    embedder.embed_queries(["x" * 40_000])  # the mask of its attention takes 1.6 GB
except OutOfMemory as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set beside what /proc says is in use")
def test_a_model_under_a_limit_embeds_in_smaller_batches_or_says_why_not(checkpoint: Callable[[str], Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMBED_UNDER_A_LIMIT, str(checkpoint("ColPali"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counted, refused = done.stdout.splitlines()
    embedded, size = counted.split()

    assert (embedded, int(size) < 256) == ("256", True)
    assert "there is not enough memory on 'cpu' for one item at a time" in refused
