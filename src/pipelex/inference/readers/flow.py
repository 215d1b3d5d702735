"""Word documents and web pages as one page of Markdown; nothing they refer to is fetched. In a process of its own."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, Final

from pipelex.inference.readers.parts import Album, Limits, Page, Unreadable, Wanted, checked

_MAX_ENTRIES: Final = 20_000
_NOT_TEXT: Final = ("script", "style", "noscript", "template", "head", "svg", "iframe", "object", "canvas", "select")
_EMPTY_LINES: Final = re.compile(r"\n\s*\n\s*\n+")


class WordSource:
    """A .docx file."""

    total = 1

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        _check_archive(path, limits)

    def page(self, index: int, wanted: Wanted) -> Page:
        """All of it. Raises Unreadable."""
        try:
            import mammoth  # type: ignore[import-untyped]
        except ImportError:
            raise Unreadable("no-documents-extra", "mammoth") from None
        album = Album(self._limits, wanted.max_images)
        images = mammoth.images.img_element(lambda image: {"src": _kept(image, album, self._limits)})
        try:
            with self._path.open("rb") as file:
                # External files stay closed: a linked picture could name any file of this machine.
                html = mammoth.convert_to_html(file, convert_image=images, external_file_access=False).value
        except (Unreadable, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  mammoth trusts files, and trips in many ways over broken ones
            raise Unreadable("word-damaged", f"{type(error).__name__}: {error}"[:200]) from None
        notes = ("picture-left-out",) if 'src=""' in html else ()
        return Page(_markdown(html, keep_images=True), tuple(album.pictures), notes=notes)


class WebSource:
    """An HTML file."""

    total = 1

    def __init__(self, path: Path, charset: str | None) -> None:
        self._path = path
        self._charset = charset

    def page(self, index: int, wanted: Wanted) -> Page:
        """What a reader sees of it, scripts and styles left out. Raises Unreadable."""
        return Page(_markdown(self._path.read_bytes(), keep_images=False, charset=self._charset))


def _check_archive(path: Path, limits: Limits) -> None:
    """Look at the sizes that the archive declares before anything is unpacked: reading stops at those sizes."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable("word-damaged", str(error)) from None
    size = sum(entry.file_size for entry in entries)
    if size > limits.max_unpacked_bytes or len(entries) > _MAX_ENTRIES:
        raise Unreadable("bomb", f"{len(entries)} files of {size} bytes")


def _kept(image: Any, album: Album, limits: Limits) -> str:
    """Keep a picture of a Word file; the name that stands for it in the text, empty when it cannot be shown."""
    if album.is_full:
        return ""
    try:
        with image.open() as file:
            picture, _ = checked(file.read(), limits.max_pixels)
    except (Unreadable, ValueError, KeyError, OSError):
        # A drawing of Windows, a broken or a linked picture: the text is still worth reading.
        return ""
    album.add(picture)
    return f"image-{len(album.pictures)}.{picture.mime_type.partition('/')[2]}"


def _markdown(html: str | bytes, *, keep_images: bool, charset: str | None = None) -> str:
    try:
        from bs4 import BeautifulSoup
        from markdownify import ATX, MarkdownConverter
    except ImportError:
        raise Unreadable("no-documents-extra", "markdownify") from None
    soup = BeautifulSoup(html, "html.parser", from_encoding=charset)
    if isinstance(html, bytes) and soup.contains_replacement_characters:
        raise Unreadable("not-text")
    for tag in soup(_NOT_TEXT):
        tag.decompose()
    for tag in soup("img"):
        if not (keep_images and tag.get("src")):
            tag.replace_with(str(tag.get("alt") or ""))
    try:
        text = str(MarkdownConverter(heading_style=ATX, bullets="-").convert_soup(soup))
    except RecursionError:
        # Nested deeper than any page that people write: the words are still there.
        text = soup.get_text("\n")
    return _EMPTY_LINES.sub("\n\n", text).strip()
