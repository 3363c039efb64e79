"""The picture of a page as a line of text, from which it can be drawn again, and other texts that name a picture."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections import OrderedDict
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

from colmilvus.entity import ImageLike
from colmilvus.errors import InvalidInput
from colmilvus.forks import Lock
from colmilvus.image_store import stored_image
from colmilvus.pdf.files import File, list_files
from colmilvus.pdf.pages import Backend, PageImage, drawing_of

__all__ = ["named_picture", "page_image", "reference_to"]

DATA_URI = re.compile(r"data:image/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
FILES = 64
"""Files whose digest is remembered: the pages of one are asked for one by one."""

_files: OrderedDict[tuple[str, object], File] = OrderedDict()
_lock = Lock()


def reference_to(image: PageImage) -> str:
    """Where the page is and how it is drawn: ``file:///reports/a.pdf#page=3&dpi=150``.

    The fragment is that of PDF viewers (RFC 8118). It holds no password: a file that needs one can be drawn again only
    in the process that has read it. Raises InvalidInput for a file in memory, which has no place.
    """
    if image.file.path is None:
        raise InvalidInput(
            f"the pages of {image.file.source!r} lie in memory; only those of files on disk have a place"
        )
    _remember(image.file)
    way = f"&dpi={image.drawing.dpi:g}" if image.drawing.dpi else ""
    backend = f"&backend={image.drawing.name}" if image.drawing.name == "pdf2image" else ""
    return f"{image.file.path.as_uri()}#page={image.number}{way}{backend}"


def page_image(reference: str) -> PageImage | None:
    """The picture that a reference means, drawn when it is opened; None for a text that is no reference.

    Raises UnreadableFile for a file that is not there.

    >>> page_image("holiday.jpg") is None
    True
    """
    if not reference.startswith("file:") or "#" not in reference:
        return None
    parts = urlsplit(reference)
    told = {name: values[-1] for name, values in parse_qs(parts.fragment).items()}
    try:
        number, dpi = int(told["page"]), float(told.get("dpi", 150))
    except (KeyError, ValueError):
        return None
    backend = told.get("backend", "pypdfium2")
    if number < 1 or not 0 < dpi < 10_000 or backend not in get_args(Backend):
        return None
    host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
    file = _file(host + url2pathname(parts.path))
    return PageImage(file, number, drawing_of(file, "pdf2image" if backend == "pdf2image" else "pypdfium2", dpi), False)


def named_picture(told: str) -> ImageLike | None:
    r"""The picture that a text names, None for none.

    That is the page of a file, as ``reference_to`` writes it, the path or file URI of a file that is there, a data URI
    in base64, or a kept picture in an object store. Raises UnreadableFile for the page of a file that is not there.

    >>> named_picture("data:image/png;base64,iVBORw==")
    b'\x89PNG'
    """
    if not told:
        return None
    if found := page_image(told):
        return found
    if stored := stored_image(told):
        return stored
    if prefix := DATA_URI.match(told):
        try:
            return b64decode("".join(told[prefix.end() :].split()), validate=True)
        except Base64Error:
            return None
    try:
        path = Path(url2pathname(urlsplit(told).path) if told.startswith("file:") else told)
        return path if path.is_file() else None
    except (OSError, ValueError):  # no path at all: a NUL in it, or too long
        return None


def _file(path: str) -> File:
    key = path, _stamp(path)
    with _lock:
        if key in _files:
            _files.move_to_end(key)
            return _files[key]
    (file,) = list_files(Path(path), password=None, root=None, name=None)
    if not isinstance(file, File):
        raise file
    _remember(file)
    return file


def _remember(file: File) -> None:
    path = str(file.path)
    with _lock:
        key = path, _stamp(path)
        _files.setdefault(key, file)
        _files.move_to_end(key)
        while len(_files) > FILES:
            _files.popitem(last=False)


def _stamp(path: str) -> object:
    try:
        state = os.stat(path)  # noqa: PTH116 - a text is at hand, and this is asked for every page
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
