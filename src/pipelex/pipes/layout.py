"""Values laid out as an HTML page, when no template says how (MTHDS section 9.10). Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import escape
from pydantic import JsonValue

from pipelex.pipes.markdown import formatted
from pipelex.pipes.views import typed_components
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.render import render
from pipelex.values.value import Value

_ONE_TEXT = (
    "native.Text",
    "native.Number",
    "native.YesNo",
    "native.Choice",
    "native.Rating",
    "native.Date",
    "native.Time",
)
"""The natives that a cell of a table can show."""
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_DEEPEST = 6


def laid_out(values: Mapping[str, Value], concepts: Concepts) -> str:
    """The page: a section for each value in order, under its name; tables where values are alike, grids of fields."""
    parts: list[str] = []
    for name, value in values.items():
        layout = _Layout(typed_components(concepts, value.components) if value.components else concepts)
        parts += layout.section(name, value.data, value.concept, 1)
    return "\n".join(parts) + "\n"


def title_of(name: str) -> str:
    """`due_date` and `DueDate` -> `Due date`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.replace("_", " ")).strip()
    return spaced[:1].upper() + spaced[1:]


class _Layout:
    """Writes contents as blocks of HTML, `level` saying how deep the headings above them are."""

    def __init__(self, concepts: Concepts) -> None:
        self.concepts = concepts

    def section(self, name: str, data: JsonValue, concept: str | None, level: int) -> list[str]:
        size = min(level, _DEEPEST)
        return [f"<h{size}>{escape(title_of(name))}</h{size}>", *self.blocks(data, concept, level)]

    def blocks(self, data: JsonValue, concept: str | None, level: int) -> list[str]:
        """A content, or a list of them; plain values have no concept."""
        if isinstance(data, list):
            return self.several(data, concept, level)
        if data is None:
            return []
        if not isinstance(data, dict):
            return [f"<p>{escape(self.scalar(data))}</p>"]
        if concept is None:
            concept, data = "native.JSON", {"json_obj": data}
        concept = self.seen_as(data, concept)
        root = self.concepts.root(concept)
        if root in _ONE_TEXT:
            return self.prose(data, concept)
        match root:
            case "native.Html":
                return [str(data.get("inner_html") or "")]
            case "native.Image":
                return [self.picture(data)]
            case "native.Document":
                return [f"<p>{self.link(data)}</p>"]
            case "native.JSON":
                return [f"<pre>{escape(render(data, concept, self.concepts))}</pre>"]
            case "native.Page":
                return self.blocks(data.get("text_and_images"), "native.TextAndImages", level)
            case "native.TextAndImages":
                text = self.blocks(data.get("text"), "native.Text", level)
                return [*text, *self.blocks(data.get("images") or [], "native.Image", level)]
            case "native.SearchResult":
                answer = self.prose({"text": data.get("answer")}, "native.Text")
                return [*answer, *self.blocks(data.get("sources") or [], "native.Document", level)]
        return self.structure(data, concept, level)

    def structure(self, data: dict[str, JsonValue], concept: str, level: int) -> list[str]:
        """A grid of the fields that fit in a cell, then a section for each of the others."""
        grid: list[str] = []
        rest: list[str] = []
        for name, value, field in self.fields(data, concept):
            inner = _concept_of(field, value)
            if self.fits_cell(field, value, inner):
                label = f"<th>{escape(title_of(name))}</th>"
                grid.append(f"<tr>{label}{self.cell(value, inner, field)}</tr>")
            else:
                rest += self.section(name, value, inner, level + 1)
        table = ['<table class="grid">', *grid, "</table>"] if grid else []
        return [*table, *rest]

    def several(self, items: list[JsonValue], concept: str | None, level: int) -> list[str]:
        """A table of structures that have plain fields only; else a list of texts; else one block after the other."""
        if not items:
            return ["<p>&#8212;</p>"]
        columns = self.columns(items, concept)
        if columns:
            return self.table(items, columns)
        is_flat = all(not isinstance(item, list) and self.fits_cell(None, item, concept) for item in items)
        if is_flat:
            lines = [f"<li>{self.inline(item, concept)}</li>" for item in items]
            return ["<ul>", *lines, "</ul>"]
        blocks: list[str] = []
        is_plain = concept is not None and not isinstance(items[0], list) and self.is_structure(items[0], concept)
        for number, item in enumerate(items, 1):
            title = title_of(str(concept).rpartition(".")[2])
            heading = [f"<h{min(level + 1, _DEEPEST)}>{escape(title)} {number}</h{min(level + 1, _DEEPEST)}>"]
            blocks += [*(heading if is_plain else []), *self.blocks(item, concept, level + 1)]
        return blocks

    def columns(self, items: list[JsonValue], concept: str | None) -> dict[str, Field]:
        """The columns of a table of these items; none when a table cannot show them."""
        if concept is None or self.concepts.is_open(concept) or not self.is_structure(items[0], concept):
            return {}
        fields = self.concepts.structure(concept)
        for item in items:
            if not isinstance(item, dict):
                return {}
            if not all(self.fits_cell(field, item.get(name), field.concept) for name, field in fields.items()):
                return {}
        return fields

    def table(self, items: list[JsonValue], columns: Mapping[str, Field]) -> list[str]:
        head = "".join(f"<th>{escape(title_of(name))}</th>" for name in columns)
        rows = [
            "<tr>"
            + "".join(self.cell(item.get(name), field.concept, field) for name, field in columns.items())
            + "</tr>"
            for item in items
            if isinstance(item, dict)
        ]
        return ["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"]

    def cell(self, value: JsonValue, concept: str | None, field: Field | None) -> str:
        is_content = concept is not None and isinstance(value, dict) and self.concepts.root(concept) == "native.Number"
        is_number = is_content or (isinstance(value, int | float) and not isinstance(value, bool))
        is_number = is_number and (field is None or field.type in (*_NUMBERS, FieldType.CONCEPT))
        mark = ' class="number"' if is_number else ""
        return f"<td{mark}>{self.inline(value, concept)}</td>"

    def inline(self, value: JsonValue, concept: str | None) -> str:
        if value is None:
            return ""
        if concept is not None and isinstance(value, dict) and self.concepts.root(concept) == "native.Document":
            return self.link(value)
        if concept is not None and isinstance(value, dict):
            return _broken(render(value, concept, self.concepts))
        return _broken(self.scalar(value))

    def scalar(self, value: JsonValue) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return str(value)

    def fits_cell(self, field: Field | None, value: JsonValue, concept: str | None) -> bool:
        """Whether a table can show the value: it is one text, and not a long or formatted one."""
        if value is None:
            return field is None or field.type not in (FieldType.LIST, FieldType.DICT)
        if isinstance(value, list) or (field is not None and field.type in (FieldType.LIST, FieldType.DICT)):
            return False
        if isinstance(value, dict):
            if concept is None:
                return False
            concept = self.seen_as(value, concept)
            root = self.concepts.root(concept)
            is_formatted = self.concepts.is_a(concept, "native.Markdown")
            return (root in _ONE_TEXT and not is_formatted) or root == "native.Document"
        return not isinstance(value, str) or "\n\n" not in value

    def is_structure(self, data: JsonValue, concept: str) -> bool:
        """Whether a content is told by its fields, and not by one text or one file."""
        root = self.concepts.root(self.seen_as(data, concept))
        return not root.startswith("native.") or root in ("native.Composite", "native.Dynamic")

    def seen_as(self, data: JsonValue, concept: str) -> str:
        """The concept of a content; that of a plain text where anything may stand and one does."""
        is_text = isinstance(data, dict) and list(data) == ["text"]
        return "native.Text" if is_text and self.concepts.is_open(concept) else concept

    def fields(self, data: Mapping[str, JsonValue], concept: str) -> Iterable[tuple[str, JsonValue, Field | None]]:
        declared = self.concepts.structure(concept)
        for name in {**declared, **data}:
            if data.get(name) is not None:
                yield name, data[name], declared.get(name)

    def prose(self, data: dict[str, JsonValue], concept: str) -> list[str]:
        """A text as paragraphs; formatted, when it is Markdown."""
        text = render(data, concept, self.concepts)
        if self.concepts.is_a(concept, "native.Markdown"):
            return [formatted(text)]
        return [f"<p>{_broken(part.strip())}</p>" for part in text.split("\n\n") if part.strip()]

    def picture(self, data: Mapping[str, JsonValue]) -> str:
        caption = data.get("caption")
        below = f"<p><em>{escape(str(caption))}</em></p>" if caption else ""
        return f'<p><img src="{escape(str(data.get("url")))}" alt="{escape(str(caption or ""))}"></p>{below}'

    def link(self, data: Mapping[str, JsonValue]) -> str:
        url = str(data.get("public_url") or data.get("url"))
        text = escape(str(data.get("title") or data.get("filename") or url))
        return f'<a href="{escape(url)}">{text}</a>' if url.startswith(("http://", "https://")) else str(text)


def _concept_of(field: Field | None, value: JsonValue) -> str | None:
    """The concept of a field's value; of a component that nothing declares, whatever it is."""
    if field is not None:
        return field.concept
    first = value[0] if isinstance(value, list) and value else value
    return "native.Dynamic" if isinstance(first, dict) else None


def _broken(text: str) -> str:
    return "<br>".join(str(escape(line)) for line in text.split("\n"))
