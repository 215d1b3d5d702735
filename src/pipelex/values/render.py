"""Contents as text: for prompts and templates, and for people (MTHDS section 11.1). Pure; replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape

from pydantic import JsonValue

from pipelex.values.concepts import Concepts, Field
from pipelex.values.decode import LIGHT_KEYS
from pipelex.values.markdown import is_safe_link, to_html
from pipelex.values.natives import NATIVES
from pipelex.values.value import Value

_TOLD_BY_KEYS: dict[frozenset[str], str] = {
    frozenset(native.fields): ref
    for ref, native in NATIVES.items()
    if native.fields is not None and ref not in ("native.Date", "native.Time")
} | {frozenset({"yes_no"}): "native.YesNo"}
"""The natives by the keys of their contents once decoded, which say what a content without a concept is.

Not dates and times: an object of somebody else's may well have just these keys.
"""


def render_value(value: Value, concepts: Concepts, text_format: str = "plain") -> str:
    """Write a value as `render` does, with the components of a Composite as what they are."""
    return render(value.data, value.concept, concepts.with_components(value.components), text_format)


def render(data: JsonValue, concept: str, concepts: Concepts, text_format: str = "plain") -> str:
    """Write a content, or a list of them, as `plain`, `markdown`, `html` or `json` text."""
    if text_format == "json":
        return _json(_json_data(data, concept, concepts))
    if text_format == "html":
        return _Html(concepts).content(data, concept)
    return _Plain(concepts, is_markdown=text_format == "markdown").content(data, concept)


def render_markdown_report(value: Value, concepts: Concepts) -> str:
    """Write a result as a Markdown page: a text as it is, a structure under headings, a list in sections."""
    concepts = concepts.with_components(value.components)
    report = _Report(concepts)
    if value.is_list or report.plain.kind(value.data, value.concept) in ("fields", "components"):
        report.section(_words(concepts[value.concept].code), value.data, value.concept, 1)
        return "\n\n".join(report.blocks) + "\n"
    return report.plain.content(value.data, value.concept)


def _json(data: JsonValue) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)


def _json_data(data: JsonValue, concept: str, concepts: Concepts) -> JsonValue:
    if isinstance(data, list):
        return [_json_data(item, concept, concepts) for item in data]
    if isinstance(data, dict) and concepts.is_text(concept):
        return data.get("text")
    return data


def _indent(text: str, by: str = "  ") -> str:
    return "\n".join(f"{by}{line}" if line else line for line in text.split("\n"))


def _words(name: str) -> str:
    """`TastingNote`, `tasting_note` -> `Tasting note`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.replace("_", " ")).strip()
    return spaced[:1].upper() + spaced[1:]


def _scalar(data: JsonValue) -> str:
    """A plain value as one text: `4` for 4.0, `true`, nothing for null."""
    if data is None:
        return ""
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, float) and data.is_integer():
        return str(int(data))
    return data if isinstance(data, str) else str(data)


def _short_time(text: str) -> str:
    return text[:-3] if len(text) == 8 and text.endswith(":00") else text


class _Reader:
    """What the writers share: which kind of content this is, and what its one text is when it has one."""

    def __init__(self, concepts: Concepts) -> None:
        self.concepts = concepts

    def root(self, data: JsonValue, concept: str) -> str:
        """The native that says how to write `data`; for an open concept it is guessed from the keys."""
        root = self.concepts.root(concept)
        if root in ("native.Anything", "native.Dynamic") and isinstance(data, dict):
            found = _TOLD_BY_KEYS.get(frozenset(data))
            if found is not None and not isinstance(data.get(LIGHT_KEYS.get(found, "")), dict | list):
                return found
        return root

    def kind(self, data: JsonValue, concept: str) -> str:
        """`list`, `text` (the content is one text), `fields` (declared ones) or `components` (any keys)."""
        if isinstance(data, list):
            return "list"
        root = self.root(data, concept)
        if root in LIGHT_KEYS or root in ("native.JSON", "native.Page", "native.TextAndImages", "native.SearchResult"):
            return "text"
        if not isinstance(data, dict):
            return "text"
        return "components" if self.concepts.is_open(root) else "fields"

    def text(self, data: JsonValue, concept: str) -> str:
        """The one text of a content of kind `text`."""
        if not isinstance(data, dict):
            return _scalar(data)
        root = self.root(data, concept)
        match root:
            case "native.YesNo":
                return "yes" if data.get("yes_no") else "no"
            case "native.Rating":
                return _scalar(data.get("level") if data.get("label") is None else data.get("label"))
            case "native.SearchResult":
                return "\n\n".join(part for part in (_scalar(data.get("answer")), self.sources(data)) if part)
            case "native.Date":
                day, hour = _scalar(data.get("date")), _scalar(data.get("time"))
                return f"{day}T{_short_time(hour)}" if hour else day
            case "native.Time":
                return _short_time(_scalar(data.get("time")))
            case "native.JSON":
                return _json(data.get("json_obj"))
            case "native.Page":
                return self.text(data.get("text_and_images"), "native.TextAndImages")
            case "native.TextAndImages":
                return self.text(data.get("text"), "native.Text")
            case _:
                return _scalar(data.get(LIGHT_KEYS.get(root, "text")))

    def sources(self, data: Mapping[str, JsonValue]) -> str:
        """The sources of an answer, each as a line, with its snippet below."""
        lines = []
        for source in _objects(data.get("sources")):
            told = (_scalar(source.get("title")), _scalar(source.get("url")))
            lines.append("- " + ": ".join(part for part in told if part))
            if snippet := _scalar(source.get("snippet")).strip():
                lines.append(_indent(snippet))
        return "\n".join(lines)

    def fields(self, data: Mapping[str, JsonValue], concept: str) -> list[tuple[str, JsonValue, Field | None]]:
        """The fields that have a value: the declared ones in order, then any others."""
        declared = self.concepts.structure(concept)
        names = [*declared, *(name for name in data if name not in declared)]
        return [(name, data[name], declared.get(name)) for name in names if data.get(name) is not None]


