"""Embedders by name on the command line, and what a collection remembers of them."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from colmilvus import Collection, Entity
from colmilvus.cli.app import app
from colmilvus.cli.embedders import KEPT, _class_of, choose
from colmilvus.embedders.colpali import ColPaliEmbedder
from colmilvus.errors import InvalidInput
from tests.documents import PRELUDE, ROOT
from tests.embedders.cohere_server import KEY, CohereServer
from tests.embedders.hub import Hub, serve_hub
from tests.embedders.test_colpali import page
from tests.pdfs import text_pdf
from tests.test_cli import Result

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one PDF of text and pictures in it, and no settings from the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("COLMILVUS_DB", "COLMILVUS_TOKEN", "COLUMNS", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "sea.pdf").write_bytes(text_pdf(["White sharks hunt seals.", "Coral reefs shelter fish."]))
    pictures = [page((200, 260), seed) for seed in range(3)]
    pictures[0].save(tmp_path / "scan.pdf", save_all=True, append_images=pictures[1:])
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="colmilvus")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def found(*arguments: str) -> list[dict[str, Any]]:
    code, out, err = run("search", "--json", *arguments)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


COMMANDS = """
import json, sys
from typer.testing import CliRunner
from colmilvus.cli.app import app
for line in sys.stdin:
    done = CliRunner().invoke(app, json.loads(line), prog_name="colmilvus")
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""


