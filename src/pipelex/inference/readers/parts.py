"""What the readers give for one page, and how they say that they cannot. Runs in the process that reads one file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

_KEPT: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


class Picture(NamedTuple):
    """A picture as bytes, with its size in pixels."""

    data: bytes
    mime_type: str
    width: int
    height: int


@dataclass(frozen=True)
class Page:
    """What was read of one page. `notes` are names of what went less well than it should."""

    text: str
    pictures: tuple[Picture, ...] = ()
    view: Picture | None = None
    is_from_ocr: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What the file may cost."""

    max_pages: int
    max_pixels: int
    max_page_bytes: int
    max_unpacked_bytes: int


@dataclass(frozen=True)
class Wanted:
    """What is asked of a page. `ocr_languages` None means that no page is read by OCR."""

    max_images: int | None = None
    views: bool = False
    dpi: int = 150
    text: bool = True
    ocr_languages: str | None = None


class Source(Protocol):
    """A file that is open."""

    @property
    def total(self) -> int:
        """How many pages it has."""
        ...

    def page(self, index: int, wanted: Wanted) -> Page:
        """Read one page, counted from 0. Raises Unreadable."""
        ...


class Unreadable(Exception):
    """The file cannot be read; `problem` is a name that the other side puts in words, with the detail."""

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = detail


class Album:
    """The pictures of one page, within the limits."""

    def __init__(self, limits: Limits, most: int | None) -> None:
        self.pictures: list[Picture] = []
        self._limits = limits
        self._most = most
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether no more pictures are wanted."""
        return self._most is not None and len(self.pictures) >= self._most

    def add(self, picture: Picture) -> None:
        """Keep one more. Raises Unreadable when the page would become too large."""
        self._bytes += len(picture.data)
        if self._bytes > self._limits.max_page_bytes:
            raise Unreadable("pictures-too-large", str(self._limits.max_page_bytes))
        self.pictures.append(picture)


def as_png(image: Image) -> Picture:
    """The picture as PNG."""
    kept = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")
    buffer = io.BytesIO()
    kept.save(buffer, "PNG", compress_level=3)
    return Picture(buffer.getvalue(), "image/png", *kept.size)


def checked(data: bytes, max_pixels: int) -> tuple[Picture, Image]:
    """The picture in those bytes, whole and not too large, kept as it is when it is of a common kind.

    Raises Unreadable.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if width * height > max_pixels:
            raise Unreadable("too-many-pixels", f"{width}x{height}")
        image.load()
        kind = _KEPT.get(image.format or "")
        return (Picture(data, kind, width, height) if kind else as_png(image)), image
    except Image.DecompressionBombError:
        raise Unreadable("too-many-pixels", "too many") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Unreadable("image-damaged", str(error)) from error
