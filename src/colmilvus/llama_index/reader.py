"""The pages of PDFs and images as LlamaIndex's documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import ImageDocument, MediaResource, MetadataMode
from pydantic import AnyUrl

from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput
from colmilvus.images import jpeg
from colmilvus.llama_index.pictures import picture_block, picture_of
from colmilvus.pdf import Backend, OnError, PageImage, read_pages, reference_to

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = ["PageDocument", "PageReader"]

PIXELS_IN_MEMORY = 4_000_000
"""The area of a page that is carried along, as its file cannot be named: A4 at about 190 dpi."""


class PageDocument(ImageDocument):
    """A page of a file: its text layer, and its picture, which is drawn when somebody looks at it.

    ``document`` is the file, ``version`` a digest of its content, which counts in ``hash``. Its JSON reads as an
    ImageDocument, with the picture where that is carried along. In a LateInteractionVectorStore it becomes a PageNode.
    """

    document: str | None = None
    version: str | None = None

    @property
    def hash(self) -> str:
        """Changes with the text, the metadata and the file."""
        return sha256(f"{super().hash} {self.version}".encode()).hexdigest()

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """What docstores and caches keep, and can write as JSON.

        LlamaIndex's own leaves out a picture that is carried along, and hands out an address that JSON does not take.
        """
        told: dict[str, Any] = super().to_dict(**kwargs)
        if self.image_resource is not None and "image_resource" in told:
            told["image_resource"] = {**told["image_resource"], "url": self.image_url, "data": self.image}
        return told

    def resolve_image(self, as_base64: bool = False) -> BytesIO:
        """The picture as a file: JPEG, of a page that is drawn now."""
        image = picture_of(self, fetched=False)
        if image is None or isinstance(image, bytes):
            return super().resolve_image(as_base64)
        drawn = jpeg(image, PIXELS_IN_MEMORY)
        return BytesIO(MediaResource(data=drawn).data or b"" if as_base64 else drawn)

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """The metadata and the text, each unless it is blank, then the picture."""
        texts = (self.get_metadata_str(metadata_mode), self.text)
        return [*(TextBlock(text=text) for text in texts if text.strip()), *picture_block(self)]


class PageReader(BaseReader):
    """Reads each page of PDFs and image files as a document: its text layer, and where its picture is.

    ``password``, ``pages``, ``root``, ``on_error``, ``backend`` and ``dpi`` are those of ``colmilvus.pdf.read_pages``.
    The metadata are ``source``, ``page`` (from 1), ``page_label`` and ``total_pages``; they are not embedded. The id is
    the file's path, ``#`` and the page, so that a page that is read again replaces itself. Pictures are drawn when a
    store keeps or embeds them, or a model is to see them. ``lazy_load_data`` holds one page at a time.

    It works in ``SimpleDirectoryReader(folder, file_extractor={".pdf": PageReader()})``, too, with the metadata of
    files that this makes. Through ``KeepPages``, as ``as_index`` has it, pages stay whole where texts are split.

    Raises UnreadableFile for a file or folder that is not there.

    >>> from pathlib import Path
    >>> from examples.sample_reports import draw_reports
    >>> _ = draw_reports(Path("reports"))
    >>> pages = PageReader().load_data("reports/solar-system.pdf")
    >>> pages[0].metadata["page"], pages[0].id_.endswith("solar-system.pdf#1")
    (1, True)
    """

    def __init__(
        self,
        *,
        password: str | None = None,
        pages: Iterable[int] | None = None,
        root: str | PathLike[str] | None = None,
        on_error: OnError = "warn",
        backend: Backend = "pypdfium2",
        dpi: float = 150,
    ) -> None:
        self._options: dict[str, Any] = {
            "password": password,
            "pages": None if pages is None else list(pages),
            "root": root,
            "on_error": on_error,
            "backend": backend,
            "dpi": dpi,
        }

    def lazy_load_data(
        self,
        source: str | PathLike[str] | Iterable[str | PathLike[str]],
        extra_info: Mapping[str, Any] | None = None,
        fs: Any = None,
    ) -> Iterator[PageDocument]:
        """The pages of a file, a folder, or several of them, one by one, as they are read.

        ``extra_info`` are metadata for each. ``fs`` is the file system of fsspec that a file lies in; then its pages
        carry their pictures along.
        """
        if fs is not None:
            path = fspath(_one(source))
            with fs.open(path, "rb") as file:
                found = read_pages(file.read(), name=path, **_without_root(self._options))
        else:
            found = read_pages(_paths(source), **self._options)
        for page in found:
            yield _document(page, extra_info or {})


def _document(page: Entity, extra: Mapping[str, Any]) -> PageDocument:
    fields: dict[str, Any] = {
        "id_": page.id,
        "text_resource": MediaResource(text=page.text),
        "image_resource": _picture(page),
        "metadata": {**extra, **page.metadata},
        "excluded_embed_metadata_keys": [*extra, *page.metadata],
        "excluded_llm_metadata_keys": [key for key in extra if key not in page.metadata],
        "document": page.document,
        "version": page.image.file.digest if isinstance(page.image, PageImage) else page.version,
    }
    return PageDocument(**fields)


def _picture(page: Entity) -> MediaResource | None:
    image = page.image
    if isinstance(image, PageImage) and image.file.path is not None:
        return MediaResource(url=AnyUrl(reference_to(image)))
    return None if image is None else MediaResource(data=jpeg(image, PIXELS_IN_MEMORY), mimetype="image/jpeg")


def _one(source: Any) -> str | PathLike[str]:
    if not isinstance(source, str | PathLike):
        raise InvalidInput(f"with fs= this takes the path of one file, not {type(source).__name__}")
    return source


def _paths(source: Any) -> list[str | PathLike[str]]:
    if isinstance(source, str | PathLike):
        return [source]
    paths = list(source) if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray) else [source]
    for path in paths:
        if not isinstance(path, str | PathLike):
            raise InvalidInput(f"PageReader takes paths, not {type(path).__name__}; for bytes there is read_pages")
    return paths


def _without_root(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "root"}
