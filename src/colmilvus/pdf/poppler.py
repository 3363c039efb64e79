"""Pages of PDFs by the poppler programs, through the pdf2image library: one process after the other for each page.

Poppler says nothing of page labels, so a page is labelled with its number. A password is seen by who can list this
machine's processes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from colmilvus.errors import MissingExtra, Unsupported
from colmilvus.pdf.files import File
from colmilvus.pdf.reader import clean_text, drawing_scale, password_reason

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_installed", "count", "draw", "read"]

Lock: TypeAlias = dict[str, str]  # how the file is unlocked, as an argument of pdf2image's functions
Answer = TypeVar("Answer")

PROGRAMS = ("pdfinfo", "pdftoppm", "pdftotext")
SECONDS = 120  # for one page; a drawing can be made to take for ever


def check_installed() -> None:
    """Raise MissingExtra without pdf2image, and Unsupported without the poppler programs."""
    _library()
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        install = "apt install poppler-utils (Debian, Ubuntu) or brew install poppler (macOS)"
        raise Unsupported(f"backend='pdf2image' needs the poppler programs; missing: {', '.join(missing)}. {install}")


def count(file: File) -> int:
    return int(_unlocked(file, lambda lock: _info(file, lock))["Pages"])


def read(file: File, number: int) -> tuple[str, str]:
    drawing_scale(file, number, _page_size(file, number))
    text = _unlocked(file, lambda lock: _text(file, number, lock), number)
    return clean_text(text), str(number)


def draw(file: File, number: int, dpi: float) -> Image.Image:
    size = _page_size(file, number)
    longest = max(1, int(max(size) * drawing_scale(file, number, size, dpi)))
    images = _unlocked(file, lambda lock: _pictures(file, number, longest, lock), number)
    if not images:
        raise file.unreadable("the page cannot be loaded", number)
    return images[0].convert("RGB")


def _page_size(file: File, number: int) -> tuple[float, float]:
    info = _unlocked(file, lambda lock: _info(file, lock, first_page=number, last_page=number), number)
    found = re.match(r"([-\d.e+]+) x ([-\d.e+]+) pts", str(info.get(f"Page {number:4d} size", "")))
    size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if size == (0, 0):
        raise file.unreadable("the page cannot be loaded", number)
    return size


def _info(file: File, lock: Lock, **pages: int) -> dict[str, Any]:
    library = _library()
    ask = library.pdfinfo_from_path if file.data is None else library.pdfinfo_from_bytes
    info: dict[str, Any] = ask(file.path if file.data is None else file.data, timeout=SECONDS, **lock, **pages)
    return info


def _pictures(file: File, number: int, longest: int, lock: Lock) -> list[Image.Image]:
    library = _library()
    convert = library.convert_from_path if file.data is None else library.convert_from_bytes
    what = file.path if file.data is None else file.data
    pages = {"first_page": number, "last_page": number}
    images: list[Image.Image] = convert(what, size=longest, use_cropbox=True, timeout=SECONDS, **lock, **pages)
    return images


def _text(file: File, number: int, lock: Lock) -> str:
    command = ["pdftotext", "-f", str(number), "-l", str(number), "-enc", "UTF-8", "-nopgbrk"]
    for key, password in lock.items():
        command += ["-upw" if key == "userpw" else "-opw", password]
    command += ["-" if file.path is None else str(file.path), "-"]
    done = subprocess.run(command, input=file.data, capture_output=True, timeout=SECONDS)  # noqa: S603 - fixed program
    if done.returncode:
        raise ValueError(done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace")


def _unlocked(file: File, ask: Callable[[Lock], Answer], number: int | None = None) -> Answer:
    """The answer with the first form of the password that opens the file."""
    *others, last = _locks(file.password)
    with _named(file, number):
        for lock in others:
            try:
                return ask(lock)
            except Exception as error:
                if "Incorrect password" not in str(error):
                    raise
        return ask(last)


def _locks(password: str | None) -> list[Lock]:
    """The ways to give a password: the user's or the owner's; up to revision 4 in Latin-1, from revision 5 on UTF-8."""
    if password is None:
        return [{}]
    latin = password.encode("latin-1", "replace").decode("utf-8", "surrogateescape")  # bytes of a process's argument
    return [{kind: form} for form in dict.fromkeys([password, latin]) for kind in ("userpw", "ownerpw")]


@contextmanager
def _named(file: File, number: int | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise file.unreadable(_reason(file, error), number) from error


def _reason(file: File, error: Exception) -> str:
    said = str(error)
    if "Incorrect password" in said:
        return password_reason(file.password)
    if "Invalid page count 0" in said:
        return "the PDF has no pages"
    if isinstance(error, subprocess.TimeoutExpired) or "timeout" in said:
        return f"poppler did not finish within {SECONDS} s"
    lines = [line for line in said.splitlines() if "Error" in line]
    return f"the PDF is damaged or cut off: poppler says {lines[0]!r}" if lines else f"poppler failed: {said.strip()!r}"


def _library() -> Any:
    try:
        import pdf2image
    except ImportError as error:
        raise MissingExtra("backend='pdf2image'", "pdf2image") from error
    return pdf2image
