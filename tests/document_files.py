"""Documents made for tests: PDFs of text and of pictures, Word files, images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont


def image(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, kind)
    return buffer.getvalue()


def written(*lines: str, width: int = 1240, height: int = 900) -> Image.Image:
    """A picture of text, as a scanner gives it."""
    page = Image.new("L", (width, height), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=34)
    for number, line in enumerate(lines):
        pen.text((100, 100 + 46 * number), line, fill="black", font=font)
    return page


def as_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def scanned(*pages: Image.Image) -> bytes:
    """A PDF of pictures, without any text."""
    buffer = io.BytesIO()
    pages[0].save(buffer, "PDF", resolution=150, save_all=True, append_images=list(pages[1:]))
    return buffer.getvalue()


def drawn_pdf(contents: Sequence[str]) -> bytes:
    """A PDF with that content stream on each page, with Helvetica as /F1."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for content in contents:
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects) + 2} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects[1] = f"<< /Type /Pages /Count {len(contents)} /Kids [{' '.join(kids)}] >>"
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)


def text_pdf(*pages: str) -> bytes:
    """A PDF with the lines of each page as text."""
    return drawn_pdf(
        [
            "BT /F1 11 Tf 13 TL 60 780 Td " + " ".join(f"({line}) Tj T*" for line in page.split("\n")) + " ET"
            for page in pages
        ]
    )


def locked_pdf() -> bytes:
    """A PDF that asks for a password: the encryption dictionary is all that a reader needs to see."""
    lock = b"/Root 1 0 R /ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>"
    return text_pdf("secret").replace(b"/Root 1 0 R", lock % (b"11" * 32, b"22" * 32))


WORD_NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"'
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def word(
    body: str, *, picture: bytes | None = None, linked: str | None = None, more: dict[str, bytes] | None = None
) -> bytes:
    """A .docx file; a picture inside it, or one that it only names, follows the body."""
    relations, drawing = "", ""
    if picture is not None or linked is not None:
        target = linked or "media/image1.png"
        mode = ' TargetMode="External"' if linked else ""
        relations = f'<Relationship Id="rId9" Type="{OFFICE}/image" Target="{target}"{mode}/>'
        blip = f'<a:blip r:{"link" if linked else "embed"}="rId9"/>'
        drawing = (
            "<w:p><w:r><w:drawing><wp:inline><wp:docPr id='1' name='p' descr='a picture'/><a:graphic><a:graphicData>"
            f"<pic:pic><pic:blipFill>{blip}</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>"
            "</w:drawing></w:r></w:p>"
        )
    package = "http://schemas.openxmlformats.org/package/2006"
    files: dict[str, bytes] = {
        "[Content_Types].xml": (
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
            '<Default Extension="png" ContentType="image/png"/></Types>'
        ).encode(),
        "_rels/.rels": (
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" '
            'Target="word/document.xml"/></Relationships>'
        ).encode(),
        "word/document.xml": f"<w:document {WORD_NAMES}><w:body>{body}{drawing}</w:body></w:document>".encode(),
        "word/_rels/document.xml.rels": (
            f'<Relationships xmlns="{package}/relationships">{relations}</Relationships>'
        ).encode(),
        **({"word/media/image1.png": picture} if picture else {}),
        **(more or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
