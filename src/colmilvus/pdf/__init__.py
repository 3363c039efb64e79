"""Pages out of PDFs and image files, one by one: their picture, drawn on demand, and their text layer."""

from colmilvus.pdf.pages import Backend, OnError, Pages, read_pages

__all__ = ["Backend", "OnError", "Pages", "read_pages"]
