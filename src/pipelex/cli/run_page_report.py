"""The result of a run as HTML for its page: by concept, every text escaped, with the files it names. Submitter side."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup, escape
from pydantic import JsonValue

from pipelex.pipes.excerpts import cut
from pipelex.storage.blobs import SCHEME
from pipelex.values.concepts import Concepts, Field
from pipelex.values.files import mime_type_of
from pipelex.values.markdown import is_safe_link, to_html
from pipelex.values.render import render
from pipelex.values.value import Absence, Outcome

_MOST_TEXT = 100_000
_MOST_ITEMS = 200
_MOST_BYTES = 1_500_000
"""How many bytes of images one page holds; the others are links to the files beside it."""
_MOST_OF_REPORT = 800_000
"""How many characters of texts one report has."""
_IMAGE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"[^>]*>')
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp")


def report(outcome: Outcome, concepts: Concepts, files: Mapping[str, bytes]) -> Markup:
    """Write a result as HTML that asks nothing of the network. `files` are those beside the page, by name."""
    if isinstance(outcome, Absence):
        return Markup("<p>There is no result: {}.</p>").format(outcome.reason)
    writer = _Report(concepts.with_components(outcome.components), files)
    return writer.content(outcome.data, outcome.concept)


class _Report:
    def __init__(self, concepts: Concepts, files: Mapping[str, bytes]) -> None:
        self.concepts = concepts
        self.files = files
        self.by_digest = {hashlib.sha256(data).hexdigest(): name for name, data in files.items()}
        self.room = _MOST_BYTES
        self.left = _MOST_OF_REPORT

    def content(self, data: JsonValue, concept: str) -> Markup:
        if isinstance(data, list):
            return self.items(data, concept)
        if not isinstance(data, dict):
            return self.scalar(data)
        root = self.concepts.root(concept)
        match root:
            case "native.Text":
                return self.markdown(data.get("text"))
            case "native.Image":
                return self.image(data)
            case "native.Document":
                return self.document(data)
            case "native.Html":
                return self.page(data.get("inner_html"))
            case "native.Page":
                return self.content(data.get("text_and_images"), "native.TextAndImages")
            case "native.TextAndImages":
                return self.text_and_images(data)
            case "native.SearchResult":
                return self.search_result(data)
            case "native.JSON":
                return Markup("<pre>{}</pre>").format(self.taken(render(data, concept, self.concepts)))
            case _ if root.startswith("native.") and not self.concepts.is_open(root):
                return self.scalar(render(data, concept, self.concepts))
        return self.fields(data, concept)

    def fields(self, data: Mapping[str, JsonValue], concept: str) -> Markup:
        declared = self.concepts.structure(concept)
        rows = [
            Markup("<dt>{}</dt><dd>{}</dd>").format(_words(name), self.field(data[name], declared.get(name)))
            for name in dict.fromkeys([*declared, *data])
            if data.get(name) is not None
        ]
        return Markup("<dl>{}</dl>").format(Markup("\n").join(rows))

    def field(self, data: JsonValue, field: Field | None) -> Markup:
        if field is not None and field.concept is not None:
            return self.content(data, field.concept)
        if isinstance(data, list):
            return self.bullets([self.field(item, None) for item in data[:_MOST_ITEMS]], len(data))
        return self.content(data, "native.Dynamic") if isinstance(data, dict) else self.scalar(data)

    def items(self, items: list[JsonValue], concept: str) -> Markup:
        if not items:
            return Markup('<p class="soft">none</p>')
        shown = items[:_MOST_ITEMS]
        columns = self.columns(shown, concept)
        if columns:
            head = Markup("").join(Markup("<th>{}</th>").format(_words(name)) for name in columns)
            rows = [
                Markup("<tr>{}</tr>").format(
                    Markup("").join(
                        Markup("<td>{}</td>").format(self.scalar(item.get(name) if isinstance(item, dict) else None))
                        for name in columns
                    )
                )
                for item in shown
            ]
            table = Markup('<div class="wide" tabindex="0"><table><tr>{}</tr>{}</table></div>')
            return table.format(head, Markup("\n").join(rows)) + self.more(len(items))
        if self.concepts.root(concept) == "native.Image":
            return Markup('<div class="images">{}</div>').format(
                Markup("").join(self.content(item, concept) for item in shown)
            ) + self.more(len(items))
        if self.concepts.structure(concept) and not self.concepts.root(concept).startswith("native."):
            name = _words(self.concepts[concept].code)
            parts = [
                Markup('<section class="part"><h3>{} {}</h3>{}</section>').format(name, n, self.content(item, concept))
                for n, item in enumerate(shown, 1)
            ]
            return Markup("\n").join(parts) + self.more(len(items))
        return self.bullets([self.content(item, concept) for item in shown], len(items))

    def columns(self, items: list[JsonValue], concept: str) -> list[str]:
        """The fields of a list of flat structures that some item has; none when it is no such list."""
        declared = self.concepts.structure(concept)
        if self.concepts.root(concept).startswith("native.") or not declared:
            return []
        objects = [item for item in items if isinstance(item, dict)]
        used = [name for name in declared if any(item.get(name) is not None for item in objects)]
        is_flat = not any(isinstance(value, dict | list) for item in objects for value in item.values())
        return used if is_flat and len(objects) == len(items) else []

    def bullets(self, items: list[Markup], total: int) -> Markup:
        listed = Markup("\n").join(Markup("<li>{}</li>").format(item) for item in items)
        return Markup("<ul>{}</ul>").format(listed) + self.more(total)

    def more(self, total: int) -> Markup:
        left = total - _MOST_ITEMS
        return Markup('<p class="soft">and {} more, in main_stuff.json</p>').format(left) if left > 0 else Markup("")

    def scalar(self, data: JsonValue) -> Markup:
        if isinstance(data, bool):
            return Markup("yes" if data else "no")
        if data is None:
            return Markup('<span class="soft">-</span>')
        if isinstance(data, dict | list):
            return Markup("<pre>{}</pre>").format(self.taken(render(data, "native.Dynamic", self.concepts, "json")))
        text = self.taken(str(int(data) if isinstance(data, float) and data.is_integer() else data))
        return Markup('<span class="lines">{}</span>').format(text) if "\n" in text else escape(text)

    def markdown(self, text: JsonValue) -> Markup:
        """A text, read as Markdown: raw HTML in it is escaped, and images of the network become links."""
        html = to_html(self.taken(str(text or "")))
        return Markup('<div class="text">{}</div>').format(Markup(_IMAGE.sub(r'<a href="\1">\2</a>', html)))

    def page(self, html: JsonValue) -> Markup:
        """A page made by a model: in a frame of its own, which runs no script and reaches nothing."""
        return Markup('<iframe sandbox title="HTML" srcdoc="{}"></iframe>').format(self.taken(str(html or "")))

    def image(self, content: Mapping[str, JsonValue]) -> Markup:
        url, name, data = self.stored(content)
        label = str(content.get("caption") or content.get("filename") or name or "image")
        source = url if url[:11].lower() == "data:image/" else ""
        if data is not None and (kind := mime_type_of(name)) in _SHOWN:
            source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        if not source or len(source) > self.room:
            return self.link(url, name, label)
        self.room -= len(source)
        figure = '<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
        return Markup(figure).format(source, label, label if content.get("caption") else name)

    def document(self, content: Mapping[str, JsonValue]) -> Markup:
        url, name, _ = self.stored(content)
        label = str(content.get("title") or content.get("filename") or name or url)
        return self.link(url, name, label)

    def stored(self, content: Mapping[str, JsonValue]) -> tuple[str, str, bytes | None]:
        """The url of a file, its name beside the page, and its bytes, when it is there."""
        url = str(content.get("url") or "")
        name = self.by_digest.get(url.removeprefix(SCHEME).partition(".")[0], "") if url.startswith(SCHEME) else ""
        return url, name, self.files.get(name) if name else None

    def link(self, url: str, name: str, label: str) -> Markup:
        if name:
            return Markup('<a href="{}">{}</a>').format(quote(name), label)
        is_open = is_safe_link(url) and not url.startswith(SCHEME)
        return Markup('<a href="{}">{}</a>').format(url, label) if is_open else escape(cut(label, 200))

    def text_and_images(self, content: Mapping[str, JsonValue]) -> Markup:
        text, images = content.get("text"), content.get("images")
        made = self.content(text, "native.Text") if isinstance(text, dict) else Markup("")
        return made + (self.items(images, "native.Image") if isinstance(images, list) and images else Markup(""))

    def search_result(self, content: Mapping[str, JsonValue]) -> Markup:
        sources = content.get("sources")
        listed = self.items(sources, "native.Document") if isinstance(sources, list) and sources else Markup("")
        return self.markdown(content.get("answer")) + listed

    def taken(self, text: str) -> str:
        """The text, cut so that the page stays small."""
        text = cut(text, min(_MOST_TEXT, max(self.left, 0)))
        self.left -= len(text)
        return text


def _words(name: str) -> str:
    """`TastingNote`, `tasting_note` -> `Tasting note`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.replace("_", " ")).strip()
    return spaced[:1].upper() + spaced[1:]
