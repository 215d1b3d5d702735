"""PipeCompose: make a value from others without a model (MTHDS section 9.9). Pure; replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from pipelex.errors import InternalError, OutputError, PipeError
from pipelex.language.pipes import (
    ComposeTemplate,
    ConstructValue,
    FromPath,
    FromTemplate,
    Literally,
    Nested,
    PipeCompose,
)
from pipelex.pipes.execution import Execution, code_of
from pipelex.pipes.outcomes import SHAPELESS, fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.templates import printer_for, render_template
from pipelex.pipes.views import MISSING, ContentView, plain, view_of
from pipelex.values.concepts import Field, FieldType
from pipelex.values.decode import from_text
from pipelex.values.slots import Slot
from pipelex.values.value import Value


async def run_compose(pipe: PipeCompose, execution: Execution) -> PipeResult:
    """Render the template, or build the construct, and fit it to the output."""
    if pipe.template is not None:
        # A text made where anything is declared is a Text, so that whoever reads it knows.
        slot = Slot("native.Text") if execution.output.concept in SHAPELESS else execution.output
        return PipeResult(outcome=fitted(execution, _from_template(pipe.template, execution), slot))
    if pipe.construct_fields is None:
        raise InternalError(f"'{execution.code}' has neither a template nor a construct")
    fields = _fields(execution.output.concept, execution)
    data = _Construct(execution).table(pipe.construct_fields, fields, "")
    return PipeResult(outcome=fitted(execution, data))


def _from_template(template: ComposeTemplate, execution: Execution) -> JsonValue:
    is_html = execution.concepts.is_a(execution.output.concept, "native.Html")
    text = render_template(
        template.template,
        "html" if is_html and template.category == "basic" else template.category,
        execution.memory,
        execution.concepts,
        style=template.templating_style,
        extra=template.extra_context,
    )
    text = without_blank_ends(text)
    return {"inner_html": text, "css_class": None} if is_html else {"text": text}


def without_blank_ends(text: str) -> str:
    """The text without its leading and trailing blank lines; the indentation of its first line stays."""
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


def field_data(value: object, field: Field, execution: Execution, path: str) -> Any:
    """What a template would see, as the data of a field: contents give their scalar where a plain value is declared.

    A field typed as a concept keeps the content. Raises OutputError when the concepts do not go together.
    """
    if value is None:
        return None
    if field.type is FieldType.LIST and isinstance(value, list | tuple):
        item = Field(description=field.description, type=field.item_type or FieldType.TEXT, concept=field.concept)
        return [plain(each) if field.item_type is None else field_data(each, item, execution, path) for each in value]
    if not isinstance(value, ContentView):
        return plain(value)
    if field.type is FieldType.CONCEPT and field.concept is not None:
        if not execution.concepts.accepts(field.concept, value.concept):
            given, wanted = code_of(value.concept), code_of(field.concept)
            raise OutputError(f"the field '{path}' of '{execution.code}' is a {wanted}, and is given a {given}")
        return value.data
    if field.type is FieldType.DICT:
        return value.data["json_obj"] if "json_obj" in value.fields else value.data
    moment = value.data.get("time") if field.type is FieldType.DATETIME else None
    if moment is not None and value.data.get("date") is not None:
        return f"{value.data['date']}T{moment}"
    return value.data if value.scalar is None else plain(value.scalar)


def _fields(concept: str, execution: Execution) -> Mapping[str, Field]:
    return {} if execution.concepts.is_open(concept) else execution.concepts.structure(concept)


class _Construct:
    """Builds the data of a construct, table by table."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.printer = printer_for(execution.concepts)

    def table(self, values: Mapping[str, ConstructValue], fields: Mapping[str, Field], prefix: str) -> JsonValue:
        return {name: self.value(value, fields.get(name), f"{prefix}{name}") for name, value in values.items()}

    def value(self, value: ConstructValue, field: Field | None, path: str) -> JsonValue:
        match value:
            case FromPath():
                found = self.at(value)
                if field is None:
                    return plain(found)
                return self.chosen(field_data(found, field, self.execution, path), field)
            case FromTemplate():
                execution = self.execution
                text = render_template(
                    value.template, "basic", execution.memory, execution.concepts, what=f"the template of '{path}'"
                )
                data = self.coerced(text, field)
                return data if text == value.template else self.chosen(data, field)
            case Literally():
                return self.coerced(value.value, field) if isinstance(value.value, str) else value.value
            case Nested():
                is_content = field is not None and field.type is FieldType.CONCEPT and field.concept is not None
                nested = _fields(field.concept, self.execution) if is_content and field and field.concept else {}
                return self.table(value.fields, nested, f"{path}.")

    def chosen(self, data: JsonValue, field: Field | None) -> JsonValue:
        """The data; in a dry run a choice in place of a made-up text, since no concept tells the keys of a Choice."""
        if field is None or not field.choices or not self.execution.plan.is_dry:
            return data
        return data if not isinstance(data, str) or data in field.choices else from_text(field.choices[0], field)

    def coerced(self, text: str, field: Field | None) -> JsonValue:
        """A text as what the field declares. One that cannot be read stays, and is refused with its path later."""
        if field is None:
            return text
        if field.type is FieldType.CONCEPT and field.concept is not None:
            return self._coerced_content(text, field, field.concept)
        if field.type in (FieldType.LIST, FieldType.DICT):
            return _read_json(text)
        return from_text(text, field)

    def _coerced_content(self, text: str, field: Field, concept: str) -> JsonValue:
        concepts = self.execution.concepts
        if concepts.is_text(concept) or concepts.is_open(concept):
            return text
        if not text.strip():
            return None if not field.required else text
        native = {"native.Number": FieldType.NUMBER, "native.YesNo": FieldType.BOOLEAN}.get(concepts.root(concept))
        if native is not None:
            return from_text(text, Field(description="", type=native, required=True))
        return _read_json(text)

    def at(self, source: FromPath) -> object:
        """What stands at a path of an input: as templates see it; None where something on the way is absent."""
        root, *segments = source.from_.split(".")
        outcome = self.execution.memory.get(root)
        found: object = view_of(outcome, self.printer, root) if isinstance(outcome, Value) else None
        for segment in segments:
            if found is None:
                return None
            found = self.segment(found, segment, source.from_)
        key = source.list_to_dict_keyed_by
        return found if key is None or found is None else self.keyed(found, key, source.from_)

    def segment(self, found: object, name: str, path: str) -> object:
        if isinstance(found, dict):
            return found.get(name)
        if not isinstance(found, ContentView):
            raise PipeError(f"'{path}' in the construct of '{self.execution.code}': '{name}' is read on a plain value")
        value = found.read(name) if name in found.names() else MISSING
        if value is MISSING and found.fields:
            what = code_of(found.concept)
            raise PipeError(f"'{path}' in the construct of '{self.execution.code}': a {what} has no '{name}'")
        return None if value is MISSING else value

    def keyed(self, found: object, key: str, path: str) -> dict[str, JsonValue]:
        """A list as an object, keyed by a field of its items. Raises PipeError for a missing or repeated key."""
        if not isinstance(found, list):
            raise PipeError(f"'{path}' in the construct of '{self.execution.code}' is not a list to key by '{key}'")
        table: dict[str, JsonValue] = {}
        for item in found:
            value = self.segment(item, key, f"{path}.{key}")
            name = None if value is None else str(value)
            if name in table and self.execution.plan.is_dry:
                name = f"{name} {len(table) + 1}"  # made-up items are alike
            if name is None or name in table:
                fault = "is missing from an item" if name is None else "is the same for two items"
                raise PipeError(f"'{path}' in the construct of '{self.execution.code}': the key '{key}' {fault}")
            table[name] = plain(item)
        return table


def _read_json(text: str) -> JsonValue:
    stripped = text.strip()
    if not stripped:
        return None
    try:
        data: JsonValue = json.loads(stripped)
    except ValueError:
        return stripped
    return data
