from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import colmilvus
from colmilvus import Collection, Entity, Hit, Segment
from colmilvus.cli.app import app
from colmilvus.cli.embedders import FORMS
from colmilvus.cli.passage import find_passage
from colmilvus.cli.prune import gone
from colmilvus.cli.summary import page_ranges, problems
from colmilvus.cli.table import print_hits, short_names
from colmilvus.errors import UnreadableFile
from colmilvus.report import Problem
from tests.pdfs import broken_pages_pdf, document, encrypted_pdf, picture_pdf, text_commands, text_pdf
from tests.words import WordEmbedder

SHARKS = "White sharks hunt seals off the coast."
STEEL = "Steel output fell as ore prices rose."
BREAD = "Knead the dough and bake the bread."


class Result:
    """How a run of the command ended: in this process or in one of its own."""

    def __init__(self, code: int | None, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no settings from the environment."""
    folder = tmp_path / "Büro 1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("COLMILVUS_DB", "COLMILVUS_TOKEN", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def run(here: Path) -> Command:  # noqa: ARG001 - the command works in the directory
    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), prog_name="colmilvus")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def library(here: Path) -> Path:
    folder = here / "library"
    folder.mkdir()
    write(folder / "sea.pdf", [SHARKS, "Coral reefs shelter many fish."])
    write(folder / "métal.pdf", [STEEL])
    return folder


@pytest.fixture
def indexed(run: Command, library: Path) -> Path:
    """The library, with its three pages in the database."""
    assert run("index", "library").code == 0
    return library


def write(path: Path, pages: Sequence[str]) -> Path:
    path.write_bytes(text_pdf(pages))
    return path


def write_scan(path: Path, pages: int) -> Path:
    path.write_bytes(picture_pdf([Image.new("RGB", (60, 80), (20 * page, 90, 90)) for page in range(pages)]))
    return path


def program(*arguments: str, cwd: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **settings}
    command = [sys.executable, "-m", "colmilvus", *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=120)
    return Result(process.returncode, out, err)


def sources(result: Result) -> list[tuple[str, int]]:
    return [(Path(each["source"]).name, each["page"]) for each in result.objects]


# index


def test_index_stores_the_pages_of_folders_and_files_and_says_what_it_did(run: Command, library: Path) -> None:
    write(library.parent / "bread.pdf", [BREAD])
    result = run("index", "library", "bread.pdf")
    assert result.code == 0, result
    assert result.out == (
        "4 added, 0 unchanged, 0 replaced, 0 removed, 0 unreadable, 0 failed; "
        "4 pages in colmilvus.db, collection pages\n"
    )
    assert result.err == ""


def test_a_second_index_leaves_everything_unchanged(run: Command, indexed: Path) -> None:
    result = run("index", str(indexed))
    assert result.code == 0, result
    assert result.out.startswith("0 added, 3 unchanged, 0 replaced, 0 removed")


def test_a_changed_file_replaces_all_its_pages_also_when_it_has_fewer(run: Command, indexed: Path) -> None:
    write(indexed / "sea.pdf", ["Whales sing in the deep."])
    result = run("index", "library")
    assert result.code == 0, result
    assert result.out.startswith("0 added, 1 unchanged, 1 replaced, 1 removed")
    texts = {each["text"] for each in run("search", "whales sharks steel", "--json").objects}
    assert texts == {"Whales sing in the deep.", STEEL}


def test_what_cannot_be_read_is_named_and_the_rest_is_stored(run: Command, library: Path) -> None:
    (library / "secret.pdf").write_bytes(encrypted_pdf(BREAD, user="sesame", owner="boss"))
    (library / "cut.pdf").write_bytes(text_pdf([BREAD])[:200])
    (library / "gap.pdf").write_bytes(broken_pages_pdf(BREAD))
    (library / "empty.pdf").write_bytes(b"")
    result = run("index", "library", "missing.pdf")
    assert result.code == 1, result
    assert result.out.startswith("4 added, 0 unchanged, 0 replaced, 0 removed, 0 unreadable, 6 failed")
    told = {line.partition(":")[0].strip(): line for line in result.err.splitlines()}
    assert told.keys() == {
        "Failed",
        "library/secret.pdf",
        "library/cut.pdf",
        "library/gap.pdf, pages 1, 3",
        "library/empty.pdf",
        "missing.pdf",
    }
    assert "--password PASSWORD" in told["library/secret.pdf"]
    assert "0 bytes" in told["library/empty.pdf"]


def test_a_password_opens_what_is_encrypted(run: Command, here: Path) -> None:
    (here / "secret.pdf").write_bytes(encrypted_pdf(BREAD, user="sesame", owner="boss"))
    assert run("index", "secret.pdf").code == 2
    assert "wrong" in run("index", "secret.pdf", "--password", "open").err
    result = run("index", "secret.pdf", "--password", "sesame")
    assert (result.code, result.out[:7]) == (0, "1 added"), result


def test_pages_without_words_are_listed_and_change_nothing(run: Command, library: Path) -> None:
    write_scan(library / "scan.pdf", 3)
    result = run("index", "library")
    assert result.code == 0, result
    assert "3 added" in result.out
    assert "3 unreadable, 0 failed" in result.out
    title, line = result.err.splitlines()
    assert title == "Unreadable:"
    assert line.startswith("  library/scan.pdf, pages 1-3: no text layer")
    assert "ColPali" in line


@pytest.mark.parametrize("name", ["scan.pdf", "nothing.pdf", "notes.pdf", "hollow"])
def test_exit_code_2_where_nothing_can_be_stored(run: Command, here: Path, name: str) -> None:
    write_scan(here / "scan.pdf", 1)
    (here / "notes.pdf").write_text("not a PDF")
    (here / "hollow").mkdir()
    result = run("index", name)
    assert result.code == 2
    assert name in result.err


def test_index_of_what_is_not_there_makes_no_database(run: Command, here: Path) -> None:
    assert run("index", "nothing.pdf").code == 2
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("indexed")
def test_index_without_one_readable_page_makes_no_database_and_no_collection(run: Command, here: Path) -> None:
    (here / "secret.pdf").write_bytes(encrypted_pdf(BREAD, user="sesame", owner="boss"))
    for place in (["--db", "new.db"], ["--collection", "memos"]):
        result = run("index", "secret.pdf", "missing.pdf", *place)
        assert (result.code, result.out) == (2, ""), result
        assert "secret.pdf: needs a password; use colmilvus index --password PASSWORD\n" in result.err
        assert "missing.pdf: there is no such file" in result.err
    assert not Path("new.db").exists()
    assert [each["collection"] for each in run("info", "--json").objects[0]["collections"]] == ["pages"]
    assert "3 pages in colmilvus.db" in run("index", "secret.pdf").out


def test_one_page_is_not_called_pages(run: Command, here: Path) -> None:
    write(here / "bread.pdf", [BREAD])
    assert run("index", "bread.pdf").out.endswith("; 1 page in colmilvus.db, collection pages\n")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches programs started here, also where this one runs in the background and has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_is_done_and_the_next_index_goes_on(run: Command, here: Path) -> None:
    pages = 600
    drawn = [text_commands(f"page {page}: bread", top=100) for page in range(pages)]
    (here / "long.pdf").write_bytes(document(drawn, media_box="0 0 300 150"))
    process = program("index", "long.pdf", cwd=here)
    pictures = here / "colmilvus.db" / "images" / "pages"
    while len(list(pictures.glob("*/*.jpg"))) < 40:  # the first batch, of 32 pages, is stored
        assert process.poll() is None, finished(process)
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stopped = finished(process)
    assert (stopped.code, stopped.out) == (130, ""), stopped
    assert "goes on from there" in stopped.err
    assert "Traceback" not in stopped.err
    (held,) = run("info", "--json").objects[0]["collections"]
    assert 32 <= held["entities"] < pages
    assert f"stopped with {held['entities']} pages in colmilvus.db" in stopped.err
    resumed = run("index", "long.pdf")
    assert resumed.code == 0, resumed
    assert resumed.out.startswith(f"{pages - held['entities']} added, {held['entities']} unchanged")


# index --prune


def test_prune_removes_what_the_folder_no_longer_holds_and_nothing_else(run: Command, library: Path) -> None:
    outside = write(library.parent / "bread.pdf", [BREAD])
    sibling = library.with_name("library 2")
    sibling.mkdir()
    run("index", "library", "bread.pdf", str(write(sibling / "tin.pdf", ["tin"])))
    for path in (outside, sibling / "tin.pdf", library / "sea.pdf"):
        path.unlink()
    result = run("index", "--prune", "library")
    assert result.code == 0, result
    assert result.out.startswith("0 added, 1 unchanged, 0 replaced, 2 removed")
    left = sources(run("search", "--json", "sharks steel bread tin coral"))
    assert sorted(left) == [("bread.pdf", 1), ("métal.pdf", 1), ("tin.pdf", 1)]


def test_without_prune_what_is_gone_stays(run: Command, indexed: Path) -> None:
    (indexed / "sea.pdf").unlink()
    assert "0 removed, 0 unreadable, 0 failed; 3 pages" in run("index", "library").out


def test_prune_empties_what_an_emptied_folder_brought(run: Command, indexed: Path) -> None:
    for path in indexed.iterdir():
        path.unlink()
    result = run("index", "--prune", "library")
    assert (result.code, result.err) == (0, ""), result
    assert "3 removed" in result.out


def test_prune_keeps_a_file_that_is_there_but_broken(run: Command, indexed: Path) -> None:
    (indexed / "sea.pdf").write_bytes(b"%PDF-1.7 cut")
    result = run("index", "--prune", "library")
    assert result.code == 1, result
    assert "0 removed" in result.out
    assert "3 pages" in result.out


@pytest.mark.parametrize("other", ["missing", "library/métal.pdf"])
def test_prune_removes_nothing_where_a_folder_is_missing_or_none_is_named(
    run: Command, indexed: Path, other: str
) -> None:
    (indexed / "sea.pdf").unlink()
    result = run("index", "--prune", *(["library"] if other == "missing" else []), other)
    assert result.code == 2, result
    assert "folder" in result.err
    assert run("info", "--json").objects[0]["collections"][0]["entities"] == 3


def test_a_file_below_a_folder_that_cannot_be_followed_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "drive").symlink_to(tmp_path / "not mounted")
    with pytest.raises(UnreadableFile, match="nothing was removed"):
        gone([str(tmp_path / "drive" / "a.pdf")], [tmp_path])


def test_only_documents_whose_files_are_not_there_are_gone(tmp_path: Path) -> None:
    (tmp_path / "held.pdf").touch()
    (tmp_path / "flat").touch()
    (tmp_path / os.fsdecode(b"caf\xe9.pdf")).touch()
    held = [str(tmp_path / "held.pdf"), f"{tmp_path}/caf\\xe9.pdf", "relative.pdf", str(tmp_path) + "-2/a.pdf"]
    lost = [str(tmp_path / "a.pdf"), str(tmp_path / "flat" / "b.pdf"), str(tmp_path / "no" / "deep" / "c.pdf")]
    assert gone([*held, *lost], [tmp_path]) == lost


# search


@pytest.mark.usefixtures("indexed")
def test_search_ranks_the_page_that_answers_first(run: Command) -> None:
    assert sources(run("search", "What happened to steel production?", "--json", "--k", "1")) == [("métal.pdf", 1)]
    assert sources(run("search", "sharks that hunt", "--json"))[0] == ("sea.pdf", 1)


@pytest.mark.usefixtures("indexed")
def test_each_json_line_has_the_same_keys(run: Command) -> None:
    result = run("search", "sharks", "--json", "--mode", "late_interaction")
    assert len(result.objects) == 3
    for each in result.objects:
        assert list(each) == ["id", "score", "similarity", "source", "page", "text", "image"]
        assert each["id"] == f"{each['source']}#{each['page']}"
        with Image.open(each["image"]) as picture:
            assert picture.format == "JPEG"
        assert -1 <= each["similarity"] <= 1
    assert "é" in "".join(each["source"] for each in result.objects)
    assert run("search", "sharks", "--json", "--mode", "hybrid").objects[0]["similarity"] is None


@pytest.mark.usefixtures("indexed")
def test_the_table_shows_score_file_page_passage_and_picture(run: Command) -> None:
    result = run("search", "ore prices", "--k", "1")
    assert result.code == 0, result
    header, *lines, picture = [line.rstrip() for line in result.out.splitlines()]
    assert header.split() == ["Score", "File", "Page", "Passage"]
    assert " ".join(" ".join(lines).split()).startswith("1.00 métal.pdf 1 Steel output fell as ore prices rose.")
    assert Path(picture.strip()).is_file()
    assert all(len(line) <= 80 for line in [header, *lines])
    assert "\x1b" not in result.out
    assert all(line == line.rstrip() for line in result.out.splitlines())


@pytest.mark.parametrize(
    "condition", ['{"page": 2}', '{"source": {"$text": "sea"}, "page": {"$gt": 1}}', 'metadata["page"] == 2']
)
@pytest.mark.usefixtures("indexed")
def test_filters_are_json_or_a_milvus_expression(run: Command, condition: str) -> None:
    assert sources(run("search", "sharks", "--json", "--filter", condition)) == [("sea.pdf", 2)]


@pytest.mark.parametrize("condition", ['{"page": ', '{"page": {"$near": 2}}', 'metadata["page"] == ', "[1]"])
@pytest.mark.usefixtures("indexed")
def test_a_filter_that_cannot_be_read_is_an_error(run: Command, condition: str) -> None:
    result = run("search", "sharks", "--filter", condition)
    assert (result.code, result.out) == (2, ""), result
    assert result.err.startswith("colmilvus: ")


@pytest.mark.parametrize("command", [["search", "sharks"], ["delete"]])
@pytest.mark.usefixtures("indexed")
def test_a_filter_that_milvus_cannot_read_is_answered_with_one_that_it_can(run: Command, command: list[str]) -> None:
    result = run(*command, "--filter", "page == 1")
    assert result.code == 2
    assert result.err.endswith("""write it such as 'metadata["page"] == 1' or '{"page": 1}'\n""")
    assert "vectors" not in result.err, "columns of the layout are none of the user's"
    assert "is JSON, but no object" in run(*command, "--filter", "[1]").err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "what", "was", "--k", "3", "sold"], 'put the question in quotes: colmilvus search "what was sold"'),
        (["search", "sold", "--mode", "txt"], "--mode takes one of: late_interaction, text, hybrid; got 'txt'"),
        (["search", "sold", "--k", "x"], "--k takes a number from 1, such as --k 5; got 'x'"),
        (["search", "sold", "--embedder", "big"], f"--embedder takes {FORMS}; got 'big'"),
        (["index", "a.pdf", "--embedder", "static:x"], f"--embedder takes {FORMS}; got 'static:x'"),
        (
            ["index", "a.pdf", "--embedder", "colpali"],
            "--embedder colpali needs a model, a folder or a name on the hub: --embedder colpali:MODEL",
        ),
    ],
)
def test_wrong_usage_is_told_in_one_line(run: Command, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out, result.err) == (2, "", f"colmilvus: {told}\n")


@pytest.mark.usefixtures("indexed")
def test_no_hits_is_no_error(run: Command) -> None:
    for arguments in (["--filter", '{"page": 9}'], ["--mode", "text", "--json"]):
        result = run("search", "zeppelin", *arguments)
        assert (result.code, result.out, result.err) == (0, "", "colmilvus: nothing matches\n")


@pytest.mark.usefixtures("library")
def test_search_makes_no_database_and_no_collection(run: Command) -> None:
    for command in (["search", "sharks"], ["info"], ["delete", "sea.pdf"]):
        result = run(*command)
        assert (result.code, result.out) == (2, "")
        assert "there is no database at colmilvus.db" in result.err
    assert not Path("colmilvus.db").exists()
    run("index", "library")
    for command in (["search", "sharks"], ["info"], ["delete", "sea.pdf"]):
        result = run(*command, "--collection", "memos")
        assert (result.code, result.out) == (2, "")
        assert "there is no collection 'memos' in colmilvus.db (it has: pages)" in result.err
    assert [each["collection"] for each in run("info", "--json").objects[0]["collections"]] == ["pages"]


def test_a_collection_of_another_embedder_is_refused_but_for_its_text(run: Command, library: Path) -> None:
    with Collection("pages", WordEmbedder(), uri="colmilvus.db") as collection:
        collection.add([Entity("a", text="red sky", metadata={"colour": "red"})])
    indexed, searched = run("index", str(library), "--embedder", "static"), run("search", "red")
    assert (indexed.code, searched.code) == (2, 2)
    assert "collection 'pages' was made with embedder='words', not 'static'" in indexed.err
    assert "collection 'pages' was made with embedder 'words', and the command line has: static" in searched.err
    assert "Python" in searched.err
    assert "--mode text" in searched.err
    (hit,) = run("search", "red", "--mode", "text", "--json").objects
    assert (hit["id"], hit["source"], hit["page"], hit["image"]) == ("a", "a", None, None)


@pytest.mark.usefixtures("indexed")
def test_a_blank_question_and_a_number_below_one_are_refused(run: Command) -> None:
    assert run("search", "  ").code == 2
    assert run("search", "sharks", "--k", "0").code == 2


# info


@pytest.mark.usefixtures("indexed")
def test_info_tells_what_a_database_holds(run: Command) -> None:
    (told,) = run("info", "--json").objects
    assert told.keys() == {"db", "bytes", "collections"}
    assert told["bytes"] == sum(path.stat().st_size for path in Path("colmilvus.db").rglob("*") if path.is_file())
    (collection,) = told["collections"]
    assert collection == {
        "collection": "pages",
        "entities": 3,
        "documents": 2,
        "embedder": "static",
        "dim": 256,
        "metric": "IP",
        "capacity": 4096,
    }
    header, names, values = run("info").out.splitlines()
    assert header.startswith("colmilvus.db (")
    assert names.split() == ["Collection", "Entities", "Documents", "Embedder", "Dim", "Metric", "Capacity"]
    assert values.split() == ["pages", "3", "2", "static", "256", "IP", "4096"]


def test_the_database_can_be_named_by_the_environment(run: Command, library: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLMILVUS_DB", str(library.parent / "kb.db"))
    assert run("index", "library").code == 0
    assert run("info").out.startswith(str(library.parent / "kb.db"))
    assert run("info", "--db", "other.db").code == 2


# delete


def test_delete_takes_files_as_given_absolute_paths_and_ids(run: Command, library: Path) -> None:
    write(library / "bread.pdf", [BREAD])
    run("index", "library")
    result = run("delete", "library/métal.pdf", str(library / "bread.pdf"), f"{library / 'sea.pdf'}#2")
    assert (result.code, result.out, result.err) == (0, "3 deleted\n", ""), result
    assert sources(run("search", "anything", "--json")) == [("sea.pdf", 1)]
    assert (library / "bread.pdf").exists()


@pytest.mark.usefixtures("indexed")
def test_delete_names_what_it_does_not_know(run: Command) -> None:
    result = run("delete", "library/sea.pdf", "library/sea.pdf#9")
    assert (result.code, result.out) == (1, "2 deleted\n")
    assert "library/sea.pdf#9 is no file and no id in collection pages" in result.err


@pytest.mark.usefixtures("indexed")
def test_delete_by_filter(run: Command) -> None:
    assert run("delete", "--filter", '{"page": 1}').out == "2 deleted\n"
    assert run("delete", "--filter", 'metadata["page"] == 1').out == "0 deleted\n"
    assert sources(run("search", "anything", "--json")) == [("sea.pdf", 2)]


@pytest.mark.parametrize("arguments", [[], ["a.pdf", "--filter", '{"page": 1}'], ["--filter", "{}"], ["--filter", " "]])
@pytest.mark.usefixtures("indexed")
def test_delete_removes_nothing_unless_told_what(run: Command, arguments: list[str]) -> None:
    result = run("delete", *arguments)
    assert result.code == 2
    assert "drop()" not in result.err, "that is for Python"
    assert run("info", "--json").objects[0]["collections"][0]["entities"] == 3


# the program


def test_the_program_tells_its_version_and_helps(run: Command) -> None:
    assert run("--version").out == f"colmilvus {colmilvus.__version__}\n"
    for command in ("index", "search", "info", "delete"):
        told = run(command, "--help").out
        assert f"\n  colmilvus {command} " in told, "an example stands on a line of its own"
    assert run("search").code == 2
    assert run("find", "sharks").code == 2


def test_the_program_writes_results_to_stdout_only_and_ends_quietly_with_its_reader(library: Path) -> None:
    here = library.parent
    for arguments in (["index", "library"], ["search", "sharks"], ["search", "sharks", "--json"], ["info"]):
        process = program(*arguments, cwd=here, PYTHONWARNINGS="default")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        with process.stderr as told:
            assert told.read() == ""
    searched = finished(program("search", "sharks", "--json", "--k", "1", cwd=here, PYTHONIOENCODING="ascii"))
    assert (searched.code, searched.err) == (0, ""), searched
    assert searched.objects[0]["text"] == SHARKS
    wrong = finished(program("search", "sharks", "--filter", "page ==", cwd=here))
    assert (wrong.code, wrong.out) == (2, ""), wrong
    assert wrong.err.startswith("colmilvus: ")
    assert "Traceback" not in wrong.err


def test_colours_are_for_terminals_and_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = [Hit(Entity("a", text=SHARKS), 1.0)]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;33msharks\x1b[0m" in shown(hits, "shark", force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "33m" not in shown(hits, "shark", force_terminal=True, color_system="standard")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("typer", "cli"), ("rich", "cli"), ("milvus_lite", "embedded"), ("wordllama", "static"), ("pypdfium2", "pdf")],
)
def test_a_missing_library_is_named_with_what_to_install(library: Path, module: str, extra: str) -> None:
    blocked = library.parent / "blocked"
    blocked.mkdir()
    (blocked / f"{module}.py").write_text(f"raise ModuleNotFoundError('it is not here', name={module!r})")
    result = finished(program("index", "library", cwd=library.parent, PYTHONPATH=str(blocked)))
    assert (result.code, result.out) == (2, ""), result
    assert f"pip install 'colmilvus[{extra}]'" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.usefixtures("indexed")
def test_a_database_that_another_process_has_open_is_searched_through_it(run: Command) -> None:
    hold = "import sys, colmilvus; c = colmilvus.Collection('pages', uri='colmilvus.db'); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        result = run("search", "sharks")
        holder.communicate("end")
    assert result.code == 0, result
    assert "sea.pdf" in result.out.splitlines()[1]


def test_a_path_that_is_no_database_is_refused(run: Command, library: Path) -> None:
    shutil.copy(library / "sea.pdf", "kb.db")
    for db in ("kb.db", "library", "missing/kb.db"):
        result = run("index", "library", "--db", db)
        assert result.code == 2
        assert db in result.err


# what is shown


def shown(hits: Sequence[Hit], query: str, width: int = 80, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    print_hits(console, hits, query)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_in_a_table_is_cut_off_or_read_as_markup() -> None:
    long = "x" * 50 + "-[bold]-:smile:.pdf"
    picture = Path("kb.db/images/pages") / ("0" * 90 + ".jpg")
    hits = [Hit(Entity("a", text="[red]no markup[/red] :smile:", image=picture, metadata={"source": long}), 12.345)]
    table = shown(hits, "markup")
    assert "[red]no markup[/red] :smile:" in table
    assert f"  {picture}\n" in table
    column = "".join(line[7:].split("  ")[0].strip() for line in table.splitlines()[1:-1])
    assert column == long


def test_a_narrow_table_keeps_the_words_of_its_header_and_all_text() -> None:
    hits = [Hit(Entity("a", text=SHARKS, metadata={"source": "sea-and-shore.pdf", "page": 12}), 0.5)]
    header, *lines = shown(hits, "sharks", width=30).splitlines()
    assert header.split() == ["Score", "File", "Page", "Passage"]
    assert max(map(len, [header, *lines])) <= 30
    assert " ".join(line[23:] for line in lines).split() == SHARKS.split()


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([0.0038, 0.00041], ["0.00380", "0.00041"]),
        ([0.25, 0.0038], ["0.25", "0.00"]),
        ([-0.05, -0.021], ["-0.0500", "-0.0210"]),
        ([0.0, 0.0], ["0.00", "0.00"]),
    ],
)
def test_small_scores_show_their_digits(scores: list[float], told: list[str]) -> None:
    lines = shown([Hit(Entity("a"), score) for score in scores], "sharks").splitlines()[1:]
    assert [line.split()[0] for line in lines] == told


def test_a_hit_made_of_segments_shows_their_text() -> None:
    entity = Entity("a", segments=(Segment("1", "red sky"), Segment("2", "green tree")))
    assert "red sky green tree" in shown([Hit(entity, 1.0)], "tree")
    assert "(no text)" in shown([Hit(Entity("b"), 1.0)], "tree")


def test_file_names_are_as_short_as_tells_them_apart() -> None:
    assert short_names(["/a/x/report.pdf", "/b/x/report.pdf", "/b/x/other.pdf"]) == {
        "/a/x/report.pdf": str(Path("a/x/report.pdf")),
        "/b/x/report.pdf": str(Path("b/x/report.pdf")),
        "/b/x/other.pdf": "other.pdf",
    }
    assert short_names(["/report.pdf", "/a/report.pdf"])["/report.pdf"] == "/report.pdf"


def test_a_passage_has_the_words_of_the_question() -> None:
    filler = "It was the best of times, it was the worst of times. " * 40
    passage = find_passage(f"{filler}Operating margins  rose\nto 12.4 % in 2024. {filler}", "the margin of 2024", 100)
    assert len(passage.text) <= 102
    assert "Operating margins rose to 12.4 % in 2024." in passage.text
    assert passage.text[0] == passage.text[-1] == "…"
    assert [passage.text[start:end] for start, end in passage.marks] == ["margins", "2024"]


def test_a_passage_without_the_words_is_the_beginning_of_the_text() -> None:
    assert find_passage("Once upon a time there was a king.", "ports", 20).text == "Once upon a time…"
    assert find_passage("The portfolio.", "port").marks == ()
    assert find_passage("", "port").text == ""


def test_a_passage_is_found_where_no_spaces_are() -> None:
    passage = find_passage(
        "売上高は増加した。" * 60 + "営業利益率は低下した。" + "売上高は増加した。" * 60, "営業利益", 40
    )
    assert "営業利益率は低下した" in passage.text
    assert len(passage.text) <= 42
    assert {passage.text[start:end] for start, end in passage.marks} == set("営業利益")


def test_page_numbers_are_written_as_ranges() -> None:
    assert page_ranges([9, 3, 8, 7, 7]) == "3, 7-9"
    assert page_ranges([2]) == "2"
    assert list(problems("Failed", [])) == []
    listed = [Problem("a#2", "torn", "a.pdf", 2), Problem("b", "gone"), Problem("a#1", "torn", "a.pdf", 1)]
    assert list(problems("Failed", listed)) == ["Failed:", "  a.pdf, pages 1-2: torn", "  b: gone"]
