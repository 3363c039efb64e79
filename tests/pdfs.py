"""PDFs for tests, written by hand: sound ones, and those that readers stumble over."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

A4 = (595, 842)
ID = b"0123456789abcdef"
PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def assemble(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def text_commands(text: str, *, size: int = 24, left: int = 50, top: int = 760) -> bytes:
    """Drawing commands that put each line of the text under the one before."""
    lines = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n")]
    shown = "\n".join(f"({line}) Tj T*" for line in lines)
    return f"BT /F1 {size} Tf {size * 5 // 4} TL {left} {top} Td\n{shown}\nET".encode("latin-1")


def document(
    contents: Sequence[bytes],
    *,
    media_box: str = "0 0 595 842",
    catalogue: bytes = b"",
    page: bytes = b"",
    resources: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """A PDF with one page for each content stream; the objects in ``more`` follow the pages', from number 4 + 2 n."""
    return assemble(_objects(contents, media_box, catalogue, page, resources, more))


def _objects(
    contents: Sequence[bytes],
    media_box: str = "0 0 595 842",
    catalogue: bytes = b"",
    page: bytes = b"",
    resources: bytes = b"",
    more: Sequence[bytes] = (),
) -> list[bytes]:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> %s >> %s >>" % (media_box.encode(), 5 + 2 * index, resources, page)
        )
        objects.append(stream(content))
    return [*objects, *more]


def text_pdf(
    texts: Sequence[str], *, media_box: str = "0 0 595 842", catalogue: bytes = b"", page: bytes = b""
) -> bytes:
    """A PDF with one page for each text."""
    return document([text_commands(text) for text in texts], media_box=media_box, catalogue=catalogue, page=page)


def labelled_pdf(texts: Sequence[str]) -> bytes:
    """A PDF whose pages are called i, ii, and then A-1, A-2 ..."""
    return text_pdf(texts, catalogue=b"/PageLabels << /Nums [0 << /S /r >> 2 << /S /D /P (A-) >>] >>")


def picture_pdf(pictures: Iterable[Image.Image]) -> bytes:
    """A PDF with one page for each picture, which fills it, and no text: a scan."""
    first, *others = pictures
    buffer = io.BytesIO()
    first.save(buffer, "PDF", save_all=True, append_images=others)
    return buffer.getvalue()


def form_pdf(value: str) -> bytes:
    """A page with a field that holds a value and has no drawing of its own."""
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (city) /V (%s) /Rect [50 700 500 760] /F 4 "
        b"/DA (/F1 36 Tf 0 g) /P 4 0 R >>" % value.encode("latin-1")
    )
    form = b"/AcroForm << /Fields [6 0 R] /DR << /Font << /F1 3 0 R >> >> /DA (/F1 36 Tf 0 g) /NeedAppearances true >>"
    return document([b""], catalogue=form, page=b"/Annots [6 0 R]", more=[field])


def xfa_pdf() -> bytes:
    """A page that asks for patience, in front of a form that only XFA readers draw."""
    form = b"/AcroForm << /Fields [] /XFA 6 0 R >> /NeedsRendering true"
    template = stream(b'<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"></xdp:xdp>')
    return document([text_commands("Please wait...")], catalogue=form, more=[template])


def pageless_pdf() -> bytes:
    return assemble([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"])


def broken_pages_pdf(text: str) -> bytes:
    """Three pages, of which the first and the last are no pages at all."""
    objects = _objects([b"", text_commands(text), b""])
    objects[3] = b"(not a page)"
    objects[7] = b"null"
    return assemble(objects)


def boastful_pdf(claimed: int) -> bytes:
    """One page in a document that claims to have many more."""
    objects = _objects([text_commands("the only page")])
    objects[1] = b"<< /Type /Pages /Kids [4 0 R] /Count %d >>" % claimed
    return assemble(objects)


def self_drawing_pdf() -> bytes:
    """A drawing that draws itself, and an outline whose entry is its own successor and child."""
    drawing = stream(
        b"0 0 1 rg 100 100 200 200 re f /X Do",
        b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << /XObject << /X 6 0 R >> >>",
    )
    outline = b"<< /Type /Outlines /First 8 0 R /Last 8 0 R /Count 1 >>"
    entry = b"<< /Title (again) /Parent 7 0 R /Next 8 0 R /First 8 0 R /Last 8 0 R /Count 1 >>"
    return document(
        [b"/X Do"], catalogue=b"/Outlines 7 0 R", resources=b"/XObject << /X 6 0 R >>", more=[drawing, outline, entry]
    )


def fontless_pdf(text: str) -> bytes:
    """A page whose text is there and whose letters draw nothing."""
    letters = [b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [0.001 0 0 0.001 0 0] "
               b"/FirstChar 32 /LastChar 126 /Widths [%s] /CharProcs << /blank 7 0 R >> /Resources << >> "
               b"/Encoding << /Type /Encoding /Differences [32 %s] >> /ToUnicode 8 0 R >>"
               % (b"500 " * 95, b"/blank " * 95), stream(b"500 0 d0"), stream(_AS_WRITTEN)]  # fmt: skip
    objects = _objects([text_commands(text)], more=letters)
    objects[3] = objects[3].replace(b"/F1 3 0 R", b"/F1 6 0 R")
    return assemble(objects)


_AS_WRITTEN = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /AsWritten def /CMapType 2 def
1 begincodespacerange <00> <ff> endcodespacerange
1 beginbfrange <20> <7e> <0020> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""


def encrypted_pdf(text: str, *, user: str, owner: str) -> bytes:
    """A page under the standard security handler, revision 3, RC4 with 128 bits (ISO 32000-1, 7.6.3)."""
    owner_entry = _owner_entry(owner.encode("latin-1"), user.encode("latin-1"))
    key = _file_key(user.encode("latin-1"), owner_entry)
    user_entry = _nineteen_times(key, hashlib.md5(PADDING + ID).digest()) + bytes(16)
    object_key = hashlib.md5(key + (5).to_bytes(3, "little") + bytes(2)).digest()
    objects = _objects([_rc4(object_key, text_commands(text))])
    objects.append(
        b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <%s> /U <%s> >>"
        % (owner_entry.hex().encode(), user_entry.hex().encode())
    )
    return assemble(objects, b"/Encrypt 6 0 R /ID [<%s> <%s>]" % (ID.hex().encode(), ID.hex().encode()))


def _owner_entry(owner: bytes, user: bytes) -> bytes:
    key = (owner + PADDING)[:32]
    for _ in range(51):
        key = hashlib.md5(key).digest()
    return _nineteen_times(key, (user + PADDING)[:32])


def _file_key(user: bytes, owner_entry: bytes) -> bytes:
    key = hashlib.md5((user + PADDING)[:32] + owner_entry + (-4).to_bytes(4, "little", signed=True) + ID).digest()
    for _ in range(50):
        key = hashlib.md5(key).digest()
    return key


def _nineteen_times(key: bytes, data: bytes) -> bytes:
    for turn in range(20):
        data = _rc4(bytes(byte ^ turn for byte in key), data)
    return data


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