@contextmanager
def commands(folder: Path, **settings: str) -> Iterator[Callable[..., Result]]:
    """Runs commands in one process with an environment of its own, for the import of the models' libraries is slow."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=folder,
        env={**os.environ, **settings},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asks, answers = process.stdin, process.stdout

        def run_there(*arguments: str) -> Result:
            print(json.dumps(arguments), file=asks, flush=True)
            return Result(*json.loads(answers.readline()))

        yield run_there


@pytest.mark.usefixtures("here")
class TestByName:
    def test_pictures_of_pages_by_a_model_of_the_engine(self, checkpoint: Folder) -> None:
        name = f"colpali:{checkpoint('ColQwen2')}"
        code, out, err = run("index", "scan.pdf", "sea.pdf", "--embedder", name)

        assert code == 0, err
        assert out.startswith("5 added, 0 unchanged")
        assert len(found("sharks", "--embedder", name, "--k", "9")) == 5

    def test_texts_by_a_colbert(self, encoder: Folder) -> None:
        name = f"multi-vector:{encoder('pylate')}"
        code, out, err = run("index", "sea.pdf", "scan.pdf", "--embedder", name)

        assert code == 0, err
        assert "2 added, 0 unchanged, 0 replaced, 0 removed, 3 unreadable" in out
        assert "no text, and this model does not see pictures" in err
        assert len(found("sharks")) == 2

    def test_windows_by_a_single_vector_model(self, encoder: Folder) -> None:
        name = f"segments:{encoder('single_vector')}"
        code, out, err = run("index", "sea.pdf", "--embedder", name)

        assert (code, out.partition(",")[0]) == (0, "2 added"), err
        assert len(found("sharks")) == 2

    def test_cohere_without_a_key_says_where_it_belongs(self) -> None:
        code, _, err = run("index", "sea.pdf", "--embedder", "cohere")

        assert code == 2
        assert "CO_API_KEY" in err


@pytest.mark.usefixtures("here")
class TestRemembered:
    def test_without_the_option_the_embedder_of_the_collection_is_named_and_used(self, checkpoint: Folder) -> None:
        name = f"colpali:{checkpoint('ColQwen2')}"
        assert run("index", "scan.pdf", "--embedder", name)[0] == 0
        code, _, err = run("search", "sharks")

        assert code == 0
        assert f"colmilvus: with the embedder of collection pages, --embedder {name}" in err
        code, out, err = run("index", "scan.pdf", "sea.pdf")
        assert (code, f"--embedder {name}" in err) == (0, True)
        assert out.startswith("2 added, 3 unchanged")
        assert json.loads(run("info", "--json")[1])["collections"][0]["embedder"] == name

    def test_the_static_one_needs_no_word(self) -> None:
        assert run("index", "sea.pdf")[0] == 0

        assert "--embedder" not in run("search", "sharks")[2]

    def test_pooling_is_remembered_too(self, checkpoint: Folder) -> None:
        from colmilvus import Collection
        from colmilvus.embedders.colpali import ColPaliEmbedder
        from colmilvus.pdf import read_pages

        embedder = ColPaliEmbedder(checkpoint("ColQwen2"), pool=2)
        with Collection("pages", embedder, uri="colmilvus.db") as collection:
            collection.add(read_pages("scan.pdf"))

        assert run("index", "scan.pdf", "sea.pdf")[1].startswith("2 added, 3 unchanged")

    def test_named_again_it_has_the_settings_that_it_had(self, checkpoint: Folder) -> None:
        folder = checkpoint("ColIdefics3")
        with Collection("pages", ColPaliEmbedder(folder, pool=3), uri="colmilvus.db") as pages:
            pages.add([Entity("1", image=page((200, 260)))])

        assert len(found("a line", "--embedder", f"colpali:{folder}")) == 1

    def test_a_model_of_the_hub_is_remembered_with_its_revision(self, encoder: Folder, here: Path) -> None:
        (here / "shim").mkdir()
        (here / "shim" / "sitecustomize.py").write_text(PRELUDE)
        environment = {"HF_HOME": str(here / "home"), "HF_HUB_OFFLINE": "0"}
        environment["PYTHONPATH"] = f"{here / 'shim'}{os.pathsep}{ROOT}"
        with (
            serve_hub(Hub({"owner/small": {"main": encoder("single_vector")}})) as hub,
            commands(here, HF_ENDPOINT=hub.address, **environment) as run_there,
        ):
            indexed = run_there("index", "sea.pdf", "--embedder", "segments:owner/small")
            assert indexed.code == 0, indexed.err
            asked = len(hub.asked)
            assert asked > 0
            searched = run_there("search", "sharks", "--json")
            assert (searched.code, len(searched.objects)) == (0, 2), searched.err
            assert "--embedder segments:owner/small" in searched.err
            assert run_there("index", "sea.pdf").code == 0
            assert len(hub.asked) == asked

    def test_what_it_was_made_with_is_named_also_where_a_key_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import cohere  # noqa: F401 - so that it reads nothing of what is set below

        with CohereServer() as server:
            monkeypatch.setenv("CO_API_KEY", KEY)
            monkeypatch.setenv("CO_API_URL", server.url)
            assert run("index", "sea.pdf", "--embedder", "cohere")[0] == 0
        monkeypatch.delenv("CO_API_KEY")
        code, _, err = run("search", "sharks")

        assert code == 2
        assert "collection 'pages' was made with --embedder cohere:embed-v4.0" in err
        assert "CO_API_KEY" in err

    def test_a_model_that_is_gone_is_named_with_what_to_do(self, checkpoint: Folder, here: Path) -> None:
        shutil.copytree(checkpoint("ColQwen2"), here / "model")
        assert run("index", "scan.pdf", "--embedder", "colpali:model")[0] == 0
        (here / "model").rename(here / "moved")
        code, _, err = run("search", "sharks")

        assert code == 2
        assert (
            f"collection 'pages' was made with --embedder colpali:{here / 'model'}, which cannot be used as it is"
            in err
        )
        assert "name it to fetch it: --embedder" in err
        assert len(found("sharks", "--embedder", "colpali:moved")) == 3
        assert len(found("sharks", "--mode", "text")) == 0

    def test_another_one_is_refused_with_both_named(self, checkpoint: Folder) -> None:
        assert run("index", "scan.pdf", "--embedder", f"colpali:{checkpoint('ColQwen2')}")[0] == 0
        code, _, err = run("index", "sea.pdf", "--embedder", "static")
        other = run("search", "sharks", "--embedder", f"colpali:{checkpoint('ColPali')}")

        assert (code, other[0]) == (2, 2)
        assert "was made with embedder='colpali', not 'static'" in err
        assert "family='ColQwen2', now 'ColPali'" in other[2]


@pytest.mark.parametrize("typed", ["", "big", "colpali", "segments:", "static:x", "cohere:", "multi-vector"])
def test_what_names_no_embedder_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="--embedder"):
        choose(typed)


def test_what_names_one_is_written_back_as_it_was_typed() -> None:
    for typed in ("static", "cohere", "cohere:embed-v4.0", "colpali:owner/model", "segments:/a/b:c"):
        assert str(choose(typed)) == typed


def test_what_is_remembered_are_arguments_of_the_embedders() -> None:
    for kind, names in KEPT.items():
        assert set(names) <= set(inspect.signature(_class_of(kind)).parameters), kind
