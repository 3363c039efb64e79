"""From files to entities, page by page, past what cannot be read."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, UnreadableFile, warn
from colmilvus.overlap import ahead
from colmilvus.pdf import frames, poppler, pypdfium
from colmilvus.pdf.files import File, Source, list_files
from colmilvus.pdf.reader import Reader, blank

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Backend", "OnError", "PageImage", "Pages", "drawing_of", "read_pages"]

Backend: TypeAlias = Literal["pypdfium2", "pdf2image"]
OnError: TypeAlias = Literal["warn", "raise"] | Callable[[UnreadableFile], object]

AHEAD = 64  # pages that are read before they are asked for; their pictures are not drawn yet
PATIENCE = 100  # a damaged PDF can claim a million pages: after so many in a row that cannot be read, the rest is one


def read_pages(
    source: Source | Iterable[Source],
    *,
    password: str | None = None,
    pages: Iterable[int] | None = None,
    root: str | PathLike[str] | None = None,
    name: str | None = None,
    on_error: OnError = "warn",
    backend: Backend = "pypdfium2",
    dpi: float = 150,
) -> Pages:
    """The pages of PDFs and image files, one entity each, read as they are asked for.

    ``source`` is a path, bytes, an open binary file, or an iterable of them. Folders are searched, in order and with
    the folders inside them, for PDF, PNG, JPEG, TIFF and WebP; each frame of a TIFF is a page. ``pages`` chooses pages
    by number, from 1. A page's ``document`` is the file's absolute path, with ``root`` its path below that folder, for
    bytes and open files ``name`` or the content's digest; its ``id`` is document, ``#`` and page number; its
    ``version`` is the file's digest, None where ``pages`` chooses. ``metadata`` holds ``source``, ``page`` (from 1),
    ``page_label`` (what the PDF calls it) and ``total_pages``. The picture is drawn when it is opened, at ``dpi``
    dots an inch or at as many as 16 million pixels allow.

    What cannot be read is left out and listed in ``failures`` of what is returned: with a warning, with
    ``on_error="raise"`` by raising it, or by a call of the function given.

    Raises UnreadableFile at once for a file or folder that is not there or a folder with nothing to read,
    InvalidInput for arguments that fit nothing, and MissingExtra when the first PDF is met without a library for it.
    """
    numbers = None if pages is None else _page_numbers(pages)
    if backend not in get_args(Backend):
        raise InvalidInput(f"backend is one of {', '.join(map(repr, get_args(Backend)))}; got {backend!r}")
    if not callable(on_error) and on_error not in ("warn", "raise"):
        raise InvalidInput(f"on_error is 'warn', 'raise' or a function of an UnreadableFile; got {on_error!r}")
    if not (isinstance(dpi, (int, float)) and math.isfinite(dpi) and dpi > 0):
        raise InvalidInput(f"dpi is a number above 0, such as 150; got {dpi!r}")
    if backend == "pdf2image":
        poppler.check_installed()
    return Pages(list_files(source, password=password, root=root, name=name), numbers, on_error, backend, dpi)


def _page_numbers(pages: Iterable[int]) -> tuple[int, ...]:
    if isinstance(pages, (int, str, bytes)):
        raise InvalidInput(f"pages is a list or range of page numbers, such as [1, 2] or range(1, 4); got {pages!r}")
    numbers = tuple(dict.fromkeys(pages))
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InvalidInput(f"pages are counted from 1; got {number!r}")
    if not numbers:
        raise InvalidInput("pages names no page; leave it out to read them all")
    return numbers


@dataclass(frozen=True)
class _Drawing:
    """What draws the pages of a file, and how; ``dpi`` is 0 for an image file, which has its own pixels."""

    reader: Reader
    name: str
    dpi: float


def _reader(file: File, backend: Backend) -> Reader:
    if file.kind() == "image":
        return frames
    return poppler if backend == "pdf2image" else pypdfium


def drawing_of(file: File, backend: Backend, dpi: float) -> _Drawing:
    """How the pages of a file are drawn. Raises UnreadableFile for what is neither a PDF nor an image."""
    reader = _reader(file, backend)
    if reader is frames:
        return _Drawing(reader, "image", 0)
    if reader is pypdfium and pypdfium.needs_xfa(file):
        reason = "is an XFA form, which PDFium does not fill in; what is read is the page that stands in for it"
        warn(str(file.unreadable(reason)))
    return _Drawing(reader, backend, dpi)


@dataclass(frozen=True, eq=False)
class PageImage:
    """The picture of a page, drawn each time that it is opened; it holds no pixels and keeps no file open."""

    file: File
    number: int
    drawing: _Drawing
    has_text: bool

    @property
    def key(self) -> str:
        """The file's digest, the page's number, and how it is drawn."""
        return f"page:{self.file.digest}:{self.number}:{self.drawing.name}:{self.drawing.dpi:g}"

    def open(self) -> Image.Image:
        """Draw the page, RGB.

        Raises UnreadableFile if it cannot be drawn, and if the file has changed since the page was read. Warns of a
        page that comes out blank although it has text.
        """
        self.file.check_unchanged()
        image = self.drawing.reader.draw(self.file, self.number, self.drawing.dpi)
        if self.has_text and blank(image):
            reason = "is drawn blank although it has a text layer; its fonts may be missing from the file"
            warn(str(self.file.unreadable(reason, self.number)))
        return image


class Pages(Iterator[Entity]):
    """The entities of the pages, to be gone through once; ``failures`` lists what could not be read up to now."""

    def __init__(
        self,
        files: Sequence[File | UnreadableFile],
        numbers: Sequence[int] | None,
        on_error: OnError,
        backend: Backend,
        dpi: float,
    ) -> None:
        self.failures: list[UnreadableFile] = []
        self._numbers = numbers
        self._on_error = on_error
        self._backend: Backend = backend
        self._dpi = dpi
        self._waiting = deque(files)
        self._results = self._all(self._waiting)

    def __next__(self) -> Entity:
        for entity in self._entities(self._results):
            return entity
        raise StopIteration

    def read_ahead(self) -> Generator[Entity]:
        """The pages that are left, read by another thread while the caller works on those before.

        To be closed (``contextlib.closing``) where it is not gone through to its end; what was read ahead by then is
        lost. What cannot be read is told in the caller's thread.
        """
        with closing(ahead(self._results, AHEAD)) as results:
            yield from self._entities(results)

    def _entities(self, results: Iterable[Entity | UnreadableFile]) -> Iterator[Entity]:
        for result in results:
            if isinstance(result, Entity):
                yield result
            else:
                self._failed(result)

    def __length_hint__(self) -> int:
        """How many pages the files have that are not begun yet; one that cannot be opened counts for one page."""
        return sum(self._count(file) for file in self._waiting)

    def _count(self, file: File | UnreadableFile) -> int:
        try:
            if isinstance(file, UnreadableFile):
                raise file
            return sum(1 for _ in _chosen(self._numbers, _reader(file, self._backend).count(file)))
        except UnreadableFile:
            return 1

    def _all(self, files: deque[File | UnreadableFile]) -> Iterator[Entity | UnreadableFile]:
        while files:
            file = files.popleft()
            if isinstance(file, UnreadableFile):
                yield file
                continue
            try:
                yield from self._of(file)
            except UnreadableFile as failure:
                yield failure

    def _of(self, file: File) -> Iterator[Entity | UnreadableFile]:
        file.check_unchanged()
        drawing = drawing_of(file, self._backend, self._dpi)
        total = drawing.reader.count(file)
        lost = 0
        for number in _chosen(self._numbers, total):
            file.check_unchanged()
            try:
                yield self._page(file, number, total, drawing)
                lost = 0
            except UnreadableFile as failure:
                yield failure
                lost += 1
            if lost == PATIENCE:
                raise file.unreadable(f"{PATIENCE} pages in a row cannot be read; given up at page {number} of {total}")
        yield from _beyond(file, self._numbers, total)

    def _page(self, file: File, number: int, total: int, drawing: _Drawing) -> Entity:
        text, label = drawing.reader.read(file, number)
        return Entity(
            id=file.page_id(number),
            text=text,
            image=PageImage(file, number, drawing, bool(text)),
            document=file.document,
            version=file.digest if self._numbers is None else None,
            metadata={"source": file.source, "page": number, "page_label": label, "total_pages": total},
        )

    def _failed(self, failure: UnreadableFile) -> None:
        self.failures.append(failure)
        if callable(self._on_error):
            self._on_error(failure)
        elif self._on_error == "raise":
            raise failure
        else:
            warn(str(failure))


def _chosen(numbers: Sequence[int] | None, total: int) -> Iterable[int]:
    return range(1, total + 1) if numbers is None else [number for number in numbers if number <= total]


def _beyond(file: File, numbers: Sequence[int] | None, total: int) -> Iterator[UnreadableFile]:
    beyond = [number for number in numbers or () if number > total]
    if beyond:
        others = f", nor the {len(beyond) - 1} others asked for" if len(beyond) > 1 else ""
        yield file.unreadable(f"there is no page {beyond[0]}{others}: the last page is {total}", beyond[0])
