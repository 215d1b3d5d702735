"""The values of a construct held against the fields they become (MTHDS section 9.9, rule 60). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelex.language.findings import did_you_mean
from pipelex.language.pipes import ConstructValue, FromPath, Literally, Nested, PipeCompose
from pipelex.library.check import Check
from pipelex.library.paths import NoField, Reached, field_fault, walk
from pipelex.values.concepts import Field, FieldType

_Keys = tuple[str, ...]


class ConstructCheck(Check):
    """Checks the construct of one PipeCompose."""

    def construct(self, pipe: PipeCompose) -> None:
        """Rule 60: its fields exist, those that are required are there, and what is given fits."""
        if pipe.construct_fields is not None:
            self._construct(pipe, pipe.construct_fields, pipe.output.concept, ("construct",))

    def _construct(self, pipe: PipeCompose, values: Mapping[str, ConstructValue], ref: str | None, path: _Keys) -> None:
        """Check named values against the fields of a concept; None is a table of any shape."""
        fields: dict[str, Field] | None = None
        if ref is not None and not self.concepts.is_open(ref):
            fields = self.concepts.structure(ref)
        for name, value in values.items():
            field = fields.get(name) if fields is not None else None
            if field is not None or fields is None:
                self._value(pipe, name, value, field, (*path, name))
                continue
            hint = did_you_mean(name, fields) or f"its fields are {', '.join(fields)}"
            message = f"{self.site.short(ref or '')} has no field '{name}'"
            self.error(self.at(*path, name), "construct_field_error", message, hint)
        for name, field in (fields or {}).items():
            if field.required and field.default is None and name not in values:
                message = f"{self.site.short(ref or '')} requires the field '{name}', which nothing gives"
                self.error(self.at(*path), "construct_field_error", message, f"add `{name} = …` to the construct")

    def _value(self, pipe: PipeCompose, name: str, value: ConstructValue, field: Field | None, path: _Keys) -> None:
        fault: str | None = None
        match value:
            case FromPath():
                fault = self._from(pipe, value, field, path)
            case Nested() if field is None or field.type in (FieldType.CONCEPT, FieldType.DICT):
                self._construct(pipe, value.fields, field.concept if field else None, path)
            case Nested() if field is not None:
                fault = f"is {field.type.value}; a table is given"
            case Literally() if field is not None and field.choices and str(value.value) not in field.choices:
                hint = did_you_mean(str(value.value), field.choices) or f"the choices are {', '.join(field.choices)}"
                self.error(self.at(*path), "construct_field_error", f"'{value.value}' is no choice of '{name}'", hint)
            case _:
                pass
        if fault is not None:
            self.error(self.at(*path), "construct_field_error", f"the field '{name}' {fault}")

    def _from(self, pipe: PipeCompose, value: FromPath, field: Field | None, path: _Keys) -> str | None:
        """Why what stands at a path cannot be the field, if so."""
        # An undeclared root is told by the checks of its file.
        if value.from_.split(".")[0] not in pipe.inputs:
            return None
        reached = self.reach(pipe, value.from_, self.at(*path))
        if reached is None:
            return None
        if value.list_to_dict_keyed_by is not None:
            return self._keyed(value, value.list_to_dict_keyed_by, reached, field, path)
        fault = field_fault(self.concepts, field, reached) if field is not None else None
        return f"{fault}; '{value.from_}' is {self.spoken(reached)}" if fault else None

    def _keyed(self, value: FromPath, key: str, reached: Reached, field: Field | None, path: _Keys) -> str | None:
        if reached.depth == 0:
            return f"needs a list to key by '{key}'; '{value.from_}' is {self.spoken(reached)}"
        item = walk(self.concepts, replace(reached, depth=0), [key]) if reached.depth == 1 else None
        if isinstance(item, NoField):
            message = f"{self.site.short(item.concept)} has no field '{key}' to key by"
            self.warn(self.at(*path), "unknown_field", message, did_you_mean(key, item.known))
        if field is not None and field.type in (FieldType.DICT, FieldType.CONCEPT):
            return None
        return f"is {field.type.value}; a dict is given" if field is not None else None
