"""What a caller gives, shaped to what a pipe declares (MTHDS section 14). Runs before submission; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pydantic import JsonValue

from pipelex.errors import InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import NATIVE_CLASSES, ListContent, StuffContent
from pipelex.values.decode import Mismatch, decode, describe, is_wrapped_list
from pipelex.values.hydrate import dehydrate
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Memory, Value
from pipelex.values.working_memory import Stuff

_ENVELOPE_KEYS = {"concept", "content", "stuff_name", "stuff_code"}
_ANY = ("native.Anything", "native.Dynamic")


def shape_inputs(
    given: Mapping[str, object], declared: Mapping[str, Slot], concepts: Concepts, *, domain: str
) -> tuple[Memory, list[str]]:
    """Make the memory a pipe starts with from what the caller gives, and the warnings to show.

    Takes plain values shaped by the declared concept, `{"concept": ..., "content": ...}` envelopes, content objects
    and values. `domain` is the entry pipe's: bare concept names are looked up there. Raises InputError with
    everything that is wrong.
    """
    shaper = _Shaper(concepts, domain, declared)
    root: dict[str, Value] = {}
    absences: dict[str, Absence] = {}
    for name in given:
        if name not in declared:
            shaper.unknown(name)
    missing = []
    for name, slot in declared.items():
        if name in given:
            if (value := shaper.input(name, slot, given[name])) is not None:
                root[name] = value
        elif slot.presence == "optional":
            reason = f"the optional input {name} was not given"
            absences[name] = Absence(variable=name, absent="not_provided", reason=reason)
        else:
            missing.append(name)
    if missing:
        shaper.missing(missing)
    shaper.raise_problems()
    return Memory(root=root, absences=absences), shaper.warnings


def map_files(memory: Memory, concepts: Concepts, replace: Callable[[str, str], str]) -> Memory:
    """The same memory with the url of each image and document, at any depth, replaced by `replace(url, kind)`.

    `kind` is "image" or "document". Contents of open concepts are left as they are: nothing says what is a file there.
    """
    root = {
        name: Value(concept=value.concept, data=_map_urls(value.data, value.concept, concepts, replace))
        for name, value in memory.root.items()
    }
    return memory.model_copy(update={"root": root})


def _map_urls(data: JsonValue, concept: str, concepts: Concepts, replace: Callable[[str, str], str]) -> JsonValue:
    if isinstance(data, list):
        return [_map_urls(item, concept, concepts, replace) for item in data]
    if not isinstance(data, dict):
        return data
    kind = {"native.Image": "image", "native.Document": "document"}.get(concepts.root(concept))
    url = data.get("url")
    if kind is not None and isinstance(url, str):
        return {**data, "url": replace(url, kind)}
    nested = {name: found.concept for name, found in concepts.structure(concept).items() if found.concept is not None}
    return {
        name: _map_urls(found, nested[name], concepts, replace) if name in nested else found
        for name, found in data.items()
    }


class _Refused(Exception):
    """One input cannot be shaped: what is wrong, and how to mend it."""

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


@dataclass
class _Shaper:
    """One call of `shape_inputs`: knows the declarations, collects what is wrong and what is doubtful."""

    concepts: Concepts
    domain: str
    declared: Mapping[str, Slot]
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    # --- reporting

    def problem(self, sentence: str, hint: str | None) -> None:
        self.problems.append(sentence)
        if hint is not None and hint not in self.hints:
            self.hints.append(hint)

    def raise_problems(self) -> None:
        if not self.problems:
            return
        hint = "; ".join(self.hints) or None
        if len(self.problems) == 1:
            raise InputError(self.problems[0], hint=hint)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        raise InputError(f"{len(self.problems)} things are wrong with the inputs:{lines}", hint=hint)

    def short(self, ref: str) -> str:
        """A concept as the author of the method writes it."""
        domain, _, code = ref.rpartition(".")
        return code if domain in ("native", self.domain) else ref

    def spelled(self, slot: Slot) -> str:
        return str(Slot(self.short(slot.concept), slot.is_list, slot.count, slot.presence))

    def list_declared(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({self.spelled(self.declared[name])})" for name in names)

    def unknown(self, name: str) -> None:
        close = get_close_matches(name, self.declared, n=1)
        known = self.list_declared(list(self.declared))
        self.problem(
            f"there is no input {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            f"the pipe declares: {known}" if known else "the pipe declares no inputs",
        )

    def missing(self, names: list[str]) -> None:
        plural = "s are" if len(names) > 1 else " is"
        first = names[0]
        self.problem(
            f"{len(names)} input{plural} missing: {self.list_declared(names)}",
            f"give {first!r}, for instance {self.example(self.declared[first], first)}",
        )

    def example(self, slot: Slot, name: str) -> str:
        """What could be written in a JSON file of inputs."""
        root = self.concepts.root(slot.concept)
        scalars = {
            "native.Text": '"some text"',
            "native.Number": "3",
            "native.YesNo": "true",
            "native.Date": '"2031-02-03"',
            "native.Time": '"14:30"',
            "native.Image": '"photo.png"',
            "native.Document": '"report.pdf"',
            "native.Html": '"<p>some text</p>"',
            "native.Anything": '"some text"',
            "native.Dynamic": '"some text"',
        }
        one = scalars.get(root)
        if one is None:
            fields = self.concepts.structure(slot.concept)
            required = [key for key, found in fields.items() if found.required] or list(fields)[:1]
            one = "{" + ", ".join(f'"{key}": ...' for key in required) + "}"
        return f'{{"{name}": [{one}, ...]}}' if slot.is_list else f'{{"{name}": {one}}}'

    # --- shaping

    def input(self, name: str, slot: Slot, given: object) -> Value | None:
        """The value of one input, or None when it is refused (and the problem recorded)."""
        head = f"input {name!r} is declared as {self.spelled(slot)}"
        try:
            if given is None:
                advice = "leave the key out" if slot.presence == "optional" else f"write {self.example(slot, name)}"
                raise _Refused("null is not a value", advice)
            return self.value(name, slot, given)
        except _Refused as refused:
            self.problem(f"{head}: {refused.sentence}", refused.hint)
        except Mismatch as mismatch:
            hint = f"an input that fits: {self.example(slot, name)}"
            for sentence in mismatch.problems:
                self.problem(f"{head}: {sentence.removeprefix(f'{name}: ')}", hint)
        except TypeError as error:
            self.problem(f"{head}: {error}", _python_hint(given))
        return None

    def value(self, name: str, slot: Slot, given: object) -> Value:
        if isinstance(given, Stuff | Value):
            return self.explicit(name, slot, given.concept, given.data)
        if isinstance(given, StuffContent) and slot.concept in _ANY:
            return self.content_object(name, slot, given)
        if isinstance(given, Mapping) and _is_envelope(given):
            return self.explicit(name, slot, given["concept"], dehydrate(given["content"]))
        items = given.items if isinstance(given, ListContent) else given
        if isinstance(items, list | tuple) and any(_is_told(item) for item in items):
            return self.told_items(name, slot, items)
        return self.light(name, slot, dehydrate(given))

    def content_object(self, name: str, slot: Slot, given: StuffContent) -> Value:
        """A content object where anything goes: its class says which native it is."""
        data = dehydrate(given)
        classes = {cls: ref for ref, cls in self.concepts._classes.items()}
        classes |= {cls: ref for ref, cls in NATIVE_CLASSES.items() if ref not in (*_ANY, "native.Composite")}
        if slot.is_list and not isinstance(given, ListContent):
            data = [data]
        first = given.items[0] if isinstance(given, ListContent) and given.items else given
        concept = classes.get(type(first), "native.Dynamic")
        return self.fitted(name, Slot(concept, slot.is_list or isinstance(data, list), slot.count), data)

    def told_items(self, name: str, slot: Slot, items: Sequence[object]) -> Value:
        """A list of which some items say what they are: each is shaped on its own."""
        if not slot.is_list and slot.concept not in _ANY:
            raise _Refused(
                f"expected one {self.short(slot.concept)}, found a list of {len(items)}", "give one value, not an array"
            )
        self.check_count(slot, len(items))
        single = Slot(slot.concept)
        values = [self.item(f"{name}[{index}]", single, item) for index, item in enumerate(items)]
        told = {value.concept for value in values}
        return Value(concept=told.pop() if len(told) == 1 else slot.concept, data=[value.data for value in values])

    def item(self, name: str, slot: Slot, given: object) -> Value:
        try:
            return self.value(name, slot, given)
        except _Refused as refused:
            raise _Refused(f"{name}: {refused.sentence}", refused.hint) from None

    def explicit(self, name: str, slot: Slot, concept: object, content: JsonValue) -> Value:
        """A value that says its concept; it keeps it when it is more specific than the declared one."""
        told = self.resolve(concept)
        if not self.concepts.accepts(slot.concept, told.concept) and told.concept != "native.Anything":
            raise _Refused(
                f"a {self.short(told.concept)} was given, which is not a {self.short(slot.concept)}",
                f"give the content alone, or write {self.short(slot.concept)!r} as its concept",
            )
        kept = told.concept
        if kept in _ANY and slot.concept not in _ANY:
            kept = slot.concept  # nothing more is known: the content must fit what is declared
        if is_wrapped_list(content) and isinstance(content, dict) and self.means_list(kept):
            content = content["items"]
        if content is None:
            raise _Refused("its content is null", "leave the input out, or give a content")
        self.refuse_csv(Slot(kept, slot.is_list or told.is_list), content)
        if isinstance(content, list) and not slot.is_list and slot.concept not in _ANY:
            self.warnings.append(
                f"input {name!r} is declared as one {self.spelled(slot)}, and is given a list of {len(content)}: "
                f"the whole list is passed on; declare {self.short(slot.concept)}[] to say so"
            )
            return self.fitted(name, Slot(kept, is_list=True, count=told.count), content)
        if slot.is_list and not isinstance(content, list):
            content = [content]
        if isinstance(content, list):
            self.check_count(slot, len(content))
            self.check_count(told, len(content))
        return self.fitted(name, Slot(kept, isinstance(content, list)), content)

    def light(self, name: str, slot: Slot, data: JsonValue) -> Value:
        """A plain value: the declared concept says what it means."""
        self.refuse_csv(slot, data)
        if is_wrapped_list(data) and isinstance(data, dict) and self.means_list(slot.concept):
            data = data["items"]
        if slot.concept in _ANY:
            return self.guessed(name, slot, data)
        if slot.is_list and not isinstance(data, list):
            data = [data]
        if isinstance(data, list) and not slot.is_list:
            raise _Refused(
                f"expected one {self.short(slot.concept)}, found {describe(data)}",
                f"give one value, or declare the input as {self.short(slot.concept)}[]",
            )
        if isinstance(data, list):
            self.check_count(slot, len(data))
        return self.fitted(name, Slot(slot.concept, slot.is_list), data)

    def guessed(self, name: str, slot: Slot, data: JsonValue) -> Value:
        """A plain value where anything goes: its own shape says what it is."""
        items: list[JsonValue] = data if isinstance(data, list) else [data]
        if slot.is_list:
            data = items
            self.check_count(slot, len(items))
        found = {_native_of(item, slot.concept) for item in items}
        concept = found.pop() if len(found) == 1 else slot.concept
        return self.fitted(name, Slot(concept, isinstance(data, list)), data)

    def fitted(self, name: str, slot: Slot, data: JsonValue) -> Value:
        return Value(concept=slot.concept, data=decode(data, slot, self.concepts, path=name))

    def means_list(self, concept: str) -> bool:
        """Whether `{"items": [...]}` is a list: not when the concept has a field of that name, or any keys."""
        return not self.concepts.is_open(concept) and "items" not in self.concepts.structure(concept)

    def check_count(self, slot: Slot, count: int) -> None:
        if slot.count is not None and count != slot.count:
            raise _Refused(f"expected exactly {slot.count} items, found {count}", f"give an array of {slot.count}")

    def refuse_csv(self, slot: Slot, data: JsonValue) -> None:
        is_structured = self.concepts[self.concepts.root(slot.concept)].fields is not None
        if not slot.is_list or not is_structured or self.concepts.root(slot.concept).startswith("native."):
            return
        path = data["url"] if isinstance(data, dict) and list(data) == ["url"] else data
        if isinstance(path, str) and path.lower().endswith(".csv"):
            raise _Refused(
                f"CSV files are not supported by this version (found {path!r})", "give the rows as an array of objects"
            )

    # --- names of concepts

    def resolve(self, concept: object) -> Slot:
        """The slot that an envelope tells: a qualified or bare concept, with `[]` or `[N]` if it likes."""
        if isinstance(concept, Mapping):  # the spelling of older working memories
            code, domain = concept.get("code"), concept.get("domain_code", concept.get("domain"))
            concept = f"{domain}.{code}" if domain and "." not in str(code) else code
        if not isinstance(concept, str):
            raise _Refused(
                f"its concept must be a text, found {describe(dehydrate(concept))}",
                'write for instance "concept": "Text"',
            )
        try:
            told = Slot.parse(concept)
        except ValueError as error:
            raise _Refused(str(error)) from None
        return Slot(self.find(told.concept), told.is_list, told.count)

    def find(self, name: str) -> str:
        if "::" in name:
            raise _Refused(
                f"concept {name!r}: packages are not supported by this version", "use a concept of this library"
            )
        if "." in name:
            if name in self.concepts:
                return name
        else:
            for ref in (f"native.{name}", f"{self.domain}.{name}"):
                if ref in self.concepts:
                    return ref
            found = [ref for ref in self.concepts if ref.rpartition(".")[2] == name]
            if len(found) == 1:
                return found[0]
            if found:
                raise _Refused(f"several concepts are called {name!r}", f"write one of: {', '.join(sorted(found))}")
        spellings = {self.short(ref): ref for ref in self.concepts} | {ref: ref for ref in self.concepts}
        close = get_close_matches(name, spellings, n=1)
        raise _Refused(f"there is no concept {name!r}", f"did you mean {close[0]!r}?" if close else None)


def _is_envelope(given: Mapping[object, object]) -> bool:
    return {"concept", "content"} <= given.keys() <= _ENVELOPE_KEYS


def _is_told(item: object) -> bool:
    """Whether an item of a list says its concept itself."""
    return isinstance(item, Stuff | Value) or (isinstance(item, Mapping) and _is_envelope(item))


def _native_of(data: JsonValue, declared: str) -> str:
    if isinstance(data, bool):
        return "native.YesNo"
    if isinstance(data, str):
        return "native.Text"
    if isinstance(data, int | float):
        return "native.Number"
    return "native.JSON" if isinstance(data, dict) and declared == "native.Anything" else declared


def _python_hint(given: object) -> str:
    if isinstance(given, bytes | bytearray):
        return "give a url, a path or a data: url instead of bytes"
    if isinstance(given, set | frozenset):
        return "give a list: a set has no order"
    return "give JSON values, content objects, pydantic models or dataclasses"
