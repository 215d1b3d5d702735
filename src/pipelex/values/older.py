"""Spellings of natives that older versions of the language wrote, made into today's (MTHDS section 5). Pure."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

Content = dict[str, JsonValue]
Note = Callable[[str, str], None]
"""Takes the path of what is dated within the content, and a sentence about it."""

_STARTS = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How the bytes of pictures begin once they are written in base 64."""


def renewed(data: Content, root: str, note: Note) -> Content:
    """The content of a native as it is written now; what has no older spelling is returned as it is."""
    match root:
        case "native.Image":
            return _image(data, note)
        case "native.SearchResult":
            return _search_result(data, note)
        case _:
            return data


def _image(data: Content, note: Note) -> Content:
    renewed = dict(data)
    size = renewed.get("size")
    if size is None and "size" in renewed:
        del renewed["size"]
    elif isinstance(size, dict) and size.keys() <= {"width", "height"}:
        del renewed["size"]
        renewed |= {key: side for key, side in size.items() if renewed.get(key) is None}
        note("size", "is an older spelling: write width and height")
    encoded = renewed.get("base_64")
    if encoded is None and "base_64" in renewed:
        del renewed["base_64"]
    elif isinstance(encoded, str):
        del renewed["base_64"]
        if renewed.get("url") is None:
            renewed["url"] = _data_url(encoded, renewed.get("mime_type"))
        note("base_64", "is an older spelling: write a data: url")
    return renewed


def _data_url(encoded: str, declared: JsonValue) -> str:
    if encoded.startswith("data:"):
        return encoded
    found = next((kind for start, kind in _STARTS.items() if encoded.startswith(start)), "image/png")
    return f"data:{declared if isinstance(declared, str) else found};base64,{encoded}"


def _search_result(data: Content, note: Note) -> Content:
    sources = data.get("sources")
    if not isinstance(sources, list):
        return data
    renewed: list[JsonValue] = []
    for index, source in enumerate(sources):
        if isinstance(source, dict) and "name" in source:
            source = dict(source)
            name = source.pop("name")
            if source.get("title") is None:
                source["title"] = name
            note(f"sources[{index}].name", "is an older spelling: write title")
        renewed.append(source)
    return {**data, "sources": renewed}
