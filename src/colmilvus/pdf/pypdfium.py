"""Pages of PDFs by PDFium, through the pypdfium2 library.

PDFium is not thread-safe, not even for two documents: every call stands under one lock, and everything is closed under
it, since what the garbage collector closes is closed at any time. A document keeps in memory what its pages were drawn
from, so it is opened anew after some pages; only the last few documents stay open.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from colmilvus.errors import MissingExtra
from colmilvus.forks import Lock
from colmilvus.pdf.files import File
from colmilvus.pdf.reader import clean_text, drawing_scale, password_reason

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["count", "draw", "read"]

OPEN_DOCUMENTS = 4
PAGES_PER_OPENING = 64

_LOCK = Lock()  # may be entered again: the collector can end a file's life in the middle of a call
_OPEN: OrderedDict[int, _Document] = OrderedDict()


class _Document:
    def __init__(self, handle: Any, file: File) -> None:
        self.handle = handle
        self.data = file.data  # PDFium reads from these bytes as long as the document is open
        self.ends_with_file = weakref.finalize(file, _close, id(file))
        self.ends_with_file.atexit = False
        self.pages_loaded = 0


def count(file: File) -> int:
    with _LOCK:
        return len(_document(file).handle)


def read(file: File, number: int) -> tuple[str, str]:
    with _page(file, number) as page:
        drawing_scale(file, number, page.get_size())
        letters = page.get_textpage()
        try:
            text = letters.get_text_bounded()
        finally:
            letters.close()
        label = _document(file).handle.get_page_label(number - 1)
    return clean_text(text), clean_text(label) or str(number)


def draw(file: File, number: int, dpi: float) -> Image.Image:
    with _page(file, number) as page:
        scale = drawing_scale(file, number, page.get_size(), dpi)
        bitmap = page.render(scale=scale, rev_byteorder=True)
    try:
        image: Image.Image = bitmap.to_pil()  # copies what lies in Python's memory, which others need not wait for
    finally:
        with _LOCK:
            bitmap.close()
    return image


def needs_xfa(file: File) -> bool:
    """Whether the pages only say that another program is needed, because an XFA form stands in their place."""
    with _LOCK:
        return bool(_document(file).handle.get_formtype() == _library().raw.FORMTYPE_XFA_FULL)


@contextmanager
def _page(file: File, number: int) -> Iterator[Any]:
    with _LOCK:
        document = _document(file)
        if document.pages_loaded >= PAGES_PER_OPENING:
            _close(id(file))
            document = _document(file)
        document.pages_loaded += 1
        try:
            page = document.handle[number - 1]
        except _library().PdfiumError as error:
            raise file.unreadable("the page cannot be loaded", number) from error
        try:
            yield page
        finally:
            page.close()


def _document(file: File) -> _Document:
    document = _OPEN.get(id(file))
    if document is None:
        document = _OPEN[id(file)] = _load(file)
        for key in list(_OPEN)[:-OPEN_DOCUMENTS]:  # chosen at once: the collector may close others meanwhile
            _close(key)
    else:
        _OPEN.move_to_end(id(file))
    return document


def _close(key: int) -> None:
    with _LOCK:
        document = _OPEN.pop(key, None)
        if document is not None:
            document.ends_with_file.detach()
            document.handle.close()


def _close_all() -> None:
    with _LOCK:
        for key in list(_OPEN):
            _close(key)


def _load(file: File) -> _Document:
    raw = _library().raw
    password = None if file.password is None else file.password.encode("utf-8", "replace")
    if file.data is not None:
        pointer = raw.FPDF_LoadMemDocument64(file.data, len(file.data), password)
    else:
        pointer = raw.FPDF_LoadDocument(os.fsencode(file.path or ""), password)
    if not pointer:  # only now does PDFium's last error speak of this file
        raise file.unreadable(_reason(raw, raw.FPDF_GetLastError(), file.password))
    handle = _library().PdfDocument(pointer)
    if handle.get_formtype() != raw.FORMTYPE_XFA_FULL:
        handle.init_forms()  # before any page: it is what draws the values of forms
    if len(handle) == 0:
        handle.close()
        raise file.unreadable("the PDF has no pages")
    return _Document(handle, file)


def _reason(raw: Any, code: int, password: str | None) -> str:
    if code == raw.FPDF_ERR_PASSWORD:
        return password_reason(password)
    if code == raw.FPDF_ERR_SECURITY:
        return "is encrypted in a way that PDFium does not know"
    if code == raw.FPDF_ERR_FILE:
        return "cannot be opened"
    return "the PDF is damaged or cut off: PDFium finds no document in it"


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        import pypdfium2
        import pypdfium2.raw
    except ImportError as error:
        raise MissingExtra("reading PDFs", "pdf") from error
    atexit.register(_close_all)  # after the import: so it runs before the library's own end
    return pypdfium2
