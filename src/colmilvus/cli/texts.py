"""What ``--help`` says; a line with only a backspace keeps the lines below it as they are."""

from __future__ import annotations

__all__ = ["COMMAND", "DELETE", "INDEX", "INFO", "MIGRATE", "SEARCH", "SERVE"]

COMMAND = """Find the pages of PDFs and scans that answer a question.

\b
colmilvus index reports/                   read every PDF and picture in a folder
colmilvus search "net sales by segment"    show the pages that match best
colmilvus info                             show what is stored
colmilvus delete reports/2019.pdf          take a file's pages out again
colmilvus migrate colmilvus.db http://localhost:19530
                                           move on to a Milvus server, without embedding again

Pages are stored in the folder colmilvus.db, or where --db says. Results go to standard output, everything else to
standard error.
"""

INDEX = """Read files and folders, and store their pages.

What is stored already and has not changed is skipped; a changed file replaces all its pages. Ctrl-C keeps what is done,
and the same command goes on from there.

\b
colmilvus index reports/ letter.pdf
colmilvus index --prune reports/
colmilvus index --password secret contract.pdf

Exit code 0: done; pages that hold nothing for the embedder to read are listed. 1: some files or pages failed, each
named with the reason. 2: wrong usage, or no page could be stored. 130: stopped by Ctrl-C.
"""

SEARCH = """Show the pages that match a question best.

\b
colmilvus search "What drove the net sales?"
colmilvus search --k 3 --filter '{"source": {"$text": "2024"}}' dividends
colmilvus search --json "head count" | jq -r .image

With --json each line has id, score, similarity, source, page, text, and image: the path of the page's picture.

Exit code 0: done, also where nothing matches. 2: wrong usage, or no such database or collection.
"""

INFO = """Show what a database holds, and what it was made with.

\b
colmilvus info --db archive.db
colmilvus info --json | jq .bytes
"""

DELETE = """Remove pages; the files that they came from stay.

\b
colmilvus delete reports/2019.pdf
colmilvus delete "$PWD/reports/2019.pdf#3"
colmilvus delete --filter '{"total_pages": 1}'

Exit code 0: done. 1: some names are not in the collection; they are listed. 2: wrong usage, or no such database or
collection.
"""

SERVE = """Offer a database to programs on other machines, as a Milvus server.

\b
colmilvus serve kb.db
colmilvus serve kb.db --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --token-file token

It answers on this machine only, unless --host says otherwise, and only who has the token. A program that has the folder
open goes on with it. Ctrl-C or SIGTERM finishes the calls in progress; a second one stops at once, and loses nothing
that was acknowledged.

Exit code 0: stopped by SIGTERM. 2: wrong usage, or the address, the files or the folder cannot be had. 130: stopped by
Ctrl-C.
"""

MIGRATE = """Copy collections, with pictures and vectors, from one database into another; nothing is embedded.

\b
colmilvus migrate colmilvus.db http://localhost:19530 --images pictures/
colmilvus migrate http://localhost:19530 laptop.db --images pictures/ --collection pages

FROM and TO are folders or addresses of Milvus servers. What TO holds already is left, so the same command goes on after
Ctrl-C or a fault; all that is written is read back and compared number by number. A server keeps no pictures: --images
names the folder, or the address in an object store such as s3://bucket/pages, where those of the server's collections
are, or go to, and which images= names where they are opened.

A server's token is read from COLMILVUS_TOKEN; for TO from COLMILVUS_TO_TOKEN, if that is there.

Exit code 0: done. 1: collections that something else made were left out; each is named. 2: wrong usage, no such
database or collection, or one in TO that is not alike. 130: stopped by Ctrl-C.
"""
