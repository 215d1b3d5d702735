"""Reading the text of a picture with tesseract. Runs in the process that reads one file."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from pipelex.inference.readers.parts import Unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

DPI: Final = 200
"""How finely a page is rendered to be read: finer takes longer, and reads hardly better."""
_LEAST_CONFIDENCE: Final = 40.0


class OcrMissing(Exception):
    """Tesseract, or what calls it, is not installed."""


def read_text(picture: Image, languages: str) -> str:
    """The text of a picture; empty when what is seen is not text. Raises OcrMissing, or Unreadable for a language.

    It has no time limit of its own: whoever started this process ends it, and tesseract with it.
    """
    try:
        import pytesseract  # type: ignore[import-untyped]
    except ImportError:
        raise OcrMissing from None
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    try:
        found = pytesseract.image_to_data(
            picture, lang=languages, config=f"--dpi {DPI}", output_type=pytesseract.Output.DICT
        )
    except pytesseract.TesseractNotFoundError:
        raise OcrMissing from None
    except pytesseract.TesseractError as error:
        said = " ".join(str(error.message).split())
        is_language = "loading language" in said or "traineddata" in said
        raise Unreadable("no-ocr-language" if is_language else "ocr-failed", languages if is_language else said)  # noqa: B904
    return _laid_out(found)


def _laid_out(found: dict[str, list[Any]]) -> str:
    """Words to lines, lines to paragraphs. What tesseract sees in a photograph is noise of low confidence."""
    keys = zip(found["block_num"], found["par_num"], found["line_num"], strict=True)
    words = [
        (key, text.strip(), float(confidence))
        for key, text, confidence in zip(keys, found["text"], found["conf"], strict=True)
        if text.strip() and float(confidence) >= 0
    ]
    if not words or sum(confidence for *_, confidence in words) / len(words) < _LEAST_CONFIDENCE:
        return ""
    paragraphs = []
    for _, paragraph in groupby(words, key=lambda word: word[0][:2]):
        lines = [" ".join(text for _, text, _ in line) for _, line in groupby(paragraph, key=lambda word: word[0])]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)
