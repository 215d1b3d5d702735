"""Reads one PDF in a process of its own; started by path, by documents.py. A crash of pdfium ends only this process.

In: a line of JSON (the options), then the bytes of the file. Out, for each page and each problem: a line of JSON, then
the bytes it announces, in order. It imports nothing of the package, so that it starts fast.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any, BinaryIO

import pypdfium2  # type: ignore[import-untyped]
from pypdfium2 import raw


def main() -> None:
    """Answer one request on the standard streams."""
    options = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    out = sys.stdout.buffer
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        _problem(out, "encrypted" if "password" in str(error).lower() else "corrupt", str(error))
        return
    count = len(document)
    if count == 0 or count > options["max_pages"]:
        _problem(out, "too-many-pages" if count else "no-page", str(count))
        return
    for index in range(count):
        _send_page(out, document[index], index, count, options)


def _problem(out: BinaryIO, problem: str, detail: str) -> None:
    out.write(json.dumps({"problem": problem, "detail": detail}).encode() + b"\n")
    out.flush()


def _send_page(out: BinaryIO, page: Any, index: int, count: int, options: dict[str, Any]) -> None:
    text = ""
    if options["text"]:
        textpage = page.get_textpage()
        text = textpage.get_text_bounded().replace("\r\n", "\n").replace("\r", "\n").strip()
        textpage.close()
    images = _images(page, options["max_images"], options["max_pixels"])
    view = _view(page, options["dpi"], options["max_pixels"]) if options["views"] else None
    page.close()
    pictures = [*images, *([view] if view else [])]
    head = {
        "text": text,
        "total": count,
        "has_view": view is not None,
        "pictures": [{"bytes": len(png), "width": width, "height": height} for png, width, height in pictures],
        "page": index,
    }
    out.write(json.dumps(head).encode() + b"\n")
    for png, _, _ in pictures:
        out.write(png)
    out.flush()


def _images(page: Any, limit: int | None, max_pixels: int) -> list[tuple[bytes, int, int]]:
    found: list[tuple[bytes, int, int]] = []
    if limit == 0:
        return found
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        if limit is not None and len(found) >= limit:
            break
        try:
            width, height = image.get_px_size()
            if 0 < width * height <= max_pixels:
                found.append(_png(image.get_bitmap(render=False)))
        except (pypdfium2.PdfiumError, OSError, ValueError):
            # An image of a rare kind is left out; the page is still worth reading.
            continue
    return found


def _view(page: Any, dpi: int, max_pixels: int) -> tuple[bytes, int, int]:
    width, height = page.get_size()
    scale = dpi / 72
    pixels = max(width * scale * height * scale, 1.0)
    # A poster is rendered smaller rather than refused.
    scale *= min(1.0, (max_pixels / pixels) ** 0.5)
    return _png(page.render(scale=scale))


def _png(bitmap: Any) -> tuple[bytes, int, int]:
    picture = bitmap.to_pil()
    if picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    width, height = picture.size
    bitmap.close()
    return buffer.getvalue(), width, height


if __name__ == "__main__":
    main()
