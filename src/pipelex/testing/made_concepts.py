"""What generated methods are made of: concepts, inputs, and what names hold. Part of `pipelex.testing.methods`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import JsonValue

T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """What a name holds: one content (depth 0), a list, or a list of lists; whether it may be absent."""

    concept: str
    depth: int = 0
    may_lack: bool = False
    count: int | None = None

    def slot(self, mark: str | None = None) -> str:
        """As a slot is spelled; `mark` replaces the mark of presence."""
        if self.depth:
            return f"{self.concept}[{self.count or ''}]"
        return self.concept + (("?" if self.may_lack else "") if mark is None else mark)


@dataclass(frozen=True)
class FieldSpec:
    """A field of a structure, as it will be declared."""

    type: str
    required: bool = False
    choices: tuple[str, ...] = ()
    concept: str | None = None
    item: str | None = None
    default: JsonValue = None

    @property
    def may_lack(self) -> bool:
        return not self.required and self.default is None


@dataclass
class Made:
    """A pipe: what it must find in memory, what it gives, and the names it leaves in the memory of its caller."""

    code: str
    reads: dict[str, Held]
    gives: Held
    leaves: dict[str, Held] = field(default_factory=dict)
    kind: str = ""
    free: frozenset[str] = frozenset()
    """What it reads and its caller may leave out."""


Env = Mapping[str, Held]
"""What is in memory where a pipe is called."""

_NATIVE_FIELDS: Final[dict[str, dict[str, FieldSpec]]] = {
    "Text": {"text": FieldSpec("text", True)},
    "Markdown": {"text": FieldSpec("text", True)},
    "Number": {"number": FieldSpec("number", True)},
    "YesNo": {"yes_no": FieldSpec("boolean", True)},
    "Choice": {"choice": FieldSpec("text", True)},
    "Rating": {"level": FieldSpec("integer", True)},
    "Html": {"inner_html": FieldSpec("text", True)},
    "Image": {"url": FieldSpec("text", True), "caption": FieldSpec("text")},
    "Document": {"url": FieldSpec("text", True), "title": FieldSpec("text")},
    "Page": {"page_view": FieldSpec("concept", concept="Image")},
    "SearchResult": {
        "answer": FieldSpec("text", True),
        "sources": FieldSpec("list", True, item="concept", concept="Document"),
    },
}
_SCALARS: Final = ("text", "integer", "number", "boolean", "date", "datetime", "time")
BOUND: Final = {
    "text": "Text",
    "integer": "Number",
    "number": "Number",
    "boolean": "YesNo",
    "date": "Date",
    "datetime": "Date",
    "time": "Time",
    "dict": "JSON",
}
"""The concept of what a binding finds in a field."""
_FIELD_NAMES: Final = ("title", "items", "type", "format", "count", "due", "parts", "date", "note", "is_ok", "kind")
CHOICES: Final = ("red", "green", "blue", "two words")
_TEXTS: Final = st.text(alphabet="ab {}$@%<>\"'\\\n#ü√", max_size=12)
_DEFAULTS: Final[dict[str, JsonValue]] = {"text": "as ever", "integer": 3, "number": 0.5, "boolean": True}


def toml(value: JsonValue) -> str:
    """A text, number, boolean or array of these, as TOML."""
    return json.dumps(value, ensure_ascii=False)


def table(pairs: Mapping[str, str]) -> str:
    """An inline table of values that are TOML already."""
    return "{ " + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + " }"


class ConceptWriter:
    """Draws the concepts and the inputs of one method."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        self.structures: dict[str, dict[str, FieldSpec]] = {}
        self.parents: dict[str, str] = {}
        self._count = 0

    # Draws

    def pick(self, among: Iterable[T]) -> T:
        return self.draw(st.sampled_from(list(among)))

    def chance(self, times: int, of: int) -> bool:
        return self.draw(st.integers(0, of - 1)) >= of - times

    def fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    # Concepts

    def declare_concepts(self) -> None:
        """Draw the concepts of the method; each may use those before it."""
        for _ in range(self.draw(st.integers(1, 4))):
            form = self.pick(("structure", "structure", "refinement", "text"))
            name = self.fresh("Thing")
            if form == "structure":
                names = self.draw(st.lists(st.sampled_from(_FIELD_NAMES), min_size=1, max_size=4, unique=True))
                self.structures[name] = {each: self.field() for each in names}
            else:
                parents = [*self.structures, *self.parents, "Text", "Number", "Html", "YesNo"]
                self.parents[name] = self.pick(parents) if form == "refinement" else ""

    def field(self) -> FieldSpec:
        """Draw a field."""
        kind = self.pick((*_SCALARS, "choices", "list", "list", "dict", "concept"))
        required = self.chance(1, 2)
        own = [*self.structures, *self.parents, "Text", "Number"]
        if kind == "choices":
            return FieldSpec("text", required, choices=CHOICES)
        if kind == "list":
            item = self.pick(("text", "integer", "date", "concept"))
            return FieldSpec("list", required, item=item, concept=self.pick(own) if item == "concept" else None)
        if kind == "concept":
            return FieldSpec("concept", required, concept=self.pick(own))
        default = _DEFAULTS.get(kind) if not required and self.chance(1, 3) else None
        return FieldSpec(kind, required, default=default)

    def concept_lines(self) -> Iterator[str]:
        """The declarations of the concepts."""
        for name, parent in self.parents.items():
            refines = f'\nrefines = "{parent}"' if parent else ""
            yield f'[concept.{name}]\ndescription = "{name}"{refines}\n'
        for name, fields in self.structures.items():
            yield f'[concept.{name}]\ndescription = "{name}"\n[concept.{name}.structure]'
            for code, each in fields.items():
                yield f"{code} = {table(_blueprint(code, each))}"
            yield ""

    def root(self, concept: str) -> str:
        """The native or the structure that a concept goes back to."""
        while concept in self.parents:
            concept = self.parents[concept] or "Text"
        return concept

    def fields(self, concept: str) -> dict[str, FieldSpec]:
        root = self.root(concept)
        return self.structures.get(root) or _NATIVE_FIELDS.get(root, {})

    def is_text(self, concept: str) -> bool:
        return self.root(concept) in ("Text", "Markdown")

    def may_show(self, concept: str) -> bool:
        """Whether a value of that concept may hold an image, which a printed page would have to fetch."""
        root = self.root(concept)
        if root in ("Image", "Page", "Composite"):
            return True
        return any(each.concept is not None and self.may_show(each.concept) for each in self.fields(root).values())

    # Inputs

    def given(self) -> dict[str, Held]:
        """Draw what the caller could give."""
        found: dict[str, Held] = {}
        concepts = [*self.structures, *self.parents, "Text", "Text", "Number", "YesNo", "Date", "Image", "Document"]
        for _ in range(self.draw(st.integers(1, 4))):
            shape = self.pick(("one", "one", "list", "list", "optional"))
            concept = self.pick(concepts)
            found[self.fresh("given")] = Held(concept, depth=int(shape == "list"), may_lack=shape == "optional")
        return found

    def light(self, held: Held) -> SearchStrategy[JsonValue]:
        """Values for an input, as short as a caller may write them."""
        one = self._light_one(held.concept)
        return st.lists(one, max_size=5) if held.depth else one

    def _light_one(self, concept: str) -> SearchStrategy[JsonValue]:
        root = self.root(concept)
        match root:
            case "Text":
                return _TEXTS
            case "Number":
                return st.sampled_from((0, 1, -2, 2.5, 1000000))
            case "YesNo":
                return st.booleans()
            case "Date":
                return st.dates().map(lambda day: day.isoformat())
            case "Html":
                return _TEXTS.map(lambda text: {"inner_html": text})
            case "Image" | "Document":
                return st.sampled_from(("https://example.org/a.png", "https://example.org/b.jpg"))
            case _:
                fields = self.structures[root]
                needed = {code: self._light_field(each) for code, each in fields.items() if each.required}
                free = {code: self._light_field(each) for code, each in fields.items() if not each.required}
                return st.fixed_dictionaries(needed, optional=free)

    def _light_field(self, found: FieldSpec) -> SearchStrategy[JsonValue]:
        if found.choices:
            return st.sampled_from(found.choices)
        match found.type:
            case "list":
                item = self._light_field(replace(found, type=found.item or "text", item=None))
                return st.lists(item, max_size=3)
            case "dict":
                return st.dictionaries(st.sampled_from(("a", "b c")), st.just("x"))
            case "concept":
                return self._light_one(found.concept or "Text")
            case "text":
                return _TEXTS
            case kind:
                values: dict[str, tuple[JsonValue, ...]] = {
                    "integer": (0, 3, -4),
                    "number": (0, 2.5, -1),
                    "boolean": (True, False),
                    "date": ("2031-02-03", "1999-12-31"),
                    "datetime": ("2031-02-03T04:05:06", "2031-02-03T04:05:06+02:00"),
                    "time": ("04:05", "23:59:59"),
                }
                return st.sampled_from(values[kind])

    def paths(self, env: Env) -> Iterator[tuple[str, Held]]:
        """What bindings can name, with what they find there."""
        for name, held in env.items():
            if held.depth < 2:
                yield name, held
            for code, each in self.fields(held.concept).items():
                step = self._into(held, each)
                if self.root(held.concept) not in ("Text", "Markdown", "Number") and step is not None:
                    yield f"{name}.{code}", step
                    for deeper, last in self.fields(step.concept).items() if each.concept else ():
                        end = self._into(step, last)
                        if self.root(step.concept) in self.structures and end is not None:
                            yield f"{name}.{code}.{deeper}", end

    @staticmethod
    def _into(held: Held, found: FieldSpec) -> Held | None:
        kind = found.item if found.type == "list" else found.type
        concept = found.concept if kind == "concept" else BOUND.get(kind or "")
        if concept is None:
            return None
        is_list = held.depth > 0 or found.type == "list"
        return Held(concept, int(is_list), may_lack=not is_list and (held.may_lack or found.may_lack))


def _blueprint(code: str, found: FieldSpec) -> dict[str, str]:
    pairs = {"type": toml(found.type), "description": toml(f"The {code}")}
    if found.required:
        pairs["required"] = "true"
    if found.choices:
        pairs["choices"] = toml(list(found.choices))
    if found.item:
        pairs["item_type"] = toml(found.item)
    if found.concept:
        pairs["item_concept_ref" if found.item else "concept_ref"] = toml(found.concept)
    if found.type == "dict":
        pairs |= {"key_type": '"text"', "value_type": '"text"'}
    if found.default is not None:
        pairs["default_value"] = toml(found.default)
    return pairs
