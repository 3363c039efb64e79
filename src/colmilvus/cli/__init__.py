"""The command line, ``colmilvus``; everything it needs beyond the core comes with the ``cli`` extra."""

from __future__ import annotations

import logging
import sys

from colmilvus.errors import MissingExtra

__all__ = ["main"]

LIBRARIES = ("rich", "typer")


def main() -> None:
    """Run the command with the program's arguments, and end the program with its exit code.

    0: done. 1: some files or pages failed. 2: wrong usage, or nothing usable. 130: stopped by Ctrl-C.
    """
    try:
        from colmilvus.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LIBRARIES:
            raise
        sys.stderr.write(f"{MissingExtra('the colmilvus command', 'cli')}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text streams of a program have it
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises, with tracebacks
    app(prog_name="colmilvus")