def _objects(data: JsonValue) -> list[dict[str, JsonValue]]:
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _field_concept(data: JsonValue, field: Field | None) -> str | None:
    """The concept of a field's value (of its items, for a list), or None when they are plain values."""
    if field is not None and field.concept is not None:
        return field.concept
    # Without a declaration (Composite, Dynamic) an object is a content of some kind.
    first = data[0] if isinstance(data, list) and data else data
    return "native.Dynamic" if field is None and isinstance(first, dict) else None


class _Plain(_Reader):
    """The writer of plain text and of Markdown, which differ by the dashes of a list."""

    def __init__(self, concepts: Concepts, *, is_markdown: bool = False) -> None:
        super().__init__(concepts)
        self.is_markdown = is_markdown

    def content(self, data: JsonValue, concept: str) -> str:
        match self.kind(data, concept):
            case "list":
                return self.list(data if isinstance(data, list) else [], concept)
            case "text":
                return self.text(data, concept)
            case kind:
                content = data if isinstance(data, dict) else {}
                lines = [self.field(*found) for found in self.fields(content, concept)]
                is_composite = kind == "components" and self.concepts.root(concept) == "native.Composite"
                return ("\n\n" if is_composite else "\n").join(lines)

    def list(self, items: list[JsonValue], concept: str) -> str:
        is_flat = all(self.kind(item, concept) == "text" for item in items)
        is_flat = is_flat and not any(self.root(item, concept) == "native.SearchResult" for item in items)
        dash = "- " if self.is_markdown and is_flat else ""
        texts = [dash + self.content(item, concept) for item in items]
        return ("\n" if is_flat else "\n\n").join(texts)

    def field(self, name: str, data: JsonValue, field: Field | None) -> str:
        concept = _field_concept(data, field)
        if isinstance(data, list):
            return "\n".join([f"{name}:", *(self.dashed(item, concept) for item in data)])
        if concept is None:
            if isinstance(data, dict):
                return f"{name}:\n{_json(data)}"
            return self.line(name, _scalar(data))
        if self.kind(data, concept) == "text":
            return self.line(name, self.text(data, concept))
        return f"{name}:\n{_indent(self.content(data, concept))}"

    def line(self, name: str, text: str) -> str:
        return f"{name}:\n{_indent(text)}" if "\n" in text else f"{name}: {text}"

    def dashed(self, data: JsonValue, concept: str | None) -> str:
        if concept is not None:
            text = self.content(data, concept)
        else:
            text = _json(data) if isinstance(data, dict | list) else _scalar(data)
        return "- " + _indent(text).removeprefix("  ")


