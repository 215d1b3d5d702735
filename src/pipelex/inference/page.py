"""The HTML of a page as plain blocks: headings, paragraphs, items, tables, pictures. Runs on workers; pure.

What has no place on paper (scripts, styles, forms) is dropped with what is inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Literal

_DROPPED: Final = frozenset(
    ("script", "style", "head", "template", "object", "iframe", "svg", "select", "button", "textarea", "noscript")
)
_BLOCKS: Final = frozenset(
    (
        "address",
        "article",
        "aside",
        "body",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "footer",
        "header",
        "html",
        "main",
        "nav",
        "p",
        "section",
    )
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_STYLES: Final = {"b": "bold", "strong": "bold", "th": "bold", "i": "italic", "em": "italic", "code": "code"}


@dataclass(frozen=True)
class Run:
    """Some text in one style; `\\n` breaks the line."""

    text: str
    is_bold: bool = False
    is_italic: bool = False
    is_code: bool = False
    link: str | None = None


@dataclass
class Block:
    """One block. `level` is that of a heading, or the depth of an item or a quote; `mark` what stands before an item.

    `source` is where a picture is, its runs then what to say in its place.
    """

    kind: Literal["heading", "text", "item", "code", "rule", "picture", "table"]
    runs: list[Run] = field(default_factory=list)
    level: int = 0
    mark: str = ""
    source: str = ""
    rows: list[list[Cell]] = field(default_factory=list)
    is_grid: bool = False

    @property
    def text(self) -> str:
        """The text without its styles."""
        return "".join(run.text for run in self.runs)


@dataclass
class Cell:
    """One cell of a table."""

    text: str = ""
    is_head: bool = False
    is_number: bool = False


def read_page(html: str) -> list[Block]:
    """The blocks of a page, in order; empty ones are left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end_block()
    return [block for block in reader.blocks if block.kind in ("rule", "picture") or block.text.strip() or block.rows]


class _Reader(HTMLParser):
    """Builds blocks from tags as they come; unbalanced ones do no harm."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.block: Block | None = None
        self.dropped = 0
        self.styles: list[str] = []
        self.links: list[str] = []
        self.lists: list[int | None] = []
        self.quotes = 0
        self.table: Block | None = None
        self.cell: Cell | None = None
        self.in_head = False

    def begin_block(self, block: Block) -> None:
        self.end_block()
        self.block = block
        self.blocks.append(block)

    def end_block(self) -> None:
        if self.block is not None and self.block.kind != "code":
            self.block.runs = _trimmed(self.block.runs)
        self.block = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _DROPPED:
            self.dropped += 1
        if self.dropped:
            return
        if tag in _STYLES:
            self.styles.append(_STYLES[tag])
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "br":
            self.add("\n", keep=True)
        elif tag == "img":
            self.picture(given)
        elif tag in ("table", "tr", "td", "th", "thead"):
            self.begin_table_part(tag, given)
        elif self.cell is None:
            self.begin_part(tag)

    def begin_part(self, tag: str) -> None:
        """A block outside tables."""
        if tag in _HEADINGS:
            self.begin_block(Block("heading", level=_HEADINGS[tag]))
        elif tag in ("ul", "ol"):
            self.end_block()
            self.lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.item()
        elif tag == "pre":
            self.begin_block(Block("code"))
        elif tag == "hr":
            self.begin_block(Block("rule"))
            self.end_block()
        elif tag == "blockquote":
            self.end_block()
            self.quotes += 1
        elif tag in _BLOCKS and not (self.block is not None and self.block.kind == "item" and not self.block.text):
            self.end_block()

    def begin_table_part(self, tag: str, given: dict[str, str]) -> None:
        if tag == "table" and self.table is None:
            self.end_block()
            self.table = Block("table", is_grid="grid" in given.get("class", "").split())
            self.blocks.append(self.table)
        elif self.table is None:
            return
        elif tag == "tr":
            self.cell = None
            self.table.rows.append([])
        elif tag == "thead":
            self.in_head = True
        elif tag in ("td", "th"):
            if not self.table.rows:
                self.table.rows.append([])
            is_number = "number" in given.get("class", "").split()
            self.cell = Cell(is_head=tag == "th" or self.in_head, is_number=is_number)
            self.table.rows[-1].append(self.cell)

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self.dropped = max(0, self.dropped - 1)
        if self.dropped:
            return
        if tag in _STYLES and _STYLES[tag] in self.styles:
            self.styles.reverse()
            self.styles.remove(_STYLES[tag])
            self.styles.reverse()
        if tag == "a" and self.links:
            self.links.pop()
        elif tag in ("td", "th"):
            self.cell = None
        elif tag == "thead":
            self.in_head = False
        elif tag == "table":
            self.table = self.cell = None
        elif self.cell is not None:
            if tag in ("p", "div", "li"):
                self.add("\n", keep=True)
        elif tag in ("ul", "ol"):
            self.end_block()
            self.lists = self.lists[:-1]
        elif tag == "blockquote":
            self.end_block()
            self.quotes = max(0, self.quotes - 1)
        elif tag in _HEADINGS or tag in _BLOCKS or tag in ("li", "pre"):
            self.end_block()

    def handle_data(self, data: str) -> None:
        if not self.dropped:
            self.add(data, keep=self.block is not None and self.block.kind == "code")

    def item(self) -> None:
        mark = "•"
        if self.lists and (number := self.lists[-1]) is not None:
            self.lists[-1] = number + 1
            mark = f"{number + 1}."
        self.begin_block(Block("item", level=max(1, len(self.lists)), mark=mark))

    def picture(self, given: dict[str, str]) -> None:
        source = given.get("src", "")
        words = given.get("alt") or ("picture" if source.startswith("data:") else source)
        if self.cell is not None:
            self.add(words, keep=False)
            return
        self.end_block()
        self.blocks.append(Block("picture", runs=[Run(words)], source=source))

    def add(self, text: str, *, keep: bool) -> None:
        """Text where the reader is; spaces and line ends count as one space, unless they are to be kept."""
        if not keep:
            inner = " ".join(text.split())
            text = f"{' ' * text[:1].isspace()}{inner}{' ' * (bool(inner) and text[-1:].isspace())}"
        if self.cell is not None:
            self.cell.text = (self.cell.text + text) if self.cell.text else text.lstrip()
            return
        if self.table is not None or (self.block is None and not text.strip()):
            return
        if self.block is None:
            self.begin_block(Block("text", level=self.quotes))
        assert self.block is not None
        if text.startswith(" ") and not keep and self.block.text.endswith((" ", "\n")):
            text = text[1:]
        styles = set(self.styles)
        link = next(
            (link for link in reversed(self.links) if link.startswith(("http://", "https://", "mailto:"))), None
        )
        self.block.runs.append(Run(text, "bold" in styles, "italic" in styles, "code" in styles, link))


def _trimmed(runs: list[Run]) -> list[Run]:
    """The runs without blanks at both ends."""
    runs = [run for run in runs if run.text]
    while runs and not runs[0].text.strip():
        runs.pop(0)
    while runs and not runs[-1].text.strip():
        runs.pop()
    if not runs:
        return runs
    first = runs[0]
    runs[0] = Run(first.text.lstrip(), first.is_bold, first.is_italic, first.is_code, first.link)
    last = runs[-1]
    runs[-1] = Run(last.text.rstrip(), last.is_bold, last.is_italic, last.is_code, last.link)
    return runs
