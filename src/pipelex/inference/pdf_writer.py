"""Blocks of a page as a PDF file. Runs on workers, in a thread; reads nothing but a font."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelex.errors import ConfigError, DocumentError
from pipelex.inference.page import Block, Run, read_page

if TYPE_CHECKING:
    from fpdf import FPDF

_SIZES: Final = {1: 20, 2: 16, 3: 13, 4: 12, 5: 11, 6: 11}
_BODY: Final = 10.5
_LINE: Final = 1.35
_POINT: Final = 25.4 / 72
_INDENT: Final = 6.0
_FAMILIES: Final = (
    # Where systems keep a font with most scripts: the folder, and its regular, bold, italic and bold italic files.
    ("/usr/share/fonts/truetype/dejavu", "DejaVuSans", "-Bold", "-Oblique", "-BoldOblique"),
    ("/usr/share/fonts/TTF", "DejaVuSans", "-Bold", "-Oblique", "-BoldOblique"),
    ("/usr/share/fonts/dejavu-sans-fonts", "DejaVuSans", "-Bold", "-Oblique", "-BoldOblique"),
    ("/usr/share/fonts/truetype/liberation", "LiberationSans", "-Regular", "-Bold", "-Italic", "-BoldItalic"),
    ("/Library/Fonts", "Arial Unicode", "", "", ""),
    ("C:/Windows/Fonts", "arial", "bd", "i", "bi"),
)


def write_pdf(html: str, pictures: Mapping[str, bytes], *, font: str | None = None) -> bytes:
    """Print a page. `pictures` are PNG files by their source; one that is not there is told by its words.

    `font` is a TrueType file for texts beyond Western European ones; without it, one is looked for on this system.
    Raises DocumentError for characters that no font here has.
    """
    try:
        from fpdf import FPDF
        from fpdf.errors import FPDFException
    except ImportError:
        raise ConfigError(
            "PDF files cannot be written here: fpdf2 is not installed", hint='pip install "pipelex[documents]"'
        ) from None
    blocks = read_page(html)
    pdf = FPDF()
    # The same page gives the same bytes in every host and at every attempt, so that it is stored once.
    pdf.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    pdf.set_auto_page_break(True, margin=18)
    pdf.set_margins(18, 18, 18)
    pdf.core_fonts_encoding = "cp1252"
    writer = _Writer(pdf, _family(pdf, blocks, font), pictures)
    pdf.add_page()
    try:
        for block in blocks:
            writer.write(block)
        return bytes(pdf.output())
    except FPDFException as error:
        raise DocumentError(f"the page cannot be printed: {str(error)[:300]}") from None


def _family(pdf: FPDF, blocks: Sequence[Block], font: str | None) -> str:
    """The font to print with: a built-in one, unless the text needs more characters."""
    needed = {letter for block in blocks for letter in _texts(block) if letter > " "}
    if font is None and not _beyond(needed):
        return "Helvetica"
    files = _given(font) if font is not None else _found()
    if files is None:
        letters = "".join(sorted(_beyond(needed))[:10])
        raise DocumentError(
            f"no font here has these characters of the page: {letters}",
            hint="name a TrueType file that does: font under [inference.documents]",
        )
    # Reading a font tells a lot about it, none of which matters here.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    logging.getLogger("fpdf").setLevel(logging.ERROR)
    for style, file in zip(("", "B", "I", "BI"), files, strict=True):
        pdf.add_font("page", style, file)
    lacking = sorted(letter for letter in needed if ord(letter) not in _glyphs(pdf))
    if lacking:
        raise DocumentError(
            f"the font {files[0].name} lacks these characters of the page: {''.join(lacking[:10])}",
            hint="name a TrueType file that has them: font under [inference.documents]",
        )
    return "page"


def _texts(block: Block) -> str:
    return block.text + block.mark + "".join(cell.text for row in block.rows for cell in row)


def _beyond(letters: set[str]) -> set[str]:
    """The characters that the built-in fonts do not have."""
    return {letter for letter in letters if not letter.encode("cp1252", "ignore")}


def _given(font: str) -> list[Path] | None:
    path = Path(font).expanduser()
    if not path.is_file():
        raise ConfigError("the font for documents is not there", where=str(path), hint="see [inference.documents]")
    return [path] * 4


def _found() -> list[Path] | None:
    for folder, name, *styles in _FAMILIES:
        tails = styles if len(styles) == 4 else ["", *styles]
        files = [Path(folder) / f"{name}{tail}.ttf" for tail in tails]
        if files[0].is_file():
            return [file if file.is_file() else files[0] for file in files]
    return None


def _glyphs(pdf: FPDF) -> Mapping[int, Any]:
    return pdf.fonts["page"].cmap  # type: ignore[union-attr]


class _Writer:
    """Puts blocks on pages."""

    def __init__(self, pdf: FPDF, family: str, pictures: Mapping[str, bytes]) -> None:
        self.pdf = pdf
        self.family = family
        self.pictures = pictures

    def write(self, block: Block) -> None:
        """One block below the last one."""
        match block.kind:
            case "heading":
                self.heading(block)
            case "rule":
                self.rule()
            case "picture":
                self.picture(block)
            case "table":
                self.table(block)
            case "code":
                self.code(block)
            case _:
                self.flow(block)

    def font(self, size: float, run: Run | None = None, *, is_bold: bool = False) -> None:
        style = "B" * (is_bold or (run is not None and run.is_bold)) + "I" * (run is not None and run.is_italic)
        is_fixed = run is not None and run.is_code and self.family != "page"
        self.pdf.set_font("Courier" if is_fixed else self.family, style, size)

    def heading(self, block: Block) -> None:
        size = _SIZES[block.level]
        height = size * _LINE * _POINT
        self.pdf.ln(height * 0.4)
        # A heading at the foot of a page, with nothing below it, belongs on the next one.
        if self.pdf.will_page_break(height * 3):
            self.pdf.add_page()
        self.font(size, is_bold=True)
        self.pdf.multi_cell(0, height, block.text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.pdf.ln(height * 0.2)

    def flow(self, block: Block) -> None:
        pdf, height = self.pdf, _BODY * _LINE * _POINT
        margin = pdf.l_margin
        pdf.set_left_margin(margin + _INDENT * block.level)
        pdf.set_x(pdf.l_margin)
        if block.mark:
            self.font(_BODY)
            pdf.set_x(pdf.l_margin - _INDENT * 0.75)
            pdf.cell(_INDENT * 0.75, height, block.mark)
        for run in block.runs:
            self.font(_BODY, run)
            if run.link:
                pdf.set_text_color(0, 70, 160)
            pdf.write(height, run.text, run.link or "")
            pdf.set_text_color(0, 0, 0)
        pdf.set_left_margin(margin)
        pdf.ln(height * (1.1 if block.mark else 1.5))

    def code(self, block: Block) -> None:
        pdf = self.pdf
        pdf.set_font("Courier" if self.family != "page" else self.family, "", _BODY - 1.5)
        pdf.set_fill_color(244, 244, 244)
        height = (_BODY - 1.5) * _LINE * _POINT
        pdf.multi_cell(0, height, block.text.strip("\n"), align="L", fill=True, new_x="LMARGIN", new_y="NEXT")
        pdf.set_fill_color(255, 255, 255)
        pdf.ln(height)

    def rule(self) -> None:
        pdf = self.pdf
        pdf.ln(2)
        pdf.line(pdf.l_margin, pdf.get_y(), pdf.w - pdf.r_margin, pdf.get_y())
        pdf.ln(3)

    def picture(self, block: Block) -> None:
        data = self.pictures.get(block.source)
        if data is None:
            self.flow(Block("text", [Run(f"[{block.text}]", is_italic=True)]))
            return
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
        pdf = self.pdf
        # A pixel at 96 to the inch, unless the page is too small for that.
        scale = min(25.4 / 96, pdf.epw / width, (pdf.eph - 5) / height)
        if pdf.will_page_break(height * scale):
            pdf.add_page()
        pdf.image(io.BytesIO(data), w=width * scale, h=height * scale)
        pdf.ln(3)

    def table(self, block: Block) -> None:
        from fpdf.enums import TableBordersLayout
        from fpdf.fonts import FontFace

        columns = max(len(row) for row in block.rows)
        if not columns:
            return
        self.font(_BODY - 1)
        has_head = not block.is_grid and all(cell.is_head for cell in block.rows[0])
        widths = (3, 7) if block.is_grid and columns == 2 else _widths(block, columns)
        bold = FontFace(emphasis="BOLD")
        with self.pdf.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=widths,
            first_row_as_headings=has_head,
            headings_style=bold,
            line_height=(_BODY - 1) * _LINE * _POINT,
            padding=1,
            text_align="LEFT",
        ) as table:
            for cells in block.rows:
                row = table.row()
                for cell in cells:
                    text = cell.text.strip()
                    row.cell(
                        text,
                        style=bold if cell.is_head else None,
                        align="RIGHT" if cell.is_number and not block.is_grid else "LEFT",
                    )
                for _ in range(columns - len(cells)):
                    row.cell("")
        self.pdf.ln(3)


def _widths(block: Block, columns: int) -> tuple[int, ...]:
    """The share of each column, by its longest text and within bounds."""
    longest = [1] * columns
    for row in block.rows:
        for at, cell in enumerate(row):
            longest[at] = max(longest[at], max(map(len, cell.text.split("\n"))))
    return tuple(min(max(length, 8), 40) for length in longest)
