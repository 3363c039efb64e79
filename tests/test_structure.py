"""Which room imports which, and what `import colmilvus` costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import colmilvus

ROOT = Path(colmilvus.__file__).parent
VALUES = {"entity", "maxsim", "filters", "errors", "forks"}
ADAPTERS = (
    VALUES
    | {
        "collection",
        "connection",
        "pdf",
        "embedder",
        "embedders",
        "digest",
        "gathering",
        "image_store",
        "images",
        "ranking",
        "report",
        "search",
    }
    | {"chunks", "passages", "reranking", "tool_arguments"}
)

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "forks": set(),
    "entity": {"errors"},
    "maxsim": {"entity", "errors"},
    "embedder": {"entity", "errors"},
    "filters": {"errors"},
    "images": {"entity", "errors"},
    "image_store": {"connection", "entity", "errors", "images"},
    "overlap": {"errors"},
    "digest": {"entity", "images"},
    "gathering": {"entity", "errors"},
    "pdf": VALUES | {"embedder", "image_store", "images", "overlap"},
    "embedders": VALUES | {"embedder", "images"},
    "layouts": VALUES | {"connection", "embedder", "requests"},
    "ranking": VALUES,
    "embedded": {"errors"},
    "connection": {"errors", "embedded", "requests"},
    "requests": {"errors"},
    "report": {"errors"},
    "store": VALUES | {"digest", "gathering", "image_store", "layouts"},
    "ingest": VALUES | {"digest", "embedder", "gathering", "images", "layouts", "overlap", "report", "store"},
    "copying": VALUES | {"layouts", "store"},
    "search": VALUES | {"embedder", "layouts", "ranking"},
    "languages": set(),
    "opening": VALUES | {"embedder", "languages", "layouts"},
    "writing": VALUES | {"embedder", "ingest", "layouts", "opening", "reading", "report"},
    "reading": VALUES | {"embedder", "layouts", "ranking", "search", "store"},
    "collection": VALUES
    | {"connection", "copying", "embedder", "image_store", "layouts", "opening", "report", "store", "writing"},
    "chunks": {"collection", "entity", "errors", "forks", "report"},
    "reranking": VALUES | {"digest", "embedder", "images", "ranking"},
    "passages": {"entity", "errors", "images"},
    "tool_arguments": {"errors", "filters"},
    "langchain": ADAPTERS,
    "llama_index": ADAPTERS,
    "cli": VALUES
    | {"collection", "pdf", "embedder", "embedders", "embedded", "report", "connection", "image_store", "layouts"},
    "__main__": {"cli"},
    "__init__": {"collection", "copying", "connection", "embedder", "entity", "gathering", "maxsim", "report"},
}

LIBRARIES = {
    "cohere": {"embedders"},
    "colpali_engine": {"embedders"},
    "faiss": {"embedded"},  # which Milvus Lite needs
    "numkong": {"embedded"},
    "huggingface_hub": {"embedders"},
    "langchain_core": {"langchain"},
    "lindera": {"embedded"},
    "llama_index": {"embedders", "llama_index"},  # in embedders for its parsers, which take its documents only
    "milvus_lite": {"embedded"},
    "peft": {"embedders"},
    "pydantic": {"langchain", "llama_index", "tool_arguments"},  # which both frameworks need
    "pypdfium2": {"pdf"},
    "pdf2image": {"pdf"},
    "rich": {"cli"},
    "rjieba": {"embedded"},
    "sentence_transformers": {"embedders"},
    "snowballstemmer": {"embedded"},
    "tenacity": {"embedders"},
    "torch": {"embedders"},
    "transformers": {"embedders"},
    "typer": {"cli"},
    "wordllama": {"embedders"},
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; not those for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "colmilvus")


def rooms() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).parts[0].removesuffix(".py"), path


def is_room(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


def test_imports_go_one_way() -> None:
    for room, path in rooms():
        used = {name.split(".")[1] for name in imports(path) if name.startswith("colmilvus.")}
        wrong = {name for name in used - ALLOWED[room] - {room} if is_room(name)}

        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_an_optional_library_is_imported_in_one_room() -> None:
    for room, path in rooms():
        for name in {module.split(".")[0] for module in imports(path)} & LIBRARIES.keys():
            assert room in LIBRARIES[name], f"{path.relative_to(ROOT)} imports {name}"


def test_modules_stay_small() -> None:
    long = {path.name: count for _, path in rooms() if (count := len(path.read_text().splitlines())) > 400}

    assert not long


def test_importing_the_package_loads_no_extra_no_framework_and_no_torch() -> None:
    unwanted = [*LIBRARIES, "faiss"]
    code = f"import sys, colmilvus; print([name for name in {unwanted!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", [colmilvus, colmilvus.errors, colmilvus.entity, colmilvus.embedder])
def test_what_is_public_exists_and_is_sorted(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]  # modules have it

    assert names == sorted(names)
    assert all(hasattr(module, name) for name in names)
