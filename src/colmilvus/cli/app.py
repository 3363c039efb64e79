"""The commands and their options; what they do is in the modules beside this one."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, Optional, get_args

import typer
from rich.console import Console

import colmilvus
from colmilvus.cli import texts
from colmilvus.cli.deleting import delete_matching, delete_named
from colmilvus.cli.embedders import choose
from colmilvus.cli.indexing import Indexing
from colmilvus.cli.information import describe, print_description
from colmilvus.cli.migrating import migrate_collections
from colmilvus.cli.opening import Database
from colmilvus.cli.records import hit_record
from colmilvus.cli.table import print_hits
from colmilvus.cli.typed import explained, one_of, read_filter, read_number, read_question
from colmilvus.embedder import SearchMode
from colmilvus.entity import DType
from colmilvus.errors import ColmilvusError
from colmilvus.layouts.choosing import LayoutName

__all__ = ["app"]

app = typer.Typer(
    name="colmilvus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


MODES: tuple[SearchMode, ...] = get_args(SearchMode)
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
DTYPES: tuple[DType, ...] = get_args(DType)

Db = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="PATH_OR_URI",
        envvar="COLMILVUS_DB",
        help="The database: a folder on this machine, or the address of a Milvus server, such as "
        "http://localhost:19530. A server's token is read from COLMILVUS_TOKEN.",
    ),
]
CollectionName = Annotated[str, typer.Option("--collection", metavar="NAME", help="The collection in the database.")]
EmbedderOption = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates this on Python 3.10
    typer.Option(
        "--embedder",
        metavar="NAME",
        help="What makes the vectors: static (words, no download), colpali:CHECKPOINT (pictures of pages), "
        "multi-vector:MODEL (ColBERT and others), segments:MODEL (any model of sentence-transformers), cohere or "
        "cohere:MODEL (an API, key in CO_API_KEY). CHECKPOINT and MODEL are a folder, or a name on the Hugging Face "
        "hub, from where it is downloaded once.",
        show_default="the one that the collection was made with; static for a new one",
    ),
]
FilterOption = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates this on Python 3.10
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help='Only pages whose metadata fit: JSON such as \'{"page": {"$lte": 10}}\', or a Milvus expression such '
        "as 'metadata[\"page\"] <= 10'.",
    ),
]
ModeOption = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates this on Python 3.10
    typer.Option(
        "--mode",
        metavar=f"[{'|'.join(MODES)}]",
        help="What ranks: vectors (late_interaction), words (text) or both.",
        show_default="what suits the embedder: hybrid for static, late_interaction for models",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, one object a line.")]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@contextmanager
def _told() -> Iterator[None]:
    """End with one line on standard error and an exit code where the user can do something about it."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                yield
            finally:
                sys.stdout.flush()
    except ColmilvusError as error:
        _end(str(error), 2)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except BrokenPipeError:  # the reader has seen enough; what is left in the buffer must not fail at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as error:
        _end(str(error), 2)


def _end(message: str, code: int) -> NoReturn:
    typer.echo(f"colmilvus: {message}", err=True)
    raise typer.Exit(code) from None


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"colmilvus: {message}", err=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"colmilvus {colmilvus.__version__}")
        raise typer.Exit


@app.callback(help=texts.COMMAND)
def colmilvus_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(help=texts.INDEX)
@_told()
def index(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="PDF and image files, and folders to search for them."),
    ],
    db: Db = "colmilvus.db",
    collection: CollectionName = "pages",
    embedder: EmbedderOption = None,
    password: Annotated[
        Optional[str], typer.Option(metavar="PASSWORD", help="Opens the encrypted PDFs among the files.")  # noqa: UP045
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove the pages of files that the folders no longer hold.")
    ] = False,
) -> None:
    named = None if embedder is None else choose(embedder)
    code = Indexing(paths, password, prune).run(Database(db), collection, named)
    raise typer.Exit(code)


