"""Pages of a PDF: text, embedded pictures, views, and OCR where a page is a picture. Runs in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pypdfium2  # type: ignore[import-untyped]
from pypdfium2 import raw

from pipelex.inference.readers import ocr
from pipelex.inference.readers.parts import Album, Limits, Page, Picture, Unreadable, Wanted, as_png

_FEW_CHARACTERS: Final = 40
_MOST_OF_THE_PAGE: Final = 0.5


class PdfSource:
    """A PDF that is open."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        try:
            self._document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise Unreadable("encrypted" if "password" in str(error).lower() else "corrupt", str(error)) from None
        self.total = len(self._document)
        if self.total == 0:
            raise Unreadable("no-page")
        if self.total > limits.max_pages:
            raise Unreadable("too-many-pages", str(self.total))

    def page(self, index: int, wanted: Wanted) -> Page:
        """Read one page. Raises Unreadable."""
        try:
            page = self._document[index]
        except pypdfium2.PdfiumError as error:
            raise Unreadable("corrupt", f"page {index + 1}: {error}") from None
        try:
            return self._read(page, wanted)
        finally:
            page.close()

    def _read(self, page: Any, wanted: Wanted) -> Page:
        text, is_from_ocr = "", False
        notes: tuple[str, ...] = ()
        if wanted.text:
            text = _text_layer(page)
            if wanted.ocr_languages and _is_scan(page, text):
                try:
                    seen = ocr.read_text(_rendered(page, ocr.DPI, self._limits).convert("L"), wanted.ocr_languages)
                    is_from_ocr = True
                    text = max(text, seen, key=len)
                except ocr.OcrMissing:
                    notes = ("no-ocr",)
        album = Album(self._limits, wanted.max_images)
        if not album.is_full:
            _collect(page, album, self._limits.max_pixels)
        view = as_png(_rendered(page, wanted.dpi, self._limits)) if wanted.views else None
        return Page(text, tuple(album.pictures), view, is_from_ocr, notes)


def _text_layer(page: Any) -> str:
    textpage = page.get_textpage()
    text: str = textpage.get_text_bounded().replace("\r\n", "\n").replace("\r", "\n").strip()
    textpage.close()
    return text


def _is_scan(page: Any, text: str) -> bool:
    """Whether the page shows something and has no text, or next to none over a picture of most of the page."""
    if len(text) > _FEW_CHARACTERS:
        return False
    if not text:
        return any(True for _ in page.get_objects())
    width, height = page.get_size()
    covered = 0.0
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = image.get_bounds()
        covered += abs(right - left) * abs(top - bottom)
    return bool(covered >= _MOST_OF_THE_PAGE * width * height)


def _collect(page: Any, album: Album, max_pixels: int) -> None:
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        if album.is_full:
            return
        try:
            width, height = image.get_px_size()
            if not 0 < width * height <= max_pixels:
                continue
            picture = _png(image.get_bitmap(render=False))
        except (pypdfium2.PdfiumError, OSError, ValueError):
            # An image of a rare kind is left out; the page is still worth reading.
            continue
        album.add(picture)


def _rendered(page: Any, dpi: int, limits: Limits) -> Any:
    width, height = page.get_size()
    scale = dpi / 72
    pixels = max(width * scale * height * scale, 1.0)
    # A poster is rendered smaller rather than refused.
    scale *= min(1.0, (limits.max_pixels / pixels) ** 0.5)
    return page.render(scale=scale).to_pil()


def _png(bitmap: Any) -> Picture:
    picture = as_png(bitmap.to_pil())
    bitmap.close()
    return picture