class _Html(_Reader):
    """The writer of HTML; every text is escaped, except what is declared to be HTML."""

    def content(self, data: JsonValue, concept: str) -> str:
        match self.kind(data, concept):
            case "list":
                items = data if isinstance(data, list) else []
                return self.all(items, lambda item: self.content(item, concept))
            case "text":
                return self.one(data, concept)
            case _ if self.root(data, concept) == "native.Composite":
                return "\n".join(
                    f"<section>\n<h2>{escape(_words(name))}</h2>\n{self.field(found, field)}\n</section>"
                    for name, found, field in self.fields(data if isinstance(data, dict) else {}, concept)
                )
            case _:
                lines = [
                    f"<dt>{escape(name)}</dt><dd>{self.field(found, field)}</dd>"
                    for name, found, field in self.fields(data if isinstance(data, dict) else {}, concept)
                ]
                return "\n".join(["<dl>", *lines, "</dl>"])

    def all(self, items: list[JsonValue], write: Callable[[JsonValue], str]) -> str:
        return "\n".join(["<ul>", *(f"<li>{write(item)}</li>" for item in items), "</ul>"])

    def field(self, data: JsonValue, field: Field | None) -> str:
        concept = _field_concept(data, field)
        if concept is not None:
            return self.content(data, concept)
        if isinstance(data, list):
            return self.all(data, lambda item: self.field(item, None))
        if isinstance(data, dict):
            return f"<pre>{escape(_json(data))}</pre>"
        return escape(_scalar(data)).replace("\n", "<br>\n")

    def one(self, data: JsonValue, concept: str) -> str:
        text = self.text(data, concept)
        content = data if isinstance(data, dict) else {}
        match self.root(data, concept):
            case "native.Html":
                return text
            case "native.Image":
                caption = escape(_scalar(content.get("caption") or content.get("filename")))
                return f'<img src="{escape(text)}" alt="{caption}">' if _is_safe(text, "data:image/") else escape(text)
            case "native.Document":
                label = escape(_scalar(content.get("title") or content.get("filename") or text))
                return f'<a href="{escape(text)}">{label}</a>' if _is_safe(text) else escape(text)
            case "native.JSON":
                return f"<pre>{escape(text)}</pre>"
            case "native.TextAndImages" if content.get("raw_html"):
                return _scalar(content.get("raw_html"))
            case "native.Page":
                return self.one(content.get("text_and_images"), "native.TextAndImages")
            case "native.SearchResult":
                return self.search_result(content)
            case "native.Text" if self.concepts.is_a(concept, "native.Markdown"):
                return to_html(text)
            case "native.Text" | "native.TextAndImages":
                return _paragraphs(text)
            case _:
                return escape(text)

    def search_result(self, content: Mapping[str, JsonValue]) -> str:
        def source(data: JsonValue) -> str:
            snippet = _scalar(data.get("snippet")) if isinstance(data, dict) else ""
            return self.one(data, "native.Document") + ("\n" + _paragraphs(snippet) if snippet.strip() else "")

        sources: list[JsonValue] = [*_objects(content.get("sources"))]
        listed = self.all(sources, source) if sources else ""
        return "\n".join(part for part in (_paragraphs(_scalar(content.get("answer"))), listed) if part)


def _paragraphs(text: str) -> str:
    parts = [part.strip() for part in text.split("\n\n")]
    return "\n".join(f"<p>{escape(part)}</p>".replace("\n", "<br>\n") for part in parts if part)


def _is_safe(url: str, *others: str) -> bool:
    """Whether a browser may follow it: a relative address, or one that runs nothing."""
    scheme, colon, _ = url.strip().partition(":")
    return not colon or "/" in scheme or is_safe_link(url) or url.strip().lower().startswith(others)


class _Report:
    """A Markdown page being written, block by block."""

    def __init__(self, concepts: Concepts) -> None:
        self.plain = _Plain(concepts, is_markdown=True)
        self.blocks: list[str] = []

    def section(self, title: str, data: JsonValue, concept: str, level: int) -> None:
        self.blocks.append(f"{'#' * min(level, 6)} {title}")
        if isinstance(data, list) and any(self.plain.kind(item, concept) != "text" for item in data):
            for number, item in enumerate(data, 1):
                self.section(f"{_words(self.plain.concepts[concept].code)} {number}", item, concept, level + 1)
        elif isinstance(data, dict) and self.plain.kind(data, concept) != "text":
            self.structure(data, concept, level)
        else:
            self.blocks.append(self.plain.content(data, concept) or "*(empty)*")

    def structure(self, data: Mapping[str, JsonValue], concept: str, level: int) -> None:
        lines: list[str] = []
        sections: list[tuple[str, JsonValue, str]] = []
        for name, found, field in self.plain.fields(data, concept):
            nested = _field_concept(found, field)
            if nested is not None and (isinstance(found, list) or self.plain.kind(found, nested) != "text"):
                sections.append((_words(name), found, nested))
            else:
                lines.append(self.line(_words(name), found, nested))
        if lines:
            self.blocks.append("\n".join(lines))
        for title, found, nested in sections:
            self.section(title, found, nested, level + 1)

    def line(self, label: str, data: JsonValue, concept: str | None) -> str:
        if isinstance(data, list):
            return "\n".join([f"- **{label}**:", *(_indent(self.plain.dashed(item, None)) for item in data)])
        if isinstance(data, dict) and concept is None:
            return f"- **{label}**:\n\n{_indent('```json' + chr(10) + _json(data) + chr(10) + '```')}"
        text = _scalar(data) if concept is None else self.plain.text(data, concept)
        return f"- **{label}**:\n\n{_indent(text)}" if "\n" in text else f"- **{label}**: {text}"
