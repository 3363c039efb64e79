"""Pages out of PDFs and image files, one by one: their picture, drawn on demand, and their text layer."""

from colmilvus.pdf.pages import Backend, OnError, PageImage, Pages, read_pages
from colmilvus.pdf.references import named_picture, page_image, reference_to

__all__ = ["Backend", "OnError", "PageImage", "Pages", "named_picture", "page_image", "read_pages", "reference_to"]
