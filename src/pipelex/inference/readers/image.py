"""An image as one page: checked, and its text read by OCR. Runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

from pipelex.inference.readers import ocr
from pipelex.inference.readers.parts import Limits, Page, Wanted, checked


class ImageSource:
    """An image file."""

    total = 1

    def __init__(self, path: Path, limits: Limits) -> None:
        self._picture, self._image = checked(path.read_bytes(), limits.max_pixels)

    def page(self, index: int, wanted: Wanted) -> Page:
        """The image, with the text in it. Raises Unreadable."""
        text, is_from_ocr = "", False
        notes: tuple[str, ...] = ()
        if wanted.text and wanted.ocr_languages:
            try:
                text, is_from_ocr = ocr.read_text(self._image, wanted.ocr_languages), True
            except ocr.OcrMissing:
                notes = ("no-ocr",)
        kept = () if wanted.max_images == 0 else (self._picture,)
        return Page(text, kept, self._picture if wanted.views else None, is_from_ocr, notes)
