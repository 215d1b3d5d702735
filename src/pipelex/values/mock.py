"""A made-up value that satisfies a JSON Schema, for dry runs: always the same for the same seed. Pure; replayed."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

_DATE = "2025-01-15"
_FORMATS = {"date": _DATE, "date-time": f"{_DATE}T09:30:00Z", "time": "09:30:00"}
_DEPTH_LIMIT = 32


def mock(schema: Mapping[str, JsonValue], *, seed: str = "", items: int = 2, fills_optional: bool = True) -> JsonValue:
    """Make up a value that fits `schema`: readable texts, small positive numbers, optional fields filled or null.

    Without a seed choices are the first and booleans true; with one they vary with the seed and the place.
    Lists have `items` items, within their minItems and maxItems. Files have `https://mock.invalid/...` addresses.
    """
    return _Mock(schema, seed, items, fills_optional).value(schema, "", "value", 0)


class _Mock:
    """One value being made up. `label` is the name a reader would give to the place."""

    def __init__(self, root: Mapping[str, Any], seed: str, items: int, fills_optional: bool) -> None:
        self.definitions: Mapping[str, Any] = root.get("$defs", {})
        self.seed = seed
        self.items = items
        self.fills_optional = fills_optional

    def draw(self, path: str) -> int:
        """A number that depends on the seed and the place only; 0 without a seed."""
        return int(hashlib.sha256(f"{self.seed}:{path}".encode()).hexdigest()[:8], 16) if self.seed else 0

    def value(self, schema: Mapping[str, Any], path: str, label: str, depth: int) -> JsonValue:
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
            depth += 1
        if "anyOf" in schema:
            return self.branch(schema["anyOf"], path, label, depth)
        if "const" in schema:
            constant: JsonValue = schema["const"]
            return constant
        if "enum" in schema:
            choices: list[JsonValue] = [choice for choice in schema["enum"] if choice is not None] or [None]
            return choices[self.draw(path) % len(choices)]
        match self.kind(schema):
            case "object":
                return self.object(schema, path, label, depth)
            case "array":
                return self.array(schema, path, label, depth)
            case "boolean":
                return self.draw(path) % 2 == 0
            case "integer" | "number" as kind:
                return self.number(schema, path, is_whole=kind == "integer")
            case "null":
                return None
            case _:
                return self.text(schema, path, label)

    def kind(self, schema: Mapping[str, Any]) -> str:
        declared = schema.get("type", "object" if "properties" in schema else "string")
        kinds = [declared] if isinstance(declared, str) else list(declared)
        return str(next((kind for kind in kinds if kind != "null"), "null"))

    def branch(self, branches: list[Mapping[str, Any]], path: str, label: str, depth: int) -> JsonValue:
        full = [branch for branch in branches if branch.get("type") != "null"]
        if not full or (depth >= _DEPTH_LIMIT and len(full) < len(branches)):
            return None
        return self.value(full[0], path, label, depth)

    def object(self, schema: Mapping[str, Any], path: str, label: str, depth: int) -> JsonValue:
        if depth > 2 * _DEPTH_LIMIT:
            return {}  # a schema that requires itself has no finite value
        label = str(schema.get("title", label))
        properties: Mapping[str, Any] = schema.get("properties", {})
        if not properties:
            values = schema.get("additionalProperties")
            inner: Mapping[str, Any] = values if isinstance(values, Mapping) else {"type": "string"}
            pattern = str(schema.get("propertyNames", {}).get("pattern", ""))
            key = next((key for key in ("key", "0") if re.search(pattern, key)), "key")
            return {key: self.value(inner, f"{path}.{key}", label, depth + 1)}
        required = schema.get("required", ())
        return {
            # The one text of a text-valued concept is better named after the concept.
            name: self.value(inner, f"{path}.{name}", label if name == "text" else name, depth)
            if self.fills_optional or name in required or not _may_be_null(inner)
            else None
            for name, inner in properties.items()
        }

    def array(self, schema: Mapping[str, Any], path: str, label: str, depth: int) -> JsonValue:
        wanted = 0 if depth >= _DEPTH_LIMIT else self.items
        count = max(wanted, int(schema.get("minItems", 0)))
        count = min(count, int(schema.get("maxItems", count)))
        inner: Mapping[str, Any] = schema.get("items", {})
        return [self.value(inner, f"{path}[{index}]", f"{label} {index + 1}", depth) for index in range(count)]

    def number(self, schema: Mapping[str, Any], path: str, *, is_whole: bool) -> JsonValue:
        low, high = float(schema.get("minimum", -math.inf)), float(schema.get("maximum", math.inf))
        drawn = self.draw(path) % 9
        wanted = 1 + drawn if is_whole else 1.5 + drawn
        is_bounded = math.isfinite(low) and math.isfinite(high)
        nearest = (low + high) / 2 if is_bounded else min(max(wanted, low), high)
        if not is_whole:
            return nearest
        return math.ceil(low) if math.floor(nearest) < low else math.floor(nearest)

    def text(self, schema: Mapping[str, Any], path: str, label: str) -> str:
        declared = str(schema.get("format", ""))
        if declared in _FORMATS:
            return _FORMATS[declared]
        suffix = f"{self.draw(path):08x}"[:4] if self.seed else ""
        words = label.replace("_", " ")
        if declared == "uri" or label == "url" or label.endswith("_url"):
            place = path.strip(".").replace(".", "/").replace("[", "/").replace("]", "") or "file"
            return f"https://mock.invalid/{place}{'-' * bool(suffix)}{suffix}"
        return f"mock {_spaced(words)}{' ' * bool(suffix)}{suffix}"


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    branches = schema.get("anyOf", [schema])
    return any("null" in (kind if isinstance(kind := branch.get("type"), list) else [kind]) for branch in branches)


def _spaced(code: str) -> str:
    """`TastingNote` -> `tasting note`; other texts are left alone."""
    return "".join(
        f" {letter.lower()}" if letter.isupper() and before.islower() else letter.lower()
        for before, letter in zip(" " + code, code, strict=False)
    )
