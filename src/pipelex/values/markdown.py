"""Markdown as HTML: the common part of the language, with nothing trusted. Pure; replayed.

Raw HTML in the source is escaped, and only links whose scheme runs nothing become links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

_DEPTH_LIMIT = 16
_SCHEMES = ("http", "https", "mailto", "pipelex-storage")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([\w+.#-]*)[^`]*")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?")
_RULE = re.compile(r" {0,3}(?:\*[ \t]*){3,}|(?: {0,3})(?:-[ \t]*){3,}|(?: {0,3})(?:_[ \t]*){3,}")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"(?P<lead> {0,3}(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]+)(?=\S)")
_DASHES = re.compile(r":?-+:?")
# Spans are bounded, so that a text of nothing but opening marks is read in linear time.
_SPAN = re.compile(
    r"(?P<ticks>`{1,8})(?!`)(?P<code>[^\0]{1,1000}?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<image>!?)\[(?P<label>[^\[\]]{1,500})\]\((?P<url>[^()\s<>]{1,2000})\)"
    r"|<(?P<auto>https?://[^<>\s]{1,2000})>"
    r"|\*\*(?=\S)(?P<strong>.{1,400}?)(?<=\S)\*\*"
    r"|(?<!\w)__(?=\S)(?P<strong_too>.{1,400}?)(?<=\S)__(?!\w)"
    r"|\*(?=[^\s*])(?P<emphasis>.{1,400}?)(?<=[^\s*])\*(?!\*)"
    r"|(?<!\w)_(?=[^\s_])(?P<emphasis_too>.{1,400}?)(?<=[^\s_])_(?!\w)"
    r"|~~(?=\S)(?P<struck>.{1,400}?)(?<=\S)~~"
    r"|(?P<break> {2,}|\\)\n"
    r"|\\(?P<plain>[!-/:-@\[-`{-~])",
    re.DOTALL,
)


def to_html(text: str) -> str:
    """Write a Markdown text as HTML that is safe to show: headings, lists, tables, quotes, code, emphasis, links."""
    return _Blocks(text.replace("\r\n", "\n").expandtabs(4).split("\n"), 0).html()


def is_safe_link(url: str) -> bool:
    """Whether a url says a scheme, and one that runs nothing when it is followed."""
    return url.strip().partition(":")[0].lower() in _SCHEMES and ":" in url


class _Blocks:
    """The lines of a document, a quote or an item, read block by block."""

    def __init__(self, lines: Sequence[str], depth: int, *, is_tight: bool = False) -> None:
        self.lines = lines
        self.depth = depth
        self.is_tight = is_tight
        self.at = 0

    def html(self) -> str:
        readers: tuple[Callable[[str], str | None], ...] = (self.fence, self.heading, self.rule, self.quote)
        readers += (self.items, self.table)
        if self.depth >= _DEPTH_LIMIT:
            readers = ()
        blocks = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip():
                self.at += 1
                continue
            found = next((block for read in readers if (block := read(line)) is not None), None)
            blocks.append(self.paragraph() if found is None else found)
        return "\n".join(blocks)

    def fence(self, line: str) -> str | None:
        opening = _FENCE.fullmatch(line)
        if opening is None:
            return None
        self.at += 1
        code = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            mark = line.strip()
            if mark.startswith(opening[1]) and not mark.strip(opening[1][0]):
                break
            code.append(line)
        language = f' class="language-{escape(opening[2])}"' if opening[2] else ""
        return f"<pre><code{language}>{escape(chr(10).join(code))}</code></pre>"

    def heading(self, line: str) -> str | None:
        found = _HEADING.fullmatch(line)
        if found is None:
            return None
        self.at += 1
        title = (found[2] or "").rstrip()
        closed = title.rstrip("#")
        level = len(found[1])
        return f"<h{level}>{_inline(closed.rstrip() if closed.endswith(' ') or not closed else title)}</h{level}>"

    def rule(self, line: str) -> str | None:
        if _RULE.fullmatch(line) is None:
            return None
        self.at += 1
        return "<hr>"

    def quote(self, line: str) -> str | None:
        inner = []
        while self.at < len(self.lines) and (mark := _QUOTE.match(self.lines[self.at])):
            inner.append(self.lines[self.at][mark.end() :])
            self.at += 1
        return f"<blockquote>\n{_Blocks(inner, self.depth + 1).html()}\n</blockquote>" if inner else None

    def items(self, line: str) -> str | None:
        first = _ITEM.match(line)
        if first is None:
            return None
        number = first["number"]
        found: list[list[str]] = []
        while (item := self.item(is_numbered=number is not None)) is not None:
            found.append(item)
        is_tight = all("" not in item for item in found)
        texts = [_Blocks(item, self.depth + 1, is_tight=is_tight).html() for item in found]
        start = f' start="{int(number)}"' if number is not None and int(number) != 1 else ""
        tag = "ul" if number is None else "ol"
        return "\n".join([f"<{tag}{start}>", *(f"<li>{text}</li>" for text in texts), f"</{tag}>"])

    def item(self, *, is_numbered: bool) -> list[str] | None:
        """The lines of the next item of a list, without their indentation; None when the list has ended."""
        at = self.at
        while at < len(self.lines) and not self.lines[at].strip():
            at += 1
        mark = _ITEM.match(self.lines[at]) if at < len(self.lines) else None
        if mark is None or (mark["number"] is not None) is not is_numbered or _RULE.fullmatch(self.lines[at]):
            return None
        width = mark.end()
        inner = [self.lines[at][width:]]
        at += 1
        while at < len(self.lines):
            line = self.lines[at]
            is_inside = line.startswith(" " * min(width, 2)) or (inner[-1].strip() and not self.opens(line))
            if line.strip() and not is_inside:
                break
            indent = len(line) - len(line.lstrip(" "))
            inner.append(line[min(indent, width) :])
            at += 1
        while not inner[-1].strip():
            inner.pop()
            at -= 1
        self.at = at
        return inner

    def table(self, line: str) -> str | None:
        if "|" not in line or self.at + 1 >= len(self.lines):
            return None
        head, dashes = _cells(line), _cells(self.lines[self.at + 1])
        if len(head) != len(dashes) or not all(_DASHES.fullmatch(cell) for cell in dashes):
            return None
        self.at += 2
        rows = []
        while self.at < len(self.lines) and "|" in self.lines[self.at]:
            cells = _cells(self.lines[self.at])[: len(head)]
            rows.append(_row("td", [*cells, *[""] * (len(head) - len(cells))]))
            self.at += 1
        return "\n".join(["<table>", _row("th", head), *rows, "</table>"])

    def paragraph(self) -> str:
        start = self.at
        self.at += 1
        while self.at < len(self.lines) and self.lines[self.at].strip() and not self.opens(self.lines[self.at]):
            self.at += 1
        text = _inline("\n".join(line.lstrip() for line in self.lines[start : self.at]).rstrip())
        return text if self.is_tight else f"<p>{text}</p>"

    def opens(self, line: str) -> bool:
        """Whether a line starts a block of its own, and so ends the paragraph before it."""
        return any(mark.fullmatch(line) for mark in (_FENCE, _HEADING, _RULE)) or bool(
            _QUOTE.match(line) or _ITEM.match(line)
        )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"


def _inline(text: str, depth: int = 0) -> str:
    if depth > _DEPTH_LIMIT:
        return escape(text)
    made = []
    end = 0
    for span in _SPAN.finditer(text):
        made += [escape(text[end : span.start()]), _span(span, depth + 1)]
        end = span.end()
    return "".join([*made, escape(text[end:])])


def _span(span: re.Match[str], depth: int) -> str:
    if span["code"] is not None:
        return f"<code>{escape(span['code'].strip())}</code>"
    if span["label"] is not None:
        return _link(span, depth)
    if span["auto"] is not None:
        return f'<a href="{escape(span["auto"])}">{escape(span["auto"])}</a>'
    if span["break"] is not None:
        return "<br>\n"
    if span["plain"] is not None:
        return escape(span["plain"])
    for tag, names in (("strong", ("strong", "strong_too")), ("em", ("emphasis", "emphasis_too")), ("s", ("struck",))):
        inner = next((span[name] for name in names if span[name] is not None), None)
        if inner is not None:
            return f"<{tag}>{_inline(inner, depth)}</{tag}>"
    return escape(span[0])


def _link(span: re.Match[str], depth: int) -> str:
    url, label = span["url"], span["label"]
    if not is_safe_link(url):
        return escape(span[0])
    if span["image"]:
        return f'<img src="{escape(url)}" alt="{escape(label)}">'
    return f'<a href="{escape(url)}">{_inline(label, depth)}</a>'
