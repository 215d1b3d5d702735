"""Blocks of a page as an Excel workbook: each section a sheet, its tables in rows. Runs on workers, in a thread."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING, Any, Final

from pipelex.errors import ConfigError
from pipelex.inference.page import Block, read_page

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet  # type: ignore[import-untyped]

_UNFIT: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MOMENT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_LONGEST_TITLE: Final = 31
_LONGEST_TEXT: Final = 32_767
_WIDEST: Final = 60


def write_xlsx(html: str) -> bytes:
    """Write a page as a workbook. Numbers of tables are numbers; texts are never formulas."""
    try:
        import openpyxl  # type: ignore[import-untyped]
        from openpyxl.styles import Font  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(
            "Excel files cannot be written here: openpyxl is not installed", hint='pip install "pipelex[documents]"'
        ) from None
    book = openpyxl.Workbook()
    sheet: Worksheet = book.active
    bold = Font(bold=True)
    is_new = True
    for block in read_page(html):
        if block.kind == "heading" and block.level == 1:
            if not is_new:
                sheet = book.create_sheet()
            sheet.title = _title(block.text, [other.title for other in book.worksheets if other is not sheet])
            is_new = False
            continue
        is_new = False
        rows = _rows(block)
        if rows and block.kind in ("heading", "table") and not _is_empty(sheet):
            rows.insert(0, [(None, False)])
        for row in rows:
            _append(sheet, row, bold)
    for each in book.worksheets:
        _fit(each)
    stream = io.BytesIO()
    book.save(stream)
    return _undated(stream)


def _undated(stream: io.BytesIO) -> bytes:
    """The same workbook without the time it was made at: the same page gives the same bytes, and is stored once."""
    made = io.BytesIO()
    with zipfile.ZipFile(stream) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        for name in given.namelist():
            data = given.read(name)
            if name == "docProps/core.xml":
                data = _MOMENT.sub(b"2000-01-01T00:00:00Z", data)
            written.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _rows(block: Block) -> list[list[tuple[Any, bool]]]:
    """The rows of a block: what stands in each cell, and whether it is a heading."""
    if block.kind == "table":
        return [[(_number(cell.text) if cell.is_number else cell.text.strip(), cell.is_head) for cell in row]
                for row in block.rows]  # fmt: skip
    if block.kind == "rule":
        return []
    text = f"{block.mark} {block.text}".strip()
    return [[(text, block.kind == "heading")]]


def _is_empty(sheet: Worksheet) -> bool:
    return sheet.max_row == 1 and sheet.max_column == 1 and sheet.cell(1, 1).value is None


def _append(sheet: Worksheet, row: list[tuple[Any, bool]], bold: Any) -> None:
    at = 1 if _is_empty(sheet) else sheet.max_row + 1
    for column, (value, is_head) in enumerate(row, 1):
        cell = sheet.cell(at, column)
        if isinstance(value, str):
            cell.value = _CONTROL.sub(" ", value)[:_LONGEST_TEXT]
            # A text that starts with "=" would otherwise be computed where it is opened.
            cell.data_type = "s"
        else:
            cell.value = value
        if is_head:
            cell.font = bold


def _number(text: str) -> int | float | str:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text.strip()


def _title(text: str, taken: list[str]) -> str:
    """A name that a sheet may have, and no other sheet has."""
    base = " ".join(_UNFIT.sub(" ", text).split()).strip("'")[:_LONGEST_TITLE] or "Sheet"
    title, number = base, 1
    while title.lower() in {name.lower() for name in taken}:
        number += 1
        title = f"{base[: _LONGEST_TITLE - len(str(number)) - 1]} {number}"
    return title


def _fit(sheet: Worksheet) -> None:
    for column in sheet.columns:
        longest = max((len(line) for cell in column for line in str(cell.value or "").split("\n")), default=0)
        sheet.column_dimensions[column[0].column_letter].width = min(max(longest + 2, 8), _WIDEST)