@app.command(help=texts.SEARCH, context_settings={"allow_extra_args": True})
@_told()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A question, or words.")],
    db: Db = "colmilvus.db",
    collection: CollectionName = "pages",
    embedder: EmbedderOption = None,
    k: Annotated[str, typer.Option("--k", "-k", metavar="NUMBER", help="How many pages to show.")] = "5",
    filter: FilterOption = None,
    mode: ModeOption = None,
    as_json: JsonOption = False,
) -> None:
    question, count, condition = read_question(query, context.args), read_number("--k", k), read_filter(filter)
    ranking = None if mode is None else one_of("--mode", mode, MODES)
    named = None if embedder is None else choose(embedder)
    database = Database(db)
    needed = database.open(collection) if ranking == "text" else database.open_for_search(collection, named)
    with explained(condition), needed as opened:
        hits = opened.search(question, count, filter=condition, mode=ranking)
    if as_json:
        for hit in hits:
            _print_json(hit_record(hit))
    elif hits:
        print_hits(_Console(highlight=False), hits, question)
    if not hits:
        typer.echo("colmilvus: nothing matches", err=True)


@app.command(help=texts.INFO)
@_told()
def info(
    db: Db = "colmilvus.db",
    collection: Annotated[
        Optional[str], typer.Option(metavar="NAME", help="Only this collection.", show_default="all")  # noqa: UP045
    ] = None,
    as_json: JsonOption = False,
) -> None:
    description = describe(Database(db), collection)
    if as_json:
        _print_json(description)
    else:
        print_description(_Console(highlight=False), description)


@app.command(help=texts.DELETE)
@_told()
def delete(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="SOURCE_OR_ID", help="Files whose pages go, or the ids of single pages."),
    ] = None,
    db: Db = "colmilvus.db",
    collection: CollectionName = "pages",
    filter: FilterOption = None,
) -> None:
    if bool(names) == (filter is not None):
        _end("delete takes files or ids, or --filter; see: colmilvus delete --help", 2)
    condition = read_filter(filter)
    with explained(condition), Database(db).open(collection) as opened:
        if not names:
            typer.echo(f"{delete_matching(opened, condition)} deleted")
            return
        deleted, unknown = delete_named(opened, names)
    typer.echo(f"{deleted} deleted")
    for name in unknown:
        typer.echo(f"colmilvus: {name} is no file and no id in collection {collection} of {opened.uri}", err=True)
    raise typer.Exit(1 if unknown else 0)


@app.command(help=texts.MIGRATE)
@_told()
def migrate(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The database with the collections.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The database that gets them.")],
    collection: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Only this collection; may be given several times.", show_default="all"),
    ] = None,
    images: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FOLDER|URL", help="Where the pictures of a server's collections are."),
    ] = None,
    layout: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar=f"[{'|'.join(LAYOUTS)}]", help="How the rows lie.", show_default="what TO can do"),
    ] = None,
    dtype: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar=f"[{'|'.join(DTYPES)}]", help="What vectors are stored as.", show_default="as in FROM"),
    ] = None,
) -> None:
    wanted = None if layout is None else one_of("--layout", layout, LAYOUTS)
    stored = None if dtype is None else one_of("--dtype", dtype, DTYPES)
    there = Database(target, ("COLMILVUS_TO_TOKEN", "COLMILVUS_TOKEN"))
    raise typer.Exit(migrate_collections(Database(source), there, collection or [], images, wanted, stored))


@app.command(help=texts.SERVE)
@_told()
def serve(
    db: Annotated[str, typer.Argument(metavar="FOLDER", help="The database; it is made if it is missing.")],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Of this machine, to answer at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="NUMBER", min=0, max=65535, help="0 takes one that is free.")] = 19530,
    token_file: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="Holds the token, and can be read by its user only; made with a new one if it is missing.",
            show_default="the file token in the folder",
        ),
    ] = None,
    tls_cert: Annotated[Optional[str], typer.Option(metavar="FILE", help="A certificate, in PEM.")] = None,  # noqa: UP045
    tls_key: Annotated[Optional[str], typer.Option(metavar="FILE", help="Its private key, in PEM.")] = None,  # noqa: UP045
    durability: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="[process|power]",
            help="What an acknowledged write outlives: the end of this process, or a loss of power too.",
            show_default="as the folder was opened last; process for a new one",
        ),
    ] = None,
) -> None:
    from colmilvus.cli.serving import serve as run

    raise typer.Exit(run(db, host, port, token_file, tls_cert, tls_key, durability))


def _print_json(record: dict[str, Any]) -> None:
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    typer.echo(json.dumps(record, ensure_ascii=not unicode))
