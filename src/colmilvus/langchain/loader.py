"""The pages of PDFs and images as LangChain's Documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from colmilvus.errors import InvalidInput
from colmilvus.pdf import Backend, OnError, PageImage, read_pages, reference_to

__all__ = ["PageLoader"]


class PageLoader(BaseLoader):
    """Loads each page of PDFs and image files as a Document: its text layer, and where its picture is.

    ``source`` is a file, a folder, or several of them; ``password``, ``pages``, ``root``, ``on_error``, ``backend`` and
    ``dpi`` are those of ``colmilvus.pdf.read_pages``. The metadata are ``source``, ``page`` (from 1), ``page_label``,
    ``total_pages``, and ``image``, a reference to the page such as ``file:///reports/a.pdf#page=3&dpi=150``; its
    picture is drawn where it is needed: when a store keeps it or embeds it, when a reranker looks at it, or in
    ``to_message_content``. The id is the file's path, ``#`` and the page, so that a page that is loaded again replaces
    itself. Pages that a file has no more stay in a store, until LangChain's ``index()`` or ``delete(source=...)``.

    ``lazy_load`` holds one page at a time. Raises UnreadableFile for a file or folder that is not there, and
    InvalidInput for bytes and open files, whose pages have no place; for those there is ``read_pages``.

    Setup:
        ``pip install 'colmilvus[langchain,pdf]'``

    Instantiate and load:
        >>> from pathlib import Path
        >>> from examples.sample_reports import draw_reports
        >>> _ = draw_reports(Path("reports"))
        >>> pages = PageLoader("reports/solar-system.pdf").load()
        >>> pages[0].metadata["page"], pages[0].metadata["image"].endswith("solar-system.pdf#page=1&dpi=150")
        (1, True)
    """

    def __init__(
        self,
        source: str | PathLike[str] | Iterable[str | PathLike[str]],
        *,
        password: str | None = None,
        pages: Iterable[int] | None = None,
        root: str | PathLike[str] | None = None,
        on_error: OnError = "warn",
        backend: Backend = "pypdfium2",
        dpi: float = 150,
    ) -> None:
        self.source = [source] if isinstance(source, str | PathLike) else _paths(source)
        self.password = password
        self.pages = None if pages is None else list(pages)
        self.root = root
        self.on_error = on_error
        self.backend = backend
        self.dpi = dpi

    def lazy_load(self) -> Iterator[Document]:
        """The pages one by one, as they are read."""
        pages = read_pages(
            self.source,
            password=self.password,
            pages=self.pages,
            root=self.root,
            on_error=self.on_error,
            backend=self.backend,
            dpi=self.dpi,
        )
        for page in pages:
            image = {"image": reference_to(page.image)} if isinstance(page.image, PageImage) else {}
            yield Document(id=page.id, page_content=page.text, metadata={**page.metadata, **image})


def _paths(source: object) -> list[str | PathLike[str]]:
    if isinstance(source, bytes | bytearray) or hasattr(source, "read") or not isinstance(source, Iterable):
        raise InvalidInput(f"PageLoader takes paths, not {type(source).__name__}; for bytes there is read_pages")
    paths = list(source)
    for path in paths:
        if not isinstance(path, str | PathLike):
            raise InvalidInput(f"PageLoader takes paths, not {type(path).__name__}; for bytes there is read_pages")
    return paths
