"""``python -m colmilvus`` is the ``colmilvus`` command."""

from colmilvus.cli import main

main()
